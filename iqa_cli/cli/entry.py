"""Entry: the first thing that runs. Streams and signals are set in order before anything large is imported."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit."""
    try:
        open_missing_streams()
        from iqa_cli.cli import interrupts

        interrupts.end_at_once()
    except KeyboardInterrupt:  # before signals are in order
        os._exit(130)
    from iqa_cli.cli import app

    app.main()


def open_missing_streams() -> None:
    """Make the null device of each standard stream that the caller has closed.

    Else the next file that is opened would take its number, and what is meant for a stream would go there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r", errors="replace", closefd=False))  # noqa: SIM115  # stays
