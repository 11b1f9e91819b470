"""study: from labels to trained weights and what was measured on them. One training, or one for each fold."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

from iqa_cli.crops import CropSpec
from iqa_cli.datasets import Labels, find_root, read_labels
from iqa_cli.errors import DataError, UsageError, WeightsError
from iqa_cli.finding import find_images
from iqa_cli.metrics import plcc, srcc
from iqa_cli.nn.checkpoint import load_backbone, load_tensors, save_weights
from iqa_cli.nn.features import ViewMeasured
from iqa_cli.nn.network import NetworkConfig, QfmIqm, build_network
from iqa_cli.nn.objectives import Distillation, Memory, Objective, QualityMatching
from iqa_cli.nn.runs import RunFolder
from iqa_cli.nn.samples import Photo, PhotoCrops
from iqa_cli.nn.teachers import Teacher, ViewAsked, ask_teachers, open_teachers
from iqa_cli.nn.training import EpochDone, StepDone, fit, predict_photos
from iqa_cli.recipes import StudyOptions
from iqa_cli.splits import fold_groups, is_held_out, read_folds, split_groups
from iqa_cli.weights import ModelCard, WeightFile, write_card


@dataclass(frozen=True)
class Part:
    """One training: places of the labelled images it is trained on, chooses its epoch on, is judged by."""

    folder: Path
    train: list[int]
    validation: list[int]
    test: list[int]
    fold: int | None = None


@dataclass(frozen=True)
class PartBegun:
    """Another training begins."""

    number: int
    parts: int
    part: Part


@dataclass(frozen=True)
class PartDone:
    """What was measured on the test images of one training; None where it has none."""

    part: Part
    srcc: float | None
    plcc: float | None
    card: Path


NO_MATTER = (
    "run_dir",
    "resume",
    "only",
    "features",
    "measured",
    "measured_by",
    "summary",
    "backbone_source",
    "photos_source",
    "limits",
)
"""Options that weights do not depend on."""

PATHS = ("data_root", "fold_file", "backbone_weights", "photos", "teachers")
"""Options that name places on one machine, which a card has no use for."""

Event = PartBegun | ViewMeasured | ViewAsked | StepDone | EpochDone | PartDone


def train(options: StudyOptions) -> Iterator[Event]:
    """Train as the options say, yielding what happens.

    Each training leaves a run folder with its card; `results.json` beside them holds what was measured on the test parts.
    Raises DataError for labels or images that are missing, WeightsError for backbones, UsageError for contradictions.
    """
    check_method(options)
    labels = read_labels(options.dataset, find_root(options.dataset, options.data_root)) if options.dataset else None
    parts = plan_parts(labels, options)
    done = []
    for number, part in enumerate(parts):
        yield PartBegun(number, len(parts), part)
        for event in train_part(labels, part, options):
            yield event
            if isinstance(event, PartDone):
                done.append(event)
        write_results(options.run_dir, done)


def check_method(options: StudyOptions) -> None:
    """Raises UsageError where what is to be trained on and what for do not go together."""
    if options.method == "distillation" and not options.teachers:
        raise UsageError("distillation needs a teacher: --teacher MODEL")
    if not options.dataset and (options.method == "matching" or not options.photos or options.folds):
        raise UsageError("without --dataset there are no opinions: distil from a teacher on --images DIR, without folds")
    if any("{fold}" in teacher for teacher in options.teachers) and not options.folds:
        raise UsageError("{fold} in the name of a teacher stands for the number of a fold: add --folds")


def plan_parts(labels: Labels | None, options: StudyOptions) -> list[Part]:
    """The trainings: all images, or folds; images of one reference stay together everywhere."""
    if labels is None:
        return [Part(options.run_dir, [], [], [])]
    groups, seed = labels.groups, options.samples.seed
    if not options.folds:
        return [divide(labels, list(range(len(groups))), [], options.run_dir, options)]
    fold = read_folds(options.fold_file, labels) if options.fold_file else fold_groups(groups, options.folds, seed)
    wanted = options.only or range(options.folds)
    if not set(wanted) <= set(fold.tolist()):
        raise UsageError(f"there are no folds {sorted(set(wanted) - set(fold.tolist()))}: only {sorted(set(fold.tolist()))}")
    places = {int(f): (np.flatnonzero(fold != f).tolist(), np.flatnonzero(fold == f).tolist()) for f in wanted}
    return [
        replace(divide(labels, train, test, options.run_dir / f"fold{f}", options), fold=f)
        for f, (train, test) in places.items()
    ]


def divide(labels: Labels, train: list[int], test: list[int], folder: Path, options: StudyOptions) -> Part:
    """Take the validation images out of the training images."""
    if not options.validation:
        return Part(folder, train, [], test)
    groups = [labels.groups[place] for place in train]
    kept, held = split_groups(groups, seed=options.samples.seed, test_share=options.validation)
    return Part(folder, [train[i] for i in kept], [train[i] for i in held], test)


def train_part(
    labels: Labels | None, part: Part, options: StudyOptions
) -> Iterator[ViewMeasured | ViewAsked | StepDone | EpochDone | PartDone]:
    """One training, from the first weights to the card."""
    network, crops = begin_network(options)
    photos = label_photos(labels)
    unlabelled = find_unlabelled(options, len(photos))
    dataset = PhotoCrops([photos[i] for i in part.train] + unlabelled, crops, options.samples)
    run = RunFolder(part.folder)
    run.begin(describe_options(options), describe_split(labels, part), resume=options.resume)
    teachers = open_teachers([name.replace("{fold}", str(part.fold)) for name in options.teachers], options.loop.device)
    if teachers:
        yield from ask_teachers(
            teachers, dataset, options.asked, options.features or part.folder, options.loop if options.features else None
        )
    validation = [photos[i] for i in part.validation]
    yield from fit(network, dataset, validation, choose_objective(options), options.loop, run, options.features)
    network.load_state_dict(load_tensors(part.folder / "best.safetensors")[0], strict=True)
    tested = [photos[i] for i in part.test]
    predicted = predict_photos(network, tested, dataset, options.loop)
    if labels is not None:
        write_predictions(part.folder / "test.csv", [labels.ratings[i].path for i in part.test], tested, predicted)
    truth = [photo.quality for photo in tested]
    card = write_weights(network, crops, describe_training(labels, part, len(unlabelled), teachers, options), part, options)
    judged = (srcc(predicted, truth), plcc(predicted, truth)) if tested else (None, None)
    yield PartDone(part, judged[0], judged[1], card)


def begin_network(options: StudyOptions) -> tuple[QfmIqm, CropSpec]:
    """The network before training, and the crops that its backbone wants: pixel statistics as timm names them."""
    facts = timm.get_pretrained_cfg(options.backbone)
    if facts is None:
        raise WeightsError(f"timm knows no backbone {options.backbone}; timm.list_models() names them")
    sized = {"img_size": options.size} if facts.fixed_input_size else {}  # transformers have a position for each patch
    config = NetworkConfig(
        options.backbone, sized, options.width, options.heads,
        stages=options.stages, layers=options.layers, cell=options.cell,
    )  # fmt: skip
    torch.manual_seed(options.samples.seed)
    source = options.backbone_weights
    network = build_network(config, True if source is None else False if source == "none" else load_backbone(Path(source)))
    mean, std = ((values[0], values[1], values[2]) for values in (facts.mean, facts.std))
    return network, CropSpec(options.size, options.fit, count=options.crops, mean=mean, std=std)


def choose_objective(options: StudyOptions) -> Objective:
    """What the network is trained for."""
    if options.method == "distillation":
        return Distillation(options.distillation)
    return QualityMatching(options.matching, Memory(options.matching.memory))


def label_photos(labels: Labels | None) -> list[Photo]:
    """Every labelled image as a photo."""
    if labels is None:
        return []
    rows = enumerate(zip(labels.paths, labels.quality, labels.ratings, strict=True))
    return [Photo(str(path), float(quality), rating.reference, number) for number, (path, quality, rating) in rows]


def find_unlabelled(options: StudyOptions, first: int) -> list[Photo]:
    """The photos without labels, but for the share held out, numbered from `first`. Raises DataError where there are none."""
    found = find_images([str(folder) for folder in options.photos], Counter())
    kept = [path for path in found if not is_held_out(Path(path).name, options.samples.held_out)]
    if options.photos and not kept:
        raise DataError(f"{', '.join(map(str, options.photos))}: no photos to train on")
    return [Photo(path, number=first + place) for place, path in enumerate(kept)]


def describe_options(options: StudyOptions) -> dict[str, Any]:
    """The options as options.json holds them: what the result depends on, not where it lies."""
    data = asdict(replace(options, resume=False))
    return json.loads(json.dumps({k: v for k, v in data.items() if k not in NO_MATTER}, default=str))  # type: ignore[no-any-return]


def describe_split(labels: Labels | None, part: Part) -> dict[str, list[str]]:
    """The split by image names."""
    names = [rating.path for rating in labels.ratings] if labels else []
    return {kind: [names[i] for i in getattr(part, kind)] for kind in ("train", "validation", "test")}


def write_predictions(path: Path, names: Sequence[str], photos: Sequence[Photo], predicted: Iterable[float]) -> None:
    """What each test image was thought to be, beside its label, both on the scale 0 to 100."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "opinion", "score"])
        rows.writerows(
            [n, f"{100 * p.quality:.4f}", f"{100 * q:.4f}"] for n, p, q in zip(names, photos, predicted, strict=True)
        )


@dataclass(frozen=True)
class Lesson:
    """What a card says of the scale and of what a network learned from."""

    title: str
    opinions: tuple[float, ...]
    meaning: str
    data: list[str]


def describe_training(
    labels: Labels | None, part: Part, unlabelled: int, teachers: Sequence[Teacher], options: StudyOptions
) -> Lesson:
    """The scale is that of the labels; without labels, that of the first teacher."""
    data = [f"{unlabelled} photos without labels: {options.photos_source or 'not described'}"] if unlabelled else []
    data += [f"the answers of {teacher.card.name}: {teacher.card.summary}" for teacher in teachers]
    if labels is None:
        card = teachers[0].card
        return Lesson("unlabelled photos", card.opinions, card.score_meaning, data)
    quantiles = 100 * np.quantile(labels.quality[part.train + part.validation], np.linspace(0, 1, 101))
    data.insert(0, f"{labels.spec.title}: {len(part.train)} images; {labels.spec.licence}; {labels.spec.paper}")
    meaning = f"the mean opinion score of {labels.spec.title}, brought to 0..100, higher is better"
    return Lesson(labels.spec.title, tuple(round(float(value), 3) for value in quantiles), meaning, data)


def write_weights(network: QfmIqm, crops: CropSpec, lesson: Lesson, part: Part, options: StudyOptions) -> Path:
    """The weights in half precision with their card, in the run folder; the card's path."""
    weights = part.folder / f"{options.name}.safetensors"
    save_weights(weights, network, half=True)
    card = ModelCard(
        name=options.name,
        summary=options.summary or f"QFM-IQM on {options.backbone}, trained on {lesson.title}",
        licence="Apache-2.0",
        network=asdict(network.config),
        crops=crops,
        opinions=lesson.opinions,
        score_meaning=lesson.meaning,
        training={
            "data": lesson.data,
            "backbone": options.backbone_source or f"{options.backbone}, weights as given",
            "options": {k: v for k, v in describe_options(options).items() if k not in PATHS},
        },
        results=tuple(quote_results(options)),
        limits=options.limits,
        files={"safetensors": WeightFile.of(weights)},
    )
    return write_card(card, part.folder)


def quote_results(options: StudyOptions) -> Iterator[dict[str, Any]]:
    """What a cross-validation of this recipe measured, as a card holds it. Raises DataError where its file is not readable."""
    if options.measured is None:
        return
    try:
        measured = json.loads(options.measured.read_text(encoding="utf-8"))
        yield {
            "dataset": options.dataset,
            "protocol": "cross-validation; each fold is judged by a network that never saw its images",
            "folds": [row["fold"] for row in measured["folds"]],
            "images": sum(row["images"] for row in measured["folds"]),
            "command": options.measured_by,
            **{name: {k: round(v, 4) for k, v in measured[name].items()} for name in ("srcc", "plcc")},
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{options.measured}: not the results of a cross-validation: {error}") from error


def write_results(folder: Path, done: Sequence[PartDone]) -> None:
    """What was measured so far, with the median, the mean and the range over the folds."""
    rows = [
        {"fold": str(p.part.folder.name), "images": len(p.part.test), "srcc": p.srcc, "plcc": p.plcc}
        for p in done
        if p.part.test
    ]
    if not rows:
        return
    summary = {
        name: {"median": float(np.median(v)), "mean": float(np.mean(v)), "low": float(np.min(v)), "high": float(np.max(v))}
        for name in ("srcc", "plcc")
        if (v := [float(str(row[name])) for row in rows])
    }
    RunFolder(folder).write_text(folder / "results.json", json.dumps({"folds": rows, **summary}, indent=2) + "\n")
