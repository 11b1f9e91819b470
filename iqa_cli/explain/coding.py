"""Coding: what compression and enlarging leave in pixels: blocks, few tones, and the rhythm of interpolation.

Blocks: how much more values jump at the edges of blocks of 8 px than within (Wang, Sheikh and Bovik, ICIP 2002). Tones: a line
in the spectrum of the histogram, as even steps between tones give it. Enlarging: the second derivative of interpolated pixels
comes and goes with the places between the old ones (Gallagher, *Detection of linear and cubic interpolation*, CRV 2005).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]

BLOCK = 8  # px of a JPEG's blocks
JUMP = 20.0  # values: a larger one is an edge of the picture
SAMPLE = 400_000  # pixels whose tones are counted, about
VALUES = np.arange(256, dtype=np.float64)
FINE = 2048  # points of the spectrum of a histogram
NARROWEST, WIDEST = 5.0, 64.0  # values: steps between tones that are looked for


def measure_blocks(luma: Floats, block: int = BLOCK) -> float:
    """How many times as large the jumps at block edges are as those within; about 1 without blocks. The lesser of both ways."""
    return min(measure_rows(luma, block), measure_rows(np.ascontiguousarray(luma.T), block))


def measure_rows(luma: Floats, block: int) -> float:
    """The same across rows alone."""
    if luma.shape[1] < 4 * block:
        return 1.0
    step = np.diff(luma, axis=1)
    jump = np.abs(step[:, 1:-1] - (step[:, :-2] + step[:, 2:]) / 2)  # what a slope does not explain
    profile = np.minimum(jump, JUMP).mean(axis=0)
    profile = profile[: len(profile) // block * block].reshape(-1, block).mean(axis=0)
    place = int(profile.argmax())
    others = np.delete(profile, [place, (place - 1) % block, (place + 1) % block])
    return float((profile[place] + 0.05) / (others.mean() + 0.05))


def measure_steps(rgb: Rgb) -> float:
    """How evenly few the tones are: 1 where all of them are multiples of some step, near 0 in photos. The middle channel's."""
    pixels = rgb.reshape(-1, 3)[:: max(1, rgb.shape[0] * rgb.shape[1] // SAMPLE)]
    return float(np.median([find_comb(np.bincount(pixels[:, channel], minlength=256)) for channel in range(3)]))


def find_comb(counts: npt.NDArray[np.intp]) -> float:
    """The strongest line in the spectrum of a histogram of 256 values, of steps that are narrower than it is wide: 0 to 1."""
    shares = counts.astype(np.float64)
    shares[[0, 255]] = 0  # what is clipped
    if shares.sum() == 0:
        return 0.0
    shares /= shares.sum()
    mean = float(shares @ VALUES)
    spread = float(shares @ (VALUES - mean) ** 2) ** 0.5
    steps = FINE / np.maximum(np.arange(FINE // 2 + 1), 1)
    wanted = (steps >= NARROWEST) & (steps <= min(WIDEST, 1.2 * spread))
    return float(np.abs(np.fft.rfft(shares, FINE))[wanted].max()) if wanted.any() else 0.0


def measure_rhythm(luma: Floats) -> float:
    """How far a line of the spectrum of the second derivative stands out of what is around it; the lesser of both ways."""
    return min(measure_row_rhythm(luma), measure_row_rhythm(np.ascontiguousarray(luma.T)))


def measure_row_rhythm(luma: Floats) -> float:
    """The same across rows."""
    if luma.shape[1] < 64:
        return 0.0
    second = np.abs(luma[:, 1:-1] * 2 - luma[:, :-2] - luma[:, 2:])
    profile = np.log(np.minimum(second, JUMP).mean(axis=0) + 0.02)
    profile -= cv2.blur(profile.reshape(1, -1), (9, 1))[0]
    window = np.hanning(len(profile))
    line = np.abs(np.fft.rfft(profile * window)) / window.sum()
    frequency = np.arange(len(line)) / len(profile)
    wanted = frequency > 0.09
    for harmonic in range(1, 5):
        wanted &= np.abs(frequency - harmonic / 8) > 3 / len(profile)
    return float(line[wanted].max() / (np.median(line[wanted]) + 1e-6)) if wanted.any() else 0.0
