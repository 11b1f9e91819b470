"""Fit: how much was done to a photo, in the unit of what was done, by many features at once: linear or quadratic regression.

One measurement rarely tells a fault from what the photo shows; many do together, as corrected moments do for the colour of
light (Finlayson, *Corrected-moment illuminant estimation*, ICCV 2013). The coefficients are in `fits.json`, found by ridge
regression on photos to which known amounts were done: `python -m tests.benchmarks.explaining.fitting` writes them and prints
what they reach.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

FILE = Path(__file__).parent / "fits.json"
FARTHEST = 4.0  # standard deviations from the mean that a feature counts at most


def expand(features: Doubles, center: Doubles, scale: Doubles, squares: bool) -> Doubles:
    """Terms [..., 1 + n], or with squares [..., 1 + 2 n], of features [..., n]: what is linear, and its squares."""
    z = np.clip((features - center) / scale, -FARTHEST, FARTHEST)
    parts = [np.ones((*z.shape[:-1], 1)), z, *([z * z - 1] if squares else [])]
    return np.concatenate(parts, axis=-1)


@dataclass(frozen=True)
class Fit:
    """A regression of m amounts on n features.

    center, scale: the mean and the standard deviation of each feature. weights: [m, 1 + n] or, with squares, [m, 1 + 2 n].
    """

    center: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]

    def predict(self, features: Sequence[float]) -> Doubles:
        """The amounts, [m]. Raises ValueError for another number of features."""
        if len(features) != len(self.center):
            raise ValueError(f"{len(features)} features where {len(self.center)} were fitted")
        squares = len(self.weights[0]) > 1 + len(self.center)
        terms = expand(np.asarray(features, np.float64), np.array(self.center), np.array(self.scale), squares)
        return np.asarray(np.array(self.weights) @ terms, np.float64)


@dataclass(frozen=True)
class Fits:
    """All regressions.

    exposure: stops of light more than photos have on average, of `light.describe_light`. cast: two, whose hypotenuse is how
    strange the colour of the light is, in usual deviations, of `color.describe_color`. sharpening: log2 of one more than the
    amount of an unsharp mask, of `sharpening.describe_detail`. enlarging: near 1 where a picture was enlarged and near 0 where
    it was not, of `measure.describe_enlarging`.
    """

    exposure: Fit
    cast: Fit
    sharpening: Fit
    enlarging: Fit


@cache
def read_fits() -> Fits:
    """The regressions of this version."""
    data = json.loads(FILE.read_text(encoding="utf-8"))
    return Fits(**{name: Fit(*(tuple(found[key]) for key in ("center", "scale", "weights"))) for name, found in data.items()})
