"""Whether a set is whole: every image there, readable and rated once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from iqa_cli.datasets.catalog import DatasetSpec
from iqa_cli.datasets.labels import NAMED, Labels
from iqa_cli.datasets.readers import read_size
from iqa_cli.datasets.tables import is_file
from iqa_cli.images.decode import decode_image
from iqa_cli.records import Undecodable


@dataclass(frozen=True)
class Finding:
    """Number of images with something wrong, and the first few of them."""

    count: int
    first: tuple[str, ...]

    @classmethod
    def of(cls, images: Iterable[str]) -> Finding:
        """Count all of them and name a few."""
        named = tuple(images)
        return cls(len(named), named[:NAMED])


@dataclass(frozen=True)
class LabelReport:
    """Outcome of `check_labels`.

    images: ratings that there are; expected: that the whole set has. references: different ones. splits: images a side of
    the official split. subsets: images a subset. lowest, highest: rating. missing: no such file. unreadable: each with the
    reason. repeated: rated more than once.
    """

    spec: DatasetSpec
    root: Path
    images: int
    expected: int
    references: int
    splits: Mapping[str, int]
    subsets: Mapping[str, int]
    lowest: float
    highest: float
    missing: Finding
    unreadable: Finding
    repeated: Finding

    @property
    def intact(self) -> bool:
        """Whether all is there and readable, once each."""
        return self.images == self.expected and not (self.missing.count + self.unreadable.count + self.repeated.count)


def check_labels(labels: Labels, *, decode: bool = False) -> LabelReport:
    """Look for every image and read its header; raises nothing.

    decode: decode it whole, which takes minutes instead of seconds on ten thousand images, but finds those that are cut short.
    """
    there = {rating.path: is_file(path) for rating, path in zip(labels.ratings, labels.paths, strict=True)}
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
        subsets=Counter(filter(None, labels.subsets)),
        lowest=float(labels.values.min()),
        highest=float(labels.values.max()),
        missing=Finding.of(name for name, found in there.items() if not found),
        unreadable=Finding.of(f"{name} ({flaw})" for name, flaw in flaws.items() if flaw),
        repeated=Finding.of(name for name, count in Counter(r.path for r in labels.ratings).items() if count > 1),
    )


def find_flaw(path: Path, *, decode: bool) -> str:
    """Find why an image cannot be read, by its header or, decoded, by all of it; empty where it can."""
    if not decode:
        size = read_size(path)
        return size if isinstance(size, str) else ""
    try:
        decode_image(str(path))
    except Undecodable as failure:
        return str(failure)
    return ""
