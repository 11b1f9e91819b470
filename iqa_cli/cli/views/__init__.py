"""What is shown at a terminal or in a pipe: a file a command, on what they share."""
