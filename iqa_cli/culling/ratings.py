"""Ratings in sidecars: which are a person's own, and how ours are written, so that every program shows the same.

Ours are marked by the properties iqa:stars, what xmp:Rating was given, and iqa:rejected, how a reject was marked. A rating that
is another one, or has no mark, was given by a person or by a camera, and so is the lack of one where the mark says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from math import isfinite

from iqa_cli.culling.rating_options import RejectAs
from iqa_cli.culling.xmp import NEW, OURS, XMP, Packet
from iqa_cli.culling.xmp_text import Unpatchable
from iqa_cli.errors import ExtraMissing

RATING, LABEL = f"{XMP}Rating", f"{XMP}Label"
SCORE, STARS, MODEL, REJECTED = (f"{OURS}{name}" for name in ("score", "stars", "model", "rejected"))
PERCENT = {-1: 0, 1: 1, 2: 25, 3: 50, 4: 75, 5: 99}  # of Windows
FLAGS = {
    RejectAs.LABEL: {LABEL: "Red"},
    RejectAs.PICK: {"{http://ns.adobe.com/xmp/1.0/DynamicMedia/}pick": "-1", "{http://www.digikam.org/ns/1.0/}PickLabel": "1"},
}
"""How a reject is marked besides its stars; "" and 0 mean no mark."""


@dataclass(frozen=True)
class Rating:
    """What is written about a photo. stars: 1 to 5; score: as every output shows it; reject_as: NONE for no reject."""

    stars: int
    score: str
    model: str
    reject_as: RejectAs = RejectAs.NONE

    @property
    def value(self) -> int:
        """The rating: -1 for a reject that is marked so, else the stars."""
        return -1 if self.reject_as is RejectAs.RATING else self.stars


def need_lxml() -> None:
    """Raises ExtraMissing where sidecars cannot be read."""
    if find_spec("lxml") is None:
        raise ExtraMissing("xmp", "--write-xmp")


# ---- a rating by other names ----


def read_stars(text: str) -> float:
    """A number of stars, as 3 or 3.0; 0 for none. Raises ValueError for what is none."""
    value = float(text.strip() or 0)
    if not isfinite(value):
        raise ValueError(text)
    return value


def read_percent(text: str) -> float:
    """The stars of a rating in percent, as Windows gives it."""
    value = read_stars(text)
    return 0 if value <= 0 else 1 + sum(value > edge for edge in (12, 37, 62, 87))


def read_preferences(text: str) -> float:
    """The stars in what Photo Mechanic writes in one: tagged, colour, stars, number."""
    return read_stars(text.split(":")[2]) if text.count(":") == 3 else 0


@dataclass(frozen=True)
class Spelling:
    """How one property holds a rating. read: text -> stars; write: rating, the text before -> text."""

    read: Callable[[str], float]
    write: Callable[[int, str], str]


PERCENTS = Spelling(read_percent, lambda rating, _: str(PERCENT[rating]))
SPELLINGS = {
    RATING: Spelling(read_stars, lambda rating, _: str(rating)),
    "{http://ns.microsoft.com/photo/1.0/}Rating": PERCENTS,
    "{http://ns.microsoft.com/photo/1.0}Rating": PERCENTS,
    "{http://ns.acdsee.com/iptc/1.0/}rating": Spelling(read_stars, lambda rating, _: str(max(rating, 0))),
    "{http://ns.camerabits.com/photomechanic/1.0/}Prefs": Spelling(
        read_preferences, lambda rating, before: re.sub(r"^([^:]*:[^:]*:)\s*[^:]*(:.*)$", rf"\g<1>{max(rating, 0)}\2", before)
    ),
}
"""The properties that programs read a rating from. Where a sidecar has them they are kept alike; only xmp:Rating is added."""


# ---- patching ----


def holds_own(packet: Packet) -> bool:
    """Whether a person, or a camera, has given a rating, in any of its spellings, or has cleared or changed ours."""
    marks, stated = packet.read(STARS), packet.read(RATING)
    ours = None if not marks else read_ours(marks[0])
    if ours is not None and not any(is_stars(text, RATING, ours) for text in stated):
        return True
    allowed = {0.0} if ours is None else {0.0, ours, max(ours, 0.0)}
    return not all(any(is_stars(text, name, stars) for stars in allowed) for name in SPELLINGS for text in packet.read(name))


def read_ours(mark: str | None) -> float | None:
    """The rating that a mark says; None where it says none."""
    with suppress(ValueError):
        return None if mark is None else read_stars(mark)
    return None


def is_stars(text: str | None, name: str, stars: float) -> bool:
    """Whether a property's text means so many stars."""
    try:
        return text is not None and SPELLINGS[name].read(text) == stars
    except ValueError:
        return False


def patch(before: bytes | None, rating: Rating, *, overwrite: bool = False) -> bytes:
    """A sidecar with a rating in it; one of its own for None. Raises Unpatchable.

    overwrite: a label or a flag that a person has given gives way to that of a reject.
    """
    packet = Packet(NEW if before is None else before)
    for name, spelling in SPELLINGS.items():
        there = packet.read(name)
        if there or name == RATING:
            packet.set(name, spelling.write(rating.value, there[0] or "" if there else ""))
    packet.set(SCORE, rating.score)
    packet.set(STARS, str(rating.value))
    packet.set(MODEL, rating.model)
    mark_reject(packet, rating.reject_as, overwrite=overwrite)
    after = packet.encode()
    if not all(is_stars(text, RATING, rating.value) for text in Packet(after).read(RATING)):
        raise Unpatchable("its rating could not be changed")
    return after


def mark_reject(packet: Packet, reject_as: RejectAs, *, overwrite: bool) -> None:
    """Mark a reject, and take away the mark of an earlier run where it is none any more, or is to be marked otherwise."""
    before = next((mark for mark in RejectAs if str(mark) in packet.read(REJECTED)), RejectAs.NONE)
    kept = {name: value for name, value in FLAGS.get(before, {}).items() if packet.read(name) == [value]}
    wanted = FLAGS.get(reject_as, {})
    own = {text for name in wanted if name not in kept for text in packet.read(name)} - {"", "0"}
    if own and not overwrite:
        wanted, reject_as = {}, RejectAs.NONE
    for name in kept.keys() - wanted.keys():
        packet.remove(name)
    for name, value in wanted.items():
        packet.set(name, value)
    if reject_as is RejectAs.NONE:
        packet.remove(REJECTED)
    else:
        packet.set(REJECTED, str(reject_as))
