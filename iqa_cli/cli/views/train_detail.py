"""What a person sees of `iqa train-detail`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from iqa_cli.cli.views.terminal import print_note

if TYPE_CHECKING:
    from iqa_cli.training.detail.run import Drawn, Fitted, Stepped

SAID = 10  # lines about patches


def follow(events: Iterable[Drawn | Stepped | Fitted], *, quiet: bool) -> dict[str, float]:
    """Say how far a training is; the errors that it ended with, if there were any."""
    from iqa_cli.training.detail.run import Drawn, Fitted

    errors: dict[str, float] = {}
    said = 0
    for event in events:
        if isinstance(event, Fitted):
            errors = event.errors
        if isinstance(event, Drawn):
            if event.done * SAID < said * event.wanted:
                continue
            said += 1
        if not quiet:
            say(describe(event))
    return errors


def describe(event: Drawn | Stepped | Fitted) -> str:
    """How far it is, in a line."""
    from iqa_cli.training.detail.run import Drawn, Fitted

    if isinstance(event, Drawn):
        return f"{event.done:,} of {event.wanted:,} {event.what}"
    if isinstance(event, Fitted):
        return f"errors on photos held out, log2: {', '.join(f'{name} {error:.3f}' for name, error in event.errors.items())}"
    return f"step {event.step:,}: loss {event.loss:.3f}"


def say(text: str) -> None:
    """A line on stderr."""
    print_note(text)
