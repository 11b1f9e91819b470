"""study: from labels to trained weights and what was measured on them. One training, or one for each fold."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch

from iqa_cli.card import ModelCard, WeightFile, write_card
from iqa_cli.corpus import Corpus, find_photos, read_corpus
from iqa_cli.crops import CropSpec
from iqa_cli.errors import DataError, WeightsError
from iqa_cli.metrics import plcc, srcc
from iqa_cli.nn.checkpoint import load_backbone, load_tensors, save_weights
from iqa_cli.nn.curves import Board, CurvesDrawn, draw_curves, title_curves, write_table
from iqa_cli.nn.decoded import DecodedImages
from iqa_cli.nn.features import ViewMeasured
from iqa_cli.nn.network import NetworkConfig, QfmIqm, build_network
from iqa_cli.nn.objectives import Distillation, Memory, Objective, QualityMatching
from iqa_cli.nn.runs import RunFolder
from iqa_cli.nn.samples import Photo, PhotoCrops, PixelCache, Pixels
from iqa_cli.nn.teachers import Teacher, ViewAsked, ask_teachers, open_teachers
from iqa_cli.nn.teams import Team, open_team
from iqa_cli.nn.training import EpochDone, PhaseStopped, StepDone, fit, predict_photos
from iqa_cli.parts import Part, check_study, describe_split, plan_parts
from iqa_cli.recipes import StudyOptions


@dataclass(frozen=True)
class PartBegun:
    """Another training begins."""

    number: int
    parts: int
    part: Part


@dataclass(frozen=True)
class PartDone:
    """What was measured on the test images of one training; None where it has none. sets: the figures of each of several."""

    part: Part
    srcc: float | None
    plcc: float | None
    card: Path
    sets: dict[str, dict[str, float]] = field(default_factory=dict)


NO_MATTER = (
    "run_dir",
    "resume",
    "only",
    "repeats",
    "decoded",
    "decoded_gb",
    "tensorboard",
    "features",
    "measured",
    "measured_by",
    "summary",
    "backbone_source",
    "photos_source",
    "limits",
)
"""Options that weights do not depend on."""

PATHS = ("data_root", "labels", "fold_file", "backbone_weights", "photos", "teachers")
"""Options that name places on one machine, which a card has no use for."""

Learning = ViewMeasured | ViewAsked | StepDone | EpochDone | PhaseStopped | CurvesDrawn
Event = PartBegun | Learning | PartDone


def train(options: StudyOptions) -> Iterator[Event]:
    """Train as the options say, yielding what happens.

    Each training leaves a run folder with its card; `results.json` beside them holds what was measured on the test parts.
    Raises DataError for labels or images that are missing, WeightsError for backbones, UsageError for contradictions.
    """
    check_study(options)
    corpus = read_corpus(options)
    parts = plan_parts(corpus, options)
    team = open_team(options.loop.device)
    done = []
    for number, part in enumerate(parts):
        yield PartBegun(number, len(parts), part)
        for event in train_part(corpus, part, replace(options, samples=replace(options.samples, seed=part.seed)), team):
            yield event
            if isinstance(event, PartDone):
                done.append(event)
        if team.leads:
            write_results(done, options)


def train_part(corpus: Corpus | None, part: Part, options: StudyOptions, team: Team) -> Iterator[Learning | PartDone]:
    """One training, from the first weights to the card. One process of the team writes; the others compute with it."""
    network, crops = begin_network(options)
    run = RunFolder(part.folder)
    if team.leads:
        run.begin(describe_options(options), describe_split(corpus, part), resume=options.resume, defaults=DEFAULTS)
    team.wait()
    here = replace(options, loop=replace(options.loop, device=str(team.device or options.loop.device)))
    photos = label_photos(corpus)
    unlabelled = [Photo(path, number=len(photos) + place) for place, path in enumerate(find_photos(options))]
    dataset = PhotoCrops([photos[i] for i in part.train] + unlabelled, crops, options.samples, open_pixels(options))
    teachers = open_teachers([name.replace("{fold}", str(part.fold)) for name in options.teachers], here.loop.device)
    yield from learn(network, dataset, [photos[i] for i in part.validation], teachers, here, run, team)
    network.load_state_dict(load_tensors(part.folder / "best.safetensors")[0], strict=True)
    tested = [photos[i] for i in part.test]
    whole = PixelCache(0) if options.decoded else dataset.pixels  # what scoring would see
    predicted = predict_photos(network, tested, crops, whole, here.loop, team)
    card = part.folder / f"{options.name}.json"
    if team.leads:
        if corpus is not None:
            write_predictions(part.folder / "test.csv", [corpus.names[i] for i in part.test], tested, predicted)
        lesson = describe_training(corpus, part, len(unlabelled), teachers, options)
        card = write_weights(network, crops, lesson, part, options)
    truth = [photo.quality for photo in tested]
    judged = (srcc(predicted, truth), plcc(predicted, truth)) if tested else (None, None)
    yield PartDone(part, judged[0], judged[1], card, judge_sets(corpus, part, predicted) if corpus else {})


def learn(
    network: QfmIqm, dataset: PhotoCrops, validation: Sequence[Photo], teachers: Sequence[Teacher], options: StudyOptions,
    run: RunFolder, team: Team,
) -> Iterator[Learning]:  # fmt: skip
    """Ask the teachers, train, and keep the learning curves."""
    kept = options.features
    if kept is not None and options.decoded is not None:
        kept /= f"decoded-{options.decoded_side}"  # what was measured on reduced images is not for others
    if teachers:
        if not team.leads:
            team.wait()  # for the answers, which all then read
        yield from ask_teachers(teachers, dataset, options.asked, kept or run.path, options.loop if kept else None)
        if team.leads:
            team.wait()
    board = Board(run) if options.tensorboard and team.leads else None
    for event in fit(network, dataset, validation, choose_objective(options), options.loop, run, kept, team):
        yield event
        if isinstance(event, EpochDone) and team.leads:
            write_table(run)
            if board:
                board.add(event)
    if board:
        board.close()
    if team.leads:
        yield draw_curves(run, title_curves(options.name, options.sets))


def open_pixels(options: StudyOptions) -> Pixels | None:
    """Where decoded images are kept: on disk, if a folder is named for them."""
    if options.decoded is None:
        return None
    return DecodedImages(options.decoded, options.decoded_side, int(options.decoded_gb * 1e9))


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


def label_photos(corpus: Corpus | None) -> list[Photo]:
    """Every labelled image as a photo."""
    if corpus is None:
        return []
    rows = enumerate(zip(corpus.paths, corpus.quality, corpus.groups, strict=True))
    return [Photo(str(path), float(quality), group, number) for number, (path, quality, group) in rows]


def judge_sets(corpus: Corpus, part: Part, predicted: npt.NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """The figures of each set by itself, where there are several with test images: two scales need not meet."""
    if len(corpus.sets) == 1:
        return {}
    figures = {}
    for name in corpus.sets:
        rows = [row for row, place in enumerate(part.test) if corpus.origins[place] == name]
        if rows:
            ours, truth = predicted[rows], corpus.quality[[part.test[row] for row in rows]]
            figures[name] = {"images": len(rows), "srcc": srcc(ours, truth), "plcc": plcc(ours, truth)}
    return figures


def describe_options(options: StudyOptions) -> dict[str, Any]:
    """The options as options.json holds them: what the result depends on, not where it lies."""
    data = asdict(replace(options, resume=False, decoded_side=options.decoded_side if options.decoded else 0))
    return json.loads(json.dumps({k: v for k, v in data.items() if k not in NO_MATTER}, default=str))  # type: ignore[no-any-return]


DEFAULTS = describe_options(StudyOptions(Path()))
"""What an options.json meant that was written before an option was there."""


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
    corpus: Corpus | None, part: Part, unlabelled: int, teachers: Sequence[Teacher], options: StudyOptions
) -> Lesson:
    """The scale is that of the labels; without labels, that of the first teacher."""
    data = [f"{unlabelled} photos without labels: {options.photos_source or 'not described'}"] if unlabelled else []
    data += [f"the answers of {teacher.card.name}: {teacher.card.summary}" for teacher in teachers]
    if corpus is None:
        card = teachers[0].card
        return Lesson("unlabelled photos", card.opinions, card.score_meaning, data)
    quantiles = 100 * np.quantile(corpus.quality[part.train + part.validation], np.linspace(0, 1, 101))
    counts = Counter(corpus.origins[place] for place in part.train)
    sets = [(counts[name], labels.spec) for name, labels in corpus.sets.items()]
    described = ["; ".join(filter(None, (f"{s.title}: {count} images", s.licence, s.paper))) for count, s in sets]
    meaning = f"the mean opinion score of {corpus.title}, brought to 0..100, higher is better"
    return Lesson(corpus.title, tuple(round(float(value), 3) for value in quantiles), meaning, described + data)


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
            "dataset": " and ".join(options.sets),
            "protocol": measured.get("protocol", PROTOCOLS["folds"]),
            "folds": [row["fold"] for row in measured["folds"]],
            "images": sum(row["images"] for row in measured["folds"]),
            "command": options.measured_by,
            **{name: {k: round(v, 4) for k, v in measured[name].items()} for name in ("srcc", "plcc")},
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{options.measured}: not the results of a cross-validation: {error}") from error


PROTOCOLS = {
    "folds": "cross-validation; each fold is judged by a network that never saw its images",
    "seeded": "seeded splits of {sets}, {share:.0%} for the test, which is judged by a network that never saw its images",
    "official": "the official split of {sets}; its test part is judged by a network that never saw its images",
}


def write_results(done: Sequence[PartDone], options: StudyOptions) -> None:
    """What was measured so far, with the median, the mean and the range over the trainings that had a test part."""
    judged = [p for p in done if p.part.test]
    if not judged:
        return
    kind = "folds" if options.folds else options.split
    rows = [
        {"fold": str(p.part.folder.name), "images": len(p.part.test), "srcc": p.srcc, "plcc": p.plcc}
        | ({"sets": p.sets} if p.sets else {})
        for p in judged
    ]
    protocol = PROTOCOLS[kind].format(sets=" and ".join(options.sets), share=options.test_share)
    results: dict[str, Any] = {"protocol": protocol, "folds": rows, **summarise([asdict(p) for p in judged])}
    if judged[0].sets:
        results["sets"] = {name: summarise([p.sets[name] for p in judged]) for name in judged[0].sets}
    RunFolder(options.run_dir).write_text(options.run_dir / "results.json", json.dumps(results, indent=2) + "\n")


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """SRCC and PLCC: the median, the mean and the range over the trainings."""
    return {
        name: {"median": float(np.median(v)), "mean": float(np.mean(v)), "low": float(np.min(v)), "high": float(np.max(v))}
        for name in ("srcc", "plcc")
        if (v := [float(row[name]) for row in rows])
    }
