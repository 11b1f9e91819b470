"""iqa score: paths become records, and these files."""
