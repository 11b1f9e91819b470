"""The commands about rated images: options, one core call. `cli` registers them and turns errors into exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.evaluate_options import (
    DataRoot,
    MeasureFlags,
    ModelFlags,
    OutputFlags,
    SetFlags,
    gather_evaluation,
)
from iqa_cli.cli.groups import spread
from iqa_cli.cli.options import DATA, OwnFlags
from iqa_cli.files.outputs import check_outputs, list_model_parts

if TYPE_CHECKING:
    from iqa_cli.options import EvaluateOptions

EXIT_CODES = "Exit codes: 0 every image has a score, 1 some image has none, 2 usage, 3 model, 4 labels and files."


# ---- evaluate ----


@spread
def evaluate(*, sets: SetFlags, own: OwnFlags, measure: MeasureFlags, output: OutputFlags, models: ModelFlags) -> None:
    """How well do scores agree with people? Measured on rated sets.

    SRCC, PLCC (raw, and after a logistic curve of four parameters), KRCC and RMSE, with bootstrap intervals.

    A table at a terminal, CSV in a pipe, unless an output is stdout. Several models and sets make one table.

    $ iqa evaluate --dataset livec --data-root ChallengeDB_release --plot livec.png

    $ iqa evaluate -d koniq10k -d spaq --data-root sets -m qfm-iqm -m runs/mine --json figures.json

    $ iqa evaluate -d csv --labels mine.csv --score-column mos --score-range 1 5 --worst 10
    """
    options = gather_evaluation(sets, own, measure, models)
    failed = run_evaluations(options, output, measure.worst)
    raise typer.Exit(int(failed))


def run_evaluations(options: EvaluateOptions, output: OutputFlags, worst: int) -> bool:
    """Measure, show it and write it; whether some image has no score. What is done is shown, however the run ends."""
    from iqa_cli.cli import evaluate_view  # after the options: who misspelt one need not wait for it
    from iqa_cli.evaluation import report, run

    shown, plots = not output.takes_stdout, report.name_plots(output.plot, options)
    read = [part for model in options.models for part in list_model_parts(model)]
    read += [options.own.labels] if options.own.labels else []
    check_outputs(report.list_outputs(output.csv, output.json, plots), read, force=output.force)
    view = evaluate_view.EvaluationView(quiet=output.quiet, cached=options.scoring.cache)
    done: list[run.Evaluation] = []
    outputs = report.open_results(output.csv, output.json, output.plot, worst=worst, several=options.count > 1)
    with interrupts.raised():
        try:
            with outputs as files, view.running():
                for event in run.evaluate(options, view.warn):
                    view.show(event)
                    if isinstance(event, run.Evaluation):
                        files.write(event)
                        done.append(event)
        finally:
            evaluate_view.print_evaluations(done if shown else [])
            evaluate_view.print_worst(done, worst, beside=not shown)
    view.conclude(done, files.plots)
    return any(evaluation.comparison.failed for evaluation in done)


# ---- datasets ----

datasets_app = typer.Typer(
    help="List the rated sets, or show one: where to get it, how its folder must look, and whether it is whole.",
    pretty_exceptions_enable=False,
)


@datasets_app.callback(invoke_without_command=True)
def list_datasets(context: typer.Context, data_root: DataRoot = None) -> None:
    """List the rated sets: a table at a terminal, CSV in a pipe. With a data root, also where each was found.

    $ iqa datasets

    $ iqa datasets show spaq --data-root sets
    """
    if context.invoked_subcommand is not None:
        return
    from iqa_cli.cli import datasets_view
    from iqa_cli.datasets.labels import DATASETS, find_roots

    datasets_view.print_sets(tuple(DATASETS.values()), find_roots(data_root))


@datasets_app.command(
    "show", epilog="Exit codes: 0 whole or not looked for, 1 not whole, 2 usage, 4 not there or not readable."
)
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
    from iqa_cli.cli import datasets_view
    from iqa_cli.datasets import labels
    from iqa_cli.evaluation import run

    datasets_view.print_facts(name)
    ratings = own.gather()
    if not run.is_placed(name, data_root, ratings):
        return
    with interrupts.raised():
        report = labels.check_labels(run.open_labels(name, data_root, ratings), decode=decode)
    datasets_view.print_report(report)
    raise typer.Exit(int(not report.intact))
