"""Pipeline: images -> records, in order, lazily, in memory bounded by the number of workers.

Each image takes this way in a thread: taken from the cache; else decoded and cropped by another process (`decode_pool`), which
may die of it, then run through the network, here. Threads gain because waiting and networks let go of Python's lock.
The command line and the library (`iqa_cli.library`) both come through here, so they cannot disagree about scores.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from functools import cached_property
from threading import BoundedSemaphore, Event
from typing import TYPE_CHECKING

import numpy as np

from iqa_cli.errors import DataError, WeightsError
from iqa_cli.images.crops import CROP_VERSION, Rgb, normalise
from iqa_cli.images.find import AnyPath, NameFilter, iterate_paths
from iqa_cli.models.card import ModelCard
from iqa_cli.models.find import FoundModel, find_model
from iqa_cli.options import FILE_KINDS, MAX_PIXELS, RawChoice, ScoreOptions
from iqa_cli.records import ScoreRecord, Status, Undecodable
from iqa_cli.scoring.cache import FileState, Prediction, ScoreCache, open_cache
from iqa_cli.scoring.decode_client import PreparedImage, Stopped
from iqa_cli.scoring.decode_pool import DecoderPool
from iqa_cli.scoring.decode_protocol import DecodeOptions, WorkerProcess
from iqa_cli.scoring.ordered_map import map_ordered, split_batches
from iqa_cli.scoring.pixels import prepare_pixels
from iqa_cli.scoring.resources import count_workers
from iqa_cli.scoring.sources import LazyFile, Pixels, Source, Unreadable, find_state, locate_source, name_source
from iqa_cli.scoring.tally import Tally

if TYPE_CHECKING:  # ONNX Runtime is loaded while the first process for decoding starts
    from iqa_cli.detail.model import DetailModel
    from iqa_cli.models.onnx_backend import Backend
    from iqa_cli.records import Detail

THREADS_A_WORKER = 2  # one image is decoded while the network runs on another
LIBRARIES = ("iqa-cli", "numpy", "pillow", "opencv-python-headless", "onnxruntime", "torch")
EXTRA_LIBRARIES = ("pi-heif", "pylibjxl", "rawpy")
"""What a score may depend on in its last digits: those of another version are not taken from the cache."""


class Pipeline:
    """Scores images with one network. Several threads may use one, no two processes: a fork opens its own.

    backend: what runs the network; card: what its crops and its scale are; options: batch size, workers, crops, limits;
    pool: what decodes, by default one that suits the options; cache: predictions of earlier runs; detail: what measures it.
    """

    def __init__(  # noqa: PLR0913  # what it is made of
        self,
        backend: Backend,
        card: ModelCard,
        options: ScoreOptions,
        pool: DecoderPool | None = None,
        cache: ScoreCache | None = None,
        detail: DetailModel | None = None,
    ) -> None:
        self.backend = backend
        self.card = card
        self.options = options
        self.workers = options.workers or count_workers()
        self.pool = pool or DecoderPool(choose_decode_options(card, options), self.workers)
        self.cache = cache
        self.detail = detail
        self.network_slots = BoundedSemaphore(self.workers)  # more runs at a time than cores only take memory
        self.opinions = np.asarray(card.opinions, dtype=np.float64)  # [101], or none

    def score(self, paths: AnyPath | Iterable[AnyPath]) -> Generator[ScoreRecord]:
        """A record a path, one or many, in the same order, as they get done; paths are drawn only as they are needed.

        Closing the iterator, as Ctrl-C does, drops what has not been begun. Raises WeightsError where the network fails and
        DataError where images cannot be decoded at all; an image that fails is a record.
        """
        return self.run(iterate_paths(paths))

    def run(self, sources: Iterable[Source]) -> Generator[ScoreRecord]:
        """The same for sources of any kind. Raises Stopped where the pipeline is closed meanwhile."""
        batches = split_batches(sources, self.options.batch_size)
        for records in map_ordered(batches, self._score_batch, threads=THREADS_A_WORKER * self.workers, name="score"):
            yield from records

    def score_one(self, source: Source) -> ScoreRecord:
        """The record of one image, in the thread of the caller. Raises as `run` does."""
        (record,) = self._score_batch([source], Event())
        return record

    def close(self) -> None:
        """End the processes and close the cache; whatever is under way ends with Stopped."""
        self.pool.close()
        if self.cache is not None:
            self.cache.close()

    def _score_batch(self, sources: list[Source], stop: Event) -> list[ScoreRecord]:
        """Score some images; nothing where the run is stopped. Raises Stopped where the pipeline is closed."""
        states = [None if self.cache is None else find_state(source) for source in sources]
        try:
            outcomes = [self._find(*file, stop) for file in zip(sources, states, strict=True)]
        except Stopped:
            if self.pool.closed.is_set():
                raise
            return []
        qualities = self._predict([outcome.views for outcome in outcomes if isinstance(outcome, PreparedImage)])
        records = []
        for source, state, outcome in zip(sources, states, outcomes, strict=True):
            if isinstance(outcome, PreparedImage):
                prediction = Prediction(next(qualities), outcome.width, outcome.height, self._measure(outcome))
                records.append(outcome.complete(self._make_record(name_source(source), prediction)))
                if self.cache is not None and state is not None and records[-1].status is Status.OK:
                    self.cache.put(*locate_source(source), state, prediction)
            else:
                records.append(outcome)
        return records

    def _find(self, source: Source, state: FileState | None, stop: Event) -> PreparedImage | ScoreRecord:
        """The record of an image that is in the cache; else its crops. One in the cache is decoded for what is not in there."""
        record = self._look_up(source, state)
        if record is None or not (self.pool.options.preview or self.pool.options.reasons):
            return record or self.prepare(source, stop)
        image = self.prepare(source, stop)
        return image.complete(record) if isinstance(image, PreparedImage) else image

    def _look_up(self, source: Source, state: FileState | None) -> ScoreRecord | None:
        """The record of an image whose prediction is in the cache."""
        prediction = self.cache.get(*locate_source(source), state) if self.cache is not None and state is not None else None
        if prediction is None or prediction.width * prediction.height > self.pool.options.max_pixels:
            return None
        return self._make_record(name_source(source), prediction)

    def prepare(self, source: Source, stop: Event, pool: DecoderPool | None = None) -> PreparedImage | ScoreRecord:
        """The crops of one image, or the record that says why there are none. pool: what decodes it; None: the own one."""
        pool = pool or self.pool
        try:
            if isinstance(source, LazyFile):
                source = source.fetch()
            if isinstance(source, Pixels):
                return prepare_pixels(source.rgb, pool.options)
            if isinstance(source, Unreadable):
                raise source.failure
            return pool.prepare(source, stop)
        except Undecodable as failure:
            return self._refuse(name_source(source), failure)

    def _refuse(self, path: str, failure: Undecodable) -> ScoreRecord:
        """The record of an image that has no score."""
        return ScoreRecord(path, failure.status, self.card.name, None, None, failure.detail, failure.width, failure.height)

    def _predict(self, images: list[Rgb]) -> Iterator[float]:
        """The quality of each image, from its views [n, h, w, 3]: the mean over them. Equal shapes share a run."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, views in enumerate(images):
            groups.setdefault(views.shape, []).append(place)
        qualities = [0.0] * len(images)
        for (count, *_), places in groups.items():
            crops = np.concatenate([normalise(images[place], self.card.crops) for place in places])  # [images * count, 3, h, w]
            with self.network_slots:
                predicted = self.backend.predict(crops)  # [images * count]
            for place, own in zip(places, np.split(predicted, range(count, len(predicted), count)), strict=True):
                qualities[place] = float(own.mean(dtype=np.float64))
        return iter(qualities)

    def _measure(self, image: PreparedImage) -> Detail | None:
        """The detail of an image, where that is wanted."""
        if self.detail is None or image.native is None:
            return None
        with self.network_slots:
            return self.detail.judge(image.native)

    @cached_property
    def _gives_numbers(self) -> bool:
        """Whether the network gives a number for a picture of soft noise. Raises as `_predict` does."""
        noise = np.random.default_rng(0).integers(80, 208, (1, *self.card.crops.crop_shape(512, 512), 3), np.uint8)
        return bool(np.isfinite(next(self._predict([noise]))))

    def _make_record(self, path: str, prediction: Prediction) -> ScoreRecord:
        """Raises WeightsError where the quality is no number, unless the network is of other origin and gives some."""
        if not np.isfinite(prediction.quality):
            if self.card.output is None or not self._gives_numbers:
                raise WeightsError(f"model {self.card.name} gives no number for {path}: its weights are broken")
            why = "the network gives no number for it"
            return self._refuse(path, Undecodable(Status.UNSUPPORTED, why, prediction.width, prediction.height))
        least, greatest = self.card.score_range
        score = least + min(max(prediction.quality, 0.0), 1.0) * (greatest - least)
        percentile = float(np.interp(score, self.opinions, np.arange(101.0))) if self.opinions.size else None  # last of equals
        rest = prediction.width, prediction.height, self.card.find_uncertainty(score)
        return ScoreRecord(path, Status.OK, self.card.name, score, percentile, "", *rest, native=prediction.detail)


def choose_decode_options(card: ModelCard, options: ScoreOptions) -> DecodeOptions:
    """The options of the workers that decode for a model."""
    crops = card.crops if options.crops is None else replace(card.crops, count=options.crops)
    max_pixels = MAX_PIXELS if options.max_pixels is None else options.max_pixels
    rest = options.timeout, options.preview, options.raw, options.detail, options.reasons
    return DecodeOptions(crops, max_pixels, *rest)


def describe_settings(
    model: FoundModel, decoding: DecodeOptions, device: str, detail: DetailModel | None = None
) -> Mapping[str, object]:
    """All that the quality of an image depends on besides its file."""
    weights = model.card.files[FILE_KINDS[model.backend]].sha256
    libraries = {name: find_version(name) for name in LIBRARIES}
    libraries |= {name: version for name in EXTRA_LIBRARIES if (version := find_version(name))}
    crops = {**asdict(decoding.crops), "cut": CROP_VERSION}
    output = {} if model.card.output is None else {"output": asdict(model.card.output)}
    settings = {"weights": weights, "crops": crops, "backend": model.backend, "device": device, **libraries, **output}
    settings |= {"detail": detail.sha256} if detail is not None else {}
    return settings | ({"raw": decoding.raw} if decoding.raw is not RawChoice.PREVIEW else {})


def find_version(library: str) -> str:
    """The version of a library; empty where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # takes 12 ms, which only the cache pays

    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def warn_caller(text: str) -> None:
    """Tell a Python program what went wrong that is no error."""
    warnings.warn(text, stacklevel=2)


def open_pipeline(
    options: ScoreOptions,
    warn: Callable[[str], None] = warn_caller,
    worker: WorkerProcess | None = None,
    model: FoundModel | None = None,
) -> Pipeline:
    """A pipeline with the model that the options name, verified and loaded. Raises WeightsError or UsageError.

    warn: called with what goes wrong with the cache. worker: one started before, from now on the pipeline's. model: the one
    that the options name, where it has been found already.
    """
    model = model or find_model(options.model, options.backend)
    decoding = choose_decode_options(model.card, options)
    pool = DecoderPool(decoding, options.workers or count_workers(), worker)
    pool.start()  # which goes on while the model is loaded
    from iqa_cli.scoring.backends import open_backend

    backend = open_backend(model.card, model.folder, model.backend, options.device)
    detail = load_detail(options)
    settings = describe_settings(model, decoding, options.device, detail)
    cache = open_cache(settings, warn) if options.cache else None
    return Pipeline(backend, model.card, options, pool, cache, detail)


def load_detail(options: ScoreOptions) -> DetailModel | None:
    """What measures detail, where the options want it. Raises WeightsError."""
    if not options.detail:
        return None
    from iqa_cli.detail.model import open_detail

    return open_detail()


def score_all(
    sources: Iterable[Source],
    options: ScoreOptions,
    write: Callable[[ScoreRecord], None],
    tally: Tally,
    worker: WorkerProcess | None = None,
) -> None:
    """Score images into `write`, counting in `tally` as it goes. worker: as in `open_pipeline`.

    Raises DataError where there is no image at all, and what opening a pipeline, scoring and `write` raise.
    """
    pipeline = open_pipeline(options, tally.notes.append, worker)
    with closing(pipeline), closing(pipeline.run(count_found(sources, tally))) as records:
        for record in records:
            write(record)
            tally.add(record)
    tally.note_undecoded()
    tally.reused = pipeline.cache.hits if pipeline.cache is not None else 0
    check_found(tally)


def check_found(tally: Tally) -> None:
    """Raises DataError where there was no image at all."""
    if not tally.found:
        raise DataError(f"no images found; {tally.describe_left_out() or 'there is nothing at all'}")


def count_found(sources: Iterable[Source], tally: Tally) -> Iterator[Source]:
    """The same sources, counted as they are drawn."""
    for source in sources:
        tally.found += 1
        yield source


def filter_names(options: ScoreOptions) -> NameFilter:
    """What the options let count in folders."""
    return NameFilter(options.include, options.exclude, options.max_depth, options.follow_symlinks)
