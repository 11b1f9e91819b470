"""study: from labels to trained weights and what was measured on them. One training, or one for each fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import timm
import torch

from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.evaluation.metrics import plcc, srcc
from iqa_cli.images.crops import CropSpec
from iqa_cli.networks.checkpoint import load_backbone, load_tensors
from iqa_cli.networks.network import NetworkConfig, QfmIqm, build_network
from iqa_cli.networks.torch_backend import choose_device
from iqa_cli.qfm_iqm.objective import Distillation, Memory, Objective, QualityMatching
from iqa_cli.training.curves import Board, CurvesDrawn, draw_curves, title_curves, write_table
from iqa_cli.training.data import Corpus, find_photos, read_corpus
from iqa_cli.training.decoded import DecodedImages
from iqa_cli.training.distill import Teacher, ViewAsked, ask_teachers, open_teachers
from iqa_cli.training.distributed import Team, open_team
from iqa_cli.training.feature_cache import ViewMeasured
from iqa_cli.training.fit_heads import remember_photos
from iqa_cli.training.loop import EpochDone, PhaseStopped, StepDone, fit, predict_photos
from iqa_cli.training.options import StudyOptions
from iqa_cli.training.plan import (
    Part,
    check_study,
    check_teachers,
    choose_parts,
    choose_side,
    describe_split,
    name_teachers,
    plan_parts,
)
from iqa_cli.training.report import (
    describe_training,
    judge_sets,
    write_measured,
    write_predictions,
    write_results,
    write_weights,
)
from iqa_cli.training.run_folder import RunFolder
from iqa_cli.training.samples import Photo, PhotoCrops, PixelCache, Pixels

FAR, NEAR = 1.2, 1.1
"""How much images are enlarged where several crops are to differ: less where only middles are looked at, which differ more."""


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
    chosen = choose_parts(parts, options)
    check_teachers(chosen, options)
    choose_device(options.loop.device)  # said before a run folder is begun
    team = open_team(options.loop.device)
    check_others([part for part in parts if part not in chosen], options)
    for number, part in enumerate(chosen):
        yield PartBegun(number, len(chosen), part)
        yield from train_part(corpus, part, specialise(options, part), team)
        if team.leads:
            write_results(parts, options)


def specialise(options: StudyOptions, part: Part) -> StudyOptions:
    """The options of one training: with its seed, and with the views that its teachers want."""
    return choose_side(replace(options, samples=replace(options.samples, seed=part.seed)), part)


def check_others(parts: Sequence[Part], options: StudyOptions) -> None:
    """Raises UsageError where a training that others did, or do, is not of this study: their results are for one table."""
    for part in parts:
        if (part.folder / "options.json").exists():
            RunFolder(part.folder).check_options(specialise(options, part))


def train_part(corpus: Corpus | None, part: Part, options: StudyOptions, team: Team) -> Iterator[Learning | PartDone]:
    """One training, in a folder of which it keeps other processes out."""
    others = find_photos(options)
    network, crops = begin_network(options)
    run = RunFolder(part.folder)
    with run.lock() if team.leads else nullcontext():
        if team.leads:
            run.begin(options, describe_split(corpus, part), resume=options.resume)
        team.wait()
        yield from train_network(network, crops, corpus, part, others, options, team)


def train_network(
    network: QfmIqm,
    crops: CropSpec,
    corpus: Corpus | None,
    part: Part,
    others: Sequence[str],
    options: StudyOptions,
    team: Team,
) -> Iterator[Learning | PartDone]:
    """From the first weights to the card and the test. One process of the team writes; the others compute with it.

    others: the photos without ratings.
    """
    here = replace(options, loop=replace(options.loop, device=str(team.device or choose_device(options.loop.device))))
    photos = label_photos(corpus)
    unlabelled = [Photo(path, number=len(photos) + place) for place, path in enumerate(others)]
    dataset = PhotoCrops([photos[i] for i in part.train] + unlabelled, crops, options.samples, open_pixels(options))
    teachers = open_teachers(name_teachers(part, options), here.loop.device)
    yield from learn(network, dataset, [photos[i] for i in part.validation], teachers, here, RunFolder(part.folder), team)
    network.load_state_dict(load_tensors(part.folder / "best.safetensors")[0], strict=True)
    tested = [photos[i] for i in part.test]
    whole = PixelCache(0) if options.decoded else dataset.pixels  # what scoring would see
    predicted = predict_photos(network, tested, crops, whole, here.loop, team)
    truth = [photo.quality for photo in tested]
    figures = (srcc(predicted, truth), plcc(predicted, truth)) if tested else (None, None)
    sets = judge_sets(corpus, part, predicted) if corpus else {}
    if team.leads:
        write_weights(network, crops, describe_training(corpus, part, len(unlabelled), teachers, options), part, options)
        if corpus is not None:
            write_predictions(part.folder / "test.csv", [corpus.names[i] for i in part.test], tested, predicted)
        write_measured(part, {"srcc": figures[0], "plcc": figures[1], "sets": sets})
    yield PartDone(part, figures[0], figures[1], part.folder / f"{options.name}.json", sets)


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
    if options.method == "perceptrons":
        events: Iterator[Learning] = remember_photos(network, dataset, validation, options, run, kept, team)
    else:
        events = fit(network, dataset, validation, choose_objective(options), options.loop, run, kept, team)
    for event in events:
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
    mean, std = ((values[0], values[1], values[2]) for values in (facts.mean, facts.std))
    try:
        crops = CropSpec(
            options.size, options.fit, count=options.crops,
            zoom=NEAR if options.middle else FAR, middle=options.middle, mean=mean, std=std,
        )  # fmt: skip
        sized = {"img_size": options.middle or options.size} if facts.fixed_input_size else {}  # a position for each patch
        config = NetworkConfig(
            options.backbone, sized, options.width, options.heads,
            stages=options.stages, layers=options.layers, cell=options.cell,
            center_crop=options.middle, head="mlp" if options.method == "perceptrons" else "panel",
            units=options.perceptrons.count * options.perceptrons.units if options.method == "perceptrons" else 0,
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(str(error)) from error
    torch.manual_seed(options.samples.seed)
    source = options.backbone_weights
    network = build_network(config, True if source is None else False if source == "none" else load_backbone(Path(source)))
    return network, crops


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
