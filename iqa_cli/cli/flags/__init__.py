"""What is typed after a command: groups of options, one file a command."""
