"""Pixels: files to frames and back, and graded damage to frames."""
