"""Teacher scores: what any model, run anywhere, said about images, labeled or not, from a CSV file. No PyTorch here.

A row has an image, in the column path: its path, relative to a folder of images or absolute, or the SHA-256 of its file; its
score; and where there is a column deviation, how uncertain that is, on the same scale. The CSV of `iqa score` is such a file.
The scale is brought to 0..1 by its ends; the weight of a score is v / (v + deviation^2), with v the variance of all scores.
Where several of the images are one file, or files of one content that is named by its hash, all have its score.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import pvariance

from iqa_cli.datasets.delimited import read_table
from iqa_cli.datasets.tables import parse_number
from iqa_cli.errors import DataError
from iqa_cli.options import OwnRatings

COLUMNS = "path", "score", "deviation"
HASH = re.compile("[0-9a-f]{64}", re.ASCII | re.IGNORECASE)
LEAST = 1e-30  # trust: in single precision it is more than none
NAMED = 3  # of many rows that something is wrong with, so many are named


@dataclass(frozen=True)
class TeacherScore:
    """What a teacher says about one image. target: 0..1, higher is better. trust: its weight, more than 0, up to 1."""

    target: float
    trust: float = 1.0


def read_teacher_scores(own: OwnRatings, folders: Sequence[Path], images: Sequence[str]) -> dict[str, TeacherScore]:
    """The scores of a file by the path of the image. own: the file (`labels`), its scale and direction.

    Without a range, the lowest and the highest score are the ends of the scale. Images without a row have no score. Raises
    DataError, which names rows, for a file without the columns, unknown images, images named twice, numbers that are none,
    deviations below zero, and scores that are outside the scale or all the same.
    """
    assert own.labels is not None
    named, column, doubt = COLUMNS
    rows = read_table(own.labels, (named,), numbers=(column,), extra=(doubt,))
    scores = [parse_number(row[column], own.labels, row[named]) for row in rows]
    deviations = [parse_number(row.get(doubt, "").strip() or 0, own.labels, row[named]) for row in rows]
    places = locate_images([row[named].strip() for row in rows], folders, images)
    low, high = own.score_range or (min(scores, default=0.0), max(scores, default=0.0))
    counts = Counter(image for place in places for image in place)
    wrong = {
        "name none of the images": [not place for place in places],
        "name an image that another row names, too": [any(counts[image] > 1 for image in place) for place in places],
        f"have a score that is not in {low:g} to {high:g}": [not low <= score <= high for score in scores],
        "have a deviation below zero": [deviation < 0 for deviation in deviations],
    }
    for what, flags in wrong.items():
        refuse_rows(own.labels, [row[named] for row, flag in zip(rows, flags, strict=True) if flag], what)
    shares, trusts = scale_scores(own.labels, scores, deviations, (low, high))
    found: dict[str, TeacherScore] = {}
    for place, share, trust in zip(places, shares, trusts, strict=True):
        found |= dict.fromkeys(place, TeacherScore(1 - share if own.lower_is_better else share, trust))
    return found


def scale_scores(
    path: Path, scores: Sequence[float], deviations: Sequence[float], ends: tuple[float, float]
) -> tuple[list[float], list[float]]:
    """The scores on 0..1, and the weight of each. Raises DataError where they are all the same, or their scale has no width."""
    low, high = ends
    if min(scores, default=0.0) == max(scores, default=0.0):
        raise DataError(f"{path}: all scores are the same: there is nothing to learn from them")
    width = high - low
    shares = [(score - low) / width for score in scores]
    variance = pvariance(shares) if math.isfinite(width) else 0.0
    if not variance:
        raise DataError(f"{path}: scores on a scale of {low:g} to {high:g} cannot be told apart; write them on another scale")
    ratios = [deviation / width / math.sqrt(variance) for deviation in deviations]
    return shares, [max(LEAST, 1 / (1 + ratio * ratio)) for ratio in ratios]


def locate_images(names: Sequence[str], folders: Sequence[Path], images: Sequence[str]) -> list[list[str]]:
    """The images that each name stands for, a path or a hash; none where it is none of them."""
    known = group_images(images, os.path.realpath)
    hashes = group_images(images, hash_image) if any(map(HASH.fullmatch, names)) else {}
    return [hashes.get(name.lower(), []) if HASH.fullmatch(name) else locate_path(name, folders, known) for name in names]


def group_images(images: Sequence[str], name: Callable[[str], str]) -> dict[str, list[str]]:
    """The images by a name of what they hold."""
    found: dict[str, list[str]] = {}
    for image in dict.fromkeys(images):
        found.setdefault(name(image), []).append(image)
    return found


def locate_path(name: str, folders: Sequence[Path], known: Mapping[str, list[str]]) -> list[str]:
    """The images of a path: as it is, or below one of the folders."""
    candidates = (os.path.realpath(place) for place in [Path(name), *(folder / name for folder in folders)])
    return next((known[candidate] for candidate in candidates if candidate in known), [])


def hash_image(image: str) -> str:
    """The SHA-256 of an image's file. Raises DataError where it cannot be read."""
    try:
        with Path(image).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{image}: cannot be read: {error.strerror}") from error


def refuse_rows(path: Path, names: Sequence[str], what: str) -> None:
    """Raises DataError where there are rows of which something is wrong."""
    if names:
        more = ", ..." if len(names) > NAMED else ""
        raise DataError(f"{path}: {len(names)} rows {what}: {', '.join(names[:NAMED])}{more}")
