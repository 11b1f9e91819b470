"""Exposure: what a model's card says of the images that it learnt from, held against the images it is measured on.

A figure on images that a model has seen says how well it remembers, so whoever reads it must know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from iqa_cli.datasets.catalog import DATASETS, DatasetSpec
from iqa_cli.models.card import ModelCard

COUNT = re.compile(r"([\d,]+) images")
TEACHER = re.compile(r"the answers of ([^:]+): ")


@dataclass(frozen=True)
class Training:
    """What a card says.

    sets: on how many images of which set it was trained, by the set's title. taught: the same of its teachers. unknown:
    teachers whose own cards are not at hand. lines: how many sources of data there were in all; 0 where the card says nothing.
    """

    sets: Mapping[str, int]
    taught: Mapping[str, int]
    unknown: tuple[str, ...]
    lines: int

    @property
    def only_set(self) -> str | None:
        """The name of the one set of the catalogue that it was trained on, if there was nothing else."""
        names = [spec.name for spec in DATASETS.values() if spec.title in self.sets]
        return names[0] if len(names) == 1 and self.lines == 1 else None

    def describe(self, spec: DatasetSpec, images: int) -> str:
        """What to say beside figures on so many images of a set; empty where the model has seen none of them."""
        own, taught = self.sets.get(spec.title), self.taught.get(spec.title)
        if own is not None:
            return f"trained on {describe_overlap(own, images, spec)}"
        if taught is not None:
            return f"taught by a model that was trained on {describe_overlap(taught, images, spec)}"
        shared = [DATASETS[name].title for name in spec.shares if DATASETS[name].title in {**self.sets, **self.taught}]
        if shared:
            return f"trained on {shared[0]}, which has the same reference photos"
        if not self.lines:
            return "its card does not say what it was trained on"
        if self.unknown:
            return f"taught by {', '.join(self.unknown)}, whose training is not known here"
        return ""


def describe_overlap(trained: int, images: int, spec: DatasetSpec) -> str:
    """How many of the images a model must have seen that was trained on so many of the set; the rest is open."""
    least = min(trained + images - max(spec.images, trained, images), images)
    if least <= 0:
        return "images of this set, perhaps on these"
    return "these images" if least == images else f"these images (at least {least:,} of {images:,})"


def read_training(card: ModelCard, others: Iterable[ModelCard] = (), *specs: DatasetSpec) -> Training:
    """From a card; others: cards that tell of its teachers' training; specs: sets besides those of the catalogue."""
    lines = list(map(str, card.training.get("data", ())))
    titles = [*(spec.title for spec in DATASETS.values()), *(spec.title for spec in specs)]
    teachers = [match[1] for line in lines if (match := TEACHER.match(line))]
    known = {other.name: list(map(str, other.training.get("data", ()))) for other in others}
    taught = [line for teacher in teachers for line in known.get(teacher, ())]
    unknown = tuple(teacher for teacher in teachers if teacher not in known)
    return Training(count_images(lines, titles), count_images(taught, titles), unknown, len(lines))


def count_images(lines: Iterable[str], titles: Iterable[str]) -> dict[str, int]:
    """Set -> how many of its images, from lines that begin with the title of a set; 1 where the line does not say how many."""
    counts: dict[str, int] = {}
    for line in lines:
        for title in titles:
            if line.startswith(f"{title}:"):
                said = COUNT.search(line, len(title))
                counts[title] = max(counts.get(title, 0), int(said[1].replace(",", "")) if said else 1)
    return counts
