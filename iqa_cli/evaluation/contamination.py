"""Contamination: did a model learn from the images that it is measured on? As far as its card tells.

A figure on images that a model has seen says how well it remembers, so whoever reads it must know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from iqa_cli.datasets.catalog import DATASETS, DatasetSpec
from iqa_cli.models.card import ModelCard
from iqa_cli.models.provenance import Provenance, RatedImages
from iqa_cli.options import OWN

NOTHING_KNOWN = "its card does not say what it was trained on"


@dataclass(frozen=True)
class Contamination:
    """The images of rated sets that a model has seen, itself or through its teachers.

    provenance: what its card says. own: set -> how many of its images it was trained on; through_teachers: the same of its
    teachers. unknown: teachers whose own cards are not at hand. A set goes by its name in the catalog, or by its title.
    """

    provenance: Provenance
    own: Mapping[str, int]
    through_teachers: Mapping[str, int]
    unknown: tuple[str, ...]

    @property
    def only_set(self) -> str | None:
        """The name of the one set of the catalog that it was trained on, if there was nothing else."""
        alone = len(self.own) == 1 and not (self.provenance.unlabeled or self.provenance.teachers)
        name = next(iter(self.own), None)
        return name if alone and name in DATASETS else None

    def describe(self, spec: DatasetSpec, images: int) -> str:
        """Warning beside figures on so many images of a set; empty where the model has seen none of them."""
        own, taught = self.own.get(identify(spec)), self.through_teachers.get(identify(spec))
        if own is not None:
            return f"trained on {describe_overlap(own, images, spec)}"
        if taught is not None:
            return f"its teacher was trained on {describe_overlap(taught, images, spec)}"
        shared = [DATASETS[name].title for name in spec.shares if name in {**self.own, **self.through_teachers}]
        if shared:
            return f"trained on {shared[0]}, which has the same reference photos"
        if not self.provenance:
            return NOTHING_KNOWN
        if self.unknown:
            return f"the training of its teacher {', '.join(self.unknown)} is not known here"
        return ""


def identify(spec: DatasetSpec) -> str:
    """The key of a set: its name in the catalog, or the title of ratings of one's own."""
    return spec.name if spec.home else spec.title


def describe_overlap(trained: int, images: int, spec: DatasetSpec) -> str:
    """Describe how many of the images a model must have seen that was trained on so many of the set."""
    least = min(trained + images - max(spec.images, trained, images), images)
    if least <= 0:
        return "images of this set, perhaps on these"
    return "these images" if least == images else f"these images (at least {least:,} of {images:,})"


def find_contamination(card: ModelCard, others: Iterable[ModelCard] = ()) -> Contamination:
    """What a card says that its model has seen; others: cards that tell of its teachers' training."""
    teachers = [teacher.name for teacher in card.provenance.teachers]
    known = {other.name: other.provenance for other in others}
    taught = [facts for teacher in teachers if teacher in known for facts in known[teacher].trained_on]
    unknown = tuple(teacher for teacher in teachers if teacher not in known)
    return Contamination(card.provenance, count_images(card.provenance.trained_on), count_images(taught), unknown)


def count_images(facts: Iterable[RatedImages]) -> dict[str, int]:
    """Count the images by set, at least: the members of a blend may have seen the same ones."""
    counts: dict[str, int] = {}
    for own in facts:
        name = own.title if own.set == OWN else own.set
        counts[name] = max(counts.get(name, 0), own.images)
    return counts
