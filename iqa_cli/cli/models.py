"""`iqa models`: which models are installed, all that is known of one, and how certain one is."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.options import BackendChoice

app = typer.Typer(help="List the installed models, show one, or measure how certain one is.", pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List the installed models: a table at a terminal, CSV in a pipe.

    $ iqa models

    $ iqa models show qfm-iqm-lite
    """
    if context.invoked_subcommand is not None:
        return
    from iqa_cli.cli.views import terminal
    from iqa_cli.models import find

    cards = list(find.find_cards())
    if not cards:
        raise WeightsError(f"{find.released_folder()}: no models are installed there")
    terminal.print_models(cards, find.released_folder())


@app.command("show", epilog="Exit codes: 0 shown, 2 usage, 3 no such model.")
def show_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As of iqa score -m: a name, a path, or hf://owner/name.")],
) -> None:
    """A model's card as a page: what it is, its files, results with their protocols, what it learnt from, terms, and limits.

    $ iqa models show qfm-iqm
    """
    from iqa_cli.cli.views.models import print_card
    from iqa_cli.models.find import find_model

    print_card(find_model(name, BackendChoice.AUTO))


@app.command("calibrate")
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

    $ iqa models calibrate runs/lite runs/cv-lite
    """
    from iqa_cli.cli.views import terminal
    from iqa_cli.evaluation import intervals
    from iqa_cli.models import card, find, short_card

    if model.startswith("hf://"):
        raise UsageError(f"{model}: download it first: its card is to be written anew")
    found = find.find_model(model, BackendChoice.AUTO)
    if found.source.suffix == ".onnx":
        raise UsageError(f"{model}: its card is inside, where it is not written anew: name the model it was exported from")
    if short_card.is_short_card(found.source):
        raise UsageError(f"{found.source}: a card of a few lines has no place for the uncertainty of a model of other origin")
    measured = intervals.find_intervals(runs, found.card)
    path = card.write_facts(asdict(replace(found.card, intervals=measured)), found.source)
    if not quiet:
        for line in intervals.describe(measured):
            terminal.print_line(line)
        terminal.print_line(f"wrote {path}")
