"""Workbench: models and rated sets in, evaluations out: how well each model agrees with the people of each set."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from iqa_cli.datasets.labels import Labels, find_root, find_spec, read_labels, read_own_labels
from iqa_cli.datasets.splits import take_test
from iqa_cli.evaluation.contamination import Training, read_training
from iqa_cli.evaluation.measure import (
    Comparison,
    Estimate,
    Figures,
    Measurement,
    SplitMeasurement,
    compare,
    measure,
    measure_splits,
)
from iqa_cli.evaluation.published import Protocol, Published, find_published
from iqa_cli.models.card import ModelCard
from iqa_cli.models.find import find_cards, find_model
from iqa_cli.options import OWN, EvaluateOptions, OwnRatings, Side
from iqa_cli.records import ScoreRecord
from iqa_cli.scoring.scorer import Scorer, open_scorer

FIGURES = ("srcc", "plcc", "plcc_fitted", "krcc", "rmse")


@dataclass(frozen=True)
class Scored:
    """One more image has its record. done of images; failed: how many have no score."""

    dataset: str
    model: str
    done: int
    images: int
    failed: int


@dataclass(frozen=True)
class Evaluation:
    """One model on one set.

    model: as it was asked for. protocol: which images, in words. interval: what stands beside each figure, in words.
    measurement: of all images that were scored; parts: of several splits, whose figures then count. training: what the card
    says. published: figures of papers that followed the same protocol.
    """

    model: str
    card: ModelCard
    comparison: Comparison
    protocol: str
    interval: str
    measurement: Measurement
    parts: SplitMeasurement | None
    training: Training
    published: tuple[Published, ...]

    @property
    def labels(self) -> Labels:
        """The ratings."""
        return self.comparison.labels

    @property
    def exposure(self) -> str:
        """What a reader must know of the model's training; empty where it has seen none of the images."""
        return self.training.describe(self.labels.spec, len(self.labels.ratings))

    @property
    def figures(self) -> dict[str, Estimate]:
        """The figures by name, with their intervals; over several splits the median, with the lowest and the highest."""
        if self.parts is None:
            return {name: getattr(self.measurement, name) for name in FIGURES}
        return {name: take_range(self.parts.median, self.parts.parts, name) for name in FIGURES}


def take_range(median: Figures, parts: tuple[Figures, ...], name: str) -> Estimate:
    """A figure over several splits."""
    values = [getattr(part, name) for part in parts]
    return Estimate(getattr(median, name), min(values), max(values))


def evaluate(options: EvaluateOptions, warn: Callable[[str], None]) -> Generator[Scored | Evaluation]:
    """Each model on each set, as they get done; what is wrong with labels and models is said before any image is scored.

    warn: hears of what goes wrong without being an error. Raises UsageError, DataError and WeightsError.
    """
    sets = list(read_sets(options))
    for model in options.models:
        find_model(model, options.scoring.backend)
    for model in options.models:
        scorer = open_scorer(replace(options.scoring, model=model), warn)
        for labels in sets:
            yield from evaluate_one(model, scorer, labels, options)


def read_sets(options: EvaluateOptions) -> Iterator[Labels]:
    """The ratings to measure on, set by set."""
    roots = options.data_roots if len(options.data_roots) > 1 else (options.data_roots or (None,)) * len(options.datasets)
    for name, root in zip(options.datasets, roots, strict=True):
        if name == OWN:
            labels = read_own_labels(options.own, root, allow_missing=options.allow_missing)
        else:
            labels = read_labels(name, find_root(name, root), allow_missing=options.allow_missing)
        yield labels if measures_all(labels, options) else take_test(labels, options.seed)


def measures_all(labels: Labels, options: EvaluateOptions) -> bool:
    """Whether every image is scored: all are asked for, or several splits of them."""
    return options.side is Side.ALL or (options.repeats > 1 and not labels.spec.official_split)


def evaluate_one(model: str, scorer: Scorer, labels: Labels, options: EvaluateOptions) -> Iterator[Scored | Evaluation]:
    """One model on one set."""
    name, images, failed = labels.spec.name, len(labels.ratings), 0
    records: list[ScoreRecord] = []
    with closing(scorer.score(str(path) for path in labels.paths)) as scored:
        for record in scored:
            records.append(record)
            failed += record.score is None
            yield Scored(name, model, len(records), images, failed)
    comparison = compare(labels, records)
    several = options.side is Side.TEST and measures_all(labels, options)
    training = read_training(scorer.card, find_cards(), labels.spec)
    yield Evaluation(
        model=model,
        card=scorer.card,
        comparison=comparison,
        protocol=describe_protocol(labels, options),
        interval=describe_interval(labels, options, several=several),
        measurement=measure(comparison, rounds=options.rounds, seed=options.seed),
        parts=measure_splits(comparison, repeats=options.repeats, seed=options.seed) if several else None,
        training=training,
        published=tuple(choose_published(comparison, training, options)),
    )


def describe_protocol(labels: Labels, options: EvaluateOptions) -> str:
    """Which images, in words."""
    spec = labels.spec
    if options.side is Side.ALL:
        return "all images"
    if spec.official_split:
        return "test part of the official split"
    unit = "reference" if spec.synthetic else "image"
    if options.repeats == 1:
        return f"test part of the 80/20 split by {unit} of seed {options.seed}"
    seeds = f"seeds {options.seed} to {options.seed + options.repeats - 1}"
    return f"median of the test parts of {options.repeats} 80/20 splits by {unit}, {seeds}"


def describe_interval(labels: Labels, options: EvaluateOptions, *, several: bool) -> str:
    """What stands beside a figure, in words."""
    if several:
        return f"lowest and highest of {options.repeats} test parts"
    drawn = "references" if labels.spec.synthetic else "images"
    return f"95 % bootstrap interval, {options.rounds:,} draws of {drawn}, seed {options.seed}"


def choose_published(comparison: Comparison, training: Training, options: EvaluateOptions) -> list[Published]:
    """Figures of papers whose protocol was that of ours: a model trained on one other set alone, measured on all of this one.

    Papers' figures of 80/20 splits are never among them: each of their test parts was judged by a network of its own.
    """
    spec, trained_on = comparison.labels.spec, training.only_set
    whole = options.side is Side.ALL and len(comparison.pairs) == spec.images
    if not whole or trained_on is None or trained_on == spec.name:
        return []
    return find_published(spec.name, Protocol.CROSS, trained_on)


def is_placed(name: str, root: Path | None, own: OwnRatings) -> bool:
    """Whether somebody said where the set is."""
    return own.labels is not None if name == OWN else root is not None or bool(os.environ.get("IQA_DATA"))


def open_labels(name: str, root: Path | None, own: OwnRatings) -> Labels:
    """The ratings of one set with or without its images, to be checked. Raises UsageError and DataError."""
    if name == OWN:
        return read_own_labels(own, root, allow_missing=True)
    return read_labels(find_spec(name).name, find_root(name, root), allow_missing=True)
