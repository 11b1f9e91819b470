"""Likeness of two views: how well one fits on the other when it is shifted, and what then differs.

Brightness is compared by ranks within each view, without what is coarser than a few cells: so exposure hardly matters, and a
bright sky above a dark ground is not enough to be alike. All shifts are tried at once, by the Fourier transform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from iqa_cli.culling.grouping.signatures import Bytes, Floats, Signature

COARSE = 4.0  # cells: what is coarser than this is left out
SCALES = (0.95, 1.05)  # of the second view, tried where the views almost fit as they are,
ALMOST, SURELY = 0.35, 0.7  # with a likeness between these
NEAR = 0.15  # share of the view by which a shift may be off that is expected
DARK, BRIGHT = 12, 243  # luma of cells between which brightness tells of the exposure
LEAST = 1e-6  # of a variance, so that plain views fit nothing
VALUES = np.arange(256) / 255
LINEAR = np.where(VALUES <= 0.04045, VALUES / 12.92, ((VALUES + 0.055) / 1.055) ** 2.4)
STOPS = np.log2(np.maximum(LINEAR, 1e-4)).astype(np.float32)
"""Luma -> light in stops."""


Shift = tuple[float, float]  # right and down, in shares of a view


@dataclass(frozen=True)
class Match:
    """How one view fits on another.

    likeness: correlation where they overlap, 1 for the same. right, down: the shift of the second view's content, in shares of
    its sides. overlap: the share of the view that both show. stops: how much brighter the second one is, where both show
    neither black nor white; None where that is nowhere.
    """

    likeness: float
    right: float
    down: float
    overlap: float
    stops: float | None

    @property
    def shift(self) -> float:
        """How far the content moved, in shares of the view."""
        return max(abs(self.right), abs(self.down))


class View:
    """A signature, prepared for comparisons."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.shape: tuple[int, int] = signature.luma.shape

    @cached_property
    def pattern(self) -> Floats:
        """Ranks without what is coarse, float32 [rows, columns]."""
        return find_pattern(self.signature.luma)

    @cached_property
    def spectrum(self) -> Any:
        """The transform of the pattern."""
        return transform(self.pattern)

    @cached_property
    def moments(self) -> tuple[Floats, Floats]:
        """For each shift of another view, the sum and the spread of the pattern where they overlap."""
        _, counts = list_overlaps(self.shape)
        total, squares = (sum_overlaps(values.astype(np.float64)) for values in (self.pattern, self.pattern**2))
        spread = np.maximum(squares - total**2 / counts, LEAST * self.pattern.size)
        return total.astype(np.float32), np.sqrt(spread).astype(np.float32)


def find_pattern(luma: Bytes) -> Floats:
    """The ranks of brightness, 0 to 1, without what is coarse."""
    import cv2

    counts = np.bincount(luma.ravel(), minlength=256).astype(np.float32)
    ranks: Floats = (((np.cumsum(counts) - counts / 2) / luma.size)[luma]).astype(np.float32)
    return np.asarray(ranks - cv2.GaussianBlur(ranks, (0, 0), COARSE), np.float32)


def transform(values: Floats) -> Any:
    """The Fourier transform of values with as much of nothing beside them, so that shifts do not wrap around."""
    rows, columns = values.shape
    return np.fft.rfft2(values, (2 * rows, 2 * columns))


@lru_cache(maxsize=16)
def list_overlaps(shape: tuple[int, int]) -> tuple[tuple[npt.NDArray[np.intp], ...], Floats]:
    """For each shift, as a transform has them, the part of a view that overlaps the other one, and its cells, at least 1.

    The part: its first and last row [2 * rows], its first and last column [2 * columns], ends excluded.
    """
    shifts = [(np.arange(2 * side) + side) % (2 * side) - side for side in shape]
    rows, columns = (
        (np.clip(-shift, 0, side), np.clip(side - shift, 0, side)) for shift, side in zip(shifts, shape, strict=True)
    )
    (top, bottom), (left, right) = rows, columns
    counts = (bottom - top).clip(0)[:, None] * (right - left).clip(0)[None]
    return (top, bottom, left, right), np.maximum(counts, 1).astype(np.float32)


def sum_overlaps(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """For each shift the sum of the values that overlap the other view."""
    (top, bottom, left, right), _ = list_overlaps((values.shape[0], values.shape[1]))
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    sums[1:, 1:] = values.cumsum(axis=0).cumsum(axis=1)
    rows = sums[bottom] - sums[top]
    return np.asarray(rows[:, right] - rows[:, left])


def mirror(values: Floats) -> Floats:
    """What stands for each shift, for the opposite one: the other view sees it so."""
    return np.roll(values[::-1, ::-1], 1, axis=(0, 1))


def correlate(first: View, second: View) -> Floats:
    """The correlation of two views of one shape for each shift, where they overlap."""
    _, counts = list_overlaps(first.shape)
    size = 2 * first.shape[0], 2 * first.shape[1]
    products = np.fft.irfft2(second.spectrum * first.spectrum.conj(), size).astype(np.float32)
    (sum_a, spread_a), (sum_b, spread_b) = first.moments, map(mirror, second.moments)
    return np.asarray((products - sum_a * sum_b / counts) / (spread_a * spread_b), np.float32)


def match_views(first: View, second: View, least_overlap: float, near: Shift | None = None) -> Match | None:
    """The best fit of the second view on the first one; None for views of different shapes.

    least_overlap: the share of the view that both have to show. near: a shift that is expected.
    """
    return find_match(first, second, correlate(first, second), least_overlap, near) if first.shape == second.shape else None


def find_match(first: View, second: View, fits: Floats, least_overlap: float, near: Shift | None) -> Match:
    """The best of all fits, as `match_views` wants it."""
    _, counts = list_overlaps(first.shape)
    size = first.pattern.size
    allowed = counts >= least_overlap * size
    if near is not None:
        allowed &= select_near(first.shape, near)
    best = int(np.argmax(np.where(allowed, fits, -1)))
    row, column = divmod(best, fits.shape[1])
    down, right = unwrap(row, first.shape[0]), unwrap(column, first.shape[1])
    stops = compare_stops(first.signature.luma, second.signature.luma, down, right)
    overlap = float(counts.flat[best]) / size
    return Match(float(fits.flat[best]), right / first.shape[1], down / first.shape[0], overlap, stops)


def select_near(shape: tuple[int, int], shift: Shift) -> npt.NDArray[np.bool_]:
    """Which places of a transform are shifts near that one."""
    rows, columns = ((np.arange(2 * side) + side) % (2 * side) - side for side in shape)
    down, right = np.abs(rows / shape[0] - shift[1]) <= NEAR, np.abs(columns / shape[1] - shift[0]) <= NEAR
    return np.asarray(down[:, None] & right[None])


def unwrap(place: int, side: int) -> int:
    """A shift from its place in a transform of twice the side."""
    return place - 2 * side if place >= side else place


def overlap_slices(down: int, right: int, shape: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """What both views show, in the first and in the second one, whose content lies so many cells further down and right."""
    rows, columns = shape
    first = slice(max(0, -down), min(rows, rows - down)), slice(max(0, -right), min(columns, columns - right))
    second = slice(max(0, down), min(rows, rows + down)), slice(max(0, right), min(columns, columns + right))
    return first, second


def compare_stops(first: Bytes, second: Bytes, down: int, right: int) -> float | None:
    """How many stops brighter the second view is, the median over cells that are neither black nor white in both."""
    a, b = overlap_slices(down, right, first.shape)
    one, other = first[a], second[b]
    usable = (one > DARK) & (one < BRIGHT) & (other > DARK) & (other < BRIGHT)
    if usable.sum() < 0.05 * one.size:
        return None
    return float(np.median(STOPS[other[usable]] - STOPS[one[usable]]))


def zoom(signature: Signature, scale: float) -> Signature:
    """The view as it would be a little nearer; what lies outside mirrors what is inside."""
    import cv2

    rows, columns = signature.luma.shape
    matrix = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), 0, scale)
    luma = cv2.warpAffine(signature.luma, matrix, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return Signature(np.asarray(luma, np.uint8), signature.chroma, signature.sharpness)


def compare_colours(first: Signature, second: Signature) -> float:
    """The mean difference of the colours, in levels of Cb and Cr; the views lie one on the other."""
    return float(np.abs(first.chroma.astype(np.int16) - second.chroma).mean())


class Views:
    """Many views, those compared last at hand."""

    def __init__(self, signatures: Sequence[Signature | None]) -> None:
        self.signatures = signatures
        self.get = lru_cache(maxsize=64)(self._prepare)
        self.correlate = lru_cache(maxsize=8)(self._correlate)
        self.matches: dict[tuple[int, int, float, Shift | None], Match | None] = {}

    def _prepare(self, place: int) -> View | None:
        signature = self.signatures[place]
        return None if signature is None else View(signature)

    def _correlate(self, first: int, second: int) -> Floats | None:
        a, b = self.get(first), self.get(second)
        return None if a is None or b is None or a.shape != b.shape else correlate(a, b)

    def match(self, first: int, second: int, overlap: float, near: Shift | None = None) -> Match | None:
        """How the second view fits on the first one, as `match_views`; None where one of them is not known. Kept for later."""
        key = first, second, overlap, near
        if key not in self.matches:
            a, b, fits = self.get(first), self.get(second), self.correlate(first, second)
            self.matches[key] = None if a is None or b is None or fits is None else find_match(a, b, fits, overlap, near)
        return self.matches[key]

    def match_zoomed(self, first: int, second: int, overlap: float) -> Match | None:
        """The same, if need be with a little zoom."""
        found = self.match(first, second, overlap)
        a, b = self.get(first), self.get(second)
        if a is None or b is None or found is None or not ALMOST <= found.likeness < SURELY:
            return found
        zoomed = (match_views(a, View(zoom(b.signature, scale)), overlap) for scale in SCALES)
        return max([found, *filter(None, zoomed)], key=lambda match: match.likeness)
