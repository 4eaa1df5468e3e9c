"""Studies of many runs: repeats, calibration, plans, runs until decided, error rates of a gate."""
