"""Interrupts: what Ctrl-C, SIGTERM and SIGHUP do. At once while nothing is to be kept; as an exception while a command works.

An exception that is raised inside an import or a finalizer may be reported, turned into another one, or swallowed. So while
libraries are loaded the process just ends; later whatever comes of the exception ends in the exit code of the signal.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""SIGHUP says that the terminal was closed, or the connection to it lost. Windows has none, where `entry` says what to do."""
SOON = 0.01  # seconds
FATAL = 128  # + the number of the signal: the exit code, as shells count

received: list[int] = []
"""The signals that came while a command worked, in order."""
early: list[int] = []
"""Those that came where they would have been swallowed: while another was made to come again."""


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


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise what ends the command."""
    while frame is not None:
        if frame.f_code is repeat_swallowed.__code__:
            early.append(number)
            return
        frame = frame.f_back
    received.append(number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(FATAL + number)


def repeat_swallowed(unraisable: sys.UnraisableHookArgs) -> None:
    """An interrupt that came in a finalizer, where nothing can be raised, comes again; anything else is reported as always."""
    if received and isinstance(unraisable.exc_value, KeyboardInterrupt | SystemExit):
        Thread(target=send_again, args=(received[-1],), daemon=True).start()  # here, too, it would be swallowed
    else:
        sys.__unraisablehook__(unraisable)


def send_again(number: int) -> None:
    """Send this process a signal, until it comes where it is not swallowed."""
    while True:
        before = len(received), len(early)
        time.sleep(SOON)
        os.kill(os.getpid(), number)
        while (len(received), len(early)) == before:
            time.sleep(SOON)
        if len(received) > before[0]:
            return
