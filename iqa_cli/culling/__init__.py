"""Choosing among photos: what belongs to one, and the ratings and sidecars that other programs read."""
