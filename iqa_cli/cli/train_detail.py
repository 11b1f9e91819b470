"""`iqa train-detail`: options, one core call, exit code."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.shared import Force
from iqa_cli.cli.train import import_torch_module
from iqa_cli.detail.model import name_spectrum
from iqa_cli.files.outputs import Output, begins_json, check_outputs, is_onnx
from iqa_cli.images.find import expand_pattern, find_images
from iqa_cli.training.detail.options import DetailTraining

DEFAULTS = DetailTraining((), Path("detail.onnx"))
SHARED = ("validation", "seed")  # options of both trainings


def train_detail(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO...", help="Clean, sharp photos, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The .onnx file; its card goes beside it.")],
    patches: Annotated[int, typer.Option(min=1, help="Patches that are drawn.")] = DEFAULTS.patches,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the training.")] = DEFAULTS.steps,
    batch_size: Annotated[int, typer.Option(min=1, help="Patches a step.")] = DEFAULTS.batch_size,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = DEFAULTS.rate,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is random.")] = DEFAULTS.seed,
    samples: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the patches there, or take those that are.")
    ] = None,
    views: Annotated[int, typer.Option(min=1, help="Views that are drawn for the network for spectra.")] = DEFAULTS.views,
    spectrum_only: Annotated[
        bool, typer.Option("--spectrum-only", help="Train that one alone, and leave the other in FILE as it is.")
    ] = False,
    force: Force = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless it fails.")] = False,
) -> None:
    """Train the networks that iqa score --detail uses, on your photos. Needs the \\[train] extra.

    Native patches are blurred, shaken, enlarged, made noisy and coded by known amounts, which one network learns to tell of
    each patch, and another, for effective_mp, of the spectrum of all patches of a view.

    $ iqa train-detail photos -o detail.onnx
    """
    named = tuple(path for photo in photos for path in expand_pattern(photo))
    numbers = {"patches": patches, "steps": steps, "batch_size": batch_size, "rate": rate, "seed": seed, "views": views}
    given = {"samples": samples, "spectrum_only": spectrum_only, **numbers}
    options = DetailTraining(named, output, **given)  # type: ignore[arg-type]  # by their names
    check_outputs(list_detail_files(options), named, force=force)
    run, export = (import_torch_module(module, "iqa train-detail") for module in ("training.detail.run", "export.detail"))
    if spectrum_only:
        export.read_detail_card(output.with_suffix(".json"))  # before it takes long
    from iqa_cli.cli.views import train_detail as view

    network, spectrum = run.make_network(options.seed), run.make_spectrum(options.seed)
    with interrupts.raised():
        last = {} if spectrum_only else view.follow(run.train_detail(network, options), quiet=quiet)
        found = describe_spectrum(options, view.follow(run.train_spectrum(spectrum, options), quiet=quiet))
        if spectrum_only:
            difference = export.export_spectrum(spectrum, output, found)
        else:
            difference = export.export_detail(network, spectrum, output, describe_training(options, last), found)
    if not quiet:
        view.say(f"wrote {output}; the largest difference from PyTorch is {difference:.1e}")


def list_detail_files(options: DetailTraining) -> list[Output]:
    """The weights and their card, as far as they are written."""
    card = begins_json("name", "side", "outputs", "file")
    written = [name_spectrum(options.output)] + ([] if options.spectrum_only else [options.output])
    return [
        *(Output(path, "--output", "an ONNX model", is_onnx) for path in written),
        Output(options.output.with_suffix(".json"), "--output", "a card of a network for detail", card),
    ]


def describe_training(options: DetailTraining, errors: dict[str, float]) -> dict[str, Any]:
    """What the card says of the training. errors: of each output, on photos held out."""
    shown = {name: getattr(options, name) for name in ("patches", "steps", "batch_size", "rate", "weight_decay", *SHARED)}
    return {"photos": list_photos(options), **shown, "errors_log2": round_errors(errors)}


def describe_spectrum(options: DetailTraining, errors: dict[str, float]) -> dict[str, Any]:
    """The same of the network for spectra."""
    shown = {name: getattr(options, name) for name in ("views", *SHARED)}
    return {"photos": list_photos(options), **shown, "errors_log2": round_errors(errors)}


def list_photos(options: DetailTraining) -> list[str]:
    """The names of the photos."""
    return [Path(photo).name for photo in find_images(options.photos, Counter())]


def round_errors(errors: dict[str, float]) -> dict[str, float]:
    """As they are written."""
    return {name: round(error, 4) for name, error in errors.items()}
