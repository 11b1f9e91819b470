"""Explainer: a photo's record with reasons, a larger view of it, and the map of where it loses quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from iqa_cli.detail.model import open_detail
from iqa_cli.explain.windows import draw_map, place_windows
from iqa_cli.images.crops import MAX_SIDE, Box, CropSpec, Rgb, make_region, normalise, resize_box
from iqa_cli.records import Detail, Patch, Reason, ScoreRecord, Status
from iqa_cli.scoring.decode_client import PreparedImage
from iqa_cli.scoring.decode_pool import DecoderPool
from iqa_cli.scoring.pipeline import Pipeline
from iqa_cli.scoring.sources import Source

Floats = npt.NDArray[np.float32]

LARGER = 3  # times the side of what is scored: a window of a third of the photo needs no enlarging
BATCH = 8  # windows a run of the network


@dataclass(frozen=True)
class Explanation:
    """What there is to say about one photo.

    record: as of `Scorer.score`, with its reasons. measured: all measurements by name, whether they are wrong or not. map:
        float32 [h, w], its longer side 64 cells: points that the photo's parts have above its average part, below 0 where
        quality is lost; None where the photo has no score.
    picture: what the map lies on, uint8 [H, W, 3]; None likewise.
    """

    record: ScoreRecord
    measured: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    map: Floats | None = field(default=None, repr=False)
    picture: Rgb | None = field(default=None, repr=False)

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
        larger = CropSpec(min(LARGER * options.crops.size, MAX_SIDE), multiple=options.crops.multiple)
        self.large = DecoderPool(replace(options, crops=larger, detail=False, reasons=False), 1)

    def explain(self, source: Source) -> Explanation:
        """What there is to say about an image. Raises Stopped where the explainer is closed, and as `Pipeline.run` does."""
        record = self.pipeline.score_one(source)
        if record.status is not Status.OK:
            return Explanation(record)
        view = self.pipeline.prepare(source, Event(), self.large)
        if not isinstance(view, PreparedImage):
            return Explanation(view)
        picture = view.views[0]
        scores = self.score_windows(picture, place_windows(*picture.shape[:2]))
        return Explanation(record, record.measured or {}, draw_map(scores, *picture.shape[:2]), picture)

    def close(self) -> None:
        """End the processes; whatever is under way ends with Stopped."""
        self.pipeline.close()
        self.large.close()

    def score_windows(self, picture: Rgb, boxes: Sequence[Box]) -> list[float]:
        """The score of each window of a picture, uint8 [H, W, 3], as a photo of its own."""
        spec, region = self.pipeline.card.crops, make_region(picture)
        shape = spec.crop_shape(*picture.shape[:2])
        views = [resize_box(region, box, shape) for box in boxes]
        runs = [self.pipeline.backend.predict(normalise(views[i : i + BATCH], spec)) for i in range(0, len(views), BATCH)]
        least, greatest = self.pipeline.card.score_range
        scores = least + np.clip(np.concatenate(runs).astype(np.float64), 0, 1) * (greatest - least)
        return [float(score) for score in scores]
