"""iqa gate: is a photo good enough to be taken? A policy, and what it says of each photo."""
