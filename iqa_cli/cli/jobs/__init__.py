"""Data sets: runs in parts, as `iqa score --output`, and `iqa join`."""
