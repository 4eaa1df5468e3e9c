"""Reports: runs and comparisons as pages, tables and files. No module here computes a score."""
