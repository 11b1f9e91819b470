"""Evaluations of models on rated sets: how well each model agrees with the people of each set."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from math import isnan, nan

from iqa_cli.datasets.labels import Labels
from iqa_cli.datasets.own import hash_names
from iqa_cli.datasets.sets import read_sets
from iqa_cli.evaluation.contamination import Contamination, find_contamination
from iqa_cli.evaluation.measure import (
    Comparison,
    Estimate,
    Figures,
    Measurement,
    SplitMeasurement,
    compare,
    measure,
    measure_parts,
    take_parts,
)
from iqa_cli.evaluation.protocol import (
    Part,
    Protocol,
    choose_part,
    choose_protocol,
    describe_part,
    measures_all,
    refuse_mixture,
)
from iqa_cli.evaluation.published import Published, find_published
from iqa_cli.evaluation.subsets import SubsetMeasurement, measure_subsets
from iqa_cli.models.card import ModelCard
from iqa_cli.models.find import find_cards, find_model
from iqa_cli.options import EvaluateOptions, Side
from iqa_cli.records import ScoreRecord
from iqa_cli.scoring.pipeline import Pipeline, open_pipeline

FIGURES = ("srcc", "plcc", "plcc_fitted", "krcc", "rmse")


@dataclass(frozen=True)
class Scored:
    """Progress event: one more image is done. done of images; failed: how many have no score."""

    dataset: str
    model: str
    done: int
    images: int
    failed: int


@dataclass(frozen=True)
class Evaluation:
    """Evaluation of one model on one set.

    model: as it was asked for. part: which images; images: the same in words. interval: what stands beside each figure, in
    words. measurement: of all images that were scored; parts: of several splits, whose figures then count, as the measurement
    has no intervals. contamination: what the model has seen. published: figures of papers that followed the same protocol.
    subsets: figures within each.
    """

    model: str
    card: ModelCard
    comparison: Comparison
    part: Part
    protocol: Protocol
    images: str
    interval: str
    measurement: Measurement
    parts: SplitMeasurement | None
    contamination: Contamination
    published: tuple[Published, ...]
    subsets: tuple[SubsetMeasurement, ...] = ()

    @property
    def labels(self) -> Labels:
        """The labels of the set."""
        return self.comparison.labels

    @property
    def warning(self) -> str:
        """Warning of contamination for the reader; empty where the model has seen none of the images."""
        return describe_contamination(self.contamination, self.labels)

    @property
    def caveat(self) -> str:
        """What to know of the set's official test part, where that was measured on; else empty."""
        return self.labels.spec.caveat if self.protocol is Protocol.OFFICIAL else ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many images the figures are of, for several splits those of each test part."""
        return (self.measurement.images,) if self.parts is None else self.parts.sizes

    @property
    def figures(self) -> dict[str, Estimate]:
        """The figures by name, with their intervals; over several splits the median, with the lowest and the highest."""
        if self.parts is None:
            return {name: getattr(self.measurement, name) for name in FIGURES}
        return {name: take_range(self.parts.median, self.parts.parts, name) for name in FIGURES}


def describe_contamination(contamination: Contamination, labels: Labels) -> str:
    """Warning beside figures on these images; empty where the model has seen none of them."""
    return contamination.describe(labels.spec, len(labels.ratings), hash_names(labels.ratings))


def take_range(median: Figures, parts: tuple[Figures, ...], name: str) -> Estimate:
    """Median, lowest and highest value of a figure over several splits; nan where it is not defined in one of them."""
    values = [getattr(part, name) for part in parts]
    if any(map(isnan, values)):
        return Estimate(nan, nan, nan)
    return Estimate(getattr(median, name), min(values), max(values))


def evaluate(options: EvaluateOptions, warn: Callable[[str], None]) -> Generator[Scored | Evaluation]:
    """Evaluate each model on each set; what is wrong with labels and models is said before any image is scored.

    warn: hears of what goes wrong without being an error. Raises UsageError, DataError and WeightsError.
    """
    refuse_mixture(options)
    sets = [choose_part(labels, options) for labels in read_sets(options.sets, allow_missing=options.allow_missing).values()]
    for model in options.models:
        find_model(model, options.scoring.backend)
    for model in options.models:
        pipeline = open_pipeline(replace(options.scoring, model=model), warn)
        for part in sets:
            yield from evaluate_one(model, pipeline, part, options)


def evaluate_one(model: str, pipeline: Pipeline, part: Part, options: EvaluateOptions) -> Iterator[Scored | Evaluation]:
    """Evaluate one model on one set."""
    labels = part.labels
    name, images, failed = labels.spec.name, len(labels.ratings), 0
    records: list[ScoreRecord] = []
    with closing(pipeline.score(str(path) for path in labels.paths)) as scored:
        for record in scored:
            records.append(record)
            failed += record.score is None
            yield Scored(name, model, len(records), images, failed)
    comparison = compare(labels, records, pipeline.card.score_range)
    several = options.side is Side.TEST and measures_all(labels.spec, options)
    parts = take_parts(comparison, options.repeats, options.seed) if several else None
    contamination = find_contamination(pipeline.card, find_cards())
    yield Evaluation(
        model=model,
        card=pipeline.card,
        comparison=comparison,
        part=part,
        protocol=choose_protocol(labels.spec, options, unseen=not describe_contamination(contamination, labels)),
        images=describe_part(labels.spec, options),
        interval=describe_interval(labels, options, several=several),
        measurement=measure(comparison, rounds=None if several else options.rounds, seed=options.seed),
        parts=None if parts is None else measure_parts(comparison, parts),
        contamination=contamination,
        published=tuple(choose_published(comparison, contamination, options)),
        subsets=measure_subsets(comparison, parts),
    )


def describe_interval(labels: Labels, options: EvaluateOptions, *, several: bool) -> str:
    """Describe the two numbers beside a figure."""
    if several:
        return f"lowest and highest of {options.repeats} test parts"
    drawn = "references" if labels.spec.synthetic else "images"
    return f"95 % bootstrap interval, {options.rounds:,} draws of {drawn}, seed {options.seed}"


def choose_published(comparison: Comparison, contamination: Contamination, options: EvaluateOptions) -> list[Published]:
    """Choose figures of papers by our protocol: a model trained on one other set alone, measured on all of this one.

    Ratings of one's own are never such a set, whatever their file is called.
    Papers' figures of 80/20 splits are never among them: each of their test parts was judged by a network of its own.
    """
    spec, trained_on = comparison.labels.spec, contamination.only_set
    of_all = options.side is Side.ALL and options.fold_file is None and len(comparison.pairs) == spec.images
    whole = of_all and bool(spec.home)
    if not whole or trained_on is None or trained_on == spec.name:
        return []
    return find_published(spec.name, Protocol.CROSS, trained_on)
