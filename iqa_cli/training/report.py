"""Reports: what is written down of a finished training: its weights with their card, and what was measured on its test part."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from iqa_cli.errors import DataError
from iqa_cli.evaluation.metrics import plcc, srcc
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.card import ModelCard, WeightFile, write_card
from iqa_cli.networks.checkpoint import save_weights
from iqa_cli.networks.network import QfmIqm
from iqa_cli.training.data import Corpus
from iqa_cli.training.distill import Teacher
from iqa_cli.training.options import StudyOptions
from iqa_cli.training.plan import Part
from iqa_cli.training.run_folder import RunFolder, describe_options
from iqa_cli.training.samples import Photo

PATHS = ("data_root", "labels", "fold_file", "backbone_weights", "photos", "teachers")
"""Options that name places on one machine, which a card has no use for."""

KINDS = {
    "matching": "QFM-IQM",
    "distillation": "QFM-IQM's network",
    "perceptrons": "perceptrons",
}
"""What a model is, by the method that made it."""

PROTOCOLS = {
    "folds": "cross-validation; each fold is judged by a network that never saw its images",
    "seeded": "seeded splits of {sets}, {share:.0%} for the test, which is judged by a network that never saw its images",
    "official": "the official split of {sets}; its test part is judged by a network that never saw its images",
}


# ---- what was measured ----


def write_predictions(path: Path, names: Sequence[str], photos: Sequence[Photo], predicted: Iterable[float]) -> None:
    """What each test image was thought to be, beside its label, both on the scale 0 to 100."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "opinion", "score"])
        rows.writerows(
            [n, f"{100 * p.quality:.4f}", f"{100 * q:.4f}"] for n, p, q in zip(names, photos, predicted, strict=True)
        )


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


def write_measured(part: Part, figures: Mapping[str, Any]) -> None:
    """What was measured on the test images of a training, as a row of results.json; nothing where it has none."""
    if part.test:
        row = {"fold": part.folder.name, "images": len(part.test), **figures}
        RunFolder(part.folder).write_json("test.json", {name: value for name, value in row.items() if value != {}})


def write_results(parts: Sequence[Part], options: StudyOptions) -> None:
    """What the trainings that are finished have measured, whoever ran them, until none has been finished meanwhile."""
    path, written = options.run_dir / "results.json", ""
    while (text := describe_results(parts, options)) != written:
        RunFolder(options.run_dir).write_text(path, text)
        written = text


def describe_results(parts: Sequence[Part], options: StudyOptions) -> str:
    """The rows of the finished trainings, with the median, mean and range over them, as JSON; "" where there is none."""
    rows = [RunFolder(part.folder).read_json("test.json") for part in parts if (part.folder / "test.json").exists()]
    if not rows:
        return ""
    protocol = PROTOCOLS["folds" if options.folds else options.split]
    results: dict[str, Any] = {
        "protocol": protocol.format(sets=" and ".join(options.sets), share=options.test_share),
        "folds": rows,
        **summarise(rows),
    }
    if "sets" in rows[0]:
        results["sets"] = {name: summarise([row["sets"][name] for row in rows]) for name in rows[0]["sets"]}
    return json.dumps(results, indent=2) + "\n"


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """SRCC and PLCC: the median, the mean and the range over the trainings."""
    return {
        name: {"median": float(np.median(v)), "mean": float(np.mean(v)), "low": float(np.min(v)), "high": float(np.max(v))}
        for name in ("srcc", "plcc")
        if (v := [float(row[name]) for row in rows])
    }


# ---- the card ----


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
        summary=options.summary or f"{KINDS[options.method]} on {options.backbone}, trained on {lesson.title}",
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
