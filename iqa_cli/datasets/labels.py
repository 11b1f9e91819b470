"""Labels: the ratings of one set of images as they lie on this machine; finding, reading and checking them.

Nothing is downloaded: most sets ask for a registration or the reading of terms. Besides the public sets of the catalogue,
anyone's own ratings in a CSV file will do (`read_csv_labels`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from iqa_cli.datasets.catalog import DATASETS, DatasetSpec
from iqa_cli.datasets.readers import Rating, find_flaw, read_own
from iqa_cli.errors import DataError, UsageError
from iqa_cli.options import OWN, OwnRatings

__all__ = [
    "DATASETS",
    "DatasetSpec",
    "Finding",
    "LabelReport",
    "Labels",
    "Rating",
    "check_labels",
    "find_root",
    "find_roots",
    "find_spec",
    "read_csv_labels",
    "read_labels",
    "read_own_labels",
]

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
        outside = [rating for rating in self.ratings if not low <= rating.score <= high]
        if outside:
            first = ", ".join(f"{rating.path} with {rating.score:g}" for rating in outside[:NAMED])
            raise DataError(f"{self.root}: {len(outside)} scores are not in {low:g} to {high:g}: {first}")

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """As published [n]."""
        return np.array([rating.score for rating in self.ratings], dtype=np.float64)

    @property
    def quality(self) -> npt.NDArray[np.float64]:
        """The scores on 0..1 [n], higher is better."""
        low, high = self.spec.score_range
        share = (self.scores - low) / (high - low)
        return share if self.spec.higher_is_better else 1 - share

    @property
    def paths(self) -> list[Path]:
        """Where the images are [n]."""
        return [self.root / rating.path for rating in self.ratings]

    @property
    def groups(self) -> list[str]:
        """What may not stand on both sides of a split [n]."""
        return [rating.reference for rating in self.ratings]

    def take(self, places: Sequence[int]) -> Labels:
        """Those of some images. Raises DataError without any."""
        return replace(self, ratings=tuple(self.ratings[place] for place in places))


def find_root(name: str, data_root: Path | None) -> Path:
    """The folder of a set: `data_root`, else $IQA_DATA, or a folder in it that is called as the set's is.

    Raises UsageError where neither is given or the name is unknown, DataError where the set is not there.
    """
    spec = find_spec(name)
    if data_root is None and not os.environ.get("IQA_DATA"):
        raise UsageError(f"where is {spec.title}? Say so with --data-root or the environment variable IQA_DATA")
    top = Path(os.environ["IQA_DATA"]).expanduser() if data_root is None else data_root
    if not top.is_dir():
        raise DataError(f"{top}: no such folder. {describe_source(spec)}")
    outer = find_called(spec, top)
    called = [*outer, *(folder for parent in outer for folder in find_called(spec, parent))]  # livec/ChallengeDB_release
    marked = [folder for folder in (top, *called) if any((folder / marker).is_file() for marker in spec.markers)]
    if not marked and not called:
        looked_for = f"neither a folder {' or '.join(spec.folders)} nor {' or '.join(spec.markers)}"
        raise DataError(f"{top}: {looked_for}. {describe_source(spec)}")
    return (marked or called)[0]


def find_roots(data_root: Path | None) -> dict[str, Path] | None:
    """The folders of the sets that are there, by name; None where neither a data root nor $IQA_DATA says where to look.

    Raises DataError where there is no such data root.
    """
    if data_root is None and not os.environ.get("IQA_DATA"):
        return None
    top = Path(os.environ["IQA_DATA"]).expanduser() if data_root is None else data_root
    if not top.is_dir():
        raise DataError(f"{top}: no such folder")
    found = {}
    for spec in DATASETS.values():
        with suppress(DataError):
            found[spec.name] = find_root(spec.name, top)
    return found


def find_called(spec: DatasetSpec, top: Path) -> list[Path]:
    """The folders in a folder that are called as the set's is, in any case."""
    inside = {child.name.lower(): child for child in sorted(top.iterdir()) if child.is_dir()}
    return [inside[name.lower()] for name in spec.folders if name.lower() in inside]


def find_spec(name: str) -> DatasetSpec:
    """The row of a set. Raises UsageError where there is none of that name."""
    if name not in DATASETS:
        near = get_close_matches(name.lower(), DATASETS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(f"no data set {name!r}{hint}; there are {', '.join(DATASETS)}")
    return DATASETS[name]


def describe_source(spec: DatasetSpec) -> str:
    """Where a set is to be had, and how it lies when it is whole."""
    return f"{spec.title} is to be had from {spec.home}; its layout: {spec.layout}"


def read_labels(name: str, root: Path, *, allow_missing: bool = False) -> Labels:
    """The ratings of a public set, whose own folder `root` is (see `find_root`).

    Raises DataError where a label file is missing or wrong, or, unless allowed, where images are missing.
    """
    spec = find_spec(name)
    try:
        labels = Labels(spec, root, tuple(spec.read(root)))
        return labels if allow_missing else require_images(labels)
    except DataError as error:
        raise DataError(f"{error}. {describe_source(spec)}") from error


def require_images(labels: Labels) -> Labels:
    """The labels as they are. Raises DataError where an image is missing."""
    missing = [rating.path for rating in labels.ratings if not (labels.root / rating.path).is_file()]
    if missing:
        first = ", ".join(missing[:NAMED])
        raise DataError(f"{labels.root}: {len(missing)} of {len(labels.ratings)} images are missing, the first: {first}")
    return labels


def read_csv_labels(
    labels_csv: Path,
    image_column: str,
    score_column: str,
    group_column: str | None,
    root: Path,
    *,
    score_range: tuple[float, float] | None = None,
    higher_is_better: bool = True,
    allow_missing: bool = False,
) -> Labels:
    """Anyone's ratings: a CSV file with a header, image paths relative to `root`.

    Images with the same entry in `group_column` never stand on two sides of a split. Without a range, the lowest and the
    highest score are its ends. Several rows of one image are several opinions, and their mean is its score. The notes of the
    spec say which of that was done. Raises DataError as `read_labels` does, and where a range cannot be taken from the scores.
    """
    read = partial(read_own, table=labels_csv, image_column=image_column, score_column=score_column, group_column=group_column)
    ratings = tuple(read(root))
    scores = [rating.score for rating in ratings] or [0.0, 1.0]
    low, high = score_range or (min(scores), max(scores))
    if low >= high:
        raise DataError(f"{labels_csv}: scores from {low:g} to {high:g} make no scale; give its lower and its upper end")
    spec = DatasetSpec(
        name=labels_csv.stem,
        title=f"the ratings in {labels_csv}",
        images=len(ratings),
        score=score_column,
        score_range=(low, high),
        higher_is_better=higher_is_better,
        synthetic=group_column is not None,
        reference=group_column or "none: each image is its own",
        home="",
        licence="",
        paper="",
        layout=f"{labels_csv.name} with the columns {image_column} and {score_column}",
        customary_input="native size",
        folders=(),
        markers=(),
        read=read,
        notes=describe_own(ratings, (low, high), given=score_range is not None, higher_is_better=higher_is_better),
    )
    labels = Labels(spec, root, ratings)
    return labels if allow_missing else require_images(labels)


def read_own_labels(own: OwnRatings, root: Path | None, *, allow_missing: bool = False) -> Labels:
    """Anyone's ratings, with image paths relative to a folder; None: that of the CSV file. Raises UsageError without a file."""
    if own.labels is None:
        raise UsageError(f"--dataset {OWN} needs the file with the ratings: --labels FILE")
    return read_csv_labels(
        own.labels,
        own.image_column,
        own.score_column,
        own.group_column,
        root or own.labels.parent,
        score_range=own.score_range,
        higher_is_better=not own.lower_is_better,
        allow_missing=allow_missing,
    )


def describe_own(
    ratings: Sequence[Rating], scale: tuple[float, float], *, given: bool, higher_is_better: bool
) -> tuple[str, ...]:
    """How a file of ratings was understood."""
    low, high = scale
    source = "as given" if given else "its lowest and highest scores, as none was given; a scale changes RMSE, no correlation"
    better = "higher is better" if higher_is_better else "lower is better"
    notes = [f"The scale is {low:g} to {high:g}, {better}: {source}."]
    rows = [rating.opinions for rating in ratings if rating.opinions > 1]
    if rows:
        several = f"{len(rows):,} of {len(ratings):,} images"
        notes.append(f"More than one row, up to {max(rows)}, for {several}: their means are the scores.")
    return tuple(notes)


@dataclass(frozen=True)
class Finding:
    """How many images something is wrong with, and the first few of them."""

    count: int
    first: tuple[str, ...]

    @classmethod
    def of(cls, images: Iterable[str]) -> Finding:
        """All of them counted, a few named."""
        named = tuple(images)
        return cls(len(named), named[:NAMED])


@dataclass(frozen=True)
class LabelReport:
    """What `check_labels` found.

    images: ratings that there are; expected: that the whole set has. references: different ones. splits: images a side of
    the official split. score_low, score_high: of the ratings that there are. missing: no such file. unreadable: each with the
    reason. repeated: rated more than once.
    """

    spec: DatasetSpec
    root: Path
    images: int
    expected: int
    references: int
    splits: Mapping[str, int]
    score_low: float
    score_high: float
    missing: Finding
    unreadable: Finding
    repeated: Finding

    @property
    def intact(self) -> bool:
        """Whether all is there and readable, once each."""
        return self.images == self.expected and not (self.missing.count + self.unreadable.count + self.repeated.count)


def check_labels(labels: Labels, *, decode: bool = False) -> LabelReport:
    """Look for every image and read its header, or decode it whole, which takes minutes instead of seconds on ten thousand
    images but finds those that are cut short; raises nothing.
    """
    there = {rating.path: path.is_file() for rating, path in zip(labels.ratings, labels.paths, strict=True)}
    present = [name for name, found in there.items() if found]
    with ThreadPoolExecutor() as pool:
        flaws = dict(
            zip(present, pool.map(partial(find_flaw, decode=decode), (labels.root / name for name in present)), strict=True)
        )
    return LabelReport(
        spec=labels.spec,
        root=labels.root,
        images=len(labels.ratings),
        expected=labels.spec.images,
        references=len(set(labels.groups)),
        splits=Counter(rating.split for rating in labels.ratings if rating.split),
        score_low=float(labels.scores.min()),
        score_high=float(labels.scores.max()),
        missing=Finding.of(name for name, found in there.items() if not found),
        unreadable=Finding.of(f"{name} ({flaw})" for name, flaw in flaws.items() if flaw),
        repeated=Finding.of(name for name, count in Counter(r.path for r in labels.ratings).items() if count > 1),
    )
