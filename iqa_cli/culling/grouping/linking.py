"""Which shots are of one view: neighbours in time whose views are alike, and copies wherever they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iqa_cli.culling.grouping.hashes import count_differences, find_near
from iqa_cli.culling.grouping.likeness import Views, compare_colours
from iqa_cli.culling.grouping.panoramas import SAME_EXPOSURE, find_panoramas
from iqa_cli.culling.grouping.shots import Shot, find_gap

AT_ONCE = 3.0  # s between frames of a burst
SOON = 60.0  # s in which a view is photographed again
BACK = 3  # shots before, with which one is compared
HINT = 20  # bits in which hashes of shots differ that are compared though others were taken between them
OVERLAP = 0.7  # share of the view that frames of one view both show
ALIKE, LATER, UNKNOWN, COPY = 0.5, 0.7, 0.8, 0.9
"""Least likeness of one view: at once, later on, at times that are not known, and of copies wherever they are."""
COPY_OVERLAP, COPY_COLOURS = 0.95, 4.0  # of copies: what both show, levels of Cb and Cr at most


@dataclass
class Sets:
    """Numbers in disjoint sets, at first one each."""

    parents: list[int]

    @classmethod
    def of(cls, count: int) -> Sets:
        """So many sets of one."""
        return cls(list(range(count)))

    def find(self, number: int) -> int:
        """The number that stands for its set, the least one."""
        while (parent := self.parents[number]) != number:
            self.parents[number] = self.parents[parent]
            number = parent
        return number

    def join(self, one: int, other: int) -> None:
        """Make two sets one."""
        a, b = sorted((self.find(one), self.find(other)))
        self.parents[b] = a

    def list_sets(self) -> list[list[int]]:
        """The sets of at least two, their numbers ascending."""
        sets: dict[int, list[int]] = {}
        for number in range(len(self.parents)):
            sets.setdefault(self.find(number), []).append(number)
        return [members for members in sets.values() if len(members) > 1]


def link_shots(shots: Sequence[Shot], views: Views) -> tuple[list[list[int]], list[list[int]]]:
    """The panoramas, and the sets of shots of one view; numbers of shots, ascending. A shot is in one of them at most.

    shots: as `shots.sort_shots` sorts them; views: theirs.
    """
    panoramas = find_panoramas(shots, views)
    taken = {place for panorama in panoramas for place in panorama}
    sets = Sets.of(len(shots))
    for second in range(len(shots)):
        for first in range(second - 1, max(-1, second - 1 - BACK), -1):
            if first < second - 1 and not hint_at_one(shots, first, second):
                continue
            if not {first, second} & taken and show_one_view(shots, views, first, second):
                sets.join(first, second)
                break
    for first, second in find_near([shot.signature for shot in shots]):
        if sets.find(first) != sets.find(second) and not {first, second} & taken and are_copies(shots, views, first, second):
            sets.join(first, second)
    return panoramas, sets.list_sets()


def show_one_view(shots: Sequence[Shot], views: Views, first: int, second: int) -> bool:
    """Whether two shots, one soon after the other, are of one view."""
    one, other = shots[first], shots[second]
    gap = find_gap(one, other)
    if gap is None:
        near = one.moment is None and other.moment is None and one.folder == other.folder
        least = UNKNOWN
    else:
        near = one.capture.camera == other.capture.camera and gap <= SOON
        least = ALIKE if gap <= AT_ONCE else LATER
    match = views.match_zoomed(first, second, OVERLAP) if near else None
    return match is not None and match.likeness >= least


def hint_at_one(shots: Sequence[Shot], first: int, second: int) -> bool:
    """Whether two shots may be of one view, as is quickly seen."""
    one, other = shots[first].hashed, shots[second].hashed
    return one is not None and other is not None and count_differences(one, other) <= HINT


def are_copies(shots: Sequence[Shot], views: Views, first: int, second: int) -> bool:
    """Whether two shots look the same, wherever and whenever they were taken."""
    match = views.match(first, second, COPY_OVERLAP)
    if match is None or match.likeness < COPY or abs(match.stops or 0.0) > SAME_EXPOSURE:
        return False
    one, other = shots[first].signature, shots[second].signature
    return one is not None and other is not None and compare_colours(one, other) <= COPY_COLOURS
