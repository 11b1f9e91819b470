"""A model's card as a page: what it is, what was measured, what it learnt from, and on which terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from iqa_cli.cli.views.terminal import print_pairs
from iqa_cli.models.card import ModelCard, WeightFile, is_number
from iqa_cli.models.find import FoundModel
from iqa_cli.options import FILE_KINDS

CODE_LICENCE = "Apache-2.0"
BACKBONE_LICENCES = dict.fromkeys(("tf_efficientnet_lite0", "tf_efficientnet_lite2"), "Apache-2.0")
"""Of the ImageNet weights that fine-tuning began with, as far as they stand here."""


def print_card(found: FoundModel) -> None:
    """Print all that a card says."""
    print_pairs([(name, text) for name, text in describe_model(found) if text])


def describe_model(found: FoundModel) -> Iterator[tuple[str, str]]:
    """What a card says, a line a fact."""
    card = found.card
    low, high = card.score_range
    yield "name", card.name
    yield "summary", card.summary
    yield "score", f"{low:g} to {high:g}, higher is better" + (f": {card.score_meaning}" if card.score_meaning else "")
    yield "input", describe_input(card)
    for backbone in dict.fromkeys(find_backbones(card.network)):
        yield (
            "backbone",
            f"{backbone}; licence of its pretrained weights: {BACKBONE_LICENCES.get(backbone, 'see their source')}",
        )
    for file in card.files.values():
        yield "file", describe_file(found, file)
    for result in card.results:
        yield from describe_result(result)
    yield from describe_provenance(card)
    yield "licence of the code", CODE_LICENCE
    yield "licence of the weights", card.licence
    for limit in card.limits:
        yield "limit", limit


def describe_input(card: ModelCard) -> str:
    """What the network sees of a photo."""
    crops = card.crops
    high, wide = crops.size, crops.width or crops.size
    views = {
        "square": f"views of {wide} x {high} px",
        "whole": f"views of the area of {wide} x {high} px",
        "native": f"the photo as it is, its longer side {high} px at most",
    }
    return f"{views[crops.fit]}; {crops.count} an image, unless --crops says otherwise"


def find_backbones(network: Any) -> Iterator[str]:
    """The names of all backbones in a card's network, wherever they stand."""
    if isinstance(network, Mapping):
        for name, value in network.items():
            if name == "backbone" and isinstance(value, str):
                yield value
            else:
                yield from find_backbones(value)
    elif isinstance(network, list | tuple):
        for value in network:
            yield from find_backbones(value)


def describe_file(found: FoundModel, file: WeightFile) -> str:
    """A file of weights, what runs it, and whether it is there."""
    kinds = {kind: backend for backend, kind in FILE_KINDS.items()}
    backend = next((kinds[kind] for kind, own in found.card.files.items() if own is file and kind in kinds), "")
    there = "" if (found.folder / file.name).is_file() else "; not there"
    return f"{found.folder / file.name}, {file.bytes / 1e6:.1f} MB, --backend {backend}{there}, SHA-256 {file.sha256}"


def describe_result(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A measurement: what on, by which protocol, the figures, and the command that prints them."""
    shown = {name: show_spread(result.get(name)) for name in ("srcc", "plcc")}
    figures = [f"{name.upper()} {spread}" for name, spread in shown.items() if spread]
    if "mean_difference" in result:
        figures.append(f"mean difference {result['mean_difference']}")
    for part, figure in (("distortions", "srcc"), ("moved", "median")):
        measured = result.get(part)
        for kind, own in measured.items() if isinstance(measured, Mapping) else ():
            figures += [f"{kind} {own[figure]:.2f}"] if isinstance(own, Mapping) and is_figure(own.get(figure)) else []
    images = f", {result['images']:,} images" if isinstance(result.get("images"), int) else ""
    protocol = result.get("protocol", "")
    yield f"result on {result.get('dataset', 'images')}{images}", "; ".join(filter(None, [", ".join(figures), str(protocol)]))
    if result.get("command"):
        yield "  printed by", str(result["command"])


def show_spread(figures: Any) -> str:
    """A figure: over folds its mean or median, else its value, and the ends of its range or interval where there are any."""
    if not isinstance(figures, Mapping):
        return f"{figures:.3f}" if is_figure(figures) else ""
    names = {"mean": "mean ", "median": "median ", "value": ""}
    middle = next((f"{text}{figures[name]:.3f}" for name, text in names.items() if is_figure(figures.get(name))), "")
    low, high = figures.get("low"), figures.get("high")
    ends = f" ({low:.3f} to {high:.3f})" if middle and is_figure(low) and is_figure(high) else ""
    return f"{middle}{ends}"


def is_figure(value: object) -> TypeGuard[float]:
    """Whether something in a card, which may say anything, is a number that can be shown."""
    return is_number(value) and not isinstance(value, bool)


def describe_provenance(card: ModelCard) -> Iterator[tuple[str, str]]:
    """What it learnt from, with the terms of each."""
    known = card.provenance
    for rated in known.trained_on:
        terms = f"; terms: {rated.licence}" if rated.licence else ""
        yield "trained on", f"{rated.images:,} images of {rated.title}{terms}" + (f"; {rated.paper}" if rated.paper else "")
    for unlabeled in known.unlabeled:
        yield "unlabeled images", f"{unlabeled.images:,}: {unlabeled.source}"
    for teacher in known.teachers:
        licence = f" ({teacher.licence})" if teacher.licence else ""
        yield "teacher", f"{teacher.name}{licence}" + (f": {teacher.summary}" if teacher.summary else "")
    for initial in known.initial_models:
        yield "began with", initial.name + ("" if initial.known else ", whose training is not known")
    if not known:
        yield "trained on", "unknown: the card does not say"
