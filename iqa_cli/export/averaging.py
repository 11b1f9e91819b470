"""One network whose weights are the mean of several: of a network and of what a further training made of it.

Fine-tuning on other data loses some of what the network knew; on the way between both, much of each is kept. Wortsman et al.,
"Robust fine-tuning of zero-shot models", CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from iqa_cli.errors import DataError, UsageError
from iqa_cli.export.ensemble import About, choose_weights, join_texts, list_members, open_member
from iqa_cli.models.card import ModelCard, WeightFile, write_card
from iqa_cli.models.find import FoundModel
from iqa_cli.models.provenance import join_provenances
from iqa_cli.networks.checkpoint import save_weights
from iqa_cli.networks.network import QfmIqm


def average_models(models: Sequence[FoundModel], weights: Sequence[float], folder: Path, about: About) -> Path:
    """Write the network with the mean of the models' weights, weighted, into a folder; its card.

    It sees images as the first model does. Raises UsageError for weights that do not fit and for models of different networks
    or crops, WeightsError for a blend and for a model that is not intact, DataError where the folder cannot be written.
    """
    weights = choose_weights(models, weights, "a mean")
    cards = [model.card for model in models]
    for card in cards[1:]:
        if not are_alike(card, cards[0]):
            raise UsageError(f"{card.name} is another network than {cards[0].name}, or has other crops: they have no mean")
    shares = [weight / sum(weights) for weight in weights]
    network = average_networks([open_member(model) for model in models], shares)
    file = folder / f"{about.name}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(file, network, half=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot write: {error.strerror}") from error
    card = describe_average(cards, shares, about)
    return write_card(replace(card, files={"safetensors": WeightFile.of(file)}), folder)


def are_alike(one: ModelCard, other: ModelCard) -> bool:
    """Whether both are the same network on the same crops, or on whole images, be they of different sizes."""
    crops = replace(one.crops, size=other.crops.size) if one.crops.fit == "whole" else one.crops
    return one.network == other.network and crops == other.crops


@torch.no_grad()
def average_networks(networks: Sequence[QfmIqm], shares: Sequence[float]) -> QfmIqm:
    """The first network with the mean of all weights and statistics by their shares, which sum to one."""
    states = [network.state_dict() for network in networks]
    mean: dict[str, Tensor] = {}
    for name, first in states[0].items():
        if first.is_floating_point():
            parts = [share * state[name].double() for share, state in zip(shares, states, strict=True)]
            mean[name] = torch.stack(parts).sum(0).to(first.dtype)
        else:
            mean[name] = first
    networks[0].load_state_dict(mean)
    return networks[0]


def describe_average(cards: Sequence[ModelCard], shares: Sequence[float], about: About) -> ModelCard:
    """Its card, but for the files: the input and the scale of the first model, and the limits that all have.

    Where the models differ in their terms, or in what their scores mean, it says those of each.
    """
    told = ", ".join(f"{share:.2f} {card.name}" for share, card in zip(shares, cards, strict=True))
    provenance = join_provenances(card.provenance for card in cards)
    averaged = [round(share, 4) for share in shares]
    told_backbones = {str(card.training.get("backbone", "")) for card in cards}
    backbone = {"backbone": told_backbones.pop()} if len(told_backbones) == 1 else {}
    return replace(
        cards[0],
        name=about.name,
        summary=about.summary or f"one network with the weighted mean of the weights of {told}",
        licence=join_texts(cards, "licence"),
        score_meaning=join_texts(cards, "score_meaning"),
        limits=(*(limit for limit in cards[0].limits if all(limit in card.limits for card in cards)), *about.limits),
        training={**asdict(provenance), **backbone, "averaged": averaged, "members": list_members(cards)},
        results=(),
        intervals=None,
    )
