"""What there is by name, without loading it: metrics, generators, formats."""
