"""Interrupts: what Ctrl-C and SIGTERM do. At once while nothing is to be kept yet; as an exception while a command works.

An exception that is raised inside an import or a finalizer may be reported, turned into another one, or swallowed. So while
libraries are loaded the process just ends; later whatever comes of the exception ends in the exit code of the signal.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SOON = 0.01  # seconds
FATAL = 128  # + the number of the signal: the exit code, as shells count

received: list[int] = []
"""The signals that came while a command worked, in order."""


def end_at_once() -> None:
    """From now on a signal ends the process without a word. Those that the caller has set to be ignored stay so."""
    handle_by(end)


@contextmanager
def raised() -> Iterator[None]:
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
        again = Timer(SOON, os.kill, (os.getpid(), received[-1]))  # here, too, it would be swallowed
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(unraisable)
