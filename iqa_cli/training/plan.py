"""Parts: the trainings that a study is made of, each with the images that it is trained on, validated on and judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from iqa_cli.datasets.splits import fold_groups, read_folds, split_groups
from iqa_cli.errors import UsageError
from iqa_cli.models.find import find_model
from iqa_cli.options import BackendChoice
from iqa_cli.training.data import Corpus
from iqa_cli.training.options import PerceptronOptions, StudyOptions

SIDES = ("train", "validation", "test")
NAMED = 3  # images of a side are named when a split is shown


@dataclass(frozen=True)
class Part:
    """One training: places of the labelled images it is trained on, chooses its epoch on, is judged by.

    fold: its number among the folds or repeats. seed: of all that is random in it but the split.
    """

    folder: Path
    train: list[int]
    validation: list[int]
    test: list[int]
    fold: int | None = None
    seed: int = 0


def check_study(options: StudyOptions) -> None:
    """Raises UsageError where what is to be trained on and what for do not go together."""
    if options.method == "distillation" and not options.teachers:
        raise UsageError("distillation needs a teacher: --teacher MODEL")
    if options.method == "perceptrons" and (not options.sets or bool(options.teachers) != bool(options.photos)):
        raise UsageError("an MLP head learns from ratings, of --dataset, and from teachers about --photos, if both are named")
    check_perceptrons(options.perceptrons)
    judged = options.folds or options.repeats or options.split == "official"
    if not options.sets and (options.method == "matching" or not options.photos or judged):
        raise UsageError("without --dataset there are no opinions: distil from a teacher on --images DIR, without folds")
    if any("{fold}" in teacher for teacher in options.teachers) and not (options.folds or options.repeats):
        raise UsageError("{fold} in the name of a teacher stands for the number of a fold: add --folds, or --repeats")
    if options.folds and (options.repeats or options.split == "official"):
        raise UsageError("--folds draws splits of its own: leave out --repeats and --split official")
    if options.only and not (options.folds or options.repeats):
        raise UsageError("--only chooses among folds or repeats: add --folds or --repeats")
    if options.loop.patience and not options.validation and options.split != "official":
        raise UsageError("patience is for an SRCC that gets no better: it needs a validation part")
    if not 0 < options.test_share < 1 or not 0 <= options.validation < 1:
        raise UsageError("test_share and validation are shares of the images: more than 0 (validation: 0 or more), less than 1")
    if not 0 <= options.loop.unlabelled <= 1 or options.loop.fine_batch_size < 0:
        raise UsageError("loop.unlabelled is a share of the photos without labels, 0 to 1, and loop.fine_batch_size 0 or more")
    if not 0 <= options.loop.vary < 1:
        raise UsageError("loop.vary is the share of its sides that a crop may leave out: 0 or more, less than 1")
    if not options.sets and not options.loop.unlabelled:
        raise UsageError("without labels, loop.unlabelled=0 leaves nothing to train on")


def check_perceptrons(options: PerceptronOptions) -> None:
    """Raises UsageError for sizes, rates and shares that are none."""
    for name in ("count", "units", "epochs", "batch_size", "rate", "taught", "beta"):
        if getattr(options, name) <= 0:
            raise UsageError(f"perceptrons.{name} is more than 0")
    for name in ("dropout", "hidden_dropout", "shrunk"):
        if not 0 <= getattr(options, name) < 1:
            raise UsageError(f"perceptrons.{name} is a share: 0 or more, less than 1")


def check_teachers(parts: Sequence[Part], options: StudyOptions) -> None:
    """Raises WeightsError for a teacher of one of the trainings that is not there; those on the hub are looked for later."""
    for name in dict.fromkeys(name for part in parts for name in name_teachers(part, options)):
        if not name.startswith("hf://"):
            find_model(name, BackendChoice.TORCH)


def name_teachers(part: Part, options: StudyOptions) -> list[str]:
    """The teachers of one training."""
    return [name.replace("{fold}", str(part.fold)) for name in options.teachers]


def choose_side(options: StudyOptions, part: Part) -> StudyOptions:
    """In a distillation, unless a side of the views is set: the largest that a teacher looks at. It would say little of views
    as small as its student's, enlarged. Raises WeightsError for a teacher that is not there.
    """
    if options.method != "distillation" or options.samples.side:
        return options
    sizes = [find_model(name, BackendChoice.TORCH).card.crops.size for name in name_teachers(part, options)]
    return replace(options, samples=replace(options.samples, side=max([options.size, *sizes])))


def plan_parts(corpus: Corpus | None, options: StudyOptions) -> list[Part]:
    """All trainings: on all images, for each fold, or for each repeat; images of one group stay together everywhere.

    Raises UsageError for folds that are not there and where a set has no official split or too few groups to be split.
    """
    seed, folder = options.samples.seed, options.run_dir
    if corpus is None:
        return [Part(folder, [], [], [], seed=seed)]
    try:
        if options.folds:
            return plan_folds(corpus, options)
        if options.split == "official":
            part = take_official(corpus, options)
            return [replace(part, folder=folder / f"split{i}", fold=i, seed=seed + i) for i in range(options.repeats)] or [part]
        if options.repeats:
            return [plan_repeat(corpus, i, options) for i in range(options.repeats)]
        return [hold_back(corpus, list(range(len(corpus.names))), [], folder, options)]
    except ValueError as error:
        raise UsageError(f"{corpus.title}: {error}") from error


def plan_folds(corpus: Corpus, options: StudyOptions) -> list[Part]:
    """A training for each fold, which is its test; each set is dealt out by itself."""
    fold = np.concatenate(
        [
            read_folds(options.fold_file, labels)
            if options.fold_file
            else fold_groups(labels.groups, options.folds, options.samples.seed)
            for labels in corpus.sets.values()
        ]
    )
    return [
        replace(
            hold_back(corpus, list_places(fold != f), list_places(fold == f), options.run_dir / f"fold{f}", options), fold=f
        )
        for f in sorted(set(fold.tolist()))
    ]


def choose_parts(parts: Sequence[Part], options: StudyOptions) -> list[Part]:
    """Those of the trainings that are to be done now: all, or some by their number. Raises UsageError for numbers of none."""
    there = {part.fold: part for part in parts}
    wanted = sorted(set(options.only)) or range(options.folds) or there
    missing = [number for number in wanted if number not in there]
    if missing:
        raise UsageError(f"there are no {'folds' if options.folds else 'splits'} {missing}: only {list(there)}")
    return [there[number] for number in wanted]


def plan_repeat(corpus: Corpus, number: int, options: StudyOptions) -> Part:
    """One seeded split. What else is random is the same in all repeats, so that they can share features."""
    places = list(range(len(corpus.names)))
    train, test = split_places(corpus, places, options.samples.seed + number, options.test_share)
    return replace(hold_back(corpus, train, test, options.run_dir / f"split{number}", options), fold=number)


def take_official(corpus: Corpus, options: StudyOptions) -> Part:
    """The split that came with the sets; the validation part is the official one, where there is one."""
    for name in corpus.sets:
        sides = {split for split, origin in zip(corpus.splits, corpus.origins, strict=True) if origin == name}
        if not {"training", "test"} <= sides or None in sides:
            raise UsageError(
                f"{corpus.sets[name].spec.title} has no official split, or its file is not there: leave out --split"
            )
    train, validation, test = (
        [place for place, split in enumerate(corpus.splits) if split == side] for side in ("training", "validation", "test")
    )
    if validation:
        return Part(options.run_dir, train, validation, test, seed=options.samples.seed)
    return hold_back(corpus, train, test, options.run_dir, options)


def hold_back(corpus: Corpus, train: list[int], test: list[int], folder: Path, options: StudyOptions) -> Part:
    """A training whose validation images are taken out of its training images."""
    seed = options.samples.seed
    kept, held = split_places(corpus, train, seed, options.validation) if options.validation else (train, [])
    return Part(folder, kept, held, test, seed=seed)


def split_places(corpus: Corpus, places: Sequence[int], seed: int, share: float) -> tuple[list[int], list[int]]:
    """Some images split by their groups, each set by itself: the rest, and that share."""
    rest: list[int] = []
    taken: list[int] = []
    for name in corpus.sets:
        own = [place for place in places if corpus.origins[place] == name]
        kept, held = split_groups([corpus.groups[place] for place in own], seed=seed, test_share=share)
        rest += [own[i] for i in kept]
        taken += [own[i] for i in held]
    return rest, taken


def list_places(chosen: npt.NDArray[np.bool_]) -> list[int]:
    """Where the array is true."""
    places: list[int] = np.flatnonzero(chosen).tolist()
    return places


def describe_split(corpus: Corpus | None, part: Part) -> dict[str, list[str]]:
    """The split by image names."""
    names = corpus.names if corpus else []
    return {side: [names[place] for place in getattr(part, side)] for side in SIDES}


def show_parts(corpus: Corpus | None, parts: Sequence[Part]) -> list[str]:
    """A line a training and side: how many images there are, and the first of them."""
    lines = []
    for part in parts:
        for side, names in describe_split(corpus, part).items():
            first = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
            lines += [f"{part.folder}: {side} {len(names)}: {first}"] if names else []
    return lines
