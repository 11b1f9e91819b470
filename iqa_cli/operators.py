"""Operators: scores inside the engines that data sets are processed with, as callables that take and give batches of columns.

Hugging Face datasets, with the bytes of files as they are (decoded by `Scorer`, so a broken one costs its own row only):

    dataset = load_dataset("imagefolder", data_dir="photos", split="train").cast_column("image", Image(decode=False))
    dataset = dataset.map(AddScores("image"), batched=True, batch_size=64)

Ray Data, one `Scorer` an actor:

    rows = ray.data.read_binary_files("s3://bucket/photos", include_paths=True)
    rows = rows.map_batches(AddScores, fn_constructor_kwargs={"column": "bytes"}, concurrency=2, batch_size=64)

FiftyOne, as a field of its samples to sort and filter by in the app:

    with Scorer() as scorer:
        records = scorer.score_many(dataset.values("filepath"))
        dataset.set_values("iqa_score", [record.score for record in records])

Data-Juicer: `iqa_cli.data_juicer_filter` has a Filter for its recipes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from iqa_cli.errors import InputError
from iqa_cli.library import Scorer

if TYPE_CHECKING:
    from iqa_cli.images.in_memory import ImageInput

ADDED = ("iqa_score", "iqa_percentile", "iqa_status", "iqa_detail", "iqa_model")


class AddScores:
    """Adds the columns of ADDED to a batch: a mapping of columns, each a list or an array of as many values.

    column: that of the images: whatever `Scorer.score` takes (paths, URLs, bytes, Pillow images, arrays), or mappings with
    "bytes" and "path", as `datasets.Image(decode=False)` gives. options: as of `Scorer`. It can be pickled.

    An image without a score has NaN, its status, and the reason in iqa_detail; so has a row that holds no image (None, NaN,
    or a mapping of such), whose status is missing. Raises as `Scorer` and `Scorer.score` do.
    """

    def __init__(self, column: str = "image", **options: Any) -> None:
        self.column = column
        self.scorer = Scorer(**options)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch with its scores."""
        if self.column not in batch:
            raise InputError(f"no column {self.column!r}: the batch has {', '.join(map(repr, batch))}")
        images: Iterable[Any] = batch[self.column]
        records = list(self.scorer.score_many(map(read_cell, images)))
        numbers = ([record.score for record in records], [record.percentile for record in records])
        words = ([getattr(record, name) for record in records] for name in ("status", "detail", "model"))
        columns = [np.array(values, np.float64) for values in numbers]  # in which None is NaN
        return {**batch, **dict(zip(ADDED, [*columns, *(np.array(list(map(str, each)), str) for each in words)], strict=True))}


class ScoreRange:
    """Which samples of several images stay: those with any image, or all, of a score in a range; of none, all. Can be pickled.

    lowest, highest: of the range, both included. every: all images must be in it. options: as of `Scorer`. Raises InputError
    for a range that holds nothing.
    """

    def __init__(self, lowest: float = 0.0, highest: float = 100.0, *, every: bool = False, **options: Any) -> None:
        if not lowest <= highest:
            raise InputError(f"no score is at least {lowest:g} and at most {highest:g}")
        self.lowest, self.highest, self.every = lowest, highest, every
        self.scorer = Scorer(**options)

    def score(self, images: Iterable[Any]) -> list[float]:
        """The scores of a sample's images; NaN for one that has none, which is in no range."""
        records = self.scorer.score_many(map(read_cell, images))
        return [float("nan") if record.score is None else record.score for record in records]

    def keeps(self, scores: Iterable[float]) -> bool:
        """Whether a sample stays whose images have these scores."""
        inside = [self.lowest <= score <= self.highest for score in scores]
        return not inside or (all if self.every else any)(inside)


def read_cell(cell: Any) -> ImageInput:
    """What a cell gives as an image; of a null the path of nothing, which is missing. Raises InputError for other mappings.

    Bytes count before a path, which often is but the name that the file had somewhere else.
    """
    if isinstance(cell, Mapping):
        if not {"bytes", "path"} & {*cell}:
            raise InputError(f'a mapping with the keys {", ".join(map(str, cell))}: an image has "bytes" or "path"')
        cell = cell.get("path") if is_null(cell.get("bytes")) else cell["bytes"]
    given: ImageInput = "" if is_null(cell) else cell
    return given


def is_null(cell: Any) -> bool:
    """Whether a cell holds nothing, in whatever way an engine says so: None, or a float that is no number."""
    return cell is None or (isinstance(cell, float) and math.isnan(cell))
