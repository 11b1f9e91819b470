"""iqa blend: several models' cards in, the card and the weights of their ensemble out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

from iqa_cli.errors import DataError, UsageError, WeightsError
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.card import ModelCard, WeightFile, write_card
from iqa_cli.models.find import FoundModel, verify_file
from iqa_cli.models.provenance import join_provenances
from iqa_cli.networks.checkpoint import load_network, save_weights
from iqa_cli.networks.ensemble import Blend, Member
from iqa_cli.networks.network import QfmIqm
from iqa_cli.options import BackendChoice


@dataclass(frozen=True)
class About:
    """What a person says of a blend. summary: none: its members by name. limits: besides those that all members have."""

    name: str
    summary: str = ""
    limits: Sequence[str] = ()


def blend_models(models: Sequence[FoundModel], weights: Sequence[float], folder: Path, about: About) -> Path:
    """Write the blend of some models, weighted, into a folder; its card.

    Raises UsageError for weights or inputs that do not fit, WeightsError for a model that is a blend itself or not intact,
    DataError where the folder cannot be written.
    """
    blend = build_blend(models, choose_weights(models, weights, "a blend"))
    file = folder / f"{about.name}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(file, blend, half=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot write: {error.strerror}") from error
    card = describe_blend(blend, [model.card for model in models], about)
    return write_card(replace(card, files={"safetensors": WeightFile.of(file)}), folder)


def choose_weights(models: Sequence[FoundModel], weights: Sequence[float], what: str) -> list[float]:
    """The weight of each model, as given, or all alike. Raises UsageError where they are no weights, or not one for each.

    what: is made of the models.
    """
    chosen = list(weights) or [1.0] * len(models)
    if len(models) < 2 or len(chosen) != len(models) or not min(chosen) > 0:
        raise UsageError(f"{what} is of two models or more, each with a weight above zero, or none with any")
    if not isfinite(sum(chosen)):
        raise UsageError(
            f"the weights of {what} have a finite sum, as 0.7 and 0.3 have; not {', '.join(f'{w:g}' for w in chosen)}"
        )
    return chosen


def build_blend(models: Sequence[FoundModel], weights: Sequence[float]) -> Blend:
    """The blend as a network for the crops of the first model."""
    crops = models[0].card.crops
    networks = [open_member(model) for model in models]
    members = [
        describe_member(model.card, network, weight, crops)
        for model, network, weight in zip(models, networks, weights, strict=True)
    ]
    blend = Blend(members, crops.multiple)
    for slot, network in zip(blend.networks, networks, strict=True):
        slot.load_state_dict(network.state_dict())
    return blend


def describe_blend(blend: Blend, cards: Sequence[ModelCard], about: About) -> ModelCard:
    """The card of a blend, but for its files: the scale and the crops of its first model, and the limits that all have.

    Where the models differ in their terms, or in what their scores mean, it says those of each.
    """
    shares = ", ".join(f"{share:.2f} {card.name}" for share, card in zip(blend.shares, cards, strict=True))
    provenance = join_provenances(card.provenance for card in cards)
    return replace(
        cards[0],
        name=about.name,
        summary=about.summary or f"the weighted mean of {len(cards)} networks: {shares}",
        licence=join_texts(cards, "licence"),
        score_meaning=join_texts(cards, "score_meaning"),
        network={"members": [asdict(member) for member in blend.members]},
        limits=(*(limit for limit in cards[0].limits if all(limit in card.limits for card in cards)), *about.limits),
        training={**asdict(provenance), "members": list_members(cards)},
        results=(),
        intervals=None,
    )


def join_texts(cards: Sequence[ModelCard], field: str) -> str:
    """What all of some cards say in a field; where they differ, what each does, by their names."""
    texts: dict[str, list[str]] = {}
    for card in cards:
        texts.setdefault(getattr(card, field), []).append(card.name)
    if len(texts) == 1:
        return next(iter(texts))
    return "; ".join(f"{', '.join(dict.fromkeys(names))}: {text or 'not stated'}" for text, names in texts.items())


def list_members(cards: Sequence[ModelCard]) -> list[dict[str, Any]]:
    """What the card of a joined model says of each that it was made of: its training and its terms."""
    own = [{"name": card.name, "licence": card.licence} for card in cards]
    return [{**facts, **card.training, **facts} for facts, card in zip(own, cards, strict=True)]  # first, and its own word


def open_member(model: FoundModel) -> QfmIqm:
    """The network of one model. Raises WeightsError where it is a blend itself, or not intact."""
    network = load_network(model.card, verify_file(model.card, model.folder, BackendChoice.TORCH))
    if not isinstance(network, QfmIqm):
        raise WeightsError(f"{model.card.name} is a blend itself; name its members instead")
    return network


def describe_member(card: ModelCard, network: QfmIqm, weight: float, first: CropSpec) -> Member:
    """The member as the blend's card holds it.

    Raises UsageError where its input is larger than the first member's, whose crops all get, or much smaller.
    """
    crops = card.crops
    size = fixed_size(network, crops)
    if crops.size > first.size:
        raise UsageError(
            f"{card.name} has an input of {crops.size} px, the first model of {first.size}: name the largest first"
        )
    if 4 * crops.size < first.size:
        raise UsageError(f"{card.name} has an input of {crops.size} px, less than a quarter of the first model's {first.size}")
    reduced = (crops.size, first.size) if not size and crops.size != first.size else ()
    return Member(network.config, weight, size, crops.mean, crops.std, reduced)


def fixed_size(network: QfmIqm, crops: CropSpec) -> int:
    """The side in px of the squares that a network needs; 0: any shape will do."""
    return crops.size if "img_size" in network.config.backbone_options else 0
