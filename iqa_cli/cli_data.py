"""The commands about rated images: options, one core call. `cli` registers them and turns errors into exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.options import (
    DEFAULT_MODEL,
    MAX_CROPS,
    BackendChoice,
    EvaluateOptions,
    OwnRatings,
    ScoreOptions,
    Side,
)

DATA, OWN, MEASURE, OUTPUT, MODEL = "Data", "Ratings of your own", "Measure", "Output", "Model and speed"  # panels of the help

DataRoot = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The folder of the set, or one that holds it; else $IQA_DATA.", rich_help_panel=DATA),
]
LabelFile = Annotated[
    Path | None, typer.Option("--labels", metavar="FILE", help="CSV with a header, for csv.", rich_help_panel=OWN)
]
ImageColumn = Annotated[
    str, typer.Option(metavar="NAME", help="Its paths, below --data-root or beside the file.", rich_help_panel=OWN)
]
ScoreColumn = Annotated[str, typer.Option(metavar="NAME", help="Its scores.", rich_help_panel=OWN)]
GroupColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help="What no split may part, as the reference.", rich_help_panel=OWN)
]
ScoreRange = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LOW HIGH", help=r"Ends of the scale.  \[default: of the scores]", rich_help_panel=OWN),
]
LowerIsBetter = Annotated[
    bool, typer.Option("--lower-is-better", help="Low scores mean good images, as DMOS do.", rich_help_panel=OWN)
]

EXIT_CODES = "Exit codes: 0 every image has a score, 1 some image has none, 2 usage, 3 model, 4 labels and files."


def evaluate(
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset", "-d", metavar="NAME", help="A set that iqa datasets lists, or csv; repeatable.", rich_help_panel=DATA
        ),
    ] = None,
    data_root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="The folder of the set, or of all sets, or one for each in order; else $IQA_DATA.",
            rich_help_panel=DATA,
        ),
    ] = None,
    split: Annotated[
        Side, typer.Option(help="test: the official part, else that of a seeded 80/20 split.", rich_help_panel=DATA)
    ] = Side.ALL,
    seed: Annotated[int, typer.Option(min=0, help="Of the split and of the intervals.", rich_help_panel=DATA)] = 0,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Measure on the images that are there.", rich_help_panel=DATA)
    ] = False,
    labels: LabelFile = None,
    image_column: ImageColumn = "image",
    score_column: ScoreColumn = "score",
    group_column: GroupColumn = None,
    score_range: ScoreRange = None,
    lower_is_better: LowerIsBetter = False,
    repeats: Annotated[
        int, typer.Option(min=1, help="The median over so many seeded test parts.", rich_help_panel=MEASURE)
    ] = 1,
    rounds: Annotated[
        int, typer.Option(min=1, help="Draws of the bootstrap, for the intervals.", rich_help_panel=MEASURE)
    ] = 1000,
    worst: Annotated[
        int, typer.Option(min=0, metavar="N", help="List the N images it is most wrong about.", rich_help_panel=MEASURE)
    ] = 0,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write CSV, a line an image.", rich_help_panel=OUTPUT)
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all figures as a JSON array.", rich_help_panel=OUTPUT)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw scores against opinions, .png or .svg.", rich_help_panel=OUTPUT),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no hints.", rich_help_panel=OUTPUT)] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help=rf"A name, a path, or hf://owner/name; repeatable.  \[default: {DEFAULT_MODEL}]",
            rich_help_panel=MODEL,
        ),
    ] = None,
    backend: Annotated[
        BackendChoice, typer.Option(help="What runs the network; auto prefers ONNX Runtime.", rich_help_panel=MODEL)
    ] = BackendChoice.AUTO,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...", rich_help_panel=MODEL)] = "auto",
    crops: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_CROPS, help=r"Views an image.  \[default: the model's]", rich_help_panel=MODEL),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help=r"Images at a time.  \[default: one a core]", rich_help_panel=MODEL)
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a run of the network.", rich_help_panel=MODEL)] = 1,
    cache: Annotated[
        bool,
        typer.Option("--cache/--no-cache", help="Keep scores, and reuse those of unchanged images.", rich_help_panel=MODEL),
    ] = True,
) -> None:
    """How well do scores agree with people? Measured on rated sets.

    SRCC, PLCC (raw, and after a logistic curve of four parameters), KRCC and RMSE, with bootstrap intervals.

    A table at a terminal, CSV in a pipe. Several models and sets make one table.

    $ iqa evaluate --dataset livec --data-root ChallengeDB_release --plot livec.png

    $ iqa evaluate -d koniq10k -d spaq --data-root sets -m qfm-iqm -m runs/mine --json figures.json

    $ iqa evaluate -d csv --labels mine.csv --score-column mos --score-range 1 5 --worst 10
    """
    options = EvaluateOptions(
        datasets=tuple(dataset or ()),
        models=tuple(model or (DEFAULT_MODEL,)),
        data_roots=tuple(data_root or ()),
        own=OwnRatings(labels, image_column, score_column, group_column, score_range, lower_is_better),
        side=split,
        repeats=repeats,
        seed=seed,
        rounds=rounds,
        allow_missing=allow_missing,
        scoring=ScoreOptions(backend=backend, device=device, batch_size=batch_size, workers=workers, crops=crops, cache=cache),
    )
    from iqa_cli import console_evaluation, results, workbench  # after the options: who misspelt one need not wait for it

    view, done = console_evaluation.EvaluationView(quiet=quiet, cached=cache), list[workbench.Evaluation]()
    try:
        with results.open_results(csv, json, plot, worst=worst, several=options.count > 1) as files, view.running():
            for event in workbench.evaluate(options, view.warn):
                view.show(event)
                if isinstance(event, workbench.Evaluation):
                    files.write(event)
                    done.append(event)
    finally:  # what is done is shown, however the run ends
        console_evaluation.print_evaluations(done)
        console_evaluation.print_worst(done, worst)
    view.conclude(done, files.plots)
    raise typer.Exit(int(any(evaluation.comparison.failed for evaluation in done)))


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
    from iqa_cli import console_data
    from iqa_cli.datasets import DATASETS, find_roots

    console_data.print_sets(tuple(DATASETS.values()), find_roots(data_root))


@datasets_app.command(
    "show", epilog="Exit codes: 0 whole or not looked for, 1 not whole, 2 usage, 4 not there or not readable."
)
def show_dataset(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A set that iqa datasets lists, or csv for your own ratings.")],
    data_root: DataRoot = None,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode every image whole, which finds those cut short.", rich_help_panel=DATA)
    ] = False,
    labels: LabelFile = None,
    image_column: ImageColumn = "image",
    score_column: ScoreColumn = "score",
    group_column: GroupColumn = None,
    score_range: ScoreRange = None,
    lower_is_better: LowerIsBetter = False,
) -> None:
    """What a set is, where to get it, and how its folder must look; with a data root, whether all of it is there.

    $ iqa datasets show spaq

    $ iqa datasets show livec --data-root ChallengeDB_release
    """
    own = OwnRatings(labels, image_column, score_column, group_column, score_range, lower_is_better)
    from iqa_cli import console_data, datasets, workbench

    console_data.print_facts(name)
    if not workbench.is_placed(name, data_root, own):
        return
    report = datasets.check_labels(workbench.open_labels(name, data_root, own), decode=decode)
    console_data.print_report(report)
    raise typer.Exit(int(not report.intact))
