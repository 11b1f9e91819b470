"""Training and test images: seeded splits in which no group stands on two sides, and folds fixed in a file.

A group is what `Rating.reference` names: all distorted versions of one photo on synthetic sets, a single image on others. The
same groups and seed give the same split on every machine, whatever order the images come in.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from heapq import heapify, heapreplace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.datasets.delimited import Row, read_names, tidy_path
from iqa_cli.datasets.labels import Labels
from iqa_cli.datasets.readers import Rating
from iqa_cli.errors import DataError


def shuffle_groups(groups: Sequence[str], seed: int) -> list[str]:
    """Each group once, in an order that depends on nothing but their names and the seed."""
    names = sorted(set(groups))
    return [names[place] for place in np.random.default_rng(seed).permutation(len(names))]


def split_groups(groups: Sequence[str], *, seed: int, test_share: float = 0.2) -> tuple[list[int], list[int]]:
    """Places [0, n) of the training and of the test images, each in ascending order.

    That share of the groups, rounded, is for the test; at least one group is on either side. Raises ValueError where that
    cannot be.
    """
    order = shuffle_groups(groups, seed)
    if len(order) < 2 or not 0 < test_share < 1:
        raise ValueError(f"no split of {len(order)} groups with a test share of {test_share}")
    count = min(max(round(test_share * len(order)), 1), len(order) - 1)
    test = set(order[:count])
    places = range(len(groups))
    return [i for i in places if groups[i] not in test], [i for i in places if groups[i] in test]


def take_test(labels: Labels, seed: int) -> Labels:
    """The test part: of the official split where the set has one, else of the split with that seed.

    Raises DataError where the files of an official split are missing, or where all images are one group.
    """
    if labels.spec.official_split:
        places = [place for place, rating in enumerate(labels.ratings) if rating.split == "test"]
        if not places:
            raise DataError(
                f"{labels.root}: nothing says which images are the official test part of {labels.spec.title};"
                f" its layout: {labels.spec.layout}"
            )
        return labels.take(places)
    try:
        return labels.take(split_groups(labels.groups, seed=seed)[1])
    except ValueError as error:
        raise DataError(f"{labels.spec.title}: cannot be split: {error}") from error


def fold_groups(
    groups: Sequence[str], folds: int, seed: int, placed: Mapping[str, int] | None = None, first: Collection[str] = ()
) -> npt.NDArray[np.int64]:
    """The fold of each image [n], 0 to folds - 1; the folds' numbers of groups differ by one at most.

    placed: groups that have a fold already, which they keep; others make up for them. first: groups that are dealt out before
    others, so that any folds have about as many of these. Raises ValueError where there are fewer groups than folds, or fewer
    than two folds.
    """
    order = shuffle_groups(groups, seed)
    if not 2 <= folds <= len(order):
        raise ValueError(f"no {folds} folds of {len(order)} groups")
    fold = {group: (placed or {})[group] for group in order if group in (placed or {})}
    counts = Counter(fold.values())
    smallest = [(counts[number], number) for number in range(folds)]
    heapify(smallest)
    for group in sorted(order, key=lambda group: group not in first):
        if group not in fold:
            count, fold[group] = smallest[0]
            heapreplace(smallest, (count + 1, fold[group]))
    return np.array([fold[group] for group in groups], dtype=np.int64)


def is_held_out(name: str, share: float) -> bool:
    """Whether a photo is kept out of training, to measure on: by a hash of its file's name (SHA-1), wherever it lies.

    About that share of all names is, 0 none and 1 all. A photo stays on its side when others come or go, and one that is held
    out at some share is so at every greater one. Raises ValueError unless 0 <= share <= 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share of photos is 0 to 1, not {share}")
    digest = hashlib.sha1(Path(name).name.encode("utf-8", "surrogateescape"), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


ALWAYS, OUT = -1, -2
"""In place of a fold: an image that is trained on with every fold, and one that none trains on."""

WORDS = {"train": ALWAYS, "out": OUT}
"""What a file of folds calls them."""


def name_fold(fold: int) -> str:
    """A fold as a file of folds has it."""
    return next((word for word, number in WORDS.items() if number == fold), str(fold))


def read_folds(path: Path, labels: Labels) -> npt.NDArray[np.int64]:
    """The fold of each labelled image [n] from a CSV file with the columns image and fold.

    An image goes by its path in the set, or by its file name where no other image has the same. Rows of other images do no
    harm, nor do those that another column, dataset, gives to other sets, nor the same row again. `train` is `ALWAYS`, `out` is
    `OUT`. Raises DataError where an image has no fold, or two, or one that is none, and where all rows are of other sets.
    """
    rows = choose_rows(path, read_names(path, ("image", "fold")), labels)
    said = {(tidy_path(row["image"]), row["fold"]) for row in rows}
    folds = dict(said)
    if len(folds) < len(said):
        image, count = Counter(image for image, _ in said).most_common(1)[0]
        raise DataError(f"{path}: {image} stands there {count} times, in different folds")
    names = Counter(PurePosixPath(rating.path).name for rating in labels.ratings)
    found = []
    for rating in labels.ratings:
        name = PurePosixPath(rating.path).name
        found.append(folds.get(tidy_path(rating.path), folds.get(name) if names[name] == 1 else None))
    missing = [rating.path for rating, fold in zip(labels.ratings, found, strict=True) if fold is None]
    if missing:
        raise DataError(f"{path}: no fold for {len(missing)} of {len(found)} images: {', '.join(missing[:3])}")
    return np.array([parse_fold(path, *pair) for pair in zip(labels.ratings, found, strict=True)], dtype=np.int64)


def choose_rows(path: Path, rows: list[Row], labels: Labels) -> list[Row]:
    """The rows of a set: those that name it or no set, in a column of sets.

    Ratings of one's own are called as their file is, which may have had another name: so rows of one set that is not in the
    catalog are theirs. Raises DataError where all are of other sets.
    """
    named = {row.get("dataset", "").strip() for row in rows} - {""}
    if not named or (not labels.spec.home and len(named) == 1 and not named & {*DATASETS}):
        return rows
    chosen = [row for row in rows if row["dataset"].strip() in (labels.spec.name, "")]
    if not chosen:
        there = ", ".join(sorted(named))
        raise DataError(
            f"{path}: no rows of {labels.spec.name} in column dataset, but of {there}; name the set so, or remove it"
        )
    return chosen


def parse_fold(path: Path, rating: Rating, fold: str | None) -> int:
    """The fold of an image by its number or its word. Raises DataError for anything else."""
    text = str(fold)
    if text in WORDS:
        return WORDS[text]
    if not re.fullmatch("[0-9]{1,9}", text):
        raise DataError(f"{path}: a fold is a whole number, train or out: {rating.path} has {text}")
    return int(text)
