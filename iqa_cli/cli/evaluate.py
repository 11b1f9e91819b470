"""`iqa evaluate`: how well models agree with people, and how robust they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.evaluate import (
    MeasureFlags,
    ModelFlags,
    OutputFlags,
    SetFlags,
    gather_evaluation,
    gather_robustness,
    name_ratings,
    name_rest,
    refuse_options,
)
from iqa_cli.cli.flags.shared import BatchFlags, OwnFlags, spread
from iqa_cli.errors import UsageError
from iqa_cli.files.outputs import check_outputs, list_model_parts

if TYPE_CHECKING:
    from iqa_cli.options import EvaluateOptions, RobustnessOptions

EXIT_CODES = "Exit codes: 0 every image has a score, 1 some image has none, 2 usage, 3 model, 4 labels and files."


@spread
def evaluate(
    *, sets: SetFlags, own: OwnFlags, measure: MeasureFlags, output: OutputFlags, models: ModelFlags, runtime: BatchFlags
) -> None:
    """How well do scores agree with people? Measured on rated sets.

    SRCC, PLCC (raw, and after a logistic curve of four parameters), KRCC and RMSE, with bootstrap intervals.
    Where a set has subsets, as biq2021 and --subset-column, SRCC and PLCC within each, too.

    With --robustness DIR: do scores of clean photos fall with distortion, and how far do harmless changes move them?

    A table at a terminal, CSV in a pipe, unless an output is stdout. Several models and sets make one table.

    $ iqa evaluate --dataset livec --data-root ChallengeDB_release --plot livec.png

    $ iqa evaluate -d koniq10k -d spaq --data-root sets -m qfm-iqm -m runs/mine --json figures.json

    $ iqa evaluate -d csv --labels mine.csv --score-column mos --score-range 1 5 --worst 10

    $ iqa evaluate -d livec --data-root sets --split test --predictions livec.csv

    $ iqa evaluate --robustness photos --limit 20 -m runs/mine
    """
    if sets.robustness:
        refuse_options([*name_ratings(sets, own, measure), *name_rest(output, models, runtime)])
        failed = run_robustness(gather_robustness(sets, models, runtime), output)
    else:
        failed = run_evaluations(gather_evaluation(sets, own, measure, models, runtime), output, measure.worst)
    raise typer.Exit(int(failed))


def run_evaluations(options: EvaluateOptions, output: OutputFlags, worst: int) -> bool:
    """Measure, show and write; whether some image has no score. What is done is shown, however the run ends."""
    from iqa_cli.cli.views import evaluate as evaluate_view  # after the options: who misspelt one need not wait for it
    from iqa_cli.evaluation import report, run

    shown, plots = not output.takes_stdout, report.name_plots(output.plot, options)
    read = [part for model in options.models for part in list_model_parts(model)]
    read += [path for path in (options.sets.own.labels, options.fold_file) if path]
    check_outputs(report.list_outputs(output.csv, output.json, plots, output.predictions), read, force=output.force)
    view = evaluate_view.EvaluationView(quiet=output.quiet, cached=options.scoring.cache)
    done: list[run.Evaluation] = []
    if output.predictions is not None and options.repeats > 1:
        raise UsageError("--predictions gives each image one fold, and --repeats draws several splits: leave out one of them")
    outputs = report.open_results(
        output.csv, output.json, output.plot, worst=worst, several=options.count > 1, predictions=output.predictions
    )
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


def run_robustness(options: RobustnessOptions, output: OutputFlags) -> bool:
    """Measure, show and write; whether some photo could not be decoded."""
    from iqa_cli.cli.views import evaluate as evaluate_view
    from iqa_cli.evaluation import robustness, robustness_report

    shown = not output.takes_stdout
    read = [*options.photos, *(part for model in options.models for part in list_model_parts(model))]
    check_outputs(robustness_report.list_outputs(output.csv, output.json), read, force=output.force)
    view = evaluate_view.EvaluationView(quiet=output.quiet, cached=False)
    done: list[robustness.Robustness] = []
    files_of = robustness_report.open_results(output.csv, output.json)
    with interrupts.raised(), files_of as files, view.running():
        for event in robustness.measure_robustness(options):
            view.show(event)
            if isinstance(event, robustness.Robustness):
                done.append(event)
        files.write(done)
    if shown:
        evaluate_view.print_robustness(done)
    failed = done[0].failed
    for path, reason in failed.items():
        view.warn(f"left out: {path}: {reason}")
    return bool(failed)
