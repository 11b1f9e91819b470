"""Plan: the trials of a training, each with its images; all that can be refused is refused here. No PyTorch here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path

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
from iqa_cli.training.data.sides import MIN_VALIDATION, find_validated, list_folds, list_official, split_indices
from iqa_cli.training.data.teacher_scores import TeacherScore, read_teacher_scores
from iqa_cli.training.options import TrainingOptions, check_options

SIDES = ("train", "validation", "test")
NAMED = 3  # images of a side are named when a split is shown
MIN_TRAIN = 2
"""The fewest images that features can be standardized by."""


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

    unlabeled: the images of all trials; see `find_unlabeled`. scores: what a teacher said about images, by path.
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

    @cached_property
    def unlabeled_files(self) -> list[str]:
        """The files of the unlabeled images [n], by whatever path or link they are reached."""
        return [os.path.realpath(path) for path in self.unlabeled]

    def find_unlabeled(self, trial: Trial) -> dict[int, str]:
        """The unlabeled images of one trial by their places among all: none that it is validated or tested on."""
        measured = {self.data.files[index] for index in (*trial.validation, *trial.test)} if self.data else set()
        if not measured:
            return dict(enumerate(self.unlabeled))
        places = enumerate(zip(self.unlabeled, self.unlabeled_files, strict=True))
        return {place: path for place, (path, file) in places if file not in measured}


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
    plan = Plan(options, data, leave_out_held(found, options.samples), trials, chosen, scores)
    for trial in chosen:
        if data:
            check_sides(data, trial)
            check_scale(data, trial, options)
        check_counts(plan, trial)
    check_teachers(chosen, options)
    return plan


# ---- what is refused ----


def check_sides(data: TrainingData, trial: Trial) -> None:
    """Raises UsageError where a file stands on two sides, as of two sets, one with an official split, or by a file of folds."""
    sides: dict[str, str] = {}
    for side in SIDES:
        for index in getattr(trial, side):
            other = sides.setdefault(data.files[index], side)
            if other != side:
                raise UsageError(
                    f"{trial.folder}: {data.names[index]} would be on two sides, {other} and {side}, as it is rated twice:"
                    " leave out one of its ratings, or choose another split"
                )


def check_counts(plan: Plan, trial: Trial) -> None:
    """Raises UsageError where a trial has too few images to train on, to choose its epoch on, or to be tested on."""
    data = plan.data
    counts = ", ".join(f"{len(getattr(trial, side))} {side}" for side in SIDES)
    few = f"{trial.folder}: too few images"
    if len(trial.train) + len(plan.find_unlabeled(trial)) < MIN_TRAIN:
        raise UsageError(
            f"{few} to train on ({counts}): {MIN_TRAIN} at least; add images, or hold back fewer, as with -s validation=0"
        )
    if plan.options.loop.patience and not (data and find_validated(*data.describe(trial.validation))):
        raise UsageError(
            f"{few} for patience ({counts}): an SRCC needs {MIN_VALIDATION} at least of one set to validate on, not all rated"
            " alike; hold back more, or leave out loop.patience"
        )
    tests = data.split_by_set(trial.test) if data else {}
    alone = [name for name, (labels, _) in tests.items() if len(labels.ratings) == 1]
    if alone:
        raise UsageError(
            f"{few} to test on ({counts}): a correlation needs 2 of {alone[0]} at least; rate more, or use fewer folds or a"
            " larger test_share"
        )


def check_scale(data: TrainingData, trial: Trial, options: TrainingOptions) -> None:
    """Raises UsageError where no image of the set on whose scale the network is to answer is trained on."""
    if not trial.train:
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
            folds = list_folds(data, options).items()
            return [replace(hold_back(data, each, folder / f"fold{number}", options), fold=number) for number, each in folds]
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
    """The split that came with the sets; the validation part is the official one, where there is one."""
    train, validation, test = list_official(data)
    if validation:
        return Trial(options.run_dir, train, validation, test, seed=options.samples.seed)
    return hold_back(data, (train, test), options.run_dir, options)


def hold_back(data: TrainingData, sides: tuple[list[int], list[int]], folder: Path, options: TrainingOptions) -> Trial:
    """A trial whose validation images are taken out of its training images. sides: training and test."""
    train, test = sides
    seed = options.samples.seed
    kept, held = split_indices(data, train, seed, options.validation) if options.validation else (train, [])
    return Trial(folder, kept, held, test, seed=seed)


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
        lines += describe_left_out(plan, trial)
    unlabeled = [f"{len(plan.unlabeled)} unlabeled images in each training"] if plan.unlabeled else []
    return [*lines, *unlabeled, *describe_doubts(plan)]


def describe_left_out(plan: Plan, trial: Trial) -> list[str]:
    """How many of the unlabeled images a trial does without, as they are to tell how good it is."""
    left_out = len(plan.unlabeled) - len(plan.find_unlabeled(trial))
    measured = f"{left_out} of {len(plan.unlabeled)} unlabeled images are left out: it is validated or tested on them"
    return [f"{trial.folder}: {measured}"] if left_out else []


def describe_doubts(plan: Plan) -> Iterator[str]:
    """What of a plan may not be as it was meant: options that do nothing, and photos that two sets have in common."""
    options = plan.options
    if options.samples.subset_weights and not options.loop.balanced:
        yield "samples.subset_weights does nothing: it is for sets that are balanced, by loop.balanced=true"
    specs = [labels.spec for labels in plan.data.sets.values()] if plan.data else []
    for one, other in combinations(specs, 2):
        if any(trial.validation or trial.test for trial in plan.chosen) and {one.name, other.name} & {
            *one.shares,
            *other.shares,
        }:
            yield (
                f"{one.short} and {other.short} have photos in common: what is tested of one may have been trained on as of the"
                " other"
            )
