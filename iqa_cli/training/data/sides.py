"""Sides: which labeled images a training learns from, and which it is validated and tested on. No PyTorch here.

A file that several sets rate is on one side, and in one fold, of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from iqa_cli.datasets.splits import ALWAYS, OUT, fold_groups, read_folds, shuffle_groups, split_groups
from iqa_cli.errors import UsageError
from iqa_cli.training.data.labeled import TrainingData
from iqa_cli.training.options import TrainingOptions

MIN_VALIDATION = 3
"""The fewest images that a validation SRCC is taken of."""

# ---- of folds ----


def list_folds(data: TrainingData, options: TrainingOptions) -> dict[int, tuple[list[int], list[int]]]:
    """The images to train on and to test on, by the number of the fold that is the test.

    What a fold file names `train` is trained on in every trial, what it names `out` in none. Raises UsageError where it has no
    fold at all, ValueError where a set has fewer groups than folds.
    """
    fold = read_fold_file(data, options) if options.fold_file else deal_folds(data, options)
    there = sorted({*fold.tolist()} - {ALWAYS, OUT})
    if not there:
        raise UsageError(
            f"{options.fold_file}: no image is in a fold, all are train or out: give those to test on a number, or leave out"
            " --fold-file, to train on all"
        )
    return {number: (find_true((fold != number) & (fold != OUT)), find_true(fold == number)) for number in there}


def read_fold_file(data: TrainingData, options: TrainingOptions) -> npt.NDArray[np.int64]:
    """The fold of each image [n], as the file has it."""
    assert options.fold_file is not None
    return np.concatenate([read_folds(options.fold_file, labels) for labels in data.sets.values()])


def deal_folds(data: TrainingData, options: TrainingOptions) -> npt.NDArray[np.int64]:
    """The fold of each image [n]: the images of each set are dealt out by themselves, but for those of an earlier one."""
    shared = {group for group, sets in data.standing.items() if len(sets) > 1}
    placed: dict[str, int] = {}
    parts = []
    for name in data.sets:
        groups = [group for group, origin in zip(data.groups, data.origins, strict=True) if origin == name]
        parts.append(fold_groups(groups, options.folds, options.samples.seed, placed, shared))
        placed |= zip(groups, parts[-1].tolist(), strict=True)
    return np.concatenate(parts)


def find_true(chosen: npt.NDArray[np.bool_]) -> list[int]:
    """The indices at which the array is true."""
    indices: list[int] = np.flatnonzero(chosen).tolist()
    return indices


# ---- of one split ----


def split_indices(data: TrainingData, indices: Sequence[int], seed: int, share: float) -> tuple[list[int], list[int]]:
    """Some images split by their groups, each set by itself: the rest, and that share.

    Groups that stand in several sets are split by themselves, too. Raises ValueError where a set has too few groups.
    """
    there = list(dict.fromkeys(data.groups[index] for index in indices))
    taken: set[str] = set()
    for part in dict.fromkeys(data.standing[group] for group in there):
        own = [group for group in there if data.standing[group] == part]
        if len(own) > 1:
            taken.update(own[i] for i in split_groups(own, seed=seed, test_share=share)[1])
    sets = [{data.groups[index] for index in indices if data.origins[index] == name} for name in data.sets]
    for groups in sets:
        if len(groups) > 1 and not groups & taken:  # one that stands in few sets is not all that another set has
            taken.add(min(shuffle_groups([*groups], seed), key=lambda group: len(data.standing[group])))
    for groups in sets:
        if groups and (groups <= taken or not groups & taken):  # there may be none, as where a fold is a whole set
            raise ValueError(f"no split of {len(groups)} groups with a test share of {share}")
    sides = [data.groups[index] in taken for index in indices]
    return [i for i, side in zip(indices, sides, strict=True) if not side], [
        i for i, side in zip(indices, sides, strict=True) if side
    ]


def list_official(data: TrainingData) -> tuple[list[int], list[int], list[int]]:
    """The split that came with the sets: training, validation and test.

    Beside a set that came with one, a set without any is trained on whole. Raises UsageError where none came with one.
    """
    divided = []
    for name, labels in data.sets.items():
        found = {rating.split for rating in labels.ratings}
        if found == {None}:
            continue
        divided.append(name)
        if None in found or not {"training", "test"} <= found:
            raise UsageError(f"{labels.spec.title}: its official split is not whole: leave out --split")
    if not divided:
        raise UsageError(f"{data.title}: no official split, or its file is not there: leave out --split")
    sides = [split if name in divided else "training" for split, name in zip(data.splits, data.origins, strict=True)]
    train, validation, test = (
        [index for index, side in enumerate(sides) if side == wanted] for wanted in ("training", "validation", "test")
    )
    return train, validation, test


# ---- what can be measured ----


def find_validated(sources: Sequence[object], labels: npt.NDArray[np.float64]) -> list[npt.NDArray[np.bool_]]:
    """Of each set that can be validated on, which validation images [n] are of it: enough, and not all of one label.

    sources: the set of each.
    """
    parts = [np.array([source == each for each in sources]) for source in dict.fromkeys(sources)]
    return [part for part in parts if part.sum() >= MIN_VALIDATION and np.ptp(labels[part]) > 0]
