"""train: from labels to trained weights and what was measured on them. One training, or one for each fold.

Here the options become a network, a dataset, an objective, a loop and a folder; nothing below gets all of them.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from iqa_cli.errors import UsageError
from iqa_cli.evaluation.measure import Measurement
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.card import ModelCard
from iqa_cli.models.provenance import Provenance, UnlabeledImages, join_provenances
from iqa_cli.models.provenance import Teacher as TeacherFacts
from iqa_cli.networks.checkpoint import load_tensors
from iqa_cli.networks.network import QfmIqm
from iqa_cli.networks.torch_backend import choose_device
from iqa_cli.qfm_iqm.objective import Distillation, Objective, QualityMatching
from iqa_cli.qfm_iqm.semantic_noise import Memory
from iqa_cli.qfm_iqm.set_scales import SetScales
from iqa_cli.training.data.content import describe_run
from iqa_cli.training.data.labeled import TrainingData
from iqa_cli.training.data.pixels import DecodedImages, PixelCache, Pixels
from iqa_cli.training.data.provenance import describe_initial, find_licence, identify_sets
from iqa_cli.training.data.samples import CropDataset, TrainingImage, list_images
from iqa_cli.training.data.teacher_scores import TeacherScore
from iqa_cli.training.distill import Teacher, list_asked, open_teachers, predict_with_teachers
from iqa_cli.training.distributed import ProcessGroup, open_group
from iqa_cli.training.events import (
    BackboneRead,
    EpochDone,
    Event,
    FeaturesExtracted,
    Noted,
    Progress,
    TeachersPredicted,
    TrialDone,
    TrialStarted,
)
from iqa_cli.training.initial_network import check_network, create_network, find_pretrained
from iqa_cli.training.loop import fit
from iqa_cli.training.options import TrainingOptions
from iqa_cli.training.plan import Plan, Trial, describe_doubts, describe_left_out, describe_split
from iqa_cli.training.recipes import describe_options, leave_out
from iqa_cli.training.report import (
    Origin,
    TensorBoard,
    describe_labels,
    describe_scores,
    describe_teacher,
    describe_test,
    draw_curves,
    measure_test,
    quote_results,
    write_predictions,
    write_results,
    write_table,
    write_weights,
)
from iqa_cli.training.run_folder import RunFolder
from iqa_cli.training.state import Run

PATHS = ("data_root", "own.labels", "fold_file", "backbone_weights", "unlabeled", "teachers", "teacher_scores", "initial_model")
"""Options that name places on one machine, which a card has no use for."""

BEGUN = "options.json"  # what a folder has in which a training was begun
KINDS = {"qfm-iqm": "QFM-IQM", "distillation": "QFM-IQM's network"}
"""What a model is, by the method that made it."""


def train(plan: Plan) -> Iterator[Event]:
    """Train as planned, yielding what happens.

    Each trial leaves a run folder with its card; `results.json` beside them holds what was measured on the test images.
    Raises DataError for images that cannot be decoded and results that cannot be quoted, WeightsError for backbones, UsageError
    for a device.
    """
    loop = replace(plan.options.loop, device=str(choose_device(plan.options.loop.device)))
    plan = replace(plan, options=replace(plan.options, loop=loop))
    check_network(plan.options)
    found = find_pretrained(plan.options)
    list_results(plan.options)
    group = open_group(loop.device)
    check_kind(plan)
    check_others(plan)
    if found:
        yield BackboneRead(found.describe())
    yield from map(Noted, describe_doubts(plan))
    for number, trial in enumerate(plan.chosen):
        yield TrialStarted(number, len(plan.chosen), trial)
        yield from map(Noted, describe_left_out(plan, trial))
        yield from train_trial(plan, trial, group)
        write_results(plan, group)
    group.close()


def check_kind(plan: Plan) -> None:
    """Raises UsageError where the run folder has trainings on another kind of split, whose results would be replaced."""
    top = plan.options.run_dir
    own = {name_kind(top, trial.folder) for trial in plan.trials}
    for path in (top / BEGUN, *sorted(top.glob(f"*/{BEGUN}"))):
        kind = name_kind(top, path.parent)
        if kind and kind not in own and path.exists():
            raise UsageError(
                f"{path.parent}: there is {kind} in this run folder, and {' and '.join(filter(None, own))} would be added,"
                " which make no table together: name another folder by --run-dir"
            )


def name_kind(run_dir: Path, folder: Path) -> str:
    """What is trained in a folder, by its name in the run folder, in words; empty: no training of this run."""
    if folder == run_dir:
        return "a single training"
    found = re.fullmatch(r"(fold|split)[0-9]+", folder.name)
    return f"a training on a {found[1]}" if found else ""


def check_others(plan: Plan) -> None:
    """Raises UsageError where a trial that others did, or do, has other options: the results are for one table."""
    for trial in plan.trials:
        if trial not in plan.chosen and (trial.folder / BEGUN).exists():
            RunFolder(trial.folder).check_begun(describe_run(plan, trial), describe_split(plan.data, trial))


# ---- one trial ----


@dataclass(frozen=True)
class Job:
    """One trial with its options, its data and its folder.

    unlabeled: by their places among those of all trials. begun: what the weights that it begins with had learned from.
    """

    trial: Trial
    options: TrainingOptions
    data: TrainingData | None
    unlabeled: dict[int, str]
    folder: RunFolder
    scores: dict[str, TeacherScore] = field(default_factory=dict)
    begun: Provenance = field(default_factory=Provenance)

    def train(self, network: QfmIqm, crops: CropSpec) -> Iterator[Progress | TrialDone]:
        """From the first weights to the card and the test."""
        options, trial, folder = self.options, self.trial, self.folder
        labeled = list_images(self.data, options.samples)
        images = [replace(image, teacher=self.scores.get(image.path)) for image in labeled]
        run = build_run(self, network, crops, images)
        teachers = open_teachers(options.teachers, run.options.device)
        run = yield from extend_labels(run, teachers, options)
        yield from follow(fit(run, choose_objective(options)), run, options)
        network.load_state_dict(load_tensors(folder.path / "best.safetensors")[0], strict=True)
        pixels = PixelCache(0) if options.decoded else run.dataset.pixels  # as scoring would read them
        predicted = np.clip(run.predict(network, [images[i] for i in trial.test], pixels), 0, 1)  # as scores are
        card = write_weights(folder, network, describe_model(self, crops, teachers))
        measurements: tuple[Measurement, ...] = ()
        if self.data is not None and trial.test:
            measurements = measure_test(self.data, trial, predicted, options.name)
            write_predictions(folder, self.data, trial, predicted)
            folder.write_json("test.json", describe_test(trial, measurements))
        folder.group.wait()
        yield TrialDone(trial, card, measurements)


def train_trial(plan: Plan, trial: Trial, group: ProcessGroup) -> Iterator[Progress | TrialDone]:
    """One trial, in a folder of which it keeps other processes out."""
    options = plan.options_of(trial)
    network, crops = create_network(options)
    folder = RunFolder(trial.folder, group)
    with folder.lock():
        folder.begin(describe_run(plan, trial), describe_split(plan.data, trial), resume=options.resume)
        job = Job(trial, options, plan.data, plan.find_unlabeled(trial), folder, plan.scores, describe_initial(options))
        yield from job.train(network, crops)


def build_run(job: Job, network: QfmIqm, crops: CropSpec, images: list[TrainingImage]) -> Run:
    """The network and the images of a trial, and how it is trained. images: all that are labeled."""
    options, group = job.options, job.folder.group
    unlabeled = [
        TrainingImage(path, number=len(images) + place, source=-1, teacher=job.scores.get(path))
        for place, path in job.unlabeled.items()
    ]
    dataset = CropDataset([images[i] for i in job.trial.train] + unlabeled, crops, options.samples, open_pixels(options))
    loop = replace(options.loop, device=str(group.device or options.loop.device))
    features = options.features
    if features is not None and options.decoded is not None:
        features /= f"decoded-{options.decoded_side}"  # features of reduced images are not for others
    validation = [images[i] for i in job.trial.validation]
    return Run(network, dataset, validation, loop, job.folder, features, is_started=bool(options.initial_model))


def open_pixels(options: TrainingOptions) -> Pixels:
    """Where decoded images are kept: on disk, if a folder is named for them."""
    if options.decoded is None:
        return PixelCache()
    return DecodedImages(options.decoded, options.decoded_side, int(options.decoded_gb * 1e9))


def extend_labels(
    run: Run, teachers: list[Teacher], options: TrainingOptions
) -> Generator[FeaturesExtracted | TeachersPredicted, None, Run]:
    """The run with teacher predictions for its crops, where there are teachers."""
    if not teachers:
        return run
    cache, loop = run.features or run.folder.path, run.options if run.features else None
    asked = list_asked(run.dataset, run.options, options.teacher_epochs)
    with run.group.main_first():
        dataset = yield from predict_with_teachers(teachers, run.dataset, asked, cache, loop)
    return replace(run, dataset=dataset)


def choose_objective(options: TrainingOptions) -> Objective:
    """What the network is trained for."""
    sets = len(options.sets)
    teacher = sets if sets and options.teacher_scores and learns_labels(options) else None
    reference = options.sets.index(options.scale) if options.scale else 0
    scales = SetScales(max(1, sets + (teacher is not None)), reference, teacher)
    if options.method == "distillation":
        return Distillation(options.distillation, scales)
    return QualityMatching(options.matching, Memory(options.matching.memory), scales)


def follow(events: Iterator[Progress], run: Run, options: TrainingOptions) -> Iterator[Progress]:
    """The events of a training, with learning curves of them."""
    board = TensorBoard(run.folder) if options.tensorboard and run.group.is_main else None
    for event in events:
        yield event
        if isinstance(event, EpochDone) and run.group.is_main:
            write_table(run.folder)
            if board:
                board.add(event)
    if board:
        board.close()
    if run.group.is_main:
        yield draw_curves(run.folder, " on ".join(filter(None, (options.name, " and ".join(options.sets)))))


# ---- the card ----


def describe_model(job: Job, crops: CropSpec, teachers: list[Teacher]) -> ModelCard:
    """The card, but for the network and the files."""
    options = job.options
    origin = describe_origin(job, teachers)
    return ModelCard(
        name=options.name,
        summary=options.summary or f"{KINDS[options.method]} on {options.backbone}, trained on {origin.title}",
        licence=find_licence(options),
        network={},
        crops=crops,
        opinions=origin.opinions,
        score_meaning=origin.meaning,
        training={
            **asdict(origin.provenance),
            "backbone": options.backbone_source or f"{options.backbone}, weights as given",
            "options": leave_out(describe_options(options), PATHS),
        },
        results=list_results(options),
        limits=options.limits,
    )


def list_results(options: TrainingOptions) -> tuple[dict[str, Any], ...]:
    """The cross-validation that the card quotes. Raises DataError where its file is not readable."""
    return tuple(quote_results(options.measured, options.measured_by)) if options.measured else ()


def describe_origin(job: Job, teachers: list[Teacher]) -> Origin:
    """The scale, and what was trained on: labels, unlabeled images, teachers; and before, the weights that it began with."""
    begin = describe_scale(job, teachers)
    source = job.options.unlabeled_source or "not described"
    unlabeled = (UnlabeledImages(len(job.unlabeled), source),) if job.unlabeled else ()
    taught = tuple(TeacherFacts(teacher.card.name, teacher.card.summary, teacher.card.licence) for teacher in teachers)
    if job.options.teacher_scores:
        taught = (TeacherFacts(job.options.teacher_scores.name, f"{len(job.scores)} scores", job.options.teacher_licence),)
    own = replace(identify_sets(begin.provenance, job.data), unlabeled=unlabeled, teachers=taught)
    return replace(begin, provenance=join_provenances([own, job.begun]))


def describe_scale(job: Job, teachers: list[Teacher]) -> Origin:
    """The scale: of the labels, where they are learned; else of the teachers."""
    rated = describe_labels(job.data, job.trial, job.options.scale) if job.data is not None else None
    if rated and learns_labels(job.options):
        return rated
    taught = describe_teacher(teachers[0].card) if teachers else describe_scores(job.scores)
    return replace(taught, title=rated.title, provenance=rated.provenance) if rated else taught


def learns_labels(options: TrainingOptions) -> bool:
    """Whether labels have a weight, and so a scale."""
    return options.method != "distillation" or options.distillation.label_weight > 0
