"""`iqa calibrate`: options, one core call, exit code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.errors import UsageError
from iqa_cli.options import BackendChoice


def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A card, or a folder with one, which is written anew.")],
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of iqa train --folds, of networks that were trained as MODEL was."),
    ],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless it fails.")] = False,
) -> None:
    """Measure how certain a model is, and have its scores come with their uncertainty.

    Folds tell how far scores are off for images that no network has seen. Around each score the interval is as wide as holds
    nine tenths of these errors at similar scores; that it does is measured on each fold by the others.

    An .onnx file beside the card carries a card of its own: export it again.

    $ iqa calibrate runs/lite runs/cv-lite
    """
    from iqa_cli.cli.views import terminal
    from iqa_cli.evaluation import intervals
    from iqa_cli.models import card, find

    if model.startswith("hf://"):
        raise UsageError(f"{model}: download it first: its card is to be written anew")
    found = find.find_model(model, BackendChoice.AUTO)
    measured = intervals.find_intervals(runs, found.card)
    path = card.write_card(replace(found.card, intervals=measured), found.folder)
    if not quiet:
        for line in intervals.describe(measured):
            terminal.print_line(line)
        terminal.print_line(f"wrote {path}")
