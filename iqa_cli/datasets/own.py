"""Ratings of one's own: a CSV file of image paths and ratings as a set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

from iqa_cli.datasets.catalog import DATASETS, NATIVE, DatasetSpec
from iqa_cli.datasets.delimited import MissingColumnError, read_names, tidy_path
from iqa_cli.datasets.labels import Labels, require_images
from iqa_cli.datasets.readers import Rating
from iqa_cli.datasets.tables import is_file, parse_number
from iqa_cli.errors import DataError, UsageError
from iqa_cli.options import OWN, OwnRatings

SAMPLE = 1024  # names of images that a card keeps: all of most files, 8 kB
NAMING = "--image-column, --score-column, --group-column and --subset-column say what its columns are called"
DIGITS = 8  # in hex, of the hash of a name: of ten thousand names, two in a million others seem to be one of them


@dataclass(frozen=True)
class OwnSpec(DatasetSpec):
    """The facts of ratings of one's own, with what tells them from others wherever their file is.

    digest: SHA-256 of the images and their ratings, in hex. names: the hashes of the names of the image files, in order.
    """

    digest: str = ""
    names: tuple[str, ...] = ()


def read_own_labels(own: OwnRatings, root: Path | None = None, *, allow_missing: bool = False) -> Labels:
    """Ratings of one's own, with image paths relative to a folder, where the images are there, or to that of the CSV file.

    Without a range, the lowest and the highest rating are the ends of the scale. The notes of the spec say how the file was
    understood. Raises UsageError without a file, DataError as `read_labels` does, and where the ratings make no scale.
    """
    if own.labels is None:
        raise UsageError(f"--dataset {OWN} needs the file with the ratings: --labels FILE")
    ratings = tuple(read_own(own.labels.parent, own.labels, own))
    if not ratings:
        raise DataError(f"{own.labels}: no ratings of anything below the header: a line an image is needed")
    folders = [*([root] if root else []), own.labels.parent]
    folder = choose_folder(folders, ratings)
    labels = Labels(describe_spec(own.labels, own, ratings), folder, ratings)
    looked = " and ".join(map(str, folders))
    advice = f"; looked for in {looked}: --data-root DIR says where they are"
    return labels if allow_missing else require_images(labels, advice)


def choose_folder(folders: Sequence[Path], ratings: Sequence[Rating]) -> Path:
    """The folder in which the most images are; of several alike the first."""
    if len(folders) == 1:
        return folders[0]
    there = [sum(is_file(folder / rating.path) for rating in ratings) for folder in folders]
    return folders[there.index(max(there))]


def read_own(_root: Path, path: Path, own: OwnRatings) -> list[Rating]:
    """The ratings from a CSV file, wherever it is; without a column of groups, every image is its own.

    An image in several rows, however each spells its path, has the mean of their ratings, and the subset that any of them
    names. What files are read is said in `delimited`.
    """
    columns = [own.image_column, *([own.group_column] if own.group_column else [])]
    sparse = [own.subset_column] if own.subset_column else []
    values: dict[str, list[float]] = {}
    groups: dict[str, str] = {}
    subsets: dict[str, str] = {}
    try:
        rows = read_names(path, columns, numbers=(own.score_column,), sparse=sparse)
    except MissingColumnError as error:
        raise DataError(f"{error}; {NAMING}") from error
    for row in rows:
        name = tidy_path(row[own.image_column])
        values.setdefault(name, []).append(parse_number(row[own.score_column], path, name))
        place_once(path, groups, name, row[own.group_column] if own.group_column else name, "groups")
        for subset in filter(None, (row[column] for column in sparse)):
            place_once(path, subsets, name, subset, "subsets")
    return [average_rows(name, rows, groups[name], subsets.get(name)) for name, rows in values.items()]


def place_once(path: Path, places: dict[str, str], name: str, place: str, kind: str) -> None:
    """Note where an image stands. Raises DataError where it stands elsewhere already."""
    if places.setdefault(name, place) != place:
        raise DataError(f"{path}: {name} stands in two {kind}, {places[name]} and {place}")


def average_rows(name: str, values: list[float], group: str, subset: str | None) -> Rating:
    """One image's rating from the rows that it has."""
    std = stdev(values) if len(values) > 1 else None
    value = values[0] if len(values) == 1 else fmean(values)
    return Rating(name, value, std, group, rows=len(values), subset=subset)


def describe_spec(path: Path, own: OwnRatings, ratings: Sequence[Rating]) -> OwnSpec:
    """The facts of the set. Raises DataError where the ratings make no scale."""
    values = [rating.value for rating in ratings]
    low, high = own.score_range or (min(values), max(values))
    if low >= high:
        raise DataError(f"{path}: ratings from {low:g} to {high:g} make no scale; give its ends: --score-range LOW HIGH")
    return OwnSpec(
        name=name_own(path),
        title=f"the ratings in {path}",
        images=len(ratings),
        score=own.score_column,
        score_range=(low, high),
        higher_is_better=not own.lower_is_better,
        synthetic=own.group_column is not None,
        reference=own.group_column or "none: each image is its own",
        home="",
        licence="",
        paper="",
        layout=f"{path.name} with the columns {own.image_column} and {own.score_column}",
        customary_input=NATIVE,
        folders=(),
        markers=(),
        read=partial(read_own, path=path, own=own),
        notes=describe_reading(own, ratings, (low, high)),
        digest=digest_ratings(ratings),
        names=hash_names(ratings),
    )


def name_own(path: Path) -> str:
    """The name of the set: that of its file, unless a set of the catalog has it."""
    return f"{OWN}-{path.stem}" if path.stem in DATASETS else path.stem


def describe_reading(own: OwnRatings, ratings: Sequence[Rating], scale: tuple[float, float]) -> tuple[str, ...]:
    """How a file of ratings was understood, in words."""
    low, high = scale
    found = "its lowest and highest ratings, as none was given; a scale changes RMSE, no correlation"
    source = "as given" if own.score_range is not None else found
    better = "lower is better" if own.lower_is_better else "higher is better"
    notes = [f"The scale is {low:g} to {high:g}, {better}: {source}."]
    rows = [rating.rows for rating in ratings if rating.rows > 1]
    if rows:
        several = f"{len(rows):,} of {len(ratings):,} images"
        notes.append(f"More than one row, up to {max(rows)}, for {several}: their means are the ratings.")
    outside = sum(rating.subset is None for rating in ratings)
    if own.subset_column and outside:
        notes.append(f"In no subset, so in the figures of all only: {outside:,} of {len(ratings):,} images.")
    return tuple(notes)


# ---- the same ratings, the same images ----


def digest_ratings(ratings: Sequence[Rating]) -> str:
    """SHA-256 of the images, as the file names them, and of their ratings, in hex; their order does not matter."""
    rows = json.dumps(sorted((rating.path, float(rating.value)) for rating in ratings))
    return hashlib.sha256(rows.encode()).hexdigest()


def hash_names(ratings: Sequence[Rating]) -> tuple[str, ...]:
    """The first digits of the SHA-256 of each image file's name, without its folders, in order."""
    names = {rating.path.replace("\\", "/").rpartition("/")[2].encode("utf-8", "surrogatepass") for rating in ratings}
    return tuple(sorted({hashlib.sha256(name).hexdigest()[:DIGITS] for name in names}))


def sample_names(names: Sequence[str]) -> str:
    """The least hashes of names, one after the other: the same names of two sets are in the samples of both, or of none."""
    return "".join(names[:SAMPLE])


def shares_names(sample: str, names: Collection[str]) -> bool | None:
    """Whether images of one set have names of images of another, of which there is a sample; None: the sample cannot tell."""
    other = {sample[start : start + DIGITS] for start in range(0, len(sample), DIGITS)}
    if len(other) >= SAMPLE:
        last = max(other)
        names = {name for name in names if name <= last}  # of the others nothing is known
    return not other.isdisjoint(names) if other and names else None
