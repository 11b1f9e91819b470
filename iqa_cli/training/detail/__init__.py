"""Training of the network that judges native patches (`iqa_cli.detail`)."""
