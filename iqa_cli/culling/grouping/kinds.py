"""What kind of group shots of one view are: a burst, duplicates, an exposure bracket, a focus stack."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from math import inf

import numpy as np

from iqa_cli.culling.grouping.likeness import Match, View, match_views
from iqa_cli.culling.grouping.linking import AT_ONCE, OVERLAP
from iqa_cli.culling.grouping.shots import Shot, compare_exposures, find_gap
from iqa_cli.culling.grouping.signatures import Floats
from iqa_cli.records import GroupKind

STEP, NO_STEP = 0.4, 0.2  # stops between exposures of a bracket; what cameras vary by without meaning it
STILL = 0.04  # share of the view that frames of a focus stack move at most
TEXTURED, LEAST_TEXTURED = 0.0, 0.1  # log2 of sharpness from which a region has something to be in focus; share of such regions
SOFTER, CLEAR = 0.35, 0.05  # log2 by which a region is softer; share of the regions that are, between crossing frames
WANDERING = ((0.15, 1.5), (0.2, 1.75))
"""What tells a focus stack: the least share of the pairs of frames that cross, and how even the focus wanders at least."""
LEAST_STACK = 3  # frames
LEAST_BURST = 3  # frames that are a burst of their own among others of the same view


def divide_set(shots: Sequence[Shot]) -> list[tuple[GroupKind, list[Shot]]]:
    """The groups that shots of one view make up, at least two shots, in the order in which they were taken.

    A series is kept whole and is never part of another group. Of what is left, each burst is a group, and what was taken one
    by one are duplicates.
    """
    parts = divide_at_pauses(list(shots))
    alone = len(parts) == 1
    groups = [(kind, part) for kind, part in parts if kind and (kind.whole or alone or len(part) >= LEAST_BURST)]
    grouped = {id(shot) for _, part in groups for shot in part}
    others = [shot for shot in shots if id(shot) not in grouped]
    return [*groups, (GroupKind.DUPLICATES, others)] if len(others) > 1 else groups


def divide_at_pauses(shots: list[Shot]) -> list[tuple[GroupKind | None, list[Shot]]]:
    """Shots of one view as series, bursts, and others; divided at the longest pause, again and again."""
    kind = name_series(shots)
    if kind or len(shots) == 1:
        return [(kind, shots)]
    longest = max(range(1, len(shots)), key=lambda place: find_pause(shots[place - 1], shots[place]))
    if find_pause(shots[longest - 1], shots[longest]) <= AT_ONCE:
        return [(GroupKind.BURST, shots)]
    return divide_at_pauses(shots[:longest]) + divide_at_pauses(shots[longest:])


def find_pause(one: Shot, other: Shot) -> float:
    """Seconds between two shots; no end where that is not known."""
    gap = find_gap(one, other)
    return inf if gap is None or one.capture.camera != other.capture.camera else gap


def name_series(shots: Sequence[Shot]) -> GroupKind | None:
    """The kind of a series that is to be kept whole; None for others."""
    if len(shots) < 2:
        return None
    matches = match_neighbours(shots)
    if is_bracket(shots, matches):
        return GroupKind.BRACKET
    return GroupKind.STACK if is_stack(shots, matches) else None


def match_neighbours(shots: Sequence[Shot]) -> list[Match | None]:
    """How each view fits on the one before."""
    views = [None if shot.signature is None else View(shot.signature) for shot in shots]
    return [None if a is None or b is None else match_views(a, b, OVERLAP) for a, b in pairwise(views)]


def is_bracket(shots: Sequence[Shot], matches: Sequence[Match | None]) -> bool:
    """Whether the exposure was varied: by what the camera says, or by brightness at every other step at least."""
    if sum(shot.capture.bracketing for shot in shots) > 1:
        return True
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
    textured = sharpness[:, sharpness.max(axis=0) >= TEXTURED]
    if textured.shape[1] < LEAST_TEXTURED * sharpness.shape[1]:
        return False
    crossing, jumps = share_crossing(textured), measure_jumps(textured)
    return any(crossing >= least and jumps <= most for least, most in WANDERING)


def share_crossing(sharpness: Floats) -> float:
    """The share of pairs of frames of which each is clearly sharper than the other one somewhere; [n, regions]."""
    pairs = list(combinations(sharpness, 2))
    more = [((one - other > SOFTER).mean(), (other - one > SOFTER).mean()) for one, other in pairs]
    return float(np.mean([min(both) >= CLEAR for both in more]))


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
