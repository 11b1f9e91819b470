"""`iqa datasets`: the rated sets, and whether one is whole."""

from __future__ import annotations

from typing import Annotated

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.shared import DATA, DataRoot, OwnFlags, spread

app = typer.Typer(
    help="List the rated sets, or show one: where to get it, how its folder must look, and whether it is whole.",
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def list_datasets(context: typer.Context, data_root: DataRoot = None) -> None:
    """List the rated sets: a table at a terminal, CSV in a pipe. With a data root, also where each was found.

    $ iqa datasets

    $ iqa datasets show spaq --data-root sets
    """
    if context.invoked_subcommand is not None:
        return
    from iqa_cli.cli.views import datasets as datasets_view
    from iqa_cli.datasets.catalog import DATASETS
    from iqa_cli.datasets.find import find_roots

    datasets_view.print_sets(tuple(DATASETS.values()), find_roots(data_root))


@app.command("show", epilog="Exit codes: 0 whole or not looked for, 1 not whole, 2 usage, 4 not there or not readable.")
@spread
def show_dataset(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A set that iqa datasets lists, or csv for your own ratings.")],
    data_root: DataRoot = None,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode every image whole, which finds those cut short.", rich_help_panel=DATA)
    ] = False,
    own: OwnFlags,
) -> None:
    """What a set is, where to get it, and how its folder must look; with a data root, whether all of it is there.

    $ iqa datasets show spaq

    $ iqa datasets show livec --data-root ChallengeDB_release
    """
    from iqa_cli.cli.views import datasets as datasets_view
    from iqa_cli.datasets import check, sets

    datasets_view.print_facts(name)
    ratings = own.gather()
    if not sets.is_placed(name, data_root, ratings):
        return
    with interrupts.raised():
        report = check.check_labels(sets.read_set(name, data_root, ratings, allow_missing=True), decode=decode)
    datasets_view.print_report(report)
    raise typer.Exit(int(not report.intact))
