"""Which images stay: limits of the score, and shares of the best, in all or in each class. Two passes over the scores."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import floor, isfinite
from pathlib import PurePath

from iqa_cli.errors import DataError, UsageError
from iqa_cli.filtering.scores import Scored
from iqa_cli.remote.names import split_member

Judged = tuple[Scored, bool]  # an image, and whether it stays
NO_PERCENTILE = "without a percentile"
BINS = 20  # of the histogram, from 0 to the least power of ten that no score exceeds


@dataclass(frozen=True)
class Limits:
    """What an image must have to stay; all that are given count. Raises UsageError where that makes no sense.

    lowest: score; percentile; fraction: of the scored images, the best, 0 to 1. per_class: the fraction is that of each class,
    of which at least one image stays: its folder (in its shard, where it is in one), or what `column` of the scores says.
    """

    lowest: float | None = None
    percentile: float | None = None
    fraction: float | None = None
    per_class: bool = False
    column: str | None = None

    def __post_init__(self) -> None:
        if self.lowest is not None and not isfinite(self.lowest):
            raise UsageError(f"--min is a score, as 30, not {self.lowest:g}")  # on whatever scale the model has
        if self.percentile is not None and not 0 <= self.percentile <= 100:
            raise UsageError(f"--percentile is 0 to 100, not {self.percentile:g}")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise UsageError(f"--keep-fraction is more than 0 and at most 1, as .8 for four fifths, not {self.fraction:g}")
        if (self.per_class or self.column) and self.fraction is None:
            raise UsageError("--per-class and --class-column are for --keep-fraction")
        if self.per_class and self.column:
            raise UsageError("--per-class or --class-column: a class is a folder, or a value of the column; leave one out")

    def find_class(self, image: Scored) -> str:
        """The class of an image, among which it is compared. Raises DataError where the scores have no such column."""
        if self.column is not None:
            if self.column not in image.values:
                raise DataError(f"--class-column {self.column}: {lack_column(image)}")
            return str(image.values[self.column])
        inside = split_member(image.path)
        return str(PurePath(image.path if inside is None else inside[1]).parent) if self.per_class else ""

    def refuse(self, image: Scored) -> str | None:
        """Why an image goes by its own values, in words; None where it stays so far. Raises DataError as `find_class` does."""
        if image.score is None:
            return f"without a score: {image.status}"
        if self.percentile is not None and image.percentile is None:
            if "percentile" not in image.values:
                raise DataError(f"--percentile {self.percentile:g}: {lack_column(image)}")
            return NO_PERCENTILE
        if self.lowest is not None and image.score < self.lowest:
            return f"below --min {self.lowest:g}"
        if self.percentile is not None and image.percentile is not None and image.percentile < self.percentile:
            return f"below --percentile {self.percentile:g}"
        return None

    @property
    def share(self) -> str:
        """The fraction in words, as the reason why an image goes."""
        where = f" of {self.column}" if self.column else " of their folder" if self.per_class else ""
        return f"not among the best {self.fraction or 0:.6g}{where}"


def lack_column(image: Scored) -> str:
    """That scores have no such column, and which they have, in words."""
    return f"the scores have no such column; they have: {', '.join(image.values)}"


@dataclass
class Bounds:
    """The lowest score that stays in a class, and how many images of that very score do, the first ones."""

    score: float
    places: int


@dataclass
class Histogram:
    """How many scores are in each bin, on whatever scale they are. top: the end of the scale, a power of ten.

    all, stays: how many, of all scores and of those that stay, by the number of their bin, which is below 0 for scores below 0.
    """

    top: float = 1
    all: Counter[int] = field(default_factory=Counter)
    stays: Counter[int] = field(default_factory=Counter)

    def add(self, score: float, *, stays: bool) -> None:
        """Count a score, with wider bins where it is off the scale."""
        while abs(score) > self.top:
            self.top *= 10
            self.all, self.stays = widen(self.all), widen(self.stays)
        place = floor(score / self.top * BINS)
        self.all[place] += 1
        self.stays[place] += stays

    def list_bins(self) -> Iterator[tuple[float, float, int, int]]:
        """Each bin with its ends, and how many scores there are, and stay, in it; what is at the top is in the last one."""
        for place in range(min([0, *self.all]), BINS):
            places = [place, BINS] if place == BINS - 1 else [place]
            counts, stays = (sum(counter[each] for each in places) for counter in (self.all, self.stays))
            yield place * self.top / BINS, (place + 1) * self.top / BINS, counts, stays


def widen(bins: Counter[int]) -> Counter[int]:
    """The same in bins ten times as wide."""
    wider = Counter[int]()
    for place, count in bins.items():
        wider[place // 10] += count
    return wider


@dataclass
class Outcome:
    """What became of the images so far. kept, gone: how many, the latter by reason; scores: of all that have one."""

    kept: int = 0
    gone: Counter[str] = field(default_factory=Counter)
    scores: Histogram = field(default_factory=Histogram)

    @property
    def total(self) -> int:
        """How many images there were."""
        return self.kept + self.gone.total()

    @property
    def lacks_percentiles(self) -> bool:
        """Whether no image with a score had a percentile, where that was asked for."""
        return 0 < self.gone[NO_PERCENTILE] == self.scores.all.total()

    def add(self, image: Scored, reason: str | None) -> None:
        """Count an image that stays, or goes for that reason."""
        if image.score is not None:
            self.scores.add(image.score, stays=reason is None)
        if reason is None:
            self.kept += 1
        else:
            self.gone[reason] += 1


def find_bounds(images: Iterable[Scored], limits: Limits) -> dict[str, Bounds]:
    """The bounds of each class; of all scored images, whatever else they lack. Raises DataError."""
    if limits.fraction is None:
        return {}
    scores: dict[str, array[float]] = {}
    for image in images:
        if image.score is not None:
            scores.setdefault(limits.find_class(image), array("d")).append(image.score)
    return {name: bound(values, limits.fraction) for name, values in scores.items()}


def bound(scores: array[float], fraction: float) -> Bounds:
    """The bounds that the best fraction of some scores has, at least one score, rounded to the nearest number of images."""
    ranked = sorted(scores, reverse=True)
    count = max(1, floor(fraction * len(ranked) + 0.5))
    lowest = ranked[count - 1]
    return Bounds(lowest, ranked[:count].count(lowest))


def choose(images: Iterable[Scored], limits: Limits, bounds: dict[str, Bounds], outcome: Outcome) -> Iterator[Judged]:
    """Each image and whether it stays, counted in `outcome` as they are drawn. The bounds are used up. Raises DataError."""
    for image in images:
        reason = None
        if image.score is not None and limits.fraction is not None:
            best = bounds.get(limits.find_class(image))
            if best is None:  # of scores that were read twice
                raise DataError(f"{image.path}: it was not among the scores when they were first read: they changed meanwhile")
            reason = None if fits(image.score, best) else limits.share
        reason = limits.refuse(image) or reason
        outcome.add(image, reason)
        yield image, reason is None


def fits(score: float, bounds: Bounds) -> bool:
    """Whether a score is among the best; of equal ones the first are."""
    if score != bounds.score:
        return score > bounds.score
    bounds.places -= 1
    return bounds.places >= 0
