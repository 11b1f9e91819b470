"""Content: is a picture a photo at all, and is all of it there?

Photos have hardly two equal pixels side by side, and no colour that is much commoner than all others; pages, screens and
drawings are made of plain areas in a few colours. (Gradient statistics and colour counts tell photographs from graphics since
Athitsos, Swain and Frankel, *Distinguishing photographs and graphics on the world wide web*, 1997.) Patterns and noise have
spectra that no scene has.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from iqa_cli.images.crops import Rgb

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.intp]  # sorted, the highest first

PLAIN = 5  # px: side of the squares of one tone
COMMONEST = 16  # colours
SAMPLE = 100_000  # pixels whose colours are counted, about
LAG = 4  # px: farther than blur and noise reach, nearer than most things are large
SPECTRUM_SIDE, LINES = 256, 12  # px of the picture whose spectrum is taken; the strongest frequencies in it
FEW_COLORS = 1500  # of the sample
EVERY = 4  # pixels of a row that is looked at for loss: one of so many
BLACK, WHITE = 8, 247  # of 255: rows that are darker or lighter are a frame
SLOPE = 0.2  # values a px, from which a place is no plain area


def count_colors(rgb: Rgb) -> Counts:
    """How often each colour comes among evenly drawn pixels, the commonest first."""
    pixels = rgb.reshape(-1, 3)[:: max(1, rgb.shape[0] * rgb.shape[1] // SAMPLE)].astype(np.int32)
    codes = (pixels[:, 0] << 16) | (pixels[:, 1] << 8) | pixels[:, 2]
    return np.asarray(np.sort(np.unique(codes, return_counts=True)[1])[::-1])


def measure_plainness(gray: npt.NDArray[np.uint8], colors: Counts) -> float:
    """The share of plain squares, times that of the commonest colours: above a quarter in graphics, near 0 in photos."""
    square = np.ones((PLAIN, PLAIN), np.uint8)
    plain = float((cv2.dilate(gray, square) == cv2.erode(gray, square)).mean())
    return plain * float(colors[:COMMONEST].sum() / colors.sum())


def measure_structure(luma: Floats) -> float:
    """The correlation of pixels that are a few px apart, the lesser of both ways: near 0 in noise, near 1 in photos."""
    centered = luma - luma.mean()
    variance = float((centered * centered).mean())
    if min(luma.shape) <= LAG or variance < 1:
        return 1.0
    ways = (centered[:, LAG:] * centered[:, :-LAG]).mean(), (centered[LAG:] * centered[:-LAG]).mean()
    return float(min(ways)) / variance


def measure_regularity(luma: Floats) -> float:
    """The share of the finer structure that a dozen frequencies have: near 1 in stripes and checks, below 0.3 in photos."""
    scale = SPECTRUM_SIDE / max(luma.shape)
    small = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else luma
    fine = small - cv2.GaussianBlur(small, (0, 0), 8)
    power = np.abs(np.fft.rfft2(fine * np.outer(np.hanning(len(fine)), np.hanning(fine.shape[1])))) ** 2
    total = float(power.sum())
    if total < power.size:
        return 0.0
    return float(np.sort(power, axis=None)[-LINES:].sum()) / total


def measure_evenness(luma: Floats, colors: Counts) -> float:
    """The share of slopes without any grain, of a picture of few colours: near 1 in slopes and waves that were computed."""
    if len(colors) > FEW_COLORS:
        return 0.0
    across, down = (cv2.Sobel(luma, cv2.CV_32F, *order) / 8 for order in ((1, 0), (0, 1)))
    slope = np.hypot(across, down) > SLOPE
    even = np.abs(cv2.Laplacian(luma, cv2.CV_32F)) <= 1.01
    return float((even & slope).sum()) / max(100.0, float(slope.sum()))


def measure_lost(rgb: Rgb) -> float:
    """The share of rows, or of columns, at an end of the picture that are one colour, neither black nor white."""
    return max(measure_lost_rows(rgb[:, ::EVERY]), measure_lost_rows(rgb[::EVERY].transpose(1, 0, 2)))


def measure_lost_rows(rgb: Rgb) -> float:
    """The same of rows alone."""
    low, high = rgb.min(axis=1).astype(np.int16), rgb.max(axis=1).astype(np.int16)  # [H, 3]
    plain = (high - low <= 1).all(axis=1) & (high.min(axis=1) > BLACK) & (low.max(axis=1) < WHITE)
    alike = [plain & (np.abs(low - low[end]) <= 1).all(axis=1) for end in (0, -1)]
    if alike[0].all():
        return 1.0
    return max(int(alike[0].argmin()), int(alike[1][::-1].argmin())) / len(plain)
