"""Studies of many runs: repeats, calibration, runs until decided, error rates of a gate."""
