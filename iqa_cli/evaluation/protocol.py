"""Protocol: which images a figure is about, and what a model may have known of them. Figures of one protocol compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from iqa_cli.datasets.catalog import DatasetSpec
from iqa_cli.datasets.find import find_spec
from iqa_cli.datasets.labels import Labels
from iqa_cli.datasets.splits import ALWAYS, read_folds, take_test
from iqa_cli.errors import DataError, UsageError
from iqa_cli.options import OWN, EvaluateOptions, Side


class Protocol(StrEnum):
    """Protocol by which a figure was measured, as every table has it in a column."""

    ALL = "all images"  # of a set that the model may have been trained on
    CROSS = "cross-dataset"  # all images of a set that the model was not trained on, as its card says
    OFFICIAL = "official split"  # the test part of the split that came with the set
    BY_IMAGE = "random split by images"
    BY_CONTENT = "random split by content"  # all versions of one photo on one side
    FOLDS = "folds"  # of a file, which says of each image whether it is trained on or measured on
    SPLITS = "80/20 splits, median of 10"  # of papers: trained on one part of a set, measured on the other


@dataclass(frozen=True)
class Part:
    """The images of a set that are measured on.

    labels: theirs. whole: those of all images. folds: of each of these [n], 0 or more where it may be measured on, else
    `splits.ALWAYS` or `splits.OUT`.
    """

    labels: Labels
    whole: Labels
    folds: npt.NDArray[np.int64]


def choose_part(labels: Labels, options: EvaluateOptions) -> Part:
    """The images of a set that the options ask for. Raises DataError as `take_test` and `read_folds` do."""
    if options.fold_file is not None:
        return read_part(labels, options)
    if measures_all(labels.spec, options):
        return Part(labels, labels, np.zeros(len(labels.ratings), dtype=np.int64))
    test = take_test(labels, options.seed)
    tested = {rating.path for rating in test.ratings}
    return Part(test, labels, np.array([0 if rating.path in tested else ALWAYS for rating in labels.ratings], dtype=np.int64))


def measures_all(spec: DatasetSpec, options: EvaluateOptions) -> bool:
    """Whether every image is scored: all are asked for, or several splits of them."""
    return options.side is Side.ALL or (options.repeats > 1 and not spec.official_split)


def read_part(labels: Labels, options: EvaluateOptions) -> Part:
    """The images of some folds of a file, or of all. Raises DataError where there is none of a fold."""
    path = options.fold_file
    assert path is not None
    folds = read_folds(path, labels)
    there = sorted({*folds[folds >= 0].tolist()})
    missing = sorted({*options.folds} - {*there})
    if missing or not there:
        named = ", ".join(map(str, there)) or "none, only train and out"
        raise DataError(f"{path}: no image of {labels.spec.title} is in fold {missing[0] if missing else 0}; there are {named}")
    places = np.flatnonzero(np.isin(folds, options.folds or there)).tolist()
    return Part(labels.take(places), labels, folds)


# ---- which protocol ----


def choose_protocol(spec: DatasetSpec, options: EvaluateOptions, *, unseen: bool) -> Protocol:
    """The protocol of a figure. unseen: the model's card tells that it was trained on none of the set."""
    if options.fold_file is not None:
        return Protocol.FOLDS
    if options.side is Side.ALL:
        return Protocol.CROSS if unseen else Protocol.ALL
    if spec.official_split:
        return Protocol.OFFICIAL
    return Protocol.BY_CONTENT if spec.synthetic else Protocol.BY_IMAGE


def describe_part(spec: DatasetSpec, options: EvaluateOptions) -> str:
    """Describe which images are measured on."""
    if options.fold_file is not None:
        numbers = f"fold {', '.join(map(str, sorted(options.folds)))}" if options.folds else "the folds"
        return f"{numbers} of {options.fold_file.name}"
    if options.side is Side.ALL:
        return "all images"
    if spec.official_split:
        return "test part of the official split"
    unit = "reference" if spec.synthetic else "image"
    if options.repeats == 1:
        return f"test part of the 80/20 split by {unit} of seed {options.seed}"
    seeds = f"seeds {options.seed} to {options.seed + options.repeats - 1}"
    return f"median of the test parts of {options.repeats} 80/20 splits by {unit}, {seeds}"


def refuse_mixture(options: EvaluateOptions) -> None:
    """Raises UsageError where one table would hold figures of official and of random splits, which do not compare.

    And where several splits are to be drawn of a set that came with one.
    """
    if options.side is Side.ALL or options.fold_file is not None:
        return
    names = options.sets.names
    official = [name for name in names if name != OWN and find_spec(name).official_split]
    random = [name for name in names if name not in official]
    if official and random:
        raise UsageError(
            f"figures of official splits ({', '.join(official)}) and of random ones ({', '.join(random)}) do not belong in one"
            f" table: run {name_sets(official)} and {name_sets(random)} each by itself"
        )
    if official and options.repeats > 1:
        raise UsageError(f"--repeats draws several splits, and {' and '.join(official)} came with one: leave out --repeats")


def name_sets(names: Iterable[str]) -> str:
    """Sets as the command line names them."""
    return " ".join(f"-d {name}" for name in names)
