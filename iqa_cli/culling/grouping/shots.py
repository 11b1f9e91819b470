"""Shots: scored photos as they are compared, in the order in which they were taken."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from math import log2

from iqa_cli.culling.grouping.hashes import Hashes, hash_view
from iqa_cli.culling.grouping.signatures import Signature, make_signature
from iqa_cli.records import Capture, ScoreRecord

NamePart = tuple[int, str]
TIME_IN_NAME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)"
    r"[-_ T.at]{1,4}([0-2]\d)[-_.:h]?([0-5]\d)[-_.:m]?([0-5]\d)(\d{3})?(?!\d)"
)
"""As telephones name photos: IMG_20250612_140005, PXL_20250612_140005123, 2025-06-12 14.00.05."""


@dataclass(frozen=True)
class Shot:
    """A photo that has a score.

    record: without its preview. signature: its view; None where there was no preview. capture: how it was taken.
    """

    record: ScoreRecord
    signature: Signature | None
    capture: Capture = field(default_factory=Capture)

    @classmethod
    def of(cls, record: ScoreRecord) -> Shot:
        """The shot of a record that has a score; its preview is let go."""
        signature = make_signature(record.preview) if record.preview else None
        return cls(replace(record, preview=None, capture=None), signature, record.capture or Capture())

    @cached_property
    def moment(self) -> float | None:
        """When it was taken, by its EXIF, else by its name; None where neither says so. A file's own time says too little."""
        return self.capture.moment if self.capture.moment is not None else read_name(os.path.basename(self.record.path))  # noqa: PTH119

    @cached_property
    def folder(self) -> str:
        """The folder that it is in, as it was named."""
        return os.path.dirname(self.record.path)  # noqa: PTH120  # paths stay as the user named them

    @cached_property
    def name(self) -> tuple[NamePart, ...]:
        """Its path, to sort by."""
        return split_name(self.record.path)

    @cached_property
    def hashed(self) -> Hashes | None:
        """The hash of its view."""
        return None if self.signature is None else hash_view(self.signature)

    @property
    def exposure(self) -> float | None:
        """How much light the settings let in, in stops, or else how much more than was measured; None where not known."""
        taken = self.capture
        if taken.seconds is None:
            return taken.bias
        return log2(taken.seconds * (taken.iso or 100.0) / 100.0 / (taken.aperture or 1.0) ** 2)

    @property
    def score(self) -> float:
        """Its score."""
        return self.record.score or 0.0


def split_name(path: str) -> tuple[NamePart, ...]:
    """A path to sort by as people number files: IMG_9 before IMG_10. Numbers are compared by their digits, however many."""
    parts = re.split(r"(\d+)", path)
    return (*(split_number(part) if part.isdigit() and part.isascii() else (-1, part) for part in parts), (-1, path))


def split_number(digits: str) -> NamePart:
    """A number to sort by: how many digits, and which, without the zeros before."""
    own = digits.lstrip("0")
    return len(own), own


def read_name(name: str) -> float | None:
    """The time that a file's name tells, on the clock of the camera; None for none."""
    found = TIME_IN_NAME.search(name)
    if found is None:
        return None
    *numbers, thousandths = found.groups()
    with suppress(ValueError):
        moment = datetime.strptime(" ".join(numbers), "%Y %m %d %H %M %S").replace(tzinfo=UTC).timestamp()
        return moment + int(thousandths or 0) / 1000
    return None


def find_gap(first: Shot, second: Shot) -> float | None:
    """Seconds from the end of one exposure to the begin of another; None where one of the times is not known."""
    if first.moment is None or second.moment is None:
        return None
    return max(0.0, second.moment - first.moment - (first.capture.seconds or 0.0))


def compare_exposures(one: Shot, other: Shot) -> float | None:
    """How many stops more light the settings of the second shot let in; None where both do not say so in one way."""
    alike = (one.capture.seconds is None) == (other.capture.seconds is None)
    return other.exposure - one.exposure if alike and one.exposure is not None and other.exposure is not None else None


def sort_shots(shots: list[Shot]) -> list[Shot]:
    """By camera and time, equal times by name; then those without a time, by folder and name."""
    timed = [shot for shot in shots if shot.moment is not None]
    others = [shot for shot in shots if shot.moment is None]
    timed.sort(key=lambda shot: (shot.capture.camera, shot.moment, shot.name))
    return timed + sorted(others, key=lambda shot: (split_name(shot.folder), shot.name))
