"""Exposure: what can be said of a photo's light by looking at its pixels, and no more.

Three measures of CIE lightness (L*, 0 black to 100 white) of a small picture of the photo, each with a limit beyond which
hardly any photo lies that was taken on purpose. Measured on 552 photos of many sources, and on every second of them made wrong:

    highlight  under 40   1 of 552;  exposed 4 stops too little 100 %, 3 stops 60 %, 2 stops 8 %
    white      over .30   0 of 552;  exposed 4 stops too much 84 %, 3 stops 65 %, 2 stops 28 %
    contrast   under 15   1 of 552;  contrast reduced to a tenth 100 %, to a fifth 64 %, to a third 12 %

So what is flagged is rarely fine, and what is not may still be: a night with one lamp in it has a highlight. Many features
together tell more: `describe_light` has them, and `explain.fit` how they are weighed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from iqa_cli.images.crops import Rgb
from iqa_cli.images.preview import read_preview

SIDE = 256  # px of the longer side of what is measured: the light of a photo, not its details
MIN_HIGHLIGHT, MAX_WHITE, MIN_CONTRAST = 40.0, 0.30, 15.0
DARKER = 40  # values that may be unused above beyond those below
BLACK = 10  # of 255: what is no lighter is black
WHITE, FULL = 250, 252  # of 255, from which all channels have no more to say, and from which one has none
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
VALUES = np.arange(256, dtype=np.float32) / 255
LINEAR = np.where(VALUES <= 0.04045, VALUES / 12.92, ((VALUES + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""The linear light of each value of sRGB."""


@dataclass(frozen=True)
class Exposure:
    """The light of a photo.

    highlight: the lightness that 99 % of the pixels do not exceed. white: the share of pixels without any tint or detail, all
    channels at 250 or more. contrast: the lightness between the darkest and the lightest twentieth.
    """

    highlight: float
    white: float
    contrast: float


def measure_preview(preview: bytes) -> Exposure:
    """The light of a photo, by its preview."""
    return measure_exposure(read_preview(preview))


def measure_exposure(rgb: Rgb) -> Exposure:
    """The light of a picture, uint8 [H, W, 3], sRGB."""
    lightness = find_lightness(rgb)
    dark, light, highlight = np.percentile(lightness, (5, 95, 99))
    return Exposure(float(highlight), float((find_ends(rgb)[0] >= WHITE).mean()), float(light - dark))


def measure_unused(rgb: Rgb) -> float:
    """How many of the 256 values, below all others and above, one in 200 pixels uses at most: uint8 [H, W, 3].

    Of those above no more count than some beyond those below: what is merely dark has others to give.
    """
    lowest, highest = find_ends(rgb)
    below, above = float(np.quantile(lowest, 0.005)), 255 - float(np.quantile(highest, 0.995))
    return below + min(above, below + DARKER)


def find_ends(rgb: Rgb) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest channel of each pixel, uint8 [H, W]."""
    red, green, blue = cv2.split(rgb)
    return np.asarray(cv2.min(cv2.min(red, green), blue)), np.asarray(cv2.max(cv2.max(red, green), blue))


def describe_light(rgb: Rgb) -> list[float]:
    """26 features of a small picture, uint8 [H, W, 3], that tell how it was exposed.

    Of its tones, on a scale about as even as that of the eye: percentiles, mean and spread; shares that are black, white or
    full or nearly so, in all of it and without the upper third, where the sky is; of nine parts; colour and detail.
    """
    tones, (dark, light) = np.cbrt(LINEAR[rgb] @ LUMINANCE), find_ends(rgb)
    full, near = light >= FULL, (light >= FULL - 24) & (light < FULL)
    low = np.s_[len(rgb) // 3 :]
    logs = 3 * np.log2(tones + 0.1)
    parts = sorted(float(part.mean()) for part in split_parts(tones))
    clipped = sorted(float(part.mean()) for part in split_parts(full))
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return [
        *np.percentile(tones, (1, 5, 25, 50, 75, 95, 99)).tolist(),
        float(logs.mean()),
        float(tones.std()),
        float(tones[low].mean()),
        *(find_log(plane) for plane in (full, full[low], dark[low] >= WHITE, near, near[low], light <= BLACK)),
        float(full[low].mean()) ** 0.5,
        *(clipped[place * (len(clipped) - 1) // 8] ** 0.5 for place in (1, 2, 4, 6)),
        *(parts[place * (len(parts) - 1) // 8] for place in (0, 4, 8)),
        float(light.mean() - dark.mean()) / 255,
        find_log(np.abs(gray.astype(np.float32) - cv2.GaussianBlur(gray, (0, 0), 1.5)) / 255),
    ]


def find_log(plane: np.ndarray) -> float:
    """The logarithm, base 2, of a mean share."""
    return float(np.log2(float(plane.mean()) + 0.001))


def split_parts(plane: np.ndarray) -> list[np.ndarray]:
    """Nine parts of a plane; fewer where it is too small for them."""
    parts = (part for rows in np.array_split(plane, 3) for part in np.array_split(rows, 3, axis=1))
    return [part if part.size else plane for part in parts]


def find_lightness(rgb: Rgb) -> np.ndarray:
    """CIE L* of each pixel [H, W], 0 to 100."""
    luminance = LINEAR[rgb] @ LUMINANCE
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
