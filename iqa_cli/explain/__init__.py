"""iqa explain: what is wrong with a photo, where, and what to do about it. Measurements, reasons and a map; no PyTorch."""
