"""Scorer: paths -> records, in order, lazily, in memory bounded by the number of workers."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from math import ceil
from threading import Event
from time import monotonic

import numpy as np

from iqa_cli.backend import Backend, open_backend
from iqa_cli.crops import Crops, cut_crops
from iqa_cli.errors import DataError, WeightsError
from iqa_cli.finding import find_images
from iqa_cli.images import MAX_PIXELS, Undecodable, decode_image
from iqa_cli.options import ScoreOptions
from iqa_cli.records import ScoreRecord, Status
from iqa_cli.weights import ModelCard, find_model

TASKS_A_WORKER = 2  # in flight: one being worked on, one waiting, so that nobody stands idle while records are written


@dataclass
class Tally:
    """What has become of a run so far; it only grows, so another thread may show it.

    found: images; statuses: records by status; left_out: what was in the folders besides images, by kind in words.
    """

    found: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=monotonic)

    @property
    def recorded(self) -> int:
        """How many images have their record."""
        return sum(self.statuses.copy().values())

    @property
    def exit_code(self) -> int:
        """0 if every image has a score, else 1."""
        return int(self.recorded > self.statuses[Status.OK])

    def describe_left_out(self) -> str:
        """What was left out, in words: "left out: 3 *.txt, 1 video"; empty for nothing."""
        kinds = ", ".join(f"{number} {kind}" for kind, number in self.left_out.most_common())
        return f"left out: {kinds}" if kinds else ""


@dataclass(frozen=True)
class Prepared:
    """An image on its way to the network: its crops [n, 3, h, w], and the size of the upright picture in px."""

    path: str
    crops: Crops
    width: int
    height: int


def count_workers() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def split_batches(paths: Iterable[str], size: int) -> Iterator[list[str]]:
    """The paths in lists of that size, the last perhaps shorter; as lazily as the paths."""
    rest = iter(paths)
    while batch := list(islice(rest, size)):
        yield batch


class Scorer:
    """Scores images with one network. Free of state: several threads may use one.

    backend: what runs the network; card: what its crops and its scale are; options: batch size, workers, crops, limit.
    """

    def __init__(self, backend: Backend, card: ModelCard, options: ScoreOptions) -> None:
        self.backend = backend
        self.card = card
        self.options = options
        self.crops = card.crops if options.crops is None else replace(card.crops, count=options.crops)
        self.max_pixels = MAX_PIXELS if options.max_pixels is None else options.max_pixels
        side = ceil(self.crops.size * (self.crops.zoom if self.crops.count > 1 else 1))
        self.enough = (side, side)  # no crop has both sides longer; a JPEG is then decoded to no more than is needed
        self.opinions = np.asarray(card.opinions, dtype=np.float64)  # [101]

    def score(self, paths: Iterable[str]) -> Generator[ScoreRecord]:
        """A record a path, in the same order, as they get done; paths are drawn only as they are needed.

        Closing the iterator, as Ctrl-C does, drops what has not been begun. Raises WeightsError where the network fails and
        DataError where memory runs out; an image that fails is a record.
        """
        workers = self.options.workers or count_workers()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="score")
        stop = Event()
        tasks: deque[Future[list[ScoreRecord]]] = deque()
        try:
            for batch in split_batches(paths, self.options.batch_size):
                tasks.append(pool.submit(self._score_batch, batch, stop))
                while tasks and (tasks[0].done() or len(tasks) >= workers * TASKS_A_WORKER):
                    yield from tasks.popleft().result()
            while tasks:
                yield from tasks.popleft().result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)

    def _score_batch(self, paths: list[str], stop: Event) -> list[ScoreRecord]:
        """Take some paths the whole road. Threads gain because decoders and networks let go of Python's lock."""
        outcomes: list[Prepared | ScoreRecord] = []
        for path in paths:
            if stop.is_set():
                return []
            outcomes.append(self._prepare(path))
        qualities = self._predict([outcome for outcome in outcomes if isinstance(outcome, Prepared)])
        return [
            outcome if isinstance(outcome, ScoreRecord) else self._make_record(outcome, next(qualities)) for outcome in outcomes
        ]

    def _prepare(self, path: str) -> Prepared | ScoreRecord:
        """Decode and cut one image; the pixels are dropped at once, because they are many more than the crops'."""
        try:
            image = decode_image(path, max_pixels=self.max_pixels, enough=self.enough)
            return Prepared(path, cut_crops(image.rgb, self.crops), image.width, image.height)
        except Undecodable as failure:
            return ScoreRecord(
                path, failure.status, self.card.name, detail=failure.detail, width=failure.width, height=failure.height
            )
        except MemoryError as error:
            raise DataError(f"{path}: memory runs out here; try fewer --workers or a smaller --max-pixels") from error

    def _predict(self, images: list[Prepared]) -> Iterator[float]:
        """The quality of each image: the mean over its crops. Equal crop shapes share a run of the network."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, image in enumerate(images):
            groups.setdefault(image.crops.shape, []).append(place)
        qualities = [0.0] * len(images)
        for (count, *_), places in groups.items():
            predicted = self.backend.predict(np.concatenate([images[place].crops for place in places]))  # [images * count]
            for place, own in zip(places, np.split(predicted, range(count, len(predicted), count)), strict=True):
                qualities[place] = float(own.mean(dtype=np.float64))
        return iter(qualities)

    def _make_record(self, image: Prepared, quality: float) -> ScoreRecord:
        """Raises WeightsError where the quality is no number."""
        if not np.isfinite(quality):
            raise WeightsError(f"model {self.card.name} gives no number for {image.path}: its weights are broken")
        least, greatest = self.card.score_range
        score = least + min(max(quality, 0.0), 1.0) * (greatest - least)
        percentile = float(np.interp(score, self.opinions, np.arange(101.0)))  # of equal opinions, the highest percentile
        return ScoreRecord(image.path, Status.OK, self.card.name, score, percentile, width=image.width, height=image.height)


def open_scorer(options: ScoreOptions) -> Scorer:
    """A scorer with the model that the options name, verified and loaded. Raises WeightsError or UsageError."""
    model = find_model(options.model, options.backend)
    return Scorer(open_backend(model.card, model.folder, model.backend, options.device), model.card, options)


def score_images(paths: Iterable[str | os.PathLike[str]], options: ScoreOptions | None = None) -> Iterator[ScoreRecord]:
    """Score files, and whatever images are in folders: a record an image, in order, as they get done.

    Raises WeightsError or UsageError where the run cannot start. What folders hold besides images is left out.
    """
    scorer = open_scorer(options or ScoreOptions())
    return scorer.score(find_images((os.fspath(path) for path in paths), Counter()))


def score_all(paths: Iterable[str], options: ScoreOptions, write: Callable[[ScoreRecord], None], tally: Tally) -> None:
    """Score files and folders into `write`, counting in `tally` as it goes.

    Raises DataError where there is no image at all, and what opening a scorer, scoring and `write` raise.
    """
    scorer = open_scorer(options)
    with closing(scorer.score(count_found(find_images(paths, tally.left_out), tally))) as records:
        for record in records:
            write(record)
            tally.statuses[record.status] += 1
    if not tally.found:
        raise DataError(f"no images found; {tally.describe_left_out() or 'there is nothing at all'}")


def count_found(paths: Iterable[str], tally: Tally) -> Iterator[str]:
    """The same paths, counted as they are drawn."""
    for path in paths:
        tally.found += 1
        yield path
