"""Features of a rated set: what a frozen network measures of each of its images."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from threading import Event

import numpy as np
import numpy.typing as npt

from iqa_cli.datasets.labels import Labels
from iqa_cli.errors import DataError
from iqa_cli.evaluation.metrics import Floats
from iqa_cli.images.crops import CropSpec, normalise
from iqa_cli.models.find import FoundModel, verify_file
from iqa_cli.models.onnx_features import OnnxFeatures
from iqa_cli.options import BackendChoice, ScoreOptions
from iqa_cli.records import Undecodable
from iqa_cli.scoring.decode_pool import DecoderPool
from iqa_cli.scoring.ordered_map import map_ordered
from iqa_cli.scoring.pipeline import THREADS_A_WORKER, choose_decode_options
from iqa_cli.scoring.resources import count_workers

FEWEST = 20  # images, without which a correlation with each feature says nothing


@dataclass(frozen=True)
class RatedFeatures:
    """Features [n, f] of the images of a set, their MOS [n] and groups [n]. failed: images that could not be decoded."""

    labels: Labels
    features: npt.NDArray[np.float64]
    mos: Floats
    groups: tuple[str, ...]
    failed: int


def draw_images(labels: Labels, limit: int, seed: int) -> Labels:
    """At most so many images of a set, drawn by the seed, in their order."""
    if len(labels.ratings) <= limit:
        return labels
    order = np.random.default_rng(seed).permutation(len(labels.ratings))
    return labels.take(sorted(order[:limit].tolist()))


def extract_features(labels: Labels, model: FoundModel, options: ScoreOptions) -> Generator[Floats | None]:
    """The features [f] of each image, in order; None where it cannot be decoded. Raises UsageError and WeightsError."""
    network = OnnxFeatures(verify_file(model.card, model.folder, BackendChoice.ONNX), options.device)
    workers = options.workers or count_workers()
    decoding = choose_decode_options(model.card, options)
    pool = DecoderPool(decoding, workers)

    def extract(path: str, stop: Event) -> Floats | None:
        return extract_one(path, stop, pool, network, decoding.crops)

    paths = [str(path) for path in labels.paths]
    found = map_ordered(paths, extract, threads=THREADS_A_WORKER * workers, name="features")
    with closing(pool), closing(found):
        yield from found


def extract_one(path: str, stop: Event, pool: DecoderPool, network: OnnxFeatures, crops: CropSpec) -> Floats | None:
    """The features of one image, the mean over its views; None where it cannot be decoded."""
    try:
        views = pool.prepare(path, stop).views
    except Undecodable:
        return None
    return np.asarray(network.extract(normalise(views, crops)).mean(axis=0, dtype=np.float64))


def gather_features(labels: Labels, rows: list[Floats | None]) -> RatedFeatures:
    """The features of the images that could be decoded. Raises DataError where these are too few."""
    places = [place for place, row in enumerate(rows) if row is not None]
    if len(places) < FEWEST:
        raise DataError(f"{labels.spec.title}: {len(places)} images could be decoded, and {FEWEST} are needed at least")
    groups = labels.groups
    return RatedFeatures(
        labels,
        np.stack([row for row in rows if row is not None]),
        labels.mos[places],
        tuple(groups[place] for place in places),
        len(rows) - len(places),
    )
