"""Measurements: all that reasons are found by, of one picture, by name."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, isfinite

import cv2
import numpy as np
import numpy.typing as npt

from iqa_cli.explain.coding import measure_blocks, measure_rhythm, measure_steps
from iqa_cli.explain.color import describe_color, is_gray
from iqa_cli.explain.content import (
    count_colors,
    cut_intact,
    measure_bend,
    measure_evenness,
    measure_plainness,
    measure_regularity,
    measure_structure,
    measure_waves,
)
from iqa_cli.explain.edges import MANY, find_blur, find_edges, find_shake
from iqa_cli.explain.enlarging import describe_spectrum
from iqa_cli.explain.fit import read_fits
from iqa_cli.explain.light import SIDE, describe_light, measure_exposure, measure_unused
from iqa_cli.explain.noise import find_unclipped, measure_color_noise, measure_noise, measure_specks
from iqa_cli.explain.quantisation import find_quality
from iqa_cli.explain.sharpening import describe_detail
from iqa_cli.images.crops import Rgb

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

MEGAPIXELS = 3.0  # of a picture that is measured, at most; JPEGs are decoded about as large for the networks
CENTER = 0.8e6  # px in the middle of it that single pixels are looked at in
SPARSE = 0.4e6  # px of it, evenly drawn, that its colours and plain areas are counted in
SHORT_SIDE = 512  # px of the picture that edges are measured in, at most
BEST_QUALITY = 100.0  # of what is no JPEG
DIRECTED = 1.15  # of the blur: so much larger is shake; a lens that is out of focus blurs a little more in one direction, too


def measure_picture(rgb: Rgb, width: int, jpeg_quality: float | None = None) -> dict[str, float]:
    """The measurements of a picture, uint8 [H, W, 3], upright sRGB.

    width: in px of the whole picture in its own size, of which rgb may be a reduction. jpeg_quality: as its file says it, if it
    does.
    """
    seen = view(rgb)
    intact, lost = cut_intact(seen)
    step = ceil((seen.shape[0] * seen.shape[1] / SPARSE) ** 0.5)
    return {
        "megapixels": rgb.shape[0] * rgb.shape[1] * (width / rgb.shape[1]) ** 2 / 1e6,
        "jpeg_quality": BEST_QUALITY if jpeg_quality is None else jpeg_quality,
        **measure_edges(view_edges(find_gray(seen))),
        **measure_grain(cut_center(seen)),
        **measure_tones(view_tones(seen)),
        **measure_content(np.ascontiguousarray(seen[::step, ::step])),
        "plainness": measure_plain(np.ascontiguousarray(intact[::step, ::step])),  # what is lost is plain, too
        "lost_share": lost,
    }


def measure_safely(rgb: Rgb, width: int, jpeg_quality: float | None = None) -> dict[str, float]:
    """The same, as far as there are numbers: whatever goes wrong costs a picture its reasons, and not its score.

    rgb, width, jpeg_quality: as of `measure_picture`.
    """
    try:
        measured = measure_picture(rgb, width, jpeg_quality)
    except Exception:  # OpenCV's errors among them, and those of memory
        return {}
    return {name: value for name, value in measured.items() if isfinite(value)}


def measure_edges(gray: Bytes) -> dict[str, float]:
    """How sharp edges are, uint8 [H, W]."""
    luma = gray.astype(np.float32)
    edges = find_edges(luma)
    sharpening = float(read_fits().sharpening.predict(describe_detail(gray, edges))[0])
    blur, shake = find_blur(edges), find_shake(find_edges(luma, MANY))
    return {"blur": blur, "shake": shake if shake > DIRECTED * blur else 0.0, "sharpening": 2.0**sharpening - 1}


def measure_grain(rgb: Rgb) -> dict[str, float]:
    """What single pixels do: noise, and what coding and enlarging leave."""
    gray = find_gray(rgb)
    luma = gray.astype(np.float32)
    traces = measure_traces(luma)
    return {
        **traces,
        "color_noise": measure_color_noise(rgb),
        "specks": measure_specks(gray),
        "earlier_jpeg_quality": find_quality(luma),
        "steps": measure_steps(rgb),
        "enlarging": float(read_fits().enlarging.predict(describe_enlarging(luma, traces))[0]),
    }


def measure_traces(luma: Floats) -> dict[str, float]:
    """What is left in pixels of grey, float32 [H, W]: noise, blocks, and the rhythm of enlarging."""
    return {
        "noise": measure_noise(luma, find_unclipped(luma)),
        "blocks": measure_blocks(luma),
        "rhythm": measure_rhythm(luma),
    }


def describe_enlarging(luma: Floats, traces: Mapping[str, float]) -> list[float]:
    """64 features that enlarging is told by: those of the spectrum, and the traces."""
    grain = (float(np.log2(traces["noise"] + 0.05)), traces["blocks"], float(np.log2(traces["rhythm"] + 1)))
    return [*describe_spectrum(luma), *grain]


def measure_tones(rgb: Rgb) -> dict[str, float]:
    """Light and colour of a small picture."""
    light, stops = measure_exposure(rgb), float(read_fits().exposure.predict(describe_light(rgb))[0])
    return {
        "stops_too_light": stops,
        "stops_too_dark": -stops,
        "highlight": light.highlight,
        "white": light.white,
        "contrast": light.contrast,
        "unused_tones": measure_unused(rgb),
        "cast": 0.0 if is_gray(rgb) else float(np.hypot(*read_fits().cast.predict(describe_color(rgb)))),
    }


def measure_plain(rgb: Rgb) -> float:
    """How plain a picture is, as pages and drawings are."""
    return measure_plainness(find_gray(rgb), count_colors(rgb))


def measure_content(rgb: Rgb) -> dict[str, float]:
    """What else tells photos from other pictures."""
    luma = find_gray(rgb).astype(np.float32)
    return {
        "evenness": measure_evenness(luma, count_colors(rgb)),
        "structure": measure_structure(luma),
        "regularity": measure_regularity(luma),
        "waves": measure_waves(luma),
        "bend": measure_bend(luma),
    }


# ---- views: what is measured where ----


def view(rgb: Rgb) -> Rgb:
    """The picture as it is measured: reduced by a whole factor to three megapixels at most."""
    return halve(rgb, ceil((rgb.shape[0] * rgb.shape[1] / (MEGAPIXELS * 1e6)) ** 0.5))


def view_tones(seen: Rgb) -> Rgb:
    """The small picture that light and colours are measured of."""
    return reduce(seen, SIDE / max(seen.shape[:2]))


def view_edges(gray: Bytes) -> Bytes:
    """The picture that edges are measured in."""
    return reduce(gray, SHORT_SIDE / min(gray.shape))


def find_gray(rgb: Rgb) -> Bytes:
    """Luma, uint8 [H, W]."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def halve(rgb: Rgb, factor: int) -> Rgb:
    """The picture reduced by a whole factor, so that pixels stay alike: each is the mean of a square."""
    height, width = (side // factor for side in rgb.shape[:2])
    if factor == 1 or not height or not width:
        return rgb
    whole = rgb[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def cut_center(rgb: Rgb) -> Rgb:
    """The middle of a picture, with its aspect ratio; it begins where a block of a JPEG does."""
    height, width = rgb.shape[:2]
    share = min(1.0, (CENTER / (height * width)) ** 0.5)
    top, left = (int(side * (1 - share) / 2) // 8 * 8 for side in (height, width))
    return np.ascontiguousarray(rgb[top : top + ceil(height * share), left : left + ceil(width * share)])


def reduce(picture: Bytes, scale: float) -> Bytes:
    """The picture reduced by that factor, each pixel the mean of an area; itself where that is 1 or more."""
    if scale >= 1:
        return picture
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
