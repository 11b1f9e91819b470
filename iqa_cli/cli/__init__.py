"""What is typed and what is shown: a file a command."""
