"""`iqa datasets`: the rated sets, whether one is whole, and whether one would help another."""

from __future__ import annotations

from typing import Annotated

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.datasets import ComparisonFlags
from iqa_cli.cli.flags.shared import DATA, DataRoot, OwnFlags, WorkerFlags, spread
from iqa_cli.errors import UsageError
from iqa_cli.options import OWN, BackendChoice, refuse_repeated

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

    ratings = own.gather_for([name], f"name {OWN} in place of {name}")
    placed = sets.is_placed(name, data_root, ratings)
    if not placed:
        refuse_unplaced(name, [*own.options, *["--data-root"] * (data_root is not None), *["--decode"] * decode])
    datasets_view.print_facts(name)
    if not placed:
        return
    with interrupts.raised():
        report = check.check_labels(sets.read_set(name, data_root, ratings, allow_missing=True), decode=decode)
    datasets_view.print_report(report)
    raise typer.Exit(int(not report.intact))


def refuse_unplaced(name: str, options: list[str]) -> None:
    """Raises UsageError where there are options about the images of a set, which nobody said the place of."""
    if options:
        remedy = "add --labels FILE" if name == OWN else "say where the set is with --data-root, or the variable IQA_DATA"
        raise UsageError(f"{' and '.join(options)} {'is' if len(options) == 1 else 'are'} about its images: {remedy}")


@app.command(
    "compare", epilog="Exit codes: 0 compared, 1 some image could not be decoded, 2 usage, 3 model, 4 labels and files."
)
@spread
def compare_datasets(
    *,
    target: Annotated[str, typer.Argument(metavar="A", help="The set to train for, or csv for your own ratings.")],
    sources: Annotated[list[str], typer.Argument(metavar="B...", help="Sets that might help.")],
    comparison: ComparisonFlags,
    own: OwnFlags,
    runtime: WorkerFlags,
) -> None:
    """Would training on set B help for set A? The cosine of how features go with ratings in both, 1 for sets that agree.

    For each set, the rank correlation of every pooled feature of a frozen network with the ratings makes a vector. Beside the
    cosine stand its bootstrap interval, and what as many other images of A's own study would have, from halves of A.

    A model that has learnt from one of the sets is partial to it, which is said.

    $ iqa datasets compare livec biq2021 koniq10k --data-root sets
    """
    from iqa_cli.cli.views.compare import ComparisonView
    from iqa_cli.datasets import sets
    from iqa_cli.evaluation.transfer import compatibility
    from iqa_cli.models.find import find_model

    if target in sources:
        raise UsageError(f"{target}: a set agrees with itself: name another one beside it")
    refuse_repeated(sources)
    model = find_model(comparison.model, BackendChoice.ONNX)
    named = (target, *sources)
    ratings = own.gather_for(named, f"name {OWN} as one of the sets")
    labels = [sets.read_set(name, comparison.data_root, ratings) for name in named]
    measure = compatibility.Measure(model, runtime.gather(), comparison.limit, comparison.rounds, comparison.seed)
    view = ComparisonView(quiet=comparison.quiet)
    with interrupts.raised(), view.running():
        for event in compatibility.compare_sets(labels[0], labels[1:], measure):
            view.show(event)
    view.print()
    raise typer.Exit(int(view.failed))
