"""Contamination: did a model learn from the images that it is measured on? As far as its card tells.

A figure on images that a model has seen says how well it remembers, so whoever reads it must know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from iqa_cli.datasets.catalog import DATASETS, DatasetSpec
from iqa_cli.datasets.own import OwnSpec, shares_names
from iqa_cli.models.card import ModelCard
from iqa_cli.models.provenance import Provenance, RatedImages
from iqa_cli.options import OWN

NOTHING_KNOWN = "its card does not say what it was trained on"
SAME_NAMES = "images of the same names, perhaps on these"
OTHER_RATINGS = "other ratings of one's own, perhaps on these images: its card cannot tell"
CATALOG = "{titles}, perhaps on these images: its card cannot tell"


@dataclass(frozen=True)
class Contamination:
    """The images of rated sets that a model has seen, itself or through its teachers.

    provenance: what its card says. taught: what its teachers were trained on, and theirs. unknown: teachers whose own cards are
    not at hand, or do not tell all.
    """

    provenance: Provenance
    taught: tuple[RatedImages, ...]
    unknown: tuple[str, ...]

    @property
    def own(self) -> Mapping[str, int]:
        """How many images of each set it was trained on, by the keys of `count_images`."""
        return count_images(self.provenance.trained_on)

    @property
    def through_teachers(self) -> Mapping[str, int]:
        """How many its teachers were trained on."""
        return count_images(self.taught)

    @property
    def only_set(self) -> str | None:
        """The name of the one set of the catalog that it was trained on, if there was nothing else."""
        others = self.provenance.unlabeled or self.provenance.teachers or self.provenance.unknown_beginnings
        name = next(iter(self.own), None)
        return name if len(self.own) == 1 and not others and name in DATASETS else None

    def describe(self, spec: DatasetSpec, images: int, names: Collection[str] = ()) -> str:
        """Warning beside figures on so many images of a set; empty where the model has seen none of them.

        names: hashes of the names of these images, as `own.hash_names` makes them; none: those of ratings of one's own.
        """
        return self.describe_seen(spec, images) or self.describe_doubt(spec, names)

    def describe_seen(self, spec: DatasetSpec, images: int) -> str:
        """What the model has seen of so many images of a set; empty where its card names no images that are of the set."""
        own, taught = find_count(self.own, spec), find_count(self.through_teachers, spec)
        if own is not None:
            return f"trained on {describe_overlap(own, images, spec)}"
        if taught is not None:
            return f"its teacher was trained on {describe_overlap(taught, images, spec)}"
        shared = [DATASETS[name].title for name in spec.shares if name in {**self.own, **self.through_teachers}]
        return f"trained on {shared[0]}, which has the same reference photos" if shared else ""

    def describe_doubt(self, spec: DatasetSpec, names: Collection[str] = ()) -> str:
        """Why the model may have seen images of a set that its card does not name; empty where nothing suggests it."""
        names = names or (spec.names if isinstance(spec, OwnSpec) else ())
        if not self.provenance:
            return NOTHING_KNOWN
        for rated, begin in ((self.provenance.trained_on, "trained on"), (self.taught, "its teacher was trained on")):
            alike = describe_likeness(rated, spec, names)
            if alike:
                return f"{begin} {alike}"
        if self.provenance.unknown_beginnings:
            return f"it began with {', '.join(self.provenance.unknown_beginnings)}, whose training is not known"
        if self.unknown:
            return f"the training of its teacher {', '.join(self.unknown)} is not known here"
        return ""


# ---- the same set, or the same images ----


def find_count(counts: Mapping[str, int], spec: DatasetSpec) -> int | None:
    """How many images of a set were counted; None: none. Ratings of one's own without a digest are known by their title."""
    keys = [spec.name] if spec.home else [spec.digest, spec.title] if isinstance(spec, OwnSpec) else [spec.title]
    return next((counts[key] for key in keys if key in counts), None)


def describe_likeness(rated: Iterable[RatedImages], spec: DatasetSpec, names: Collection[str]) -> str:
    """Ratings that are not those of a set, but may be of the same images, in words; empty where there are none.

    Two sets of the catalog have the same images only where their rows say so; beside ratings of one's own, any set may.
    """
    others = [facts for facts in rated if facts.set == OWN or not spec.home]
    shared = [shares_names(facts.names, names) for facts in others]
    if True in shared:
        return SAME_NAMES
    doubtful = [facts for facts, same in zip(others, shared, strict=True) if same is None]
    if any(facts.set == OWN for facts in doubtful):
        return OTHER_RATINGS
    titles = dict.fromkeys(DATASETS[f.set].short if f.set in DATASETS else f.title for f in doubtful)
    return CATALOG.format(titles=" and ".join(titles)) if titles else ""


def describe_overlap(trained: int, images: int, spec: DatasetSpec) -> str:
    """Describe how many of the images a model must have seen that was trained on so many of the set."""
    least = min(trained + images - max(spec.images, trained, images), images)
    if least <= 0:
        return "images of this set, perhaps on these"
    return "these images" if least == images else f"these images (at least {least:,} of {images:,})"


def count_images(rated: Iterable[RatedImages]) -> dict[str, int]:
    """Count the images by set, at least: the members of a blend may have seen the same ones.

    A set goes by its name in the catalog; ratings of one's own by their digest, or their title where the card has none.
    """
    counts: dict[str, int] = {}
    for own in rated:
        key = (own.digest or own.title) if own.set == OWN else own.set
        counts[key] = max(counts.get(key, 0), own.images)
    return counts


# ---- what cards say ----


def find_contamination(card: ModelCard, others: Iterable[ModelCard] = ()) -> Contamination:
    """What a card says that its model has seen; others: cards that tell of its teachers' training."""
    known = {other.name: other.provenance for other in others}
    lines = {teacher.name: follow_teachers(teacher.name, known) for teacher in card.provenance.teachers}
    taught = dict.fromkeys(rated for line in lines.values() for provenance in line for rated in provenance.trained_on)
    return Contamination(card.provenance, tuple(taught), tuple(name for name, line in lines.items() if not is_known(line)))


def follow_teachers(name: str, known: Mapping[str, Provenance]) -> list[Provenance]:
    """What a teacher learned from, what its own teachers did, and so on; empty where that is not known."""
    names = [name]
    for each in names:  # which grows
        names += [teacher.name for teacher in known.get(each, Provenance()).teachers if teacher.name not in names]
    return [known.get(each, Provenance()) for each in names]


def is_known(line: Sequence[Provenance]) -> bool:
    """Whether it is known of all models in a line what they learned from."""
    return all(provenance and not provenance.unknown_beginnings for provenance in line)
