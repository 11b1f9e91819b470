"""Reports of a training: learning curves, the weights with their card, and what was measured on its test images."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from iqa_cli.errors import DataError, ExtraMissing
from iqa_cli.evaluation.measure import Figures, Measurement, compare, measure
from iqa_cli.evaluation.plots import plot_learning
from iqa_cli.models.card import ModelCard, WeightFile, drop_nan, write_card
from iqa_cli.models.provenance import Provenance, RatedImages
from iqa_cli.networks.checkpoint import save_weights
from iqa_cli.networks.network import QfmIqm
from iqa_cli.records import ScoreRecord, Status
from iqa_cli.training import predictions
from iqa_cli.training.data.labeled import TrainingData
from iqa_cli.training.data.teacher_scores import TeacherScore
from iqa_cli.training.distributed import ProcessGroup
from iqa_cli.training.events import HEAD_TRAINING, CurvesDrawn, EpochDone
from iqa_cli.training.plan import Plan, Trial
from iqa_cli.training.predictions import describe_predictions, group_trials
from iqa_cli.training.run_folder import RunFolder

FIGURES = tuple(f.name for f in fields(Figures))
PLAIN = ("epoch", "phase", "srcc", "plcc", "images_per_second", "seconds")


PROTOCOLS = {
    "folds": "cross-validation; each fold is predicted by a network that never saw its images",
    "seeded": "seeded splits of {sets}, {share:.0%} for the test, which is predicted by a network that never saw its images",
    "official": "the official split of {sets}; its test part is predicted by a network that never saw its images",
}

# ---- learning curves ----


def write_table(folder: RunFolder) -> Path:
    """learning.csv: a line an epoch; losses and rates that an epoch does not have are empty."""
    rows = folder.read_stats()
    named = [(kind, name) for kind in ("losses", "rates") for name in dict.fromkeys(n for row in rows for n in row[kind])]
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*PLAIN, *(f"loss_{name}" if kind == "losses" else name for kind, name in named)])
    table.writerows([row[key] for key in PLAIN] + [row[kind].get(name) for kind, name in named] for row in rows)
    return folder.write_text("learning.csv", text.getvalue())


def draw_curves(folder: RunFolder, title: str) -> CurvesDrawn:
    """learning.csv and, where matplotlib is installed, learning.png."""
    table, picture = write_table(folder), folder.path / "learning.png"
    try:
        plot_learning(picture, folder.read_stats(), title, HEAD_TRAINING)
    except ExtraMissing:
        return CurvesDrawn(table, None)
    return CurvesDrawn(table, picture)


class TensorBoard:
    """Event files for TensorBoard, below the run folder. Raises ExtraMissing where it is not installed."""

    def __init__(self, folder: RunFolder) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise ExtraMissing("tensorboard", "--tensorboard") from error
        self.writer: Any = SummaryWriter(folder.path / "tensorboard", purge_step=len(folder.read_stats()) + 1)

    def add(self, epoch: EpochDone) -> None:
        """The figures of one epoch."""
        self.add_all("loss", epoch.losses, epoch.epoch)
        self.add_all("rate", epoch.rates, epoch.epoch)
        if epoch.srcc is not None and epoch.plcc is not None:
            self.add_all("validation", {"srcc": epoch.srcc, "plcc": epoch.plcc}, epoch.epoch)
        self.add_all("speed", {"images_per_second": epoch.images_per_second}, epoch.epoch)
        self.writer.flush()

    def add_all(self, kind: str, figures: Mapping[str, float], epoch: int) -> None:
        """Some figures of one kind."""
        for name, value in figures.items():
            self.writer.add_scalar(f"{kind}/{name}", value, epoch)

    def close(self) -> None:
        """No more epochs come."""
        self.writer.close()


# ---- what was measured ----


def write_predictions(folder: RunFolder, data: TrainingData, trial: Trial, predicted: npt.NDArray[np.float64]) -> None:
    """test.csv: the prediction for each test image beside its mean opinion, both on 0..100."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["image", "opinion", "score"])
    for index, label in zip(trial.test, predicted, strict=True):
        rows.writerow([data.names[index], f"{100 * data.labels[index]:.4f}", f"{100 * label:.4f}"])
    folder.write_text("test.csv", text.getvalue())


def measure_test(data: TrainingData, trial: Trial, predicted: npt.NDArray[np.float64], model: str) -> tuple[Measurement, ...]:
    """How well the predictions [n] for a trial's test images agree with people, set by set, as `iqa evaluate` measures it.

    Of a set with fewer than two test images there is nothing to measure.
    """
    found = []
    for name, (labels, rows) in data.split_by_set(trial.test).items():
        if len(rows) > 1:
            scores = 100 * predicted[rows]
            pairs = zip(labels.paths, scores, strict=True)
            records = [ScoreRecord(str(path), Status.OK, model, float(score), 0.0) for path, score in pairs]
            found.append(replace(measure(compare(labels, records), seed=trial.seed), dataset=name))
    return tuple(found)


def describe_test(trial: Trial, measurements: Sequence[Measurement]) -> dict[str, Any]:
    """What was measured of one trial, as test.json holds it."""
    data: dict[str, Any] = drop_nan({"trial": trial.folder.name, "sets": [asdict(each) for each in measurements]})
    return data


def describe_protocol(plan: Plan) -> str:
    """What is tested, in words."""
    options = plan.options
    protocol = PROTOCOLS["folds" if options.has_folds else options.split]
    return protocol.format(sets=" and ".join(options.sets), share=options.test_share)


def write_results(plan: Plan, group: ProcessGroup) -> None:
    """results.json and predictions.csv of the finished trials, whoever ran them."""
    folder, protocol = RunFolder(plan.options.run_dir, group), describe_protocol(plan)
    write_latest(folder, "results.json", lambda: describe_results(plan.trials, protocol))
    for path, trials in group_trials(plan):
        write_latest(RunFolder(path, group), predictions.FILE, partial(describe_predictions, plan, trials))


def write_latest(folder: RunFolder, name: str, describe: Callable[[], str]) -> None:
    """A file about finished trials, until none has been finished meanwhile; none where there is nothing to say."""
    written = ""
    while (text := describe()) != written:
        folder.write_text(name, text)
        written = text


def describe_results(trials: Sequence[Trial], protocol: str) -> str:
    """What the finished trials measured, with the median, mean and range over them, as JSON; "" where there is none."""
    rows = [RunFolder(trial.folder).read_json("test.json") for trial in trials if (trial.folder / "test.json").exists()]
    if not rows:
        return ""
    return json.dumps({"protocol": protocol, "trials": rows, "summary": summarize(rows)}, indent=2) + "\n"


def summarize(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each set the median, mean and range of each figure over the trials; None where one of them is not defined."""
    summary = []
    for name in dict.fromkeys(each["dataset"] for row in rows for each in row["sets"]):
        own = [each for row in rows for each in row["sets"] if each["dataset"] == name]
        figures = {figure: spread([each[figure]["value"] for each in own]) for figure in FIGURES}
        summary.append({"dataset": name, "images": sum(each["images"] for each in own), **figures})
    return summary


def spread(values: Sequence[float | None]) -> dict[str, float] | None:
    """The median, the mean and the range of some figures."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    reduced = {"median": np.median(known), "mean": np.mean(known), "low": np.min(known), "high": np.max(known)}
    return {name: float(value) for name, value in reduced.items()}


# ---- the card ----


@dataclass(frozen=True)
class Origin:
    """What a card says of the scale, and of what a network was trained on."""

    title: str
    opinions: tuple[float, ...]
    meaning: str
    provenance: Provenance


def describe_labels(data: TrainingData, trial: Trial, scale: str = "") -> Origin:
    """The scale is that of the labels that were trained on: of several sets, of the one that is named, or the first."""
    own = scale or next(iter(data.sets))
    trained = [index for index in trial.train + trial.validation if data.origins[index] == own]
    counts = Counter(data.origins[index] for index in trial.train)
    specs = {name: labels.spec for name, labels in data.sets.items()}
    rated = tuple(RatedImages(name, counts[name], s.title, s.licence, s.paper) for name, s in specs.items() if counts[name])
    meaning = f"the mean opinion score of {specs[own].title}, brought to 0..100, higher is better"
    return Origin(data.title, list_quantiles(data.labels[trained]), meaning, Provenance(rated))


def describe_scores(scores: Mapping[str, TeacherScore]) -> Origin:
    """Without labels, and without teachers that are models, the scale is that of a file of scores."""
    targets = np.array([score.target for score in scores.values()])
    return Origin(
        "teacher scores", list_quantiles(targets), "teacher scores, brought to 0..100, higher is better", Provenance()
    )


def list_quantiles(labels: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """The quantiles 0, .01, ..., 1 of labels in 0..1, in points."""
    return tuple(round(float(value), 3) for value in 100 * np.quantile(labels, np.linspace(0, 1, 101)))


def describe_teacher(card: ModelCard) -> Origin:
    """Without labels the scale is that of a teacher."""
    return Origin("unlabeled images", card.opinions, card.score_meaning, Provenance())


def write_weights(folder: RunFolder, network: QfmIqm, card: ModelCard) -> Path:
    """The weights in half precision with their card, in the run folder; the card's path. card: without files."""
    path = folder.path / f"{card.name}.json"
    if folder.group.is_main:
        weights = path.with_suffix(".safetensors")
        save_weights(weights, network, half=True)
        files = {"safetensors": WeightFile.of(weights)}
        write_card(replace(card, network=asdict(network.config), files=files), folder.path)
    return path


def quote_results(measured: Path, command: str) -> Iterator[dict[str, Any]]:
    """What a cross-validation of this recipe measured, as a card holds it. Raises DataError where its file is not readable."""
    try:
        found = json.loads(measured.read_text(encoding="utf-8"))
        for row in found["summary"]:
            figures = {name: row[name] for name in FIGURES if row.get(name)}
            yield {
                "dataset": row["dataset"],
                "protocol": found["protocol"],
                "folds": [trial["trial"] for trial in found["trials"]],
                "images": row["images"],
                "command": command,
                **{name: {k: round(v, 4) for k, v in values.items()} for name, values in figures.items()},
            }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{measured}: not the results of a cross-validation: {error}") from error
