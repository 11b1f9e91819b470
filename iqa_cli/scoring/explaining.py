"""Explainer: a photo's record with reasons, a larger view of it, and the map of where it loses quality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import ceil
from threading import Event
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from iqa_cli.detail.model import open_detail
from iqa_cli.explain.windows import cut_window, draw_map, place_windows
from iqa_cli.images.crops import MAX_SIDE, Box, CropSpec, Rgb, cut_crops
from iqa_cli.records import Detail, Patch, Reason, ScoreRecord, Status
from iqa_cli.scoring.decode_client import PreparedImage
from iqa_cli.scoring.decode_pool import DecoderPool
from iqa_cli.scoring.pipeline import Pipeline
from iqa_cli.scoring.sources import Source

Floats = npt.NDArray[np.float32]

LARGER = 6  # times the side of a crop: twice what a window of a third of the photo needs, so that reducing it hardly shows
BATCH, BATCH_PIXELS = 8, 2_000_000  # windows a run of the network, at most; of larger ones as many as have so many px


@dataclass(frozen=True)
class Explanation:
    """What there is to say about one photo.

    record: as of `Scorer.score`, with its reasons. measured: all measurements by name, whether they are wrong or not. map:
        float32 [h, w], its longer side 64 cells: points that the photo's parts have above its average part, below 0 where
        quality is lost, NaN where the network gives no number; None where the photo has no score.
    picture: what the map lies on, the photo, perhaps reduced, uint8 [H, W, 3]; None likewise.
    scale: what the scores are, in the words of the model's card.
    """

    record: ScoreRecord
    measured: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    map: Floats | None = field(default=None, repr=False)
    picture: Rgb | None = field(default=None, repr=False)
    scale: str = ""

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What is wrong with the photo, in the order of `explain.reasons`; none where nothing is, or where it has no score."""
        return self.record.reasons or ()

    @property
    def detail(self) -> Detail | None:
        """How much of the photo's resolution is real; None where it has no score."""
        return self.record.native

    @property
    def patches(self) -> tuple[Patch, ...]:
        """The patches of native pixels that the detail comes from; none where there is none."""
        return self.detail.patches if self.detail is not None else ()


class Explainer:
    """Explains photos with one network; opened beside a pipeline, and closed by itself. For several threads."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.beside = pipeline
        options = replace(pipeline.pool.options, preview=0, detail=True, reasons=True)
        own = pipeline.backend, pipeline.card, pipeline.options
        self.pipeline = Pipeline(*own, DecoderPool(options, 1), detail=pipeline.detail or open_detail())
        self.large = DecoderPool(replace(options, crops=choose_view(options.crops), detail=False, reasons=False), 1)

    def explain(self, source: Source) -> Explanation:
        """What there is to say about an image. Raises Stopped where the explainer is closed, and as `Pipeline.run` does."""
        record = self.pipeline.score_one(source)
        if record.status is not Status.OK:
            return Explanation(record)
        view = self.pipeline.prepare(source, Event(), self.large)
        if not isinstance(view, PreparedImage):
            return Explanation(view)
        picture, scale = view.views[0], self.pipeline.card.score_meaning
        scores = list(self.score_windows(picture, place_windows(*picture.shape[:2])))
        return Explanation(record, record.measured or {}, draw_map(scores, *picture.shape[:2]), picture, scale)

    def close(self) -> None:
        """End the processes; whatever is under way ends with Stopped."""
        self.pipeline.close()
        self.large.close()

    def score_windows(self, picture: Rgb, boxes: Sequence[Box]) -> Iterator[float]:
        """The score of each window of a picture, uint8 [H, W, 3], as a photo of its own; NaN where the network has none."""
        spec, (least, greatest) = self.pipeline.pool.options.crops, self.pipeline.card.score_range
        for shape, alike in groupby((cut_window(picture, box) for box in boxes), key=np.shape):
            windows, (rows, columns) = list(alike), spec.crop_shape(*shape[:2])
            batch = min(BATCH, max(1, BATCH_PIXELS // (rows * columns * spec.count)))
            for first in range(0, len(windows), batch):
                crops = np.concatenate([cut_crops(window, spec) for window in windows[first : first + batch]])
                qualities = self.pipeline.backend.predict(crops).astype(np.float64).reshape(-1, spec.count).mean(axis=1)
                qualities[~np.isfinite(qualities)] = np.nan
                yield from (least + np.clip(qualities, 0, 1) * (greatest - least)).tolist()


def choose_view(crops: CropSpec) -> CropSpec:
    """What windows are cut from, for a network that sees such crops: the photo, reduced where it is far larger than they need.

    Of a network that takes photos as they are these are windows of what it scores.
    """
    if crops.fit == "native":
        return replace(crops, count=1)
    zoom = crops.zoom if crops.count > 1 else 1.0
    return CropSpec(min(ceil(LARGER * zoom * max(crops.size, crops.width)), MAX_SIDE), "native", multiple=1)
