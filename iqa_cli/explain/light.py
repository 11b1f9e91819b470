"""Exposure: what can be said of a photo's light by looking at its pixels, and no more.

Three measures of CIE lightness (L*, 0 black to 100 white) of a small picture of the photo, each with a limit beyond which
hardly any photo lies that was taken on purpose. Measured on 552 photos of many sources, and on every second of them made wrong:

    highlight  under 40   1 of 552;  exposed 4 stops too little 100 %, 3 stops 60 %, 2 stops 8 %
    white      over .30   0 of 552;  exposed 4 stops too much 84 %, 3 stops 65 %, 2 stops 28 %
    contrast   under 15   1 of 552;  contrast reduced to a tenth 100 %, to a fifth 64 %, to a third 12 %

So what is flagged is rarely fine, and what is not may still be: a night with one lamp in it has a highlight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iqa_cli.images.crops import Rgb
from iqa_cli.images.preview import read_preview

SIDE = 256  # px of the longer side of what is measured: the light of a photo, not its details
MIN_HIGHLIGHT, MAX_WHITE, MIN_CONTRAST = 40.0, 0.30, 15.0
DARKER = 40  # values that may be unused above beyond those below
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
    return Exposure(float(highlight), float((rgb.min(axis=2) >= WHITE).mean()), float(light - dark))


def measure_unused(rgb: Rgb) -> float:
    """How many of the 256 values, below all others and above, one in 200 pixels uses at most: uint8 [H, W, 3].

    Of those above no more count than some beyond those below: what is merely dark has others to give.
    """
    below, above = float(np.quantile(rgb.min(axis=2), 0.005)), 255 - float(np.quantile(rgb.max(axis=2), 0.995))
    return below + min(above, below + DARKER)


def measure_spread(rgb: Rgb) -> tuple[float, float]:
    """Shares of white pixels and of pixels with a full channel, that six and seven of nine parts of a picture have at least.

    A sky or a lamp may be white; what is overexposed is so in most parts.
    """
    white, full = rgb.min(axis=2) >= WHITE, rgb.max(axis=2) >= FULL
    shares = [sorted(float(part.mean()) for part in split_parts(plane)) for plane in (white, full)]
    return shares[0][3], shares[1][2]


def split_parts(plane: np.ndarray) -> list[np.ndarray]:
    """Nine parts of a plane; fewer where it is too small for them."""
    parts = (part for rows in np.array_split(plane, 3) for part in np.array_split(rows, 3, axis=1))
    return [part if part.size else plane for part in parts]


def find_lightness(rgb: Rgb) -> np.ndarray:
    """CIE L* of each pixel [H, W], 0 to 100."""
    luminance = LINEAR[rgb] @ LUMINANCE
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
