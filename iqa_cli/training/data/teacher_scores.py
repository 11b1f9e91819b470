"""Teacher scores: what any model, run anywhere, said about images, labeled or not, from a CSV file. No PyTorch here.

A row has an image, in the column path: its path, relative to a folder of images or absolute, or the SHA-256 of its file; its
score; and where there is a column deviation, how uncertain that is, on the same scale. The CSV of `iqa score` is such a file.
The scale is brought to 0..1 by its ends; the weight of a score is v / (v + deviation^2), with v the variance of all scores.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import pvariance

from iqa_cli.datasets.delimited import read_table
from iqa_cli.datasets.tables import parse_number
from iqa_cli.errors import DataError
from iqa_cli.options import OwnRatings

COLUMNS = "path", "score", "deviation"
HASH = re.compile("[0-9a-f]{64}", re.ASCII | re.IGNORECASE)
NAMED = 3  # of many rows that something is wrong with, so many are named


@dataclass(frozen=True)
class TeacherScore:
    """What a teacher says about one image. target: 0..1, higher is better. trust: its weight, more than 0, up to 1."""

    target: float
    trust: float = 1.0


def read_teacher_scores(own: OwnRatings, folders: Sequence[Path], images: Sequence[str]) -> dict[str, TeacherScore]:
    """The scores of a file by the path of the image. own: the file (`labels`), its scale and direction.

    Without a range, the lowest and the highest score are the ends of the scale. Images without a row have no score. Raises
    DataError, which names rows, for a file without the columns, unknown images, images named twice, numbers that are none, and
    scores that are outside the scale or all the same.
    """
    assert own.labels is not None
    named, column, doubt = COLUMNS
    rows = read_table(own.labels, (named,), numbers=(column,))
    scores = [float(row[column]) for row in rows]
    places = locate_images([row[named].strip() for row in rows], folders, images)
    low, high = own.score_range or (min(scores, default=0.0), max(scores, default=0.0))
    counts = Counter(place for place in places if place is not None)
    wrong = {
        "name none of the images": [place is None for place in places],
        "name an image that another row names, too": [place is not None and counts[place] > 1 for place in places],
        f"have a score that is not in {low:g} to {high:g}": [not low <= score <= high for score in scores],
    }
    for what, flags in wrong.items():
        refuse_rows(own.labels, [row[named] for row, flag in zip(rows, flags, strict=True) if flag], what)
    variance = pvariance(scores) if scores else 0.0
    if not variance:
        raise DataError(f"{own.labels}: all scores are the same: there is nothing to learn from them")
    found = {}
    for place, row, score in zip(places, rows, scores, strict=True):
        share = (score - low) / (high - low)
        deviation = parse_number(row[doubt], own.labels, row[named]) if row.get(doubt, "").strip() else 0.0
        found[str(place)] = TeacherScore(1 - share if own.lower_is_better else share, variance / (variance + deviation**2))
    return found


def locate_images(names: Sequence[str], folders: Sequence[Path], images: Sequence[str]) -> list[str | None]:
    """The image that each name stands for, a path or a hash; None where it is none of them."""
    known = {os.path.realpath(image): image for image in images}
    hashes = hash_images(images) if any(map(HASH.fullmatch, names)) else {}
    return [hashes.get(name.lower()) if HASH.fullmatch(name) else locate_path(name, folders, known) for name in names]


def locate_path(name: str, folders: Sequence[Path], known: Mapping[str, str]) -> str | None:
    """The image of a path: as it is, or below one of the folders."""
    candidates = (os.path.realpath(place) for place in [Path(name), *(folder / name for folder in folders)])
    return next((known[candidate] for candidate in candidates if candidate in known), None)


def hash_images(images: Sequence[str]) -> dict[str, str]:
    """The images by the SHA-256 of their files. Raises DataError where one cannot be read."""
    hashes = {}
    for image in images:
        try:
            with Path(image).open("rb") as file:
                hashes[hashlib.file_digest(file, "sha256").hexdigest()] = image
        except OSError as error:
            raise DataError(f"{image}: cannot be read: {error.strerror}") from error
    return hashes


def refuse_rows(path: Path, names: Sequence[str], what: str) -> None:
    """Raises DataError where there are rows of which something is wrong."""
    if names:
        more = ", ..." if len(names) > NAMED else ""
        raise DataError(f"{path}: {len(names)} rows {what}: {', '.join(names[:NAMED])}{more}")
