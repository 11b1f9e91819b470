"""Models that score pictures in memory, as `scoring.pipeline` scores files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from iqa_cli.errors import WeightsError
from iqa_cli.evaluation.metrics import Floats
from iqa_cli.images.crops import Crops, CropSpec, Rgb, cut_crops
from iqa_cli.models.find import find_model
from iqa_cli.options import ScoreOptions

if TYPE_CHECKING:  # ONNX Runtime is loaded only where it runs
    from iqa_cli.models.onnx_backend import Backend

BATCH = 16  # pictures of one shape a run of the network


@dataclass(frozen=True)
class ArrayScorer:
    """A network and the crops that it sees. name: as the user named the model."""

    name: str
    backend: Backend
    crops: CropSpec

    def score(self, crops: Sequence[Crops]) -> Floats:
        """The score on 0..100 of each picture [n] from its crops [count, 3, h, w], the mean over them.

        Pictures of one shape share a run. Raises WeightsError where a score is no number.
        """
        shapes: dict[tuple[int, ...], list[int]] = {}
        for place, own in enumerate(crops):
            shapes.setdefault(own.shape, []).append(place)
        scores = np.empty(len(crops))
        for places in shapes.values():
            for part in (places[start : start + BATCH] for start in range(0, len(places), BATCH)):
                predicted = self.backend.predict(np.concatenate([crops[place] for place in part]))  # [part * count]
                scores[part] = predicted.reshape(len(part), -1).mean(axis=1, dtype=np.float64)
        if not np.isfinite(scores).all():
            raise WeightsError(f"model {self.name} gives a score that is no number: its weights are broken")
        return np.asarray(100 * scores.clip(0, 1))


def open_scorers(names: Iterable[str], options: ScoreOptions) -> list[ArrayScorer]:
    """The models of these names, verified and loaded. Raises WeightsError or UsageError."""
    from iqa_cli.scoring.backends import open_backend

    found = {name: find_model(name, options.backend) for name in names}
    return [
        ArrayScorer(
            name,
            open_backend(model.card, model.folder, model.backend, options.device),
            model.card.crops if options.crops is None else replace(model.card.crops, count=options.crops),
        )
        for name, model in found.items()
    ]


def score_pictures(scorers: Sequence[ArrayScorer], pictures: Iterable[Rgb]) -> Floats:
    """The score of each picture, uint8 [H, W, 3], by each model [models, pictures]. Pictures are drawn one at a time."""
    crops = [[cut_crops(rgb, scorer.crops) for scorer in scorers] for rgb in pictures]
    return np.stack([scorer.score([own[place] for own in crops]) for place, scorer in enumerate(scorers)])
