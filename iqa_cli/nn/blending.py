"""Blending: cards in, one card out, its weights those of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from iqa_cli.errors import DataError, UsageError, WeightsError
from iqa_cli.nn.blends import Blend, Member
from iqa_cli.nn.checkpoint import load_network, save_weights
from iqa_cli.nn.network import QfmIqm
from iqa_cli.options import BackendChoice
from iqa_cli.weights import FoundModel, ModelCard, WeightFile, verify_file, write_card


def blend_models(models: Sequence[FoundModel], weights: Sequence[float], folder: Path, name: str) -> Path:
    """Write the blend of some models, weighted, into a folder; its card.

    The card has the first model's crops and scale. Raises UsageError for weights that do not fit, WeightsError for a model that
    is a blend itself or not intact, DataError where the folder cannot be written.
    """
    weights = list(weights) or [1.0] * len(models)
    if len(models) < 2 or len(weights) != len(models) or min(weights) <= 0:
        raise UsageError("a blend is of two models or more, each with a weight above zero, or none with any")
    networks = [open_member(model) for model in models]
    members = [
        describe_member(model.card, network, weight) for model, network, weight in zip(models, networks, weights, strict=True)
    ]
    blend = Blend(members)
    for slot, network in zip(blend.networks, networks, strict=True):
        slot.load_state_dict(network.state_dict())
    cards = [model.card for model in models]
    file = folder / f"{name}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(file, blend, half=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot write: {error.strerror}") from error
    shares = ", ".join(f"{share:.2f} {card.name}" for share, card in zip(blend.shares, cards, strict=True))
    data = list(dict.fromkeys(line for card in cards for line in card.training.get("data", [])))
    card = replace(
        cards[0],
        name=name,
        summary=f"the weighted mean of {len(cards)} networks: {shares}",
        network={"members": [asdict(member) for member in members]},
        training={"data": data, "members": [{"name": card.name, **card.training} for card in cards]},
        results=(),
        files={"safetensors": WeightFile.of(file)},
    )
    return write_card(card, folder)


def open_member(model: FoundModel) -> QfmIqm:
    """The network of one model. Raises WeightsError where it is a blend itself, or not intact."""
    network = load_network(model.card, verify_file(model.card, model.folder, BackendChoice.TORCH))
    if not isinstance(network, QfmIqm):
        raise WeightsError(f"{model.card.name} is a blend itself; name its members instead")
    return network


def describe_member(card: ModelCard, network: QfmIqm, weight: float) -> Member:
    """What the blend's card says of it."""
    crops = card.crops
    size = crops.size if "img_size" in network.config.backbone_options else 0
    return Member(network.config, weight, size, crops.mean, crops.std)
