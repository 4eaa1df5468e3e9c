"""Helpers that every room may use: errors, the environment, progress, pinned weights."""
