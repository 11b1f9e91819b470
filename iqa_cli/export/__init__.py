"""iqa export-onnx and iqa blend."""
