"""Panoramas: rows of shots whose views lie side by side, of one exposure, one soon after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from iqa_cli.culling.grouping.likeness import Shift, Views
from iqa_cli.culling.grouping.shots import Shot, compare_exposures, find_gap

SWEEP = 20.0  # s between frames
OVERLAP = 0.2  # share of the view that neighbours both show
BESIDE, SURE, EXPECTED = 0.45, 0.85, 0.3  # least likeness of neighbours: in a row, of two alone, where a row is to go on
ONE_OF_ROW = 0.6  # least likeness of the best neighbours of a row
STEP, FAST_STEP, FAST = 0.15, 0.35, 0.35  # shares of the view from frame to frame; where those are so many seconds apart
STILL, CLEARLY = 0.8, 0.1  # overlap of one view seen twice; likeness by which views side by side fit better than that
EVEN = 0.25  # share of the view by which steps of a row differ
SAME_EXPOSURE = 0.4  # stops


@dataclass(frozen=True)
class Step:
    """From a shot to the next one, whose number is `place`. right, down: how the content moves. timed: times are known."""

    place: int
    likeness: float
    right: float
    down: float
    timed: bool


def find_panoramas(shots: Sequence[Shot], views: Views) -> list[list[int]]:
    """The panoramas, as numbers of shots that follow one another.

    At least three in one direction, with others above or below; or two that fit beyond doubt.
    """
    found: list[list[int]] = []
    steps = [find_step(shots, views, place) for place in range(1, len(shots))]
    for run in split_runs(steps):
        before = found[-1][-1] if found else -1
        rows = [pair for pair in pairwise(run) if is_row(*pair)]
        if rows and max(step.likeness for step in run) >= ONE_OF_ROW:
            expected = median(step.right for pair in rows for step in pair), median(step.down for pair in rows for step in pair)
            first, last = extend_row(shots, views, (rows[0][0].place - 1, rows[-1][1].place), expected)
            found.append(list(range(max(first, before + 1), last + 1)))
        elif len(run) == 1 and run[0].timed and run[0].likeness >= SURE and run[0].place - 1 > before:
            found.append([run[0].place - 1, run[0].place])
    return [panorama for panorama in found if len(panorama) > 1]


def split_runs(steps: Sequence[Step | None]) -> Iterator[list[Step]]:
    """The runs of steps between those that are none."""
    run: list[Step] = []
    for step in [*steps, None]:
        if step is not None:
            run.append(step)
        elif run:
            yield run
            run = []


def is_row(one: Step, other: Step) -> bool:
    """Whether two steps go in one direction, about as far."""
    return abs(one.right - other.right) <= EVEN and abs(one.down - other.down) <= EVEN


def extend_row(shots: Sequence[Shot], views: Views, ends: tuple[int, int], shift: Shift) -> tuple[int, int]:
    """The first and the last shot of a row once it goes on at both ends, however little the views have in common there."""
    first, last = ends
    while first > 0 and find_step(shots, views, first, shift):
        first -= 1
    while last + 1 < len(shots) and find_step(shots, views, last + 1, shift):
        last += 1
    return first, last


def find_step(shots: Sequence[Shot], views: Views, place: int, expected: Shift | None = None) -> Step | None:
    """The step to a shot from the one before; None where they do not lie side by side, of one exposure."""
    one, other = shots[place - 1], shots[place]
    gap = find_gap(one, other)
    timed = gap is not None and one.capture.camera == other.capture.camera and gap <= SWEEP
    untimed = one.moment is None and other.moment is None and one.folder == other.folder
    if not (timed or untimed) or abs(compare_exposures(one, other) or 0.0) > SAME_EXPOSURE:
        return None
    match = views.match(place - 1, place, OVERLAP, expected)
    least_step = FAST_STEP if gap is not None and gap < FAST else STEP
    if match is None or match.likeness < (BESIDE if expected is None else EXPECTED) or match.shift < least_step:
        return None
    still = views.match(place - 1, place, STILL)  # which a facade fits as well when it is shifted by a window
    if abs(match.stops or 0.0) > SAME_EXPOSURE or (still is not None and still.likeness > match.likeness - CLEARLY):
        return None
    return Step(place, match.likeness, match.right, match.down, timed)
