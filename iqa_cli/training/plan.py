"""Plan: the trials of a training, each with its images; all that can be refused is refused here. No PyTorch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from iqa_cli.datasets.splits import ALWAYS, OUT, fold_groups, read_folds, split_groups
from iqa_cli.errors import UsageError
from iqa_cli.models.find import find_model
from iqa_cli.options import BackendChoice, OwnRatings
from iqa_cli.training.data.labeled import (
    TrainingData,
    choose_crop_size,
    choose_distortions,
    find_unlabeled,
    leave_out_held,
    read_data,
    weigh_subsets,
)
from iqa_cli.training.data.teacher_scores import TeacherScore, read_teacher_scores
from iqa_cli.training.options import TrainingOptions, check_options

SIDES = ("train", "validation", "test")
NAMED = 3  # images of a side are named when a split is shown
MIN_TRAIN, MIN_VALIDATION = 2, 3
"""The fewest images that features can be standardized by, and that a validation SRCC is taken of."""


@dataclass(frozen=True)
class Trial:
    """One training: indices of the labeled images it is trained on, chooses its epoch on, is tested on.

    fold: its number among the folds or repeats. seed: of all that is random in it but the split.
    """

    folder: Path
    train: list[int]
    validation: list[int]
    test: list[int]
    fold: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Plan:
    """All that is settled before a training begins. trials: all of them; chosen: those to be done now.

    scores: what a teacher said about images, by path.
    """

    options: TrainingOptions
    data: TrainingData | None
    unlabeled: list[str]
    trials: list[Trial]
    chosen: list[Trial]
    scores: dict[str, TeacherScore] = field(default_factory=dict)

    def options_of(self, trial: Trial) -> TrainingOptions:
        """The options of one trial: with its seed, its teachers, and views of the size that these want."""
        options = replace(self.options, samples=replace(self.options.samples, seed=trial.seed))
        initial = name_fold(options.initial_model, trial)
        return replace(choose_view_size(options, trial), teachers=tuple(name_teachers(trial, options)), initial_model=initial)


def make_plan(options: TrainingOptions) -> Plan:
    """What the options ask for. Raises UsageError, DataError and WeightsError for what cannot be trained."""
    check_options(options)
    choose_distortions(options.samples)
    data = read_data(options)
    if data is not None:
        weigh_subsets(data, options.samples)
    trials = plan_trials(data, options)
    chosen = choose_trials(trials, options)
    found = find_unlabeled(options)
    scores = read_scores(options, [*found, *(map(str, data.paths) if data else ())])
    unlabeled = leave_out_held(found, options.samples)
    check_counts(data, chosen, len(unlabeled), options)
    check_teachers(chosen, options)
    return Plan(options, data, unlabeled, trials, chosen, scores)


# ---- what is refused ----


def check_counts(data: TrainingData | None, trials: Sequence[Trial], unlabeled: int, options: TrainingOptions) -> None:
    """Raises UsageError where a trial has too few images to train on, to choose its epoch on, or to be tested on."""
    for trial in trials:
        check_scale(data, trial, options)
        counts = ", ".join(f"{len(getattr(trial, side))} {side}" for side in SIDES)
        few = f"{trial.folder}: too few images"
        if len(trial.train) + unlabeled < MIN_TRAIN:
            raise UsageError(
                f"{few} to train on ({counts}): {MIN_TRAIN} at least; add images, or hold back fewer, as with -s validation=0"
            )
        if options.loop.patience and len(trial.validation) < MIN_VALIDATION:
            raise UsageError(
                f"{few} for patience ({counts}): an SRCC needs {MIN_VALIDATION} at least to validate on; hold back more, or"
                " leave out loop.patience"
            )
        tests = data.split_by_set(trial.test) if data else {}
        alone = [name for name, (labels, _) in tests.items() if len(labels.ratings) == 1]
        if alone:
            raise UsageError(
                f"{few} to test on ({counts}): a correlation needs 2 of {alone[0]} at least; rate more, or use fewer folds or a"
                " larger test_share"
            )


def check_scale(data: TrainingData | None, trial: Trial, options: TrainingOptions) -> None:
    """Raises UsageError where no image of the set on whose scale the network is to answer is trained on."""
    if data is None or not trial.train:
        return
    trained = {data.origins[index] for index in trial.train}
    wanted = options.scale or next(iter(data.sets))
    if wanted not in trained:
        raise UsageError(
            f"{trial.folder}: the model would score on the scale of {wanted}, of which it is trained on no image: leave this"
            f" training out, by --only, or choose a scale for it: --scale {' or '.join(sorted(trained))}"
        )


# ---- teachers ----


def read_scores(options: TrainingOptions, images: Sequence[str]) -> dict[str, TeacherScore]:
    """What the file of teacher scores says about images, labeled or not. Raises as `read_teacher_scores` does."""
    if options.teacher_scores is None:
        return {}
    ends = (options.teacher_range[0], options.teacher_range[1]) if options.teacher_range else None
    own = OwnRatings(options.teacher_scores, score_range=ends, lower_is_better=options.teacher_lower_is_better)
    return read_teacher_scores(own, options.unlabeled, images)


def check_teachers(trials: Sequence[Trial], options: TrainingOptions) -> None:
    """Raises WeightsError for a teacher, or an initial model, of a trial that is not there; the hub is asked later."""
    starts = [name_fold(options.initial_model, trial) for trial in trials if options.initial_model]
    for name in dict.fromkeys([*starts, *(name for trial in trials for name in name_teachers(trial, options))]):
        if not name.startswith("hf://"):
            find_model(name, BackendChoice.TORCH)


def name_teachers(trial: Trial, options: TrainingOptions) -> list[str]:
    """The teachers of one trial."""
    return [name_fold(name, trial) for name in options.teachers]


def name_fold(model: str, trial: Trial) -> str:
    """The name of a model in one trial."""
    return model.replace("{fold}", str(trial.fold))


def choose_view_size(options: TrainingOptions, trial: Trial) -> TrainingOptions:
    """In a distillation, unless the size of the views is set: the largest input of a teacher in training.

    It would predict badly from views as small as its student's, enlarged. Raises WeightsError for a teacher that is not there.
    """
    if options.method != "distillation" or options.samples.view_size:
        return options
    crops = [find_model(name, BackendChoice.TORCH).card.crops for name in name_teachers(trial, options)]
    sizes = [choose_crop_size(options.samples, each, options.size) or each.size for each in crops]
    view_size = max([options.samples.crop_size or options.size, *sizes])
    return replace(options, samples=replace(options.samples, view_size=view_size))


# ---- splits ----


def plan_trials(data: TrainingData | None, options: TrainingOptions) -> list[Trial]:
    """All trials: on all images, for each fold, or for each repeat; images of one group stay together everywhere.

    Raises UsageError for folds that are not there and where a set has no official split or too few groups to be split.
    """
    seed, folder = options.samples.seed, options.run_dir
    if data is None:
        return [Trial(folder, [], [], [], seed=seed)]
    try:
        if options.has_folds:
            return plan_folds(data, options)
        if options.split == "official":
            trial = take_official(data, options)
            return [replace(trial, folder=folder / f"split{i}", fold=i, seed=seed + i) for i in range(options.repeats)] or [
                trial
            ]
        if options.repeats:
            return [plan_repeat(data, i, options) for i in range(options.repeats)]
        return [hold_back(data, (list(range(len(data.names))), []), folder, options)]
    except ValueError as error:
        raise UsageError(f"{data.title}: {error}") from error


def plan_folds(data: TrainingData, options: TrainingOptions) -> list[Trial]:
    """A trial for each fold, which is its test; the images of each set are dealt out by themselves.

    What a fold file names `train` is trained on in every trial, what it names `out` in none.
    """
    fold = np.concatenate(
        [
            read_folds(options.fold_file, labels)
            if options.fold_file
            else fold_groups(labels.groups, options.folds, options.samples.seed)
            for labels in data.sets.values()
        ]
    )
    there = sorted({*fold.tolist()} - {ALWAYS, OUT})
    sides = {f: (find_true((fold != f) & (fold != OUT)), find_true(fold == f)) for f in there}
    return [replace(hold_back(data, sides[f], options.run_dir / f"fold{f}", options), fold=f) for f in there]


def choose_trials(trials: Sequence[Trial], options: TrainingOptions) -> list[Trial]:
    """The trials to be done now: all, or some by their number. Raises UsageError for numbers of none."""
    there = {trial.fold: trial for trial in trials}
    wanted = sorted(set(options.only)) or range(options.folds) or there
    missing = [number for number in wanted if number not in there]
    if missing:
        raise UsageError(f"there are no {'folds' if options.has_folds else 'splits'} {missing}: only {list(there)}")
    return [there[number] for number in wanted]


def plan_repeat(data: TrainingData, number: int, options: TrainingOptions) -> Trial:
    """One seeded split. What else is random is the same in all repeats, so that they can share features."""
    sides = split_indices(data, list(range(len(data.names))), options.samples.seed + number, options.test_share)
    return replace(hold_back(data, sides, options.run_dir / f"split{number}", options), fold=number)


def take_official(data: TrainingData, options: TrainingOptions) -> Trial:
    """The split that came with the sets; the validation part is the official one, where there is one.

    Beside a set that came with one, a set without any is trained on whole.
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
        titles = " and ".join(labels.spec.title for labels in data.sets.values())
        raise UsageError(f"{titles}: no official split, or its file is not there: leave out --split")
    sides = [split if name in divided else "training" for split, name in zip(data.splits, data.origins, strict=True)]
    train, validation, test = (
        [index for index, side in enumerate(sides) if side == wanted] for wanted in ("training", "validation", "test")
    )
    if validation:
        return Trial(options.run_dir, train, validation, test, seed=options.samples.seed)
    return hold_back(data, (train, test), options.run_dir, options)


def hold_back(data: TrainingData, sides: tuple[list[int], list[int]], folder: Path, options: TrainingOptions) -> Trial:
    """A trial whose validation images are taken out of its training images. sides: training and test."""
    train, test = sides
    seed = options.samples.seed
    kept, held = split_indices(data, train, seed, options.validation) if options.validation else (train, [])
    return Trial(folder, kept, held, test, seed=seed)


def split_indices(data: TrainingData, indices: Sequence[int], seed: int, share: float) -> tuple[list[int], list[int]]:
    """Some images split by their groups, each set by itself: the rest, and that share."""
    rest: list[int] = []
    taken: list[int] = []
    for name in data.sets:
        own = [index for index in indices if data.origins[index] == name]
        if not own:  # as where a fold is a whole set
            continue
        kept, held = split_groups([data.groups[index] for index in own], seed=seed, test_share=share)
        rest += [own[i] for i in kept]
        taken += [own[i] for i in held]
    return rest, taken


def find_true(chosen: npt.NDArray[np.bool_]) -> list[int]:
    """The indices at which the array is true."""
    indices: list[int] = np.flatnonzero(chosen).tolist()
    return indices


# ---- in words ----


def describe_split(data: TrainingData | None, trial: Trial) -> dict[str, list[str]]:
    """The split by image names."""
    names = data.names if data else []
    return {side: [names[index] for index in getattr(trial, side)] for side in SIDES}


def describe_plan(plan: Plan) -> list[str]:
    """A line a trial and side: how many images there are, and the first of them; and how many are unlabeled."""
    lines = []
    for trial in plan.chosen:
        for side, names in describe_split(plan.data, trial).items():
            first = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
            lines += [f"{trial.folder}: {side} {len(names)}: {first}"] if names else []
    return lines + ([f"{len(plan.unlabeled)} unlabeled images in each training"] if plan.unlabeled else [])
