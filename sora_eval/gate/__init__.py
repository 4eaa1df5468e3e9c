"""A verdict: from differences to PASS or REGRESSED. Pure."""
