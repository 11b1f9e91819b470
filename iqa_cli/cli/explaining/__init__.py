"""iqa explain: the command, its options, and the page that it shows."""
