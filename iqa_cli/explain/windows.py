"""Windows: where a photo loses quality, by the scores of its parts: overlapping windows, each scored as a photo of its own.

A cell of the map is the mean of what the windows over it score above or below the average window of their size, those that lie
around it counting most. So each figure can be checked: cut the windows out, and score them. Beside the score of the whole photo
all of them would be lower where it is small, because windows of it are smaller still.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite

import numpy as np
import numpy.typing as npt

from iqa_cli.images.crops import Box, Rgb

Floats = npt.NDArray[np.float32]

SHARES = (1 / 2, 1 / 3)  # of the photo's sides: of each window
STEPS = (4, 5)  # windows a row and a column, of each share: a sixth of the side apart
LONGEST = 64  # cells of the map's longer side


def place_windows(height: int, width: int) -> list[Box]:
    """The boxes of all windows, in px of a photo of that size."""
    return [
        (
            x * (1 - share) * width,
            y * (1 - share) * height,
            (x * (1 - share) + share) * width,
            (y * (1 - share) + share) * height,
        )
        for share, steps in zip(SHARES, STEPS, strict=True)
        for y in np.linspace(0.0, 1.0, steps).tolist()
        for x in np.linspace(0.0, 1.0, steps).tolist()
    ]


def cut_window(picture: Rgb, box: Box) -> Rgb:
    """What of a picture, uint8 [H, W, 3], lies in a box, to whole pixels; boxes of one size have windows of one size."""
    left, top, right, bottom = box
    height, width = max(1, round(bottom - top)), max(1, round(right - left))
    y, x = min(round(top), len(picture) - height), min(round(left), picture.shape[1] - width)
    return picture[y : y + height, x : x + width]


def center_scores(scores: Sequence[float]) -> list[float]:
    """What each window, in the order of `place_windows`, has more than the average one of its size; NaN without a score."""
    parts = np.split(np.asarray(scores, np.float64), np.cumsum([steps**2 for steps in STEPS])[:-1])
    known = (part[np.isfinite(part)] for part in parts)
    means = [own.mean() if own.size else np.nan for own in known]
    return [float(value) for part, mean in zip(parts, means, strict=True) for value in part - mean]


def draw_map(scores: Sequence[float], height: int, width: int) -> Floats:
    """The map of a photo of that size, float32 [h, w], its longer side LONGEST: points above or, below 0, under the average.

    scores: of the windows, in the order of `place_windows`; NaN where one has none. Those are left out, and the map is NaN
    where there are no others.
    """
    cell = max(height, width) / LONGEST
    rows, columns = max(1, ceil(height / cell)), max(1, ceil(width / cell))
    y, x = ((np.arange(count) + 0.5) / count * side for count, side in ((rows, height), (columns, width)))
    total, weights = np.zeros((rows, columns)), np.zeros((rows, columns))
    for (left, top, right, bottom), value in zip(place_windows(height, width), center_scores(scores), strict=True):
        if isfinite(value):
            weight = np.outer(weigh(y, top, bottom), weigh(x, left, right))
            total += value * weight
            weights += weight
    return np.divide(total, weights, out=np.full_like(total, np.nan), where=weights > 0).astype(np.float32)


def weigh(places: npt.NDArray[np.float64], begin: float, end: float) -> npt.NDArray[np.float64]:
    """How much a window from begin to end says of these places: most at its middle, nothing outside."""
    inside = np.clip((places - begin) / (end - begin), 0.0, 1.0)
    return np.asarray(np.sin(np.pi * inside) ** 2 + 0.02 * ((inside > 0) & (inside < 1)))
