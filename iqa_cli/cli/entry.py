"""Entry: the first thing that runs. Streams and signals are set in order before anything large is imported.

Ctrl-C and SIGTERM end the process at once while nothing is to be kept yet, and are exceptions while a command works. An
exception that is raised inside an import or a finalizer may be reported, turned into another one, or swallowed: so while
libraries are loaded the process just ends, and later whatever comes of the exception ends in the exit code of the signal.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
FATAL = 128  # + the number of the signal: the exit code, as shells count

received: list[int] = []
"""The signals that came while a command worked, in order."""


def main() -> None:
    """Run the command line and exit."""
    open_missing_streams()
    end_at_once()
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


# ---- signals ----


def end_at_once() -> None:
    """From now on a signal ends the process without a word. Those that the caller has set to be ignored stay so."""
    handle_by(end)


@contextmanager
def raising_signals() -> Iterator[None]:
    """In this block a signal raises, so that outputs are completed: KeyboardInterrupt for Ctrl-C, else SystemExit."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    unraisable, sys.unraisablehook = sys.unraisablehook, repeat_swallowed
    handle_by(interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = unraisable


def handle_by(handler: signal.Handlers | object) -> None:
    """Set the handler of every signal that is not ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)  # type: ignore[arg-type]


def end(number: int, _: FrameType | None) -> None:
    """End the process, now."""
    os._exit(FATAL + number)


def interrupt(number: int, _: FrameType | None) -> None:
    """Raise what ends the command."""
    received.append(number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(FATAL + number)


def repeat_swallowed(unraisable: sys.UnraisableHookArgs) -> None:
    """An interrupt that came in a finalizer, where nothing can be raised, comes again; anything else is reported as always."""
    if received and isinstance(unraisable.exc_value, KeyboardInterrupt | SystemExit):
        signal.raise_signal(received[-1])
    else:
        sys.__unraisablehook__(unraisable)
