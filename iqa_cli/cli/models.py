"""`iqa models`: which models are installed, and all that is known of one."""

from __future__ import annotations

from typing import Annotated

import typer

from iqa_cli.errors import WeightsError
from iqa_cli.options import BackendChoice

app = typer.Typer(help="List the installed models, or show one.", pretty_exceptions_enable=False)


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
