"""Compatibility of rated sets: do people of two studies go by the same features of a picture?

For each set, the rank correlation of every feature of a frozen network with the MOS makes a vector; the cosine of the vectors
of two sets says how far what is learnt from one holds for the other. The idea is of Li, Wu, Liu, Ma and Dong, "Rethinking
Knowledge Transfer in Image Quality Assessment: A Perceptual Preference Structure Alignment Perspective" (CVPR 2026), who call
the vector a perceptual preference representation and the cosine perceptual preference compatibility. Rank correlation, these
features, the intervals and the comparison with halves of one set are ours.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from math import nan

import numpy as np
import numpy.typing as npt

from iqa_cli.datasets.labels import Labels
from iqa_cli.datasets.own import hash_names
from iqa_cli.evaluation.bootstrap import Groups, Row, Weights, find_ends
from iqa_cli.evaluation.contamination import Contamination, find_contamination
from iqa_cli.evaluation.metrics import Floats
from iqa_cli.evaluation.transfer.features import RatedFeatures, draw_images, extract_features, gather_features
from iqa_cli.models.find import FoundModel, find_cards
from iqa_cli.options import ScoreOptions

SOURCE = (
    "Li, Wu, Liu, Ma and Dong, Rethinking Knowledge Transfer in Image Quality Assessment: A Perceptual Preference Structure"
    " Alignment Perspective, CVPR 2026"
)
HALVINGS = 20
Vectors = npt.NDArray[np.float64]  # [draws, f]: the rank correlation of each feature with the MOS


@dataclass(frozen=True)
class Progress:
    """Progress event: one more image is done, of so many of a set."""

    dataset: str
    done: int
    images: int


@dataclass(frozen=True)
class Compatibility:
    """How well the second set would help training for the first.

    cosine, low, high: of the two vectors, with the ends of its 95 % bootstrap interval. ceiling: what as many other images of
    the first set's own study would have, by `find_ceiling`. Any of them is nan where it is not defined. images, failed: of the
    second set, those that the cosine is of and those that could not be decoded; target_images, target_failed: of the first.
    warning: why a figure is not defined, and what the network has seen of both.
    """

    target: str
    source: str
    target_images: int
    target_failed: int
    images: int
    failed: int
    cosine: float
    low: float
    high: float
    ceiling: float
    warning: str


@dataclass(frozen=True)
class Measure:
    """How sets are compared: by images, at most `limit` a set, drawn by the seed; in so many bootstrap rounds."""

    model: FoundModel
    scoring: ScoreOptions
    limit: int
    rounds: int
    seed: int


def compare_sets(target: Labels, sources: list[Labels], measure: Measure) -> Generator[Progress | Compatibility]:
    """Compare a set with others, one after the other. Raises as `extract_features` does."""
    own = yield from await_features(target, measure)
    contamination = find_contamination(measure.model.card, find_cards())
    for labels in sources:
        other = yield from await_features(labels, measure)
        found = compare(own, other, rounds=measure.rounds, seed=measure.seed)
        seen = {each.labels.spec.name: describe_seen(contamination, each) for each in (own, other)}
        warnings = [f"{name}: {warning}" for name, warning in seen.items() if warning]
        yield replace(found, warning="; ".join(filter(None, [found.warning, *warnings])))


def describe_seen(contamination: Contamination, rated: RatedFeatures) -> str:
    """What the network has seen of a set; empty where that is nothing."""
    return contamination.describe(rated.labels.spec, len(rated.mos), hash_names(rated.labels.ratings))


def await_features(labels: Labels, measure: Measure) -> Generator[Progress, None, RatedFeatures]:
    """The features of a set, which is what this generator returns."""
    drawn = draw_images(labels, measure.limit, measure.seed)
    rows: list[Floats | None] = []
    with closing(extract_features(drawn, measure.model, measure.scoring)) as found:
        for row in found:
            rows.append(row)
            yield Progress(labels.spec.name, len(rows), len(drawn.ratings))
    return gather_features(drawn, rows)


def compare(target: RatedFeatures, source: RatedFeatures, *, rounds: int, seed: int) -> Compatibility:
    """The cosine of two sets, with its interval over draws of the groups of both, where there are several of each."""
    vectors = [correlate_features(each, np.ones((1, len(each.mos)))) for each in (target, source)]
    cosine = float(find_cosines(vectors[0], vectors[1])[0])
    low, high = nan, nan
    if min(len({*each.groups}) for each in (target, source)) > 1:
        drawn = [draw_vectors(each, rounds, seed + number) for number, each in enumerate((target, source))]
        low, high = find_interval(cosine, find_cosines(drawn[0], drawn[1]))
    return Compatibility(
        target=target.labels.spec.name,
        source=source.labels.spec.name,
        target_images=len(target.mos),
        target_failed=target.failed,
        images=len(source.mos),
        failed=source.failed,
        cosine=cosine,
        low=low,
        high=high,
        ceiling=find_ceiling(target, seed),
        warning="; ".join(dict.fromkeys(filter(None, map(explain_gaps, (target, source), vectors)))),
    )


def explain_gaps(rated: RatedFeatures, vector: Vectors) -> str:
    """Why a set leaves figures undefined, in words; empty where it does not."""
    if not vector.any():
        return f"{rated.labels.spec.name}: no feature goes with its ratings, so there is no cosine"
    alone = len({*rated.groups}) < 2
    return f"{rated.labels.spec.name}: all images are one group, which says nothing of others" if alone else ""


def find_interval(cosine: float, drawn: Floats) -> tuple[float, float]:
    """The 95 % interval of draws, moved so that the cosine is in its middle.

    A draw says less than the images themselves, as some come twice, so both its vectors are noisier and its cosine is closer to
    0: all of them may be below the cosine that they are to tell the spread of. nan where no draw has one.
    """
    if not np.isfinite(drawn).any():
        return nan, nan
    low, high = find_ends(drawn, 0.95)
    shift = cosine - float(np.nanmedian(drawn))
    return max(low + shift, -1.0), min(high + shift, 1.0)


def draw_vectors(rated: RatedFeatures, rounds: int, seed: int) -> Vectors:
    """The vector of each bootstrap draw."""
    return np.concatenate([correlate_features(rated, weights) for weights in Groups.of(rated.groups).draw(rounds, seed)])


def correlate_features(rated: RatedFeatures, weights: Weights) -> Vectors:
    """The correlation of the ranks of each feature with those of the MOS, in each draw [draws, f]; 0 where it is not defined.

    Ranks are those among all images, in every draw: new ones for a thousand features and draws would take minutes.
    """
    ranks = np.stack([rank(column) for column in rated.features.T], axis=1)  # [n, f]
    opinions = rank(rated.mos)[:, None]  # [n, 1]
    share = weights / weights.sum(axis=1, keepdims=True)
    mean, middle = share @ ranks, share @ opinions
    spread, width = share @ ranks**2 - mean**2, share @ opinions**2 - middle**2
    joint: Floats = share @ (ranks * opinions) - mean * middle
    product: Floats = spread * width
    known = product > 1e-12  # not a feature or a MOS that is constant in the draw
    return np.where(known, joint / np.sqrt(np.where(known, product, 1.0)), 0.0)


def rank(values: Floats) -> Floats:
    """Ranks with mean 0 and a range of about 1; equal ones share their average."""
    row = Row.of(values)
    return np.asarray((row.rank(np.ones((1, len(values))))[0] - len(values) / 2) / len(values))


def find_cosines(a: Vectors, b: Vectors) -> Floats:
    """The cosine of the vectors of each draw; nan where one is all 0."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sum(a * b, axis=1) / lengths)


def find_ceiling(rated: RatedFeatures, seed: int) -> float:
    """The cosine that a set would have with as many other images of its own study.

    From the mean cosine of two halves, parted by group: a half has noisier a vector than the set, which the formula of Spearman
    and Brown for a test of twice the length makes good. nan where there are no halves, or none of them has a cosine.
    """
    groups = Groups.of(rated.groups)
    if groups.count < 2:
        return nan
    rng = np.random.default_rng(seed)
    sides = np.stack([rng.permutation(groups.count) < groups.count // 2 for _ in range(HALVINGS)])[:, groups.numbers]
    halves = [correlate_features(rated, np.asarray(side, dtype=np.float64)) for side in (sides, ~sides)]
    cosines = find_cosines(halves[0], halves[1])
    half = float(np.mean(cosines[np.isfinite(cosines)])) if np.isfinite(cosines).any() else nan
    return 2 * half / (1 + half) if half > 0 else half
