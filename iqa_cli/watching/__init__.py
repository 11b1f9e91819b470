"""iqa watch: photos are scored as they arrive in a folder, into a file that is added to."""
