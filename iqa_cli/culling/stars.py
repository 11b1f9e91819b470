"""Stars: scores as 1 to 5 stars, by fixed limits or by shares of all, and which of them are rejects."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

SHARES = (0.1, 0.2, 0.4, 0.2, 0.1)  # of 1 to 5 stars
REJECTED = 0.05  # the share of rejects
EDGES = tuple(round(edge, 9) for edge in accumulate(SHARES[:-1]))


def count_stars(scores: Sequence[float], limits: Sequence[float] | None = None) -> list[int]:
    """The stars of each score, 1 to 5; equal scores have equal stars.

    limits: four rising scores, from each of which on there is one star more; None: SHARES of the scores are given 1 to 5 stars,
    as nearly as their number allows.
    """
    if limits is not None:
        return [1 + bisect_right(limits, score) for score in scores]
    return [1 + bisect_right(EDGES, place) for place in rank(scores)]


def find_rejects(scores: Sequence[float], limit: float | None = None) -> list[bool]:
    """Whether each score is a reject: below the limit; None: one of the lowest, a share of REJECTED."""
    if limit is not None:
        return [score < limit for score in scores]
    return [place < REJECTED for place in rank(scores)]


def rank(scores: Sequence[float]) -> list[float]:
    """The place of each score among all, 0 to 1, the middle of those that are equal."""
    ordered = sorted(scores)
    return [(bisect_left(ordered, score) + bisect_right(ordered, score)) / (2 * len(ordered)) for score in scores]
