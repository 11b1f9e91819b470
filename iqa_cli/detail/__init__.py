"""detail: how much of a photo's resolution is real, from patches of its native pixels."""
