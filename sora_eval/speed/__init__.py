"""Speed: sweeps timed in turns, and the summary of their raw repeats."""
