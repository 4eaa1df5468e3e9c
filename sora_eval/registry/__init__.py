"""Metrics, generators and formats by name, without loading them."""
