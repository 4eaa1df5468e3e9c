"""What is measured: metrics by family, each with its signature."""
