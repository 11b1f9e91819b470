"""Labels: the ratings of one set as they lie on this machine, of the public sets or of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from iqa_cli.datasets.catalog import DatasetSpec
from iqa_cli.datasets.find import describe_source, find_spec
from iqa_cli.datasets.readers import Rating
from iqa_cli.datasets.tables import is_file
from iqa_cli.errors import DataError

NAMED = 3  # of many images that something is wrong with, so many are named


@dataclass(frozen=True)
class Labels:
    """The ratings of one set below its folder. Raises DataError where there is none, or one is not on the set's scale."""

    spec: DatasetSpec
    root: Path
    ratings: tuple[Rating, ...]

    def __post_init__(self) -> None:
        if not self.ratings:
            raise DataError(f"{self.root}: no ratings of {self.spec.title}")
        low, high = self.spec.score_range
        outside = [rating for rating in self.ratings if not low <= rating.value <= high]
        if outside:
            first = ", ".join(f"{rating.path} with {rating.value:g}" for rating in outside[:NAMED])
            raise DataError(f"{self.root}: {len(outside)} ratings are not in {low:g} to {high:g}: {first}")

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """The ratings as published [n]."""
        return np.array([rating.value for rating in self.ratings], dtype=np.float64)

    @property
    def label(self) -> npt.NDArray[np.float64]:
        """The ratings on 0..1 [n], higher is better."""
        low, high = self.spec.score_range
        share = (self.values - low) / (high - low)
        return share if self.spec.higher_is_better else 1 - share

    @property
    def mos(self) -> npt.NDArray[np.float64]:
        """The ratings on 0..100 [n], higher is better."""
        return 100 * self.label

    @property
    def paths(self) -> list[Path]:
        """Where the images are [n]."""
        return [self.root / rating.path for rating in self.ratings]

    @property
    def groups(self) -> list[str]:
        """What may not stand on both sides of a split [n]."""
        return [rating.reference for rating in self.ratings]

    @property
    def subsets(self) -> list[str | None]:
        """Which part of the set each image is of, where the set has such [n]."""
        return [rating.subset for rating in self.ratings]

    def take(self, places: Sequence[int]) -> Labels:
        """Those of some images. Raises DataError without any."""
        return replace(self, ratings=tuple(self.ratings[place] for place in places))


def read_labels(name: str, root: Path, *, allow_missing: bool = False) -> Labels:
    """The labels of a public set, whose own folder `root` is (see `find_root`).

    Raises DataError where a label file is missing or wrong, or, unless allowed, where images are missing.
    """
    spec = find_spec(name)
    try:
        labels = Labels(spec, root, tuple(spec.read(root)))
        return labels if allow_missing else require_images(labels)
    except DataError as error:
        raise DataError(f"{error}. {describe_source(spec)}") from error


def require_images(labels: Labels, advice: str = "") -> Labels:
    """The labels as they are. Raises DataError where an image is missing. advice: what to do then."""
    missing = [rating.path for rating in labels.ratings if not is_file(labels.root / rating.path)]
    if missing:
        first = ", ".join(missing[:NAMED])
        share = f"{len(missing)} of {len(labels.ratings)} images"
        raise DataError(f"{labels.root}: {share} are missing, the first: {first}{advice}")
    return labels
