"""Model cards and weights, and the ONNX Runtime backend; no PyTorch."""
