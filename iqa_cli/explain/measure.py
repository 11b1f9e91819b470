"""Measurements: all that reasons are found by, of one picture, by name."""

from __future__ import annotations

from math import ceil

import cv2
import numpy as np
import numpy.typing as npt

from iqa_cli.explain.coding import measure_blocks, measure_cutoff, measure_rhythm, measure_steps
from iqa_cli.explain.color import measure_cast
from iqa_cli.explain.content import (
    count_colors,
    measure_evenness,
    measure_lost,
    measure_plainness,
    measure_regularity,
    measure_structure,
)
from iqa_cli.explain.edges import MANY, find_blur, find_edges, find_halo, find_shake
from iqa_cli.explain.light import SIDE, measure_exposure, measure_spread, measure_unused
from iqa_cli.explain.noise import find_unclipped, measure_color_noise, measure_noise, measure_specks
from iqa_cli.images.crops import Rgb

Bytes = npt.NDArray[np.uint8]

MEGAPIXELS = 3.0  # of a picture that is measured, at most; JPEGs are decoded about as large for the networks
CENTER = 0.8e6  # px in the middle of it that single pixels are looked at in
SPARSE = 0.4e6  # px of it, evenly drawn, that its colours and plain areas are counted in
SHORT_SIDE = 512  # px of the picture that edges are measured in, at most
SOFT = 0.95  # px of blur in that, from which nothing can be said of enlarging by the spectrum
LOST = 0.04  # the share of lost rows from which plain areas say nothing of what the picture is
BEST_QUALITY = 100.0  # of what is no JPEG


def measure_picture(rgb: Rgb, width: int, jpeg_quality: float | None = None) -> dict[str, float]:
    """The measurements of a picture, uint8 [H, W, 3], upright sRGB.

    width: in px of the whole picture in its own size, of which rgb may be a reduction. jpeg_quality: as its file says it, if it
    does.
    """
    pixels = rgb.shape[0] * rgb.shape[1]
    seen = halve(rgb, ceil((pixels / (MEGAPIXELS * 1e6)) ** 0.5))
    gray = np.asarray(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), np.uint8)
    edges, grain = measure_edges(reduce(gray, SHORT_SIDE / min(gray.shape))), measure_grain(cut_center(seen))
    if edges["blur"] > SOFT:
        grain["cutoff"] = 0.0  # the spectrum of a blurred picture ends early, too
    lost = measure_lost(seen)
    step = ceil((gray.size / SPARSE) ** 0.5)
    content = measure_content(np.ascontiguousarray(seen[::step, ::step]))
    if lost > LOST:
        content["plainness"] = 0.0  # what is lost is plain, too
    return {
        "megapixels": pixels * (width / rgb.shape[1]) ** 2 / 1e6,
        "jpeg_quality": BEST_QUALITY if jpeg_quality is None else jpeg_quality,
        **edges,
        **grain,
        **measure_tones(reduce(seen, SIDE / max(gray.shape))),
        **content,
        "lost_share": lost,
    }


def measure_edges(gray: Bytes) -> dict[str, float]:
    """How sharp edges are, uint8 [H, W]."""
    luma = gray.astype(np.float32)
    edges = find_edges(luma)
    return {"blur": find_blur(edges), "shake": find_shake(find_edges(luma, MANY)), "halo": find_halo(luma, edges)}


def measure_grain(rgb: Rgb) -> dict[str, float]:
    """What single pixels do: noise, and what coding and enlarging leave."""
    gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    luma = gray.astype(np.float32)
    return {
        "noise": measure_noise(luma, find_unclipped(luma)),
        "color_noise": measure_color_noise(rgb),
        "specks": measure_specks(gray),
        "blocks": measure_blocks(luma),
        "steps": measure_steps(rgb),
        "rhythm": measure_rhythm(luma),
        "cutoff": measure_cutoff(luma),
    }


def measure_tones(rgb: Rgb) -> dict[str, float]:
    """Light and colour of a small picture."""
    light, (white, clipped) = measure_exposure(rgb), measure_spread(rgb)
    return {
        "highlight": light.highlight,
        "white": light.white,
        "contrast": light.contrast,
        "white_spread": white,
        "clipped_spread": clipped,
        "unused_tones": measure_unused(rgb),
        "cast": measure_cast(rgb),
    }


def measure_content(rgb: Rgb) -> dict[str, float]:
    """What tells photos from other pictures."""
    gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    luma, colors = gray.astype(np.float32), count_colors(rgb)
    return {
        "plainness": measure_plainness(gray, colors),
        "evenness": measure_evenness(luma, colors),
        "structure": measure_structure(luma),
        "regularity": measure_regularity(luma),
    }


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
