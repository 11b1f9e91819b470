"""Content: is a picture a photo at all, and is all of it there?

Photos have hardly two equal pixels side by side, and no colour that is much commoner than all others; pages, screens and
drawings are made of plain areas in a few colours. (Gradient statistics and colour counts tell photographs from graphics since
Athitsos, Swain and Frankel, *Distinguishing photographs and graphics on the world wide web*, 1997.) Patterns and noise have
spectra that no scene has.
"""

from __future__ import annotations

from itertools import product

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
PART, PARTS = 48, 6  # px of a part of it whose spectrum is taken; of them across and down
SLOPE_SIDE = 64  # px of the picture that an even slope is fitted to
FEW_COLORS = 1500  # of the sample
EVERY = 8  # pixels of a row that is looked at for loss: one of so many
CHANGE = 4.0  # values, by which a row differs from a lost one before it, on average
BLACK, WHITE = 8, 247  # of 255: rows that are darker or lighter are a frame
ABRUPT, SHARE = 25.0, 0.35  # values a px; of the slopes in graphics, as abrupt at least
SLOPE = 0.2  # values a px, from which a place is no plain area


def count_colors(rgb: Rgb) -> Counts:
    """How often each colour comes among evenly drawn pixels, the commonest first."""
    pixels = rgb.reshape(-1, 3)[:: max(1, rgb.shape[0] * rgb.shape[1] // SAMPLE)].astype(np.int32)
    codes = (pixels[:, 0] << 16) | (pixels[:, 1] << 8) | pixels[:, 2]
    return np.asarray(np.sort(np.unique(codes, return_counts=True)[1])[::-1])


def measure_plainness(gray: npt.NDArray[np.uint8], colors: Counts) -> float:
    """The share of plain squares, times that of the commonest colours: above a fifth in graphics, near 0 in photos.

    It counts less where the rest has few abrupt slopes: white skies of photos are plain, too, but what is around them is soft.
    """
    square = np.ones((PLAIN, PLAIN), np.uint8)
    plain = cv2.dilate(gray, square) == cv2.erode(gray, square)
    if plain.all():
        return 1.0
    slope = np.hypot(*(cv2.Sobel(gray, cv2.CV_32F, *order) / 8 for order in ((1, 0), (0, 1))))[~plain]
    abrupt = float((slope > ABRUPT).sum()) / max(1.0, float((slope > SLOPE).sum()))
    return float(plain.mean()) * min(1.0, abrupt / SHARE) ** 2 * float(colors[:COMMONEST].sum() / colors.sum())


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
    fine = find_fine(luma)
    power = np.abs(np.fft.rfft2(fine * np.outer(np.hanning(len(fine)), np.hanning(fine.shape[1])))) ** 2
    total = float(power.sum())
    if total < power.size:
        return 0.0
    return float(np.sort(power, axis=None)[-LINES:].sum()) / total


def limit_side(luma: Floats, side: int) -> Floats:
    """The picture with a longer side of so many px at most."""
    scale = side / max(luma.shape)
    if scale >= 1:
        return luma
    height, width = (max(1, round(length * scale)) for length in luma.shape)
    return np.asarray(cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def find_fine(luma: Floats) -> Floats:
    """What is finer than 8 px in a picture of 256 px."""
    small = limit_side(luma, SPECTRUM_SIDE)
    return np.asarray(small - cv2.GaussianBlur(small, (0, 0), 8), np.float32)


def measure_evenness(luma: Floats, colors: Counts) -> float:
    """The share of slopes without any grain, of a picture of few colours: near 1 in slopes and waves that were computed."""
    if len(colors) > FEW_COLORS:
        return 0.0
    across, down = (cv2.Sobel(luma, cv2.CV_32F, *order) / 8 for order in ((1, 0), (0, 1)))
    slope = np.hypot(across, down) > SLOPE
    even = np.abs(cv2.Laplacian(luma, cv2.CV_32F)) <= 1.01
    return float((even & slope).sum()) / max(100.0, float(slope.sum()))


def measure_waves(luma: Floats) -> float:
    """The share of the finer structure that one wave has, in all but the least regular parts: above 0.6 in rings and ripples.

    Where a wave's length changes across the picture, its whole spectrum is broad, and only parts tell.
    """
    fine = find_fine(luma)
    if min(fine.shape) < PART:
        return 0.0
    window = np.outer(np.hanning(PART), np.hanning(PART)).astype(np.float32)
    tops, lefts = (np.unique(np.linspace(0, side - PART, PARTS).astype(int)) for side in fine.shape)
    shares = []
    for top, left in product(tops, lefts):
        power = np.abs(np.fft.rfft2(fine[top : top + PART, left : left + PART] * window)).astype(np.float32) ** 2
        line = 9 * float(cv2.blur(power, (3, 3), borderType=cv2.BORDER_CONSTANT).max())  # as wide as the window makes it
        total = float(power.sum())
        shares.append(line / total if total > 2 * power.size else 0.0)
    return float(np.quantile(shares, 0.3))


def measure_bend(luma: Floats) -> float:
    """The deviation of a picture from an even slope, as a share of its own: near 0 in slopes alone, above 0.2 in photos."""
    small = limit_side(luma, SLOPE_SIDE)
    y, x = np.mgrid[: small.shape[0], : small.shape[1]]
    terms = np.stack([np.ones(small.size), x.ravel(), y.ravel()], axis=1)
    rest = small.ravel() - terms @ np.linalg.lstsq(terms, small.ravel(), rcond=None)[0]
    spread = float(small.std())
    return float(rest.std()) / spread if spread > 1 else 1.0


def cut_intact(rgb: Rgb) -> tuple[Rgb, float]:
    """What is left of a picture without the rows, or the columns, that are lost, and the share of those.

    Lost are those at an end of it that are one colour, neither black nor white. Where nothing would be left, as of a picture of
    one or two plain colours, it is all of the picture, and the share is 1.
    """
    rows, columns = count_lost(rgb[:, ::EVERY]), count_lost(rgb[::EVERY].transpose(1, 0, 2))
    height, width = rgb.shape[:2]
    share, other = max(rows) / height, max(columns) / width
    if share >= other:
        intact = rgb[rows[0] : height - rows[1]]
    else:
        intact, share = rgb[:, columns[0] : width - columns[1]], other
    return (intact, share) if intact.size else (rgb, 1.0)


def count_lost(rgb: Rgb) -> tuple[int, int]:
    """How many rows of one colour, neither black nor white, are at the upper and at the lower end, up to a sudden change."""
    rows = np.ascontiguousarray(rgb)
    low, high = (cv2.reduce(rows, 1, kind)[:, 0].astype(np.int16) for kind in (cv2.REDUCE_MIN, cv2.REDUCE_MAX))  # [H, 3]
    plain = (high - low <= 1).all(axis=1) & (high.min(axis=1) > BLACK) & (low.max(axis=1) < WHITE)
    alike = [plain & (np.abs(low - low[end]) <= 1).all(axis=1) for end in (0, -1)]
    if alike[0].all():
        return len(plain), 0
    upper, lower = int(alike[0].argmin()), int(alike[1][::-1].argmin())
    return (upper if jump_there(rows, upper) else 0), (lower if jump_there(rows[::-1], lower) else 0)


def jump_there(rows: Rgb, place: int) -> bool:
    """Whether the row of that number is another than the one before it: a sky fades, lost data end at once."""
    return place > 0 and float(cv2.absdiff(rows[place - 1], rows[place]).mean()) > CHANGE
