"""What a person sees of `iqa train-detail`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from iqa_cli.cli.views.terminal import print_note

if TYPE_CHECKING:
    from iqa_cli.training.detail.fit import Fitted
    from iqa_cli.training.detail.run import Drawn

SAID = 10  # lines about patches


def follow(events: Iterable[Drawn | Fitted], *, quiet: bool) -> dict[str, float] | None:
    """Say how far a training is; the errors that it ended with."""
    from iqa_cli.training.detail.run import Drawn

    errors, said = None, 0
    for event in events:
        if isinstance(event, Drawn):
            if not quiet and event.done * SAID >= said * event.patches:
                say(f"{event.done:,} of {event.patches:,} patches")
                said += 1
        else:
            errors = event.errors
            if not quiet:
                say(describe(event))
    return errors


def describe(event: Fitted) -> str:
    """How far it is, in a line."""
    if event.errors is None:
        return f"step {event.step:,}: loss {event.loss:.3f}"
    return f"errors on photos held out, log2: {', '.join(f'{name} {error:.3f}' for name, error in event.errors.items())}"


def say(text: str) -> None:
    """A line on stderr."""
    print_note(text)
