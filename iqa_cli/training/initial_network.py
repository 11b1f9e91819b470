"""The network that a training begins with: new, with a pretrained backbone, or a trained model's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.find import find_model, verify_file
from iqa_cli.networks.checkpoint import load_network
from iqa_cli.networks.network import NetworkConfig, QfmIqm, build_network, check_input
from iqa_cli.networks.pretrained import Pretrained, read_pretrained
from iqa_cli.networks.timm_models import find_facts, first_line, list_sizes
from iqa_cli.options import BackendChoice
from iqa_cli.training.optim import layer_numbers
from iqa_cli.training.options import TrainingOptions

STRIDE = 32  # px, of the last stage of a usual backbone
PHOTO = 2, 3  # height and width of a photo as cameras take it


def create_network(options: TrainingOptions) -> tuple[QfmIqm, CropSpec]:
    """The network before training, and the crops that its backbone wants: pixel statistics as timm names them."""
    facts = find_facts(options.backbone)
    mean, std = ((values[0], values[1], values[2]) for values in (facts.mean, facts.std))
    try:
        crops = CropSpec(options.size, options.fit, count=options.crops, mean=mean, std=std)
        config = NetworkConfig(
            options.backbone, size_backbone(options), options.width, options.heads, stages=options.stages,
            layers=options.layers, cell=options.cell, folds_norms=options.loop.relative_rate,
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(str(error)) from error
    torch.manual_seed(options.samples.seed)
    if options.initial_model:
        return start_from(options.initial_model, config, options.loop.drop_path), crops
    found = find_pretrained(options)
    pretrained = found.tensors if found else options.backbone_weights is None
    return build_network(config, pretrained, options.loop.drop_path), crops


def start_from(model: str, config: NetworkConfig, drop_path: float) -> QfmIqm:
    """A network with the weights of a trained one. Raises UsageError where that is another kind of network."""
    found = find_model(model, BackendChoice.TORCH)
    network = build_network(config, drop_path=drop_path)
    theirs = load_network(found.card, verify_file(found.card, found.folder, BackendChoice.TORCH))
    if not isinstance(theirs, QfmIqm) or theirs.config != network.config:
        raise UsageError(
            f"{model}: not the network that is to be trained; name its backbone, sizes and layers by the same options"
        )
    network.load_state_dict(theirs.state_dict())
    return network


def find_pretrained(options: TrainingOptions) -> Pretrained | None:
    """What a file of weights has for the backbone; None where none is named. Raises WeightsError where it has nothing."""
    if options.backbone_weights in (None, "none") or options.initial_model:
        return None
    return read_pretrained(Path(options.backbone_weights), options.backbone, size_backbone(options))


def size_backbone(options: TrainingOptions) -> dict[str, int]:
    """The size of the crops, for timm, where a backbone has a position for each patch."""
    fixed = find_facts(options.backbone).fixed_input_size
    return {"img_size": options.size} if fixed else {}


def check_network(options: TrainingOptions) -> None:
    """Raises UsageError, or WeightsError for an unknown backbone, where no network of these sizes takes the crops.

    It is tried with random weights, before a run is begun.
    """
    try:
        try_network(options)
    except (UsageError, WeightsError):
        raise
    except Exception as error:  # of any kind: each backbone has its own way to say so
        tried = f"crops of {options.samples.crop_size or options.size} px" + (" and whole photos" * (options.fit == "whole"))
        raise UsageError(
            f"{options.backbone} cannot be trained on {tried} ({first_line(error)}): {find_remedy(options)}"
        ) from error


def find_remedy(options: TrainingOptions) -> str:
    """With what else a backbone takes its crops, in words."""
    for fit in dict.fromkeys((options.fit, "square")):
        fitting = find_size(replace(options, fit=fit))
        if fitting:
            return f"it can with size={fitting}" + (" fit=square" * (fit != options.fit))
    return "choose another backbone, or another size"


def try_network(options: TrainingOptions) -> None:
    """Run a network with random weights on an empty crop, and on an empty photo where it is to score whole ones.

    Raises whatever its backbone does where these do not fit.
    """
    network, crops = create_network(replace(options, backbone_weights="none", initial_model=""))
    side = options.samples.crop_size or crops.size
    check_input(network, side, side)
    check_input(network, *crops.crop_shape(*PHOTO))
    layer_numbers(network)


def find_size(options: TrainingOptions) -> int | None:
    """The closest size with which a backbone takes the crops, of those that timm names and of multiples of 32; None: none."""
    sizes = {*list_sizes(options.backbone), STRIDE * round(options.size / STRIDE)}
    for size in sorted(sizes, key=lambda size: abs(size - options.size)):
        try:
            try_network(replace(options, size=size))
        except Exception:  # of any kind, as in `check_network`
            continue
        return size
    return None
