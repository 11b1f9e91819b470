"""What kind of group shots of one view are: a burst, duplicates, an exposure bracket, a focus stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

import numpy as np

from iqa_cli.culling.grouping.likeness import Match
from iqa_cli.culling.grouping.linking import AT_ONCE
from iqa_cli.culling.grouping.shots import Shot, compare_exposures, find_gap
from iqa_cli.culling.grouping.signatures import Floats
from iqa_cli.records import GroupKind

STEP, NO_STEP = 0.4, 0.2  # stops between exposures of a bracket; what cameras vary by without meaning it
STILL = 0.04  # share of the view that frames of a focus stack move at most
TEXTURED, LEAST_TEXTURED = 0.0, 0.1  # log2 of sharpness from which a region has something to be in focus; share of such regions
SOFTER, CLEAR = 0.35, 0.05  # log2 by which a region is softer; share of the regions that are, between crossing frames
WANDERING = ((0.12, 1.6), (0.2, 1.75))
"""What tells a focus stack: the least share of the pairs of frames that cross, and how even the focus wanders at least."""
LEAST_STACK, ENOUGH = 3, 48  # frames of a focus stack; frames that are compared of a long one
PAUSES = (inf, 60.0, 30.0, 20.0, 12.0, 8.0, 5.0, AT_ONCE)  # s by which shots of one view are divided, one after the other
LEAST_BURST = 3  # frames that are a burst of their own among others of the same view


def divide_set(series: Series) -> list[tuple[GroupKind, list[Shot]]]:
    """The groups that shots of one view make up, at least two shots, in the order in which they were taken.

    A series is kept whole and is never part of another group. Of what is left, each burst is a group, and what was taken one
    by one are duplicates.
    """
    parts = divide_at_pauses(series)
    alone = len(parts) == 1
    groups = [(kind, part) for kind, part in parts if kind and (kind.whole or alone or len(part) >= LEAST_BURST)]
    grouped = {id(shot) for _, part in groups for shot in part}
    others = [shot for shot in series.shots if id(shot) not in grouped]
    return [*groups, (GroupKind.DUPLICATES, others)] if len(others) > 1 else groups


@dataclass(frozen=True)
class Series:
    """Shots in the order in which they were taken. matches: how each but the first fits on the one before."""

    shots: Sequence[Shot]
    matches: Sequence[Match | None]

    def split(self, pause: float) -> Iterator[Series]:
        """The parts between longer pauses."""
        return self.cut(lambda place: find_pause(self.shots[place - 1], self.shots[place]) > pause)

    def split_brackets(self) -> Iterator[tuple[bool, Series]]:
        """Shots that the camera says are of a bracket, one after the other, and the parts between; and whether it says so.

        One alone is none, whatever the camera says.
        """
        said = [False, *(shot.capture.bracketing for shot in self.shots), False]
        within = [here and (before or after) for before, here, after in zip(said, said[1:], said[2:], strict=False)]
        begin = 0
        for part in self.cut(lambda place: within[place] != within[place - 1]):
            yield within[begin], part
            begin += len(part.shots)

    def cut(self, before: Callable[[int], bool]) -> Iterator[Series]:
        """The parts. before: whether one begins with the shot of a number."""
        begin = 0
        for end in range(1, len(self.shots) + 1):
            if end == len(self.shots) or before(end):
                yield Series(self.shots[begin:end], self.matches[begin : end - 1])
                begin = end


def divide_at_pauses(series: Series) -> list[tuple[GroupKind | None, list[Shot]]]:
    """Shots of one view as series, bursts, and single ones.

    Brackets that the camera names are taken out first; the rest is divided at long pauses, what is no series then at shorter.
    """
    told = list(series.split_brackets())
    groups: list[tuple[GroupKind | None, list[Shot]]] = [(GroupKind.BRACKET, list(part.shots)) for said, part in told if said]
    rest = [part for said, part in told if not said]
    for pause in PAUSES:
        parts = [part for one in rest for part in one.split(pause)]
        named = [(name_series(part), part) for part in parts]
        groups += [(kind, list(part.shots)) for kind, part in named if kind]
        rest = [part for kind, part in named if not kind]
    groups += [(GroupKind.BURST if len(part.shots) > 1 else None, list(part.shots)) for part in rest]
    return groups


def find_pause(one: Shot, other: Shot) -> float:
    """Seconds between two shots; no end where that is not known."""
    gap = find_gap(one, other)
    return inf if gap is None or one.capture.camera != other.capture.camera else gap


def name_series(series: Series) -> GroupKind | None:
    """The kind of a series that is to be kept whole; None for others."""
    if len(series.shots) < 2:
        return None
    if is_bracket(series.shots, series.matches):
        return GroupKind.BRACKET
    return GroupKind.STACK if is_stack(series.shots, series.matches) else None


def is_bracket(shots: Sequence[Shot], matches: Sequence[Match | None]) -> bool:
    """Whether the exposure was varied, at every other step at least."""
    steps = sum(varies(one, other, match) for (one, other), match in zip(pairwise(shots), matches, strict=True))
    return 2 * steps >= len(matches)


def varies(one: Shot, other: Shot, match: Match | None) -> bool:
    """Whether the exposure was changed between two shots: a camera that follows the light keeps the picture as bright."""
    set_by = compare_exposures(one, other)
    seen = match.stops if match is not None else None
    if seen is None:
        return set_by is not None and abs(set_by) >= STEP
    if set_by is not None and (abs(set_by) < NO_STEP or set_by * seen < 0):
        return False  # the light changed, not the camera
    return abs(seen) >= STEP


def is_stack(shots: Sequence[Shot], matches: Sequence[Match | None]) -> bool:
    """Whether the focus wanders through a view that stands still: some parts are sharper here, others there.

    In a burst one frame is the sharpest everywhere, and what is lost in others comes and goes from frame to frame.
    """
    still = all(match and match.shift <= STILL and abs(match.stops or 0.0) < STEP for match in matches)
    if len(shots) < LEAST_STACK or not still:
        return False
    sharpness = np.stack([shot.signature.sharpness.ravel() for shot in shots if shot.signature is not None])  # [n, regions]
    if len(shots) > ENOUGH:
        sharpness = sharpness[np.linspace(0, len(shots) - 1, ENOUGH).round().astype(int)]
    textured = sharpness[:, sharpness.max(axis=0) >= TEXTURED]
    if textured.shape[1] < LEAST_TEXTURED * sharpness.shape[1]:
        return False
    crossing, jumps = share_crossing(textured), measure_jumps(textured)
    return any(crossing >= least and jumps <= most for least, most in WANDERING)


def share_crossing(sharpness: Floats) -> float:
    """The share of pairs of frames of which each is clearly sharper than the other one somewhere; [n, regions]."""
    sharper = (sharpness[:, None] - sharpness[None] > SOFTER).mean(axis=2) >= CLEAR  # [n, n]
    count = len(sharpness)
    return float((sharper & sharper.T).sum()) / (count * (count - 1))


def measure_jumps(sharpness: Floats) -> float:
    """How much frames differ from the next one, in shares of what distant ones differ by a frame between; [n, regions].

    1 for a focus that wanders evenly; where it comes and goes, about the half of n.
    """
    count = len(sharpness)
    differences = np.abs(sharpness[:, None] - sharpness[None]).mean(axis=2)  # [n, n]
    distances = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    far = distances >= count / 2
    a_frame = float(differences[far].mean()) / float(distances[far].mean())
    return float(differences[distances == 1].mean()) / max(a_frame, 1e-6)
