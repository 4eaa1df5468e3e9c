"""Blind votes on the clips of two runs, and how well metrics agree with them."""
