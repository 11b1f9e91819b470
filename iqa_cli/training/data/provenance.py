"""Provenance of a training: the weights that it began with, and what tells the images of its sets from others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from iqa_cli.datasets.labels import Labels
from iqa_cli.datasets.own import OwnSpec, hash_names, sample_names
from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.models.card import ModelCard, hash_file, read_card
from iqa_cli.models.find import find_model
from iqa_cli.models.provenance import InitialModel, Provenance, RatedImages, join_provenances
from iqa_cli.networks.pretrained import OWN as TRAINED_HERE
from iqa_cli.networks.pretrained import load_backbone
from iqa_cli.options import BackendChoice
from iqa_cli.training.data.labeled import TrainingData
from iqa_cli.training.options import TrainingOptions

LICENCE = "Apache-2.0"
KEPT = ("best.safetensors", "last.safetensors")
"""Weights that a run folder keeps besides those that its card lists."""


def describe_initial(options: TrainingOptions) -> Provenance:
    """What the weights that a training began with had learned from: those of a model, or of a backbone that was trained here.

    Empty for others. Never raises: a training does not fail at its end because what it began with is no longer there.
    """
    if options.initial_model:
        return describe_model(options.initial_model)
    if options.backbone_weights in (None, "none"):
        return Provenance()
    return describe_backbone(Path(options.backbone_weights))


def find_licence(options: TrainingOptions) -> str:
    """The licence of the weights of a training: that of the model which it began with, else the one of this project."""
    if not options.initial_model:
        return LICENCE
    try:
        return find_model(options.initial_model, BackendChoice.TORCH).card.licence
    except (UsageError, WeightsError):
        return LICENCE


def describe_model(reference: str) -> Provenance:
    """What a model had learned from, and itself as the beginning."""
    try:
        card = find_model(reference, BackendChoice.TORCH).card
    except (UsageError, WeightsError):
        return begin_with(Path(reference).resolve().name, "", None)
    return begin_with(card.name, card.files["safetensors"].sha256, card)


def describe_backbone(path: Path) -> Provenance:
    """The same of a file of weights; empty for a backbone that was not trained here."""
    try:
        if not any(name.startswith(TRAINED_HERE) for name in load_backbone(path)):
            return Provenance()
        sha256 = hash_file(path)
    except (OSError, WeightsError):
        return begin_with(path.name, "", None)
    card = find_card_of(path, sha256)
    return begin_with(card.name if card else path.name, sha256, card)


def begin_with(name: str, sha256: str, card: ModelCard | None) -> Provenance:
    """What a card says, and the model as the beginning. name, sha256: of it."""
    before = card.provenance if card else Provenance()
    return join_provenances([before, Provenance(initial_models=(InitialModel(name, sha256, bool(before)),))])


def find_card_of(path: Path, sha256: str) -> ModelCard | None:
    """The card beside a file of weights that lists it, or that of the run whose folder keeps it; None: neither is there."""
    cards = list(list_cards(path.parent))
    listed = [card for card in cards if any(file.sha256 == sha256 for file in card.files.values())]
    is_kept = path.name in KEPT and (path.parent / "options.json").is_file()
    return next(iter(listed), cards[0] if is_kept and len(cards) == 1 else None)


def list_cards(folder: Path) -> Iterator[ModelCard]:
    """The cards in a folder; other JSON may lie around them."""
    for path in sorted(folder.glob("*.json")):
        try:
            yield read_card(path)
        except WeightsError:
            continue


def identify_sets(provenance: Provenance, data: TrainingData | None) -> Provenance:
    """The provenance with what tells the images of a set from others, wherever they and their ratings are."""
    sets = data.sets if data else {}
    rated = [identify_images(each, sets[each.set]) if each.set in sets else each for each in provenance.trained_on]
    return replace(provenance, trained_on=tuple(rated))


def identify_images(rated: RatedImages, labels: Labels) -> RatedImages:
    """The same with a sample of the names of the set's images, and of ratings of one's own with their digest."""
    names = sample_names(hash_names(labels.ratings))
    return replace(rated, names=names, digest=labels.spec.digest if isinstance(labels.spec, OwnSpec) else "")
