"""`iqa train-detail`: options, one core call, exit code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.shared import Force
from iqa_cli.cli.train import import_torch_module
from iqa_cli.detail.model import name_spectrum
from iqa_cli.files.outputs import Output, begins_json, check_outputs, is_onnx, make_room
from iqa_cli.images.find import expand_pattern
from iqa_cli.training.detail.options import OF_PATCHES, DetailTraining

if TYPE_CHECKING:
    from iqa_cli.training.detail.samples import Sources

DEFAULTS = DetailTraining((), Path("detail.onnx"))
SHARED = ("validation", "seed")  # options of both trainings


def train_detail(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO...", help="Clean, sharp photos, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The .onnx file; its card goes beside it.")],
    patches: Annotated[int, typer.Option(min=1, help="Patches that are drawn for the network for patches.")] = DEFAULTS.patches,
    steps: Annotated[int, typer.Option(min=1, help="Steps of its training.")] = DEFAULTS.steps,
    batch_size: Annotated[int, typer.Option(min=1, help="Patches a step of it takes.")] = DEFAULTS.batch_size,
    rate: Annotated[float, typer.Option(help="Highest learning rate of it, above 0.")] = DEFAULTS.rate,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is random, for both networks.")] = DEFAULTS.seed,
    samples: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep its patches there, or take those that are.")
    ] = None,
    views: Annotated[int, typer.Option(min=1, help="Views that are drawn for the network for spectra.")] = DEFAULTS.views,
    spectrum_only: Annotated[
        bool,
        typer.Option(
            "--spectrum-only", help="Train that one alone, of --views and --seed, and leave the other in FILE as it is."
        ),
    ] = False,
    force: Force = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless it fails.")] = False,
) -> None:
    """Train the networks that iqa score --detail uses, on your photos. Needs the \\[train] extra.

    Native patches are blurred, shaken, enlarged, made noisy and coded by known amounts, which one network learns to tell of
    each patch, and another, for effective_mp, of the spectrum of all patches of a view, at a rate and in steps of its own.

    iqa score --detail goes on with the networks that come along. From Python,
    iqa_cli.detail.model.open_detail(Path("detail.onnx")).measure(rgb) uses those in FILE.

    $ iqa train-detail photos -o detail.onnx
    """
    named = tuple(path for photo in photos for path in expand_pattern(photo))
    numbers = {"patches": patches, "steps": steps, "batch_size": batch_size, "rate": rate, "seed": seed, "views": views}
    given = {"samples": samples, "spectrum_only": spectrum_only, **numbers}
    options = DetailTraining(named, output, **given)  # type: ignore[arg-type]  # by their names
    outputs = list_detail_files(options)
    check_outputs(outputs, named, force=force)
    run, export = (import_torch_module(module, "iqa train-detail") for module in ("training.detail.run", "export.detail"))
    if spectrum_only:
        export.read_detail_card(output.with_suffix(".json"))  # before it takes long
    make_room(outputs)
    from iqa_cli.cli.views import train_detail as view

    network, spectrum = run.make_network(options.seed), run.make_spectrum(options.seed)
    with interrupts.raised():
        plan = run.make_plan(options)
        last = {} if spectrum_only else view.follow(run.train_detail(network, options, plan), quiet=quiet)
        errors = view.follow(run.train_spectrum(spectrum, options, plan), quiet=quiet)
        found = describe_training(options, ["views"], plan.views, errors)
        if spectrum_only:
            difference = export.export_spectrum(spectrum, output, found)
        else:
            said = describe_training(options, OF_PATCHES, plan.patches, last)
            difference = export.export_detail(network, spectrum, output, said, found)
    if not quiet:
        view.say(f"wrote {output}; the largest difference from PyTorch is {difference:.1e}")


def list_detail_files(options: DetailTraining) -> list[Output]:
    """What is written: the weights that are trained, the card, and the patches, unless an earlier training left some."""
    card = begins_json("name", "side", "outputs", "file")
    written = [name_spectrum(options.output)] + ([] if options.spectrum_only else [options.output])
    drawn = [] if options.samples is None or os.path.lexists(options.samples) else [options.samples]
    return [
        *(Output(path, "--output", "an ONNX model", is_onnx) for path in written),
        Output(options.output.with_suffix(".json"), "--output", "a card of a network for detail", card),
        *(Output(path, "--samples", "patches", None) for path in drawn),
    ]


def describe_training(
    options: DetailTraining, shown: Sequence[str], sources: Sources, errors: dict[str, float]
) -> dict[str, Any]:
    """What the card says of a training. shown: options of this one alone; errors: of each output, on photos held out."""
    told = {name: getattr(options, name) for name in (*shown, *SHARED)}
    rounded = {name: round(error, 4) for name, error in errors.items()}
    return {"photos": [Path(path).name for path in sources.paths], **told, "errors_log2": rounded}
