"""Entry: the first thing that runs. Signals and streams are set in order before anything large is imported."""

from __future__ import annotations

import codecs
import io
import os
import sys

from iqa_cli.cli import interrupts

LOOK_ALIKES = {"\u2501": "=", "\u2500": "-", "\u2588": "#", "\u2591": ".", "\u00b1": "+-", "\u2026": ".", "\u2192": ">"}
"""What bars, signs and arrows become at a terminal that cannot show them."""


def main() -> None:
    """Run the command line and exit."""
    if os.name != "posix":  # locks, limits of time and streams that are handed to other processes are made of what those have
        sys.stderr.write("iqa: error: iqa runs on Linux and macOS; on Windows, install it in WSL\n")
        sys.exit(2)
    try:
        interrupts.end_at_once()  # before anything else is imported: an import may swallow what Python raises for Ctrl-C
    except KeyboardInterrupt:
        os._exit(130)
    open_missing_streams()
    replace_unencodable()
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


def replace_unencodable() -> None:
    """Let stdout and stderr replace the letters that their encoding has not, as that of a Latin-1 terminal, rather than fail.

    Records do not come this way: they are written as bytes, see `files.atomic.open_stdout`.
    """
    codecs.register_error("iqa", replace_letter)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="iqa")


def replace_letter(error: UnicodeError) -> tuple[str | bytes, int]:
    r"""What stands for a letter that cannot be encoded: a look-alike, or its number as \xe9; a stray byte is itself."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":  # of a file's name that is no UTF-8
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    return LOOK_ALIKES.get(letter) or letter.encode("unicode_escape").decode(), error.start + 1
