"""iqa train and iqa distill."""
