"""The torch line: everything that needs PyTorch lives here, behind the [train] extra."""
