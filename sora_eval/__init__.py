"""Evaluate, compare and gate text-to-video generators. Importing this package imports no torch."""

__version__ = "0.1.0"
