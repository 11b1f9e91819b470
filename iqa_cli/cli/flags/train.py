"""Options that `iqa train` and `iqa distill` share, each declared once, and the training options they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqa_cli.cli.flags.shared import DATA, DataRoots, Force, OwnFlags

if TYPE_CHECKING:
    from iqa_cli.training.options import TrainingOptions

NETWORK, LOOP, RUN = "Network", "Training", "Run"  # panels of the help

BackboneWeights = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Its pretrained weights. \\[default: from the hub; none: random]", rich_help_panel=NETWORK
    ),
]
Teachers = Annotated[
    list[str] | None,
    typer.Option(
        "--teacher", metavar="MODEL", help="Name or path of a model to learn from; repeatable.", rich_help_panel=NETWORK
    ),
]


@dataclass(frozen=True)
class RatedFlags:
    """Whose ratings, and where they are; fields are named as those of `training.options.TrainingOptions`, here as below."""

    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            "-d",
            metavar="NAME",
            help="Whose labels to train on, as livec; repeatable: each set has a scale of its own. csv: your own ratings.",
            rich_help_panel=DATA,
        ),
    ] = None
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of several sets, the one on whose scale the model scores.  \\[default: the first]",
            rich_help_panel=DATA,
        ),
    ] = None
    data_root: DataRoots = None


class SplitChoice(StrEnum):
    """`training.options.SplitKind`, as the command line lists it."""

    SEEDED = "seeded"
    OFFICIAL = "official"


@dataclass(frozen=True)
class SplitFlags:
    """What is trained on, and what is tested on."""

    folds: Annotated[
        int | None, typer.Option(min=2, help="Cross-validate: a training for each fold, tested on it.", rich_help_panel=DATA)
    ] = None
    fold_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV of image and fold, as predictions.csv of a run; else the seed draws them.",
            rich_help_panel=DATA,
        ),
    ] = None
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Train on so many seeded 80/20 splits, test each on its test part, and print the median.",
            rich_help_panel=DATA,
        ),
    ] = None
    split: Annotated[
        SplitChoice | None,
        typer.Option(help="official: the one that came with the set (koniq10k, livefb, biq2021).", rich_help_panel=DATA),
    ] = None
    only: Annotated[
        list[int] | None,
        typer.Option(
            min=0, metavar="NUMBER", help="Of the folds or splits, train this one now; repeatable.", rich_help_panel=DATA
        ),
    ] = None


@dataclass(frozen=True)
class RunFlags:
    """How it is trained, where that is kept, and what is shown of it."""

    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML with any of the options, or paper/livec and so on; flags override it.",
            rich_help_panel=LOOP,
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", metavar="KEY=VALUE", help="Any option of a recipe, as loop.rate=1e-4.", rich_help_panel=LOOP
        ),
    ] = None
    initial_model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Start from the weights of a model of the same network.", rich_help_panel=NETWORK),
    ] = None
    epochs: Annotated[int | None, typer.Option(min=0, help="Of fine-tuning.", rich_help_panel=LOOP)] = None
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything random.", rich_help_panel=LOOP)] = None
    device: Annotated[
        str | None, typer.Option(help="auto: a GPU if there is one, else cpu; or cpu, cuda, mps, ...", rich_help_panel=LOOP)
    ] = None
    run_dir: Annotated[
        Path | None,
        typer.Option(
            "--run-dir",
            "-r",
            metavar="DIR",
            help="Keeps options, statistics, weights and card.  \\[default: runs/DATASET]",
            rich_help_panel=RUN,
        ),
    ] = None
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keeps features and teacher predictions for other runs.",
            rich_help_panel=RUN,
        ),
    ] = None
    decoded: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keeps decoded images, for all epochs, workers and runs.", rich_help_panel=RUN),
    ] = None
    tensorboard: Annotated[
        bool | None,
        typer.Option(
            "--tensorboard", help="Also write event files for TensorBoard, \\[tensorboard] extra.", rich_help_panel=RUN
        ),
    ] = None
    name: Annotated[str | None, typer.Option(help="Of the model and its files.", rich_help_panel=RUN)] = None
    measured: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="results.json of a cross-validation, to be quoted in the card.", rich_help_panel=RUN),
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.", rich_help_panel=RUN)] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the recipe and the split, and write nothing.", rich_help_panel=RUN)
    ] = False
    force: Force = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Neither progress nor epochs.", rich_help_panel=RUN)] = False


NO_SETTINGS = ("recipe", "settings", "run_dir", "resume", "dry_run", "force", "quiet")
"""Flags about the command, not about the training."""

TABLES = {"epochs": "loop", "device": "loop", "seed": "samples", **{f.name: "own" for f in fields(OwnFlags)}}
"""Flags that stand in a table of a recipe."""


def describe_flags(*groups: RatedFlags | OwnFlags | SplitFlags | RunFlags, **others: Any) -> dict[str, Any]:
    """What was said on the command line, as a recipe says it; what was not said is not there."""
    said: dict[str, Any] = {}
    for name, value in [(f.name, getattr(group, f.name)) for group in groups for f in fields(group)] + [*others.items()]:
        if name not in NO_SETTINGS and value is not None and value != []:
            table = said.setdefault(TABLES[name], {}) if name in TABLES else said
            table[name] = write_flag(value)
    return said


def write_flag(value: Any) -> Any:
    """A value as TOML has it: a path or a choice is a text, and one of what may be several stands alone."""
    if isinstance(value, list | tuple):
        return write_flag(value[0]) if len(value) == 1 else [write_flag(each) for each in value]
    return str(value) if isinstance(value, Path | StrEnum) else value


def gather_options(run: RunFlags, flags: Mapping[str, Any], begin: Mapping[str, Any] | None = None) -> TrainingOptions:
    """The options of a training: the recipe's, over them the flags', over them those of --set. Raises UsageError.

    begin: what a command does without a recipe.
    """
    from iqa_cli.training.options import TrainingOptions
    from iqa_cli.training.recipes import apply_settings, parse_settings, read_recipe

    unset = Path("runs")
    options = TrainingOptions(run_dir=unset, resume=run.resume)
    if run.recipe is not None:
        options = apply_settings(options, read_recipe(run.recipe), str(run.recipe))
    elif begin is not None:
        options = apply_settings(options, begin, "the defaults")
    options = apply_settings(options, flags, "the command line")
    if run.run_dir is not None:
        options = replace(options, run_dir=run.run_dir)
    options = apply_settings(options, parse_settings(run.settings or []), "--set")
    if options.run_dir is unset:
        kind = "-folds" if options.has_folds else "-splits" if options.repeats else ""
        options = replace(options, run_dir=Path("runs", ("+".join(options.sets) or options.name) + kind))
    return options
