"""iqa evaluate: how well scores agree with people."""
