"""Colour casts: the tint of the light, as estimators of the illuminant find it.

They are grey world, shades of grey, and grey-edge of two orders (van de Weijer, Gevers and Gijsenij, *Edge-based color
constancy*, IEEE TIP 16, 2007), the lightest and darkest tones, the pixels that are least coloured, and five ranges of tones.

A single picture does not tell a cast from things that are coloured, and each estimator is misled by other things. So all of
them are corrected and weighed by a regression.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from iqa_cli.explain.light import LINEAR, LUMINANCE
from iqa_cli.images.crops import Rgb

Floats = npt.NDArray[np.floating]

NORM = 6  # of Minkowski: of the sixth powers
LEAST = 1e-4  # of linear light
SHADOW = 0.002  # of linear light, by which the darkest tones are lifted: noise is coloured
CLIPPED = 253  # of 255, from which a channel has no more to say
DARKEST = 12  # of 255: a pixel that is no lighter has no colour
NEUTRAL = (0.02, 0.1, 0.3)  # shares of the least coloured pixels
RANGES = (0.0, 0.2, 0.5, 0.8, 0.95, 1.0)  # of pixels by luminance
EVERY = 2  # pixels and rows whose tints are looked at


def describe_color(rgb: Rgb) -> list[float]:
    """48 features of a small picture, uint8 [H, W, 3], that tell the colour of its light.

    They are tints, in stops of red and blue beside green, and how coloured its pixels are.
    """
    light = LINEAR[rgb]
    some, values = light[::EVERY, ::EVERY].reshape(-1, 3), rgb[::EVERY, ::EVERY].reshape(-1, 3)
    highest, lowest = values.max(axis=1), values.min(axis=1)
    usable = (highest > DARKEST) & (highest < CLIPPED)
    seen = some[usable] if usable.sum() > 100 else some
    tints = find_tints(seen)
    distance = np.hypot(tints[:, 0], tints[:, 1])
    kept = [tints[distance <= limit].mean(axis=0) for limit in np.quantile(distance, NEUTRAL)]
    estimates = [
        *find_tints(np.stack([seen.mean(axis=0), find_mean(seen), np.median(seen, axis=0)])),
        *find_tints(np.percentile(some, (95, 99, 99.8), axis=0)),
        *find_tints(np.percentile(some, (5,), axis=0) + SHADOW),
        *find_tints(find_slopes(light)),
        *kept,
        *find_ranges(seen @ LUMINANCE, tints),
        tints.mean(axis=0),
        tints.std(axis=0),
    ]
    saturation = 1 - lowest / np.maximum(highest, 1.0)
    return [
        *np.ravel(estimates).tolist(),
        *np.quantile(distance, (0.01, 0.05, 0.2, 0.5)).tolist(),
        *np.sqrt((values >= CLIPPED).mean(axis=0)).tolist(),
        float(saturation.mean()),
    ]


def is_gray(rgb: Rgb) -> bool:
    """Whether a picture has no colours at all."""
    return bool((rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all())


def find_slopes(light: Floats) -> Floats:
    """Of each channel the mean gradient, as it is and with large ones counting most, and the mean curvature: [3, 3]."""
    smooth = cv2.GaussianBlur(light, (0, 0), 1)
    slopes = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)).reshape(-1, 3)
    return np.stack([slopes.mean(axis=0), find_mean(slopes), np.abs(cv2.Laplacian(smooth, cv2.CV_32F)).mean(axis=(0, 1))])


def find_mean(values: Floats) -> Floats:
    """The mean of each channel, [n, 3] -> [3], in which large values count most."""
    wide = values.astype(np.float64)
    cubes = wide * wide * wide
    return np.asarray((cubes * cubes).mean(axis=0) ** (1 / NORM))


def find_tints(light: Floats) -> Floats:
    """Stops of red and of blue beside green, [n, 3] -> [n, 2]."""
    logs = np.log2(np.maximum(light, LEAST))
    return np.asarray(logs[:, (0, 2)] - logs[:, 1:2])


def find_ranges(luminance: Floats, tints: Floats) -> list[Floats]:
    """The median tint of the darkest to the lightest pixels."""
    order, ends = np.argsort(luminance), [int(share * len(luminance)) for share in RANGES]
    return [np.median(tints[order[begin : max(end, begin + 1)]], axis=0) for begin, end in pairwise(ends)]
