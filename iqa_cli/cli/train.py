"""The commands that need PyTorch: options, one core call. `app` registers them and turns errors into exit codes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.shared import DATA, Force, OwnFlags, spread
from iqa_cli.cli.flags.train import (
    NETWORK,
    BackboneWeights,
    RatedFlags,
    RunFlags,
    SplitFlags,
    Teachers,
    describe_flags,
    gather_options,
)
from iqa_cli.cli.flags.train_outputs import check_training_outputs
from iqa_cli.errors import ExtraMissing, UsageError
from iqa_cli.files.outputs import check_outputs, list_model_files, make_room
from iqa_cli.images.find import expand_pattern
from iqa_cli.options import DEFAULT_MODEL, OWN, BackendChoice

if TYPE_CHECKING:
    from types import ModuleType

    from iqa_cli.models.find import FoundModel
    from iqa_cli.training.options import TrainingOptions


def import_torch_module(module: str, needed_for: str) -> ModuleType:
    """A module that needs PyTorch. Raises ExtraMissing where what it needs is not installed."""
    import importlib

    try:
        return importlib.import_module(f"iqa_cli.{module}")
    except ModuleNotFoundError as error:
        raise ExtraMissing("train", needed_for) from error


@spread
def train(
    *,
    rated: RatedFlags,
    own: OwnFlags,
    unlabeled: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Unlabeled clean images that join in, to learn distortions on.", rich_help_panel=DATA),
    ] = None,
    splits: SplitFlags,
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Any network of timm.  \\[default: deit3_small_patch16_224.fb_in1k, or as the recipe says]",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    backbone_weights: BackboneWeights = None,
    teacher: Teachers = None,
    run: RunFlags,
) -> None:
    """Train a model on rated photos. Needs the \\[train] extra.

    One model on all of them; its card and weights are then in the run folder, for iqa score --model DIR.

    Or, with --folds or --repeats, a model for each fold or split, to measure how good the recipe is.

    Ctrl-C stops a training; --resume goes on, and ends with the weights of an uninterrupted one.

    $ iqa train --dataset livec --data-root ChallengeDB_release

    $ iqa train --recipe weights/recipes/full-one.toml --data-root sets --folds 5 -r runs/cv
    """
    network = {"backbone": backbone, "backbone_weights": backbone_weights, "teachers": teacher}
    options = gather_options(run, describe_flags(rated, own, splits, run, unlabeled=unlabeled, **network))
    own.gather_for(options.sets, f"add --dataset {OWN}")
    run_training(options, "iqa train", run)


@spread
def distill(
    *,
    teacher: Teachers = None,
    student: Annotated[
        str | None,
        typer.Option(
            metavar="BACKBONE",
            help="Any network of timm; smaller is faster.  \\[default: tf_efficientnet_lite0]",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    teacher_scores: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV of path (or SHA-256) and score of the images, by any model, in place of --teacher; if there is a column"
            " deviation, uncertain scores count for less.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    teacher_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="Ends of their scale.  \\[default: lowest and highest]", rich_help_panel=NETWORK),
    ] = None,
    teacher_licence: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Terms of what made them, for the card.", rich_help_panel=NETWORK)
    ] = None,
    backbone_weights: BackboneWeights = None,
    size: Annotated[
        int | None, typer.Option(min=64, help="Side in px of the student's input.", rich_help_panel=NETWORK)
    ] = None,
    images: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Images to learn on, no labels needed.", rich_help_panel=DATA)
    ] = None,
    rated: RatedFlags,
    own: OwnFlags,
    splits: SplitFlags,
    run: RunFlags,
) -> None:
    """Distil a small, fast model from larger ones, on images of your kind. Needs the \\[train] extra.

    Teacher predictions for random crops of the images and distorted versions of them are computed once; --features keeps them.

    Labels help where there are any, but need not be.

    $ iqa distill --teacher qfm-iqm --student tf_efficientnet_lite0 --images photos -r runs/small

    $ iqa distill --teacher qfm-iqm --student tf_efficientnet_lite0 --images photos --dataset livec --data-root DIR
    """
    network: dict[str, Any] = {"backbone": student, "backbone_weights": backbone_weights, "size": size, "teachers": teacher}
    network |= {"teacher_scores": teacher_scores, "teacher_range": teacher_range, "teacher_licence": teacher_licence}
    said = describe_flags(rated, own, splits, run, unlabeled=images, method="distillation", **network)
    options = gather_options(run, said, DISTILLING)
    own.gather_for(options.sets, f"add --dataset {OWN}")
    run_training(options, "iqa distill", run)


DISTILLING: dict[str, Any] = {
    "dataset": "",
    "backbone": "tf_efficientnet_lite0",
    "size": 288,
    "fit": "whole",
    "validation": 0.0,
    "teacher_epochs": 2,
    "distillation": {"ranking_weight": 0.3},
    "samples": {"versions": 1},
    "loop": {"epochs": 4, "rate": 1e-4, "backbone_rate": 1.5e-3, "relative_rate": True, "frozen": 0.3},
}
"""What distill does without a recipe: no labels, a small network of any height and width, fine-tuned gently.

No epoch is chosen, so nothing is held back. weights/recipes/fine-lite.toml has the same with labels.
"""


def run_training(options: TrainingOptions, command: str, run: RunFlags) -> None:
    """Train as the options say, and show it; or only show what would be done.

    What cannot be trained is refused before PyTorch is imported.
    """
    from iqa_cli.cli.views import train as train_view
    from iqa_cli.training.plan import make_plan

    if not run.dry_run:
        check_training_outputs(options, force=run.force)
    plan = make_plan(options)
    if run.dry_run:
        train_view.print_plan(plan)
        return
    training = import_torch_module("training.run", command)
    is_main = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts one talks for all
    view = train_view.TrainingView(quiet=run.quiet or not is_main)
    with interrupts.raised(), view.running(options.run_dir):
        for event in training.train(plan):
            view.show(event)
    if is_main and any(trial.test for trial in plan.trials):
        train_view.print_results(options.run_dir / "results.json")


def blend(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Names, cards, folders or files, two or more.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the blend and its card go.")],
    weight: Annotated[list[float] | None, typer.Option(help="One for each model, in order; else all alike.")] = None,
    name: Annotated[str, typer.Option(help="Of the blend and its files.")] = "blend",
    summary: Annotated[str, typer.Option(help="What its card says it is; else its members by name.")] = "",
    limit: Annotated[list[str] | None, typer.Option(help="What it is not for, besides what all of the models say.")] = None,
    average_weights: Annotated[
        bool,
        typer.Option("--average-weights", help="One network with the mean of the weights, as of one trained further."),
    ] = False,
    force: Force = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless it fails.")] = False,
) -> None:
    """Make several models one, whose score is their weighted mean. Needs the \\[train] extra.

    Networks on different backbones err differently, so a blend is more accurate, and as slow as all of them together.

    A network and what a further training made of it may become one network, as fast as each: measure it, as others do not. It
    sees images at the size of the first.

    $ iqa blend runs/cnn runs/vit --weight 0.7 --weight 0.3 -o runs/blend

    $ iqa blend runs/first runs/further --average-weights -o runs/between
    """
    from iqa_cli.cli.views import train as train_view
    from iqa_cli.models import find

    found = [find.find_model(model, BackendChoice.TORCH) for model in models]
    read = [file for model in found for file in list_parts(model)]
    check_outputs(list_model_files(output, name, "safetensors", "--output"), read, force=force)
    ensemble, averaging = (import_torch_module(f"export.{module}", "iqa blend") for module in ("ensemble", "averaging"))
    join = averaging.average_models if average_weights else ensemble.blend_models
    with interrupts.raised():
        card = join(found, weight or [], output, ensemble.About(name, summary, limit or []))
    train_view.TrainingView(quiet=quiet).say(f"wrote {card}")


def list_parts(model: FoundModel) -> list[Path]:
    """The files that a model is read from: its card, and its weights for PyTorch."""
    weights = model.card.files.get("safetensors")
    return [model.source, *([model.folder / weights.name] if weights else [])]


def export_onnx(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="An installed name, a card, a folder with one, or .safetensors.")
    ] = DEFAULT_MODEL,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write.  \\[default: beside the card, by its name]"),
    ] = None,
    photos: Annotated[
        list[str] | None, typer.Option("--photo", metavar="PATH", help="Images or folders on which both must agree.")
    ] = None,
    force: Force = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless it fails.")] = False,
) -> None:
    """Write a model as ONNX. Needs the \\[train] extra.

    The file is put in place only once ONNX Runtime and PyTorch agree on real images, to 0.1 % of the score range.

    It carries its card, so it can be scored with alone.

    A model of the Hub, or one that comes with the tool, is written elsewhere: name a file.
    """
    from iqa_cli.cli.views import train as train_view
    from iqa_cli.models import find

    if checkpoint.startswith("hf://") and output is None:
        raise UsageError(f"{checkpoint}: say by --output where to write: beside its card is the cache of the Hub")
    model = find.find_model(checkpoint, BackendChoice.TORCH)
    named = [path for photo in photos or [] for path in expand_pattern(photo)]
    written = output or model.source.with_suffix(".onnx")
    if written.suffix != ".onnx":
        raise UsageError(f"--output {written}: an ONNX model is a file that is called NAME.onnx")
    card = model.place_card(written)
    if card == model.source and not force:
        check_own_card(model, written)
    read: list[str | Path] = [*named, *(file for file in list_parts(model) if file.resolve() != card.resolve())]
    outputs = list_model_files(written.parent, written.stem, "onnx", "--output", card)
    check_outputs(outputs, read, force=force)
    export = import_torch_module("export.onnx", "iqa export-onnx")
    make_room(outputs)
    with interrupts.raised():
        path, difference = export.export_model(model, output, named)
    train_view.TrainingView(quiet=quiet).say(
        f"wrote {path}; the largest difference from PyTorch is {difference:.1e} of the score range"
    )


def check_own_card(model: FoundModel, written: Path) -> None:
    """Raises UsageError where the card of a model that is exported into its own folder is not to be written anew unasked."""
    from iqa_cli.models.find import released_folder

    there = model.card.files.get("onnx")
    if model.folder.resolve() == released_folder().resolve():
        raise UsageError(f"{written}: {model.source.name} comes with the tool: write elsewhere by --output, or add --force")
    if there is not None and there.name != written.name:
        raise UsageError(
            f"{written}: {model.source} lists one ONNX model, and that is {there.name}: name that, or a file in another folder,"
            " or add --force"
        )
