"""Options of `iqa evaluate` in groups, and what they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.cli.flags.shared import (
    DATA,
    MODEL,
    OUTPUT,
    STREAM,
    BatchFlags,
    CsvFile,
    DataRoots,
    Force,
    OwnFlags,
    parse_output,
)
from iqa_cli.errors import UsageError
from iqa_cli.options import DEFAULT_MODEL, OWN, EvaluateOptions, RatedSets, RobustnessOptions, Side

MEASURE, ROBUSTNESS = "Measure", "Robustness"  # panels of the help


@dataclass(frozen=True)
class SetFlags:
    """Which images are scored: those of rated sets, or clean photos."""

    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset", "-d", metavar="NAME", help="A set that iqa datasets lists, or csv; repeatable.", rich_help_panel=DATA
        ),
    ] = None
    data_root: DataRoots = None
    split: Annotated[
        Side, typer.Option(help="test: the official part, else that of a seeded 80/20 split.", rich_help_panel=DATA)
    ] = EvaluateOptions.side
    seed: Annotated[int, typer.Option(min=0, help="Of splits, intervals and distortions.", rich_help_panel=DATA)] = (
        EvaluateOptions.seed
    )
    fold_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV of image and fold, as --predictions and iqa train write it: measure on the images that have a number.",
            rich_help_panel=DATA,
        ),
    ] = EvaluateOptions.fold_file
    fold: Annotated[
        list[int] | None,
        typer.Option(min=0, metavar="NUMBER", help="Of the file's folds this one; repeatable.", rich_help_panel=DATA),
    ] = None
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Measure on the images that are there.", rich_help_panel=DATA)
    ] = EvaluateOptions.allow_missing
    robustness: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Instead of rated sets: clean photos, distorted step by step and changed harmlessly; repeatable.",
            rich_help_panel=ROBUSTNESS,
        ),
    ] = None
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="At most N of the photos, drawn by their names.", rich_help_panel=ROBUSTNESS),
    ] = RobustnessOptions.limit
    held_out: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Only that share of the photos, which iqa train -s samples.held_out=SHARE kept out.",
            rich_help_panel=ROBUSTNESS,
        ),
    ] = RobustnessOptions.held_out


@dataclass(frozen=True)
class MeasureFlags:
    """How scores are measured."""

    repeats: Annotated[
        int,
        typer.Option(
            min=1, help="The median over so many seeded test parts, of sets without an official one.", rich_help_panel=MEASURE
        ),
    ] = EvaluateOptions.repeats
    rounds: Annotated[
        int,
        typer.Option(min=1, help="Draws of the bootstrap, for the intervals; none with --repeats.", rich_help_panel=MEASURE),
    ] = EvaluateOptions.rounds
    worst: Annotated[
        int, typer.Option(min=0, metavar="N", help="List the N images it is most wrong about.", rich_help_panel=MEASURE)
    ] = 0


@dataclass(frozen=True)
class OutputFlags:
    """Files to write, beside stdout."""

    csv: CsvFile = None
    json: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=parse_output, help="Write all figures as a JSON array; - is stdout.", rich_help_panel=OUTPUT
        ),
    ] = None
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw scores against ratings, .png or .svg.", rich_help_panel=OUTPUT),
    ] = None
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=parse_output,
            help="Write each image's label, prediction and fold: another run's --fold-file.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    force: Force = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no hints.", rich_help_panel=OUTPUT)] = False

    @property
    def takes_stdout(self) -> bool:
        """Whether one of them is stdout, which then has no table. Raises UsageError for both."""
        outputs = (self.csv, self.json, self.predictions)
        if outputs.count(STREAM) > 1:
            raise UsageError("only one of the outputs can be stdout")
        return STREAM in outputs


@dataclass(frozen=True)
class ModelFlags:
    """What scores the images."""

    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help=rf"A name, a path, or hf://owner/name; repeatable.  \[default: {DEFAULT_MODEL}]",
            rich_help_panel=MODEL,
        ),
    ] = None
    cache: Annotated[
        bool,
        typer.Option("--cache/--no-cache", help="Keep scores, and reuse those of unchanged images.", rich_help_panel=MODEL),
    ] = EvaluateOptions.scoring.cache


def gather_evaluation(
    sets: SetFlags, own: OwnFlags, measure: MeasureFlags, models: ModelFlags, runtime: BatchFlags
) -> EvaluateOptions:
    """The options of an evaluation on rated sets. Raises UsageError where they make no sense."""
    if sets.limit is not None or sets.held_out != RobustnessOptions.held_out:
        raise UsageError("--limit and --held-out are about clean photos: add --robustness DIR")
    names = tuple(sets.dataset or ())
    return EvaluateOptions(
        sets=RatedSets(names, tuple(sets.data_root or ()), own.gather_for(names, f"add --dataset {OWN}")),
        models=tuple(models.model or (DEFAULT_MODEL,)),
        side=sets.split,
        repeats=measure.repeats,
        seed=sets.seed,
        rounds=measure.rounds,
        allow_missing=sets.allow_missing,
        scoring=replace(runtime.gather(), cache=models.cache),
        fold_file=sets.fold_file,
        folds=tuple(sets.fold or ()),
    )


def gather_robustness(sets: SetFlags, models: ModelFlags, runtime: BatchFlags) -> RobustnessOptions:
    """The options of a measurement on clean photos. Raises UsageError where they make no sense."""
    return RobustnessOptions(
        photos=tuple(sets.robustness or ()),
        models=tuple(models.model or (DEFAULT_MODEL,)),
        limit=sets.limit,
        held_out=sets.held_out,
        seed=sets.seed,
        scoring=runtime.gather(),
    )


def refuse_options(names: Iterable[str]) -> None:
    """Raises UsageError where there are options of rated sets, as clean photos are measured on, each version by itself."""
    about = " and ".join(names)
    if about:
        raise UsageError(f"--robustness is about photos without ratings: leave out {about}")


def name_ratings(sets: SetFlags, own: OwnFlags, measure: MeasureFlags) -> list[str]:
    """The options that were given which say what ratings there are, and how scores are compared with them."""
    given = {
        "--dataset": sets.dataset,
        "--data-root": sets.data_root,
        "--split": sets.split is not EvaluateOptions.side,
        "--allow-missing": sets.allow_missing,
        "--fold-file": sets.fold_file,
        "--fold": sets.fold,
        **dict.fromkeys(own.options, True),
        "--repeats": measure.repeats > 1,
        "--rounds": measure.rounds != EvaluateOptions.rounds,
        "--worst": measure.worst,
    }
    return [name for name, value in given.items() if value]


def name_rest(output: OutputFlags, models: ModelFlags, runtime: BatchFlags) -> list[str]:
    """The other options that were given which do nothing for clean photos."""
    given = {
        "--plot": output.plot,
        "--predictions": output.predictions,
        "--no-cache": not models.cache,
        "--batch-size": runtime.batch_size != BatchFlags.batch_size,
    }
    return [name for name, value in given.items() if value]
