"""Runs on disk: the folder, and the rows in it."""
