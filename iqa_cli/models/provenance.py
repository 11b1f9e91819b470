"""Provenance: the images and teachers that a model learned from, as its card holds them under `training`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from reprlib import repr as shorten
from typing import Any

from iqa_cli.models.card_parts import Part, make_part


@dataclass(frozen=True)
class RatedImages:
    """Rated images of one set.

    set: its name in `datasets.catalog`, or "csv" for ratings of one's own. images: how many of them. title: of the set.
    licence, paper: its terms, and what to cite. names: a sample of its images' names, as `datasets.own.sample_names` makes it.
    digest: of ratings of one's own, what tells them from others. Both are empty in cards of earlier versions.
    """

    set: str
    images: int
    title: str
    licence: str = ""
    paper: str = ""
    digest: str = ""
    names: str = ""


@dataclass(frozen=True)
class UnlabeledImages:
    """Images without ratings. source: where they are from, in words."""

    images: int
    source: str


@dataclass(frozen=True)
class Teacher:
    """A model whose predictions were learned from. name, summary, licence: as in its card; or a file of scores."""

    name: str
    summary: str = ""
    licence: str = ""


@dataclass(frozen=True)
class InitialModel:
    """A trained model whose weights a training began with.

    name: as in its card, else that of its file. sha256: of the file, in hex; empty where that was gone. known: whether its card
    says what it learned from, which then stands among what the training learned from.
    """

    name: str
    sha256: str
    known: bool


@dataclass(frozen=True)
class Provenance:
    """All that a model learned from, itself or through the weights that it began with; empty where nothing is known."""

    trained_on: tuple[RatedImages, ...] = ()
    unlabeled: tuple[UnlabeledImages, ...] = ()
    teachers: tuple[Teacher, ...] = ()
    initial_models: tuple[InitialModel, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return bool(self.trained_on or self.unlabeled or self.teachers)

    @property
    def unknown_beginnings(self) -> tuple[str, ...]:
        """The names of the initial models of which it is not known what they learned from."""
        return tuple(initial.name for initial in self.initial_models if not initial.known)


def read_provenance(training: Mapping[str, Any]) -> Provenance:
    """What a card's `training` says. Raises ValueError where that is not as `Provenance` has it."""
    return Provenance(
        make_parts(RatedImages, "trained_on", training),
        make_parts(UnlabeledImages, "unlabeled", training),
        make_parts(Teacher, "teachers", training),
        make_parts(InitialModel, "initial_models", training),
    )


def make_parts(kind: type[Part], name: str, training: Mapping[str, Any]) -> tuple[Part, ...]:
    """The parts in a list of a card's `training`. Raises ValueError."""
    entries = training.get(name, ())
    if not isinstance(entries, list | tuple):
        raise ValueError(f"training.{name} is a list, not {shorten(entries)}")
    return tuple(make_part(kind, f"training.{name}[{place}]", entry) for place, entry in enumerate(entries))


def join_provenances(provenances: Iterable[Provenance]) -> Provenance:
    """What several models learned from, without duplicates."""
    each = list(provenances)
    return Provenance(
        tuple(dict.fromkeys(entry for own in each for entry in own.trained_on)),
        tuple(dict.fromkeys(entry for own in each for entry in own.unlabeled)),
        tuple(dict.fromkeys(entry for own in each for entry in own.teachers)),
        tuple(dict.fromkeys(entry for own in each for entry in own.initial_models)),
    )
