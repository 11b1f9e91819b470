"""`python -m iqa_cli` is `iqa`."""

from iqa_cli.cli.entry import main

if __name__ == "__main__":
    main()
