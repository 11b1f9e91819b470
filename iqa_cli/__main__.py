"""`python -m iqa_cli` is `iqa`."""

import os

try:
    from iqa_cli.cli.entry import main
except KeyboardInterrupt:  # before signals are in order
    os._exit(130)

if __name__ == "__main__":
    main()
