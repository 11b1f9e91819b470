"""Groups of scored photos: bursts and duplicates, in which the best is found, and series that are kept whole.

A group is named by the path of its first photo. Neither the order of the records nor how they were computed matters.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from math import log2

from iqa_cli.culling.companions import is_paired
from iqa_cli.culling.grouping.kinds import Series, divide_set
from iqa_cli.culling.grouping.likeness import Views
from iqa_cli.culling.grouping.linking import OVERLAP, link_shots
from iqa_cli.culling.grouping.shots import Shot, sort_shots
from iqa_cli.records import GroupKind, GroupPlace, ScoreRecord

POINTS = 10.0  # % of the scale that half the detail is worth within a group: framing anew changes a score by 2 or 3


class Grouping:
    """Records whose groups are looked for once all are there; of a preview only a signature is kept.

    records: those so far, without previews. shots: of those that have a score. span: of the model's scale, from end to end.
    """

    def __init__(self, span: float = 100.0) -> None:
        self.span = span
        self.records: list[ScoreRecord] = []
        self.shots: list[Shot] = []

    def add(self, record: ScoreRecord) -> None:
        """Take one more."""
        self.records.append(replace(record, preview=None, capture=None))
        if record.score is not None:
            self.shots.append(Shot.of(record))

    def finish(self) -> list[ScoreRecord]:
        """The records in their order, with their places in groups."""
        places = dict(find_places(self.shots, self.span))
        return [replace(record, place=places.get(record.path)) for record in self.records]


@contextmanager
def grouping(
    write: Callable[[ScoreRecord], None], before: Callable[[], None], span: float | None
) -> Iterator[Callable[[ScoreRecord, ScoreRecord], None]]:
    """What takes a record, and the same as it is to be written; writes all with their places when the block ends, however.

    before: is called first. span: as in `Grouping`; None: no groups are looked for, and each record is written at once.
    """
    if span is None:
        yield lambda _, kept: write(kept)
        return
    groups = Grouping(span)
    try:
        yield lambda record, _: groups.add(record)
    finally:
        if groups.records:
            before()
        for record in groups.finish():
            write(record)


def group_records(records: Iterable[ScoreRecord], span: float = 100.0) -> list[ScoreRecord]:
    """The records with their places in groups; those with previews are compared, which the results have no more."""
    grouping = Grouping(span)
    for record in records:
        grouping.add(record)
    return grouping.finish()


def find_places(shots: Sequence[Shot], span: float) -> Iterator[tuple[str, GroupPlace]]:
    """The place of each shot that is in a group: its path, and where. span: as in `Grouping`."""
    frames = join_pairs(shots)
    for kind, members in find_groups(sort_shots([pair[0] for pair in frames.values()])):
        size = sum(len(frames[name_frame(shot.record.path)]) for shot in members)
        place = GroupPlace(name_group(members), kind, size)
        places: Iterable[GroupPlace] = [place] * len(members) if kind.whole else rank_shots(members, place, span)
        for member, own in zip(members, places, strict=True):
            yield from ((shot.record.path, own) for shot in frames[name_frame(member.record.path)])


def rank_shots(shots: Sequence[Shot], place: GroupPlace, span: float) -> Iterator[GroupPlace]:
    """The place of each of a group, in which the best is first, and of equal ones the first name.

    The best has the highest score, from which a frame that is softer at full size loses POINTS for each half of its detail. As
    long as that was not measured of all of them, the score alone counts.
    """
    measured = compare_detail(shots)
    worth = POINTS * span / 100
    merits = [shot.score + worth * (measured[number] if measured else 0.0) for number, shot in enumerate(shots)]
    order = sorted(range(len(shots)), key=lambda number: (-merits[number], shots[number].name))
    ranks = {number: rank for rank, number in enumerate(order, 1)}
    for number, sharpness in enumerate(measured or compare_sharpness(shots)):
        yield replace(place, rank=ranks[number], sharpness=sharpness)


def compare_detail(shots: Sequence[Shot]) -> list[float]:
    """How much real detail a side of each has beside the most of them, log2; empty where it was not measured of all."""
    sides = [measure_side(shot.record) for shot in shots]
    if not all(sides):
        return []
    return [round(log2(side / max(sides)), 3) for side in sides]


def measure_side(record: ScoreRecord) -> float:
    """The real detail of a photo along a side, in px; 0 where it was not measured, or not known. So small copies are softer."""
    if record.native is None or record.width is None or record.height is None:
        return 0.0
    return float(record.native.detail / 100 * (record.width * record.height) ** 0.5)


def compare_sharpness(shots: Sequence[Shot]) -> list[float]:
    """How sharp each is beside the sharpest, log2, by what the previews show of it."""
    means = [0.0 if shot.signature is None else float(shot.signature.sharpness.mean()) for shot in shots]
    return [round(mean - max(means), 3) for mean in means]


def find_groups(shots: Sequence[Shot]) -> Iterator[tuple[GroupKind, list[Shot]]]:
    """The groups, each in the order in which it was taken. shots: as `shots.sort_shots` sorts them."""
    views = Views([shot.signature for shot in shots])
    panoramas, sets = link_shots(shots, views)
    for panorama in panoramas:
        yield GroupKind.PANORAMA, [shots[place] for place in panorama]
    for places in sets:
        matches = [views.match(first, second, OVERLAP) for first, second in pairwise(places)]
        yield from divide_set(Series([shots[place] for place in places], matches))


def join_pairs(shots: Iterable[Shot]) -> dict[str, list[Shot]]:
    """Shots that are one frame in several formats, as RAW and JPEG, by `name_frame`; the JPEG first."""
    frames: dict[str, dict[str, Shot]] = {}
    for shot in shots:
        frames.setdefault(name_frame(shot.record.path), {})[shot.record.path] = shot  # a path that was named twice is one photo
    return {name: sorted(pair.values(), key=rank_format) for name, pair in frames.items()}


def name_frame(path: str) -> str:
    """What the paths of photos that are one frame in several formats have in common; for others the path."""
    return os.path.splitext(path)[0] if is_paired(path) else path  # noqa: PTH122  # paths stay as the user named them


def rank_format(shot: Shot) -> tuple[bool, str]:
    """JPEG before others."""
    return not shot.record.path.lower().endswith((".jpg", ".jpeg")), shot.record.path


def name_group(shots: Sequence[Shot]) -> str:
    """The name of a group: the path of its first photo; bytes that are no UTF-8 are spelt out, as no text holds them."""
    return shots[0].record.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
