"""create_metric: the models here as metrics of a PyTorch script, in the shape that pyiqa gave such scripts.

    import pyiqa        ->        import iqa_cli as pyiqa

    metric = pyiqa.create_metric("qfm-iqm")
    score = metric("photo.jpg").item()             # 0 to 100, higher is better
    scores = metric(batch)                         # [n], of a tensor [n, 3, h, w] in 0..1

A path is scored as `iqa score` does it. A tensor is rounded to 8 bits first, as a picture in a file is: no gradient comes back.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from iqa_cli.errors import InputError, UsageError
from iqa_cli.library import Scorer
from iqa_cli.records import ScoreRecord

CHANNELS = (1, 3)


class Metric(torch.nn.Module):
    """A no-reference metric: a path, a Pillow image or a tensor in, scores out, where `to` says.

    metric_name, metric_mode ("NR"), lower_better (False), score_range ("0, 100"): as pyiqa's metrics have them. scorer: what
    scores; its `close` ends the decoding processes, and so does the end of the program.
    """

    place: torch.Tensor

    def __init__(self, scorer: Scorer, device: torch.device) -> None:
        super().__init__()
        low, high = scorer.card.score_range
        self.scorer = scorer
        self.register_buffer("place", torch.empty(0, device=device), persistent=False)  # which `to` moves
        self.metric_name = scorer.card.name
        self.metric_mode = "NR"
        self.lower_better = False
        self.score_range = f"{low:g}, {high:g}"

    def forward(self, target: Any, ref: Any = None, **_: Any) -> torch.Tensor:
        """Scores float32 [n], of a tensor [n, 3, h, w] or [n, 1, h, w] of values in 0..1; [1] of a path or a Pillow image.

        ref: None; no reference is looked at. Raises InputError for another tensor, for a reference, and for an image that
        cannot be scored.
        """
        if ref is not None:
            raise InputError(f"{self.metric_name} is a no-reference metric: it takes one image")
        images = read_batch(target) if isinstance(target, torch.Tensor) else [target]
        scores = [take_score(record) for record in self.scorer.score_many(images)]
        return torch.tensor(scores, dtype=torch.float32, device=self.place.device)


def take_score(record: ScoreRecord) -> float:
    """The score of a record. Raises InputError where it has none."""
    if record.score is None:
        raise InputError(f"{record.path}: {record.status}: {record.detail}")
    return record.score


def read_batch(images: torch.Tensor) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """The pictures of a tensor [n, 3 or 1, h, w] in 0..1, uint8 [h, w, 3] or [h, w]. Raises InputError for any other."""
    shape = list(images.shape)
    if images.ndim != 4 or shape[1] not in CHANNELS or 0 in shape:
        raise InputError(f"a tensor of shape {shape}: wanted is [n, 3, h, w], or [n, 1, h, w] for grey")
    if not images.is_floating_point():
        raise InputError(f"a tensor of {images.dtype}: wanted are floats in 0..1; divide 8 bits by 255")
    values = images.detach().to("cpu", torch.float32)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise InputError(f"a tensor of values from {low:g} to {high:g}: wanted are 0..1, not normalised")
    pixels = (255 * values).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return [picture[..., 0] if shape[1] == 1 else picture for picture in pixels]


def create_metric(
    metric_name: str | os.PathLike[str] = "qfm-iqm", *, as_loss: bool = False, device: Any = None, **options: Any
) -> Metric:
    """A metric by the name of a model, or by whatever else `iqa_cli.Scorer` takes as one.

    as_loss: False; a score has no gradient here. device: where scores are put, and what runs the network: None is the CPU, 0
    the first GPU. options: of `iqa_cli.Scorer`, such as backend, crops and workers. Raises UsageError and WeightsError.
    """
    if as_loss:
        raise UsageError(f"{metric_name} has no gradient here, so it can be no loss; train with what iqa train makes of it")
    place = torch.device("cpu" if device is None else device)
    if place.type != "cpu":
        options = {"backend": "torch", **options}
    return Metric(Scorer(metric_name, device=str(place), **options), place)
