"""Which photos to keep, and moving those so that none is lost and all can be undone."""
