"""iqa serve: scores and verdicts over HTTP, for uploads of any kind."""
