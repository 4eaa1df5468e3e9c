"""The selfcheck: every metric against its claims of what it detects and what it is blind to."""
