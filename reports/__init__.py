"""Reports: read runs and comparisons, render them. Never computes a score."""
