"""`iqa train-detail`: options, one core call, exit code."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.shared import Force
from iqa_cli.cli.train import import_torch_module
from iqa_cli.files.outputs import Output, begins_json, check_outputs, is_onnx
from iqa_cli.images.find import expand_pattern, find_images
from iqa_cli.training.detail.options import DetailTraining

DEFAULTS = DetailTraining((), Path("detail.onnx"))


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
    force: Force = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless it fails.")] = False,
) -> None:
    """Train the network that iqa score --detail uses, on your photos. Needs the \\[train] extra.

    Native patches are blurred, shaken, enlarged, made noisy and coded by known amounts, which the network learns to tell.

    $ iqa train-detail photos -o detail.onnx
    """
    named = tuple(path for photo in photos for path in expand_pattern(photo))
    numbers = {"patches": patches, "steps": steps, "batch_size": batch_size, "rate": rate, "seed": seed}
    options = DetailTraining(named, output, samples=samples, **numbers)  # type: ignore[arg-type]  # by their names
    check_outputs(list_detail_files(output), named, force=force)
    run, export = (import_torch_module(module, "iqa train-detail") for module in ("training.detail.run", "export.detail"))
    from iqa_cli.cli.views import train_detail as view

    network = run.make_network(options.seed)
    with interrupts.raised():
        last = view.follow(run.train_detail(network, options), quiet=quiet)
        difference = export.export_detail(network, output, describe_training(options, last))
    if not quiet:
        view.say(f"wrote {output}; the largest difference from PyTorch is {difference:.1e}")


def list_detail_files(output: Path) -> list[Output]:
    """The weights and their card."""
    card = begins_json("name", "side", "outputs", "file")
    return [
        Output(output, "--output", "an ONNX model", is_onnx),
        Output(output.with_suffix(".json"), "--output", "a card of a network for detail", card),
    ]


def describe_training(options: DetailTraining, errors: dict[str, float]) -> dict[str, Any]:
    """What the card says of the training. errors: of each output, on photos held out."""
    shown = {name: value for name, value in asdict(options).items() if name not in ("photos", "output", "samples")}
    photos = [Path(photo).name for photo in find_images(options.photos, Counter())]
    return {"photos": photos, **shown, "errors_log2": {name: round(error, 4) for name, error in errors.items()}}
