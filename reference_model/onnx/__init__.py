"""Export to ONNX, and the graphs that are made of it."""
