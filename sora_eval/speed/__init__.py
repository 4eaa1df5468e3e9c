"""How fast: sweeps timed in turns, and what their raw repeats say."""
