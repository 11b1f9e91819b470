"""What runs at inference, in PyTorch."""
