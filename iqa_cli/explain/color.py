"""Colour casts: the tint of the light, as estimators of the illuminant find it (van de Weijer, Gevers and Gijsenij, *Edge-based
color constancy*, IEEE TIP 16, 2007): grey-edge, shades of grey, and the pixels that are least coloured.

A single picture does not tell a cast from things that are coloured, so all of them have to agree, and only strong casts are
found.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from iqa_cli.explain.light import LINEAR
from iqa_cli.images.crops import Rgb

Floats = npt.NDArray[np.float32]

NORM = 6  # of Minkowski
LEAST = 1e-4  # of linear light
NEUTRAL = 0.1  # the share of the least coloured pixels


def measure_cast(rgb: Rgb) -> float:
    """By how many stops red and blue differ from green in the light, uint8 [H, W, 3] in sRGB: the least of all estimates."""
    light = LINEAR[rgb]
    seen = light[(rgb.max(axis=2) > 12) & (rgb.max(axis=2) < 253)]
    if len(seen) < 100:
        return 0.0
    edges = np.stack([find_slopes(light[..., channel]) for channel in range(3)], axis=-1).reshape(-1, 3)
    tints = [find_tint(find_mean(values)) for values in (seen, edges)]
    tints.append(find_neutral(seen))
    direction = np.mean(tints, axis=0)
    length = float(np.hypot(*direction))
    if length < 1e-6:
        return 0.0
    return max(0.0, min(float(tint @ direction) / length for tint in tints))


def find_slopes(plane: Floats) -> Floats:
    """The magnitude of the gradient of a channel, a little smoothed."""
    smooth = cv2.GaussianBlur(plane, (0, 0), 1)
    return np.asarray(np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)), np.float32)


def find_mean(values: Floats) -> Floats:
    """The mean of each channel, [n, 3] -> [3], in which large values count most."""
    return np.asarray(((values.astype(np.float64) ** NORM).mean(axis=0)) ** (1 / NORM), np.float32)


def find_tint(light: Floats) -> npt.NDArray[np.float64]:
    """Stops of red and of blue beside green."""
    red, green, blue = np.maximum(light.astype(np.float64), LEAST)
    return np.array([np.log2(red / green), np.log2(blue / green)])


def find_neutral(seen: Floats) -> npt.NDArray[np.float64]:
    """The mean tint of the least coloured pixels."""
    values = np.maximum(seen, LEAST)
    tints = np.log2(values[:, (0, 2)] / values[:, 1:2])
    distance = np.hypot(tints[:, 0], tints[:, 1])
    return np.asarray(tints[distance <= np.quantile(distance, NEUTRAL)].mean(axis=0), np.float64)
