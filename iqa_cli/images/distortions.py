"""Synthetic distortions by kind and level, and harmless changes: what lowers a score, and what must not move it.

Of one photo and one kind, a higher level must never look better: training ranks such chains (RankIQA, Liu et al., ICCV 2017),
and `evaluation.robustness` measures whether a model does. Level 1 is just visible to an attentive viewer of a photo of 512 px,
level 5 is severe, and between the tabulated strengths any level goes: the spacing follows KADID-10k (Lin et al., QoMEX 2019)
and TID2013 (Ponomarenko et al., 2015), from whose kinds most of these come. Extents are tabulated for a short side of 512 px
and grow with the image, grain and codecs work on pixels and do not (`distortion_filters` says which). So a thumbnail of 16 px
is hardly blurred, and a grey picture cannot be oversaturated.

What is random, the direction of a motion, the hue of a cast, the grain, is drawn without regard to the level: a new generator
from the same seed gives the same pattern at every level, only stronger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from iqa_cli.images import distortion_filters
from iqa_cli.images.crops import Rgb

LEVELS = 5


@dataclass(frozen=True)
class Distortion:
    """One kind of distortion.

    strengths: at levels 0 to 5, level 0 doing nothing; in between they are interpolated. The unit is that of `filter`.
    may_help: may improve a photo that has the opposite defect, so a chain holds only where the photo was good.
    """

    name: str
    family: str
    filter: Callable[[Rgb, float, np.random.Generator], Rgb]
    strengths: tuple[float, float, float, float, float, float]
    may_help: bool = False

    def apply(self, rgb: Rgb, level: float, rng: np.random.Generator) -> Rgb:
        """A distorted copy, uint8 [H, W, 3]; raises ValueError unless 0 <= level <= 5."""
        if not 0 <= level <= LEVELS:
            raise ValueError(f"the level of {self.name} is 0 to {LEVELS}, not {level}")
        if level == 0:
            return rgb.copy()
        strength = float(np.interp(level, range(LEVELS + 1), self.strengths))
        return self.filter(rgb, strength, rng)


def distort(rgb: Rgb, kind: str, level: float, rng: np.random.Generator) -> Rgb:
    """The picture with one kind of distortion: a new uint8 [H, W, 3]. Level 0 changes nothing, 5 is severe, 2.5 is fine too.

    Raises ValueError for an unknown kind, an impossible level or an array that is no such picture.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"a picture to distort is uint8 [H, W, 3], not {rgb.dtype} {list(rgb.shape)}")
    if kind not in DISTORTIONS:
        raise ValueError(f"no distortion is called {kind!r}; there are {', '.join(DISTORTIONS)}")
    return DISTORTIONS[kind].apply(rgb, level, rng)


def distort_mixture(rgb: Rgb, kinds_and_levels: Iterable[tuple[str, float]], rng: np.random.Generator) -> Rgb:
    """The picture with several distortions, one after the other: a new uint8 [H, W, 3].

    Each kind has a generator of its own, so that changing one level leaves the patterns of the others alone.
    """
    distorted = rgb.copy()
    steps = list(kinds_and_levels)
    for (kind, level), child in zip(steps, rng.spawn(len(steps)), strict=True):
        distorted = distort(distorted, kind, level, child)
    return distorted


DISTORTIONS: dict[str, Distortion] = {
    kind.name: kind
    for kind in (
        Distortion("gaussian_blur", "blur", distortion_filters.blur_gaussian, (0, 0.8, 1.3, 2, 3.2, 5)),  # sigma in px
        Distortion("motion_blur", "blur", distortion_filters.blur_motion, (0, 3, 6, 10, 17, 28)),  # px
        Distortion("lens_blur", "blur", distortion_filters.blur_lens, (0, 0.7, 1.5, 2.8, 4.5, 7.5)),  # px
        Distortion("white_noise", "noise", distortion_filters.add_white_noise, (0, 4, 8, 14, 24, 40)),  # sigma
        Distortion("colour_noise", "noise", distortion_filters.add_colour_noise, (0, 4, 7, 12, 18, 27)),  # sigma
        Distortion(
            "impulse_noise", "noise", distortion_filters.add_impulse_noise, (0, 0.0015, 0.005, 0.012, 0.03, 0.07)
        ),  # share
        Distortion("sensor_noise", "noise", distortion_filters.add_sensor_noise, (0, 0.001, 0.003, 0.008, 0.02, 0.045)),
        Distortion("jpeg", "compression", distortion_filters.compress_jpeg, (100, 45, 28, 17, 10, 6)),
        Distortion("jpeg2000", "compression", distortion_filters.compress_jpeg2000, (1, 16, 32, 60, 120, 300)),
        Distortion("webp", "compression", distortion_filters.compress_webp, (100, 40, 22, 10, 4, 0)),
        Distortion("avif", "compression", distortion_filters.compress_avif, (100, 50, 40, 30, 20, 6)),
        Distortion("downscale", "scaling", distortion_filters.downscale, (1, 1.6, 2.4, 3.6, 5.5, 9)),
        Distortion("aliasing", "scaling", distortion_filters.alias, (1, 1.3, 1.8, 2.6, 4, 6.5)),
        Distortion("pixelation", "scaling", distortion_filters.pixelate, (1, 1.4, 2, 3.2, 5.5, 10)),
        Distortion(
            "overexposure", "exposure", distortion_filters.change_exposure, (0, 0.4, 0.8, 1.3, 1.9, 2.7), may_help=True
        ),  # stops
        Distortion(
            "underexposure", "exposure", distortion_filters.change_exposure, (0, -0.5, -1.1, -1.9, -2.8, -3.8), may_help=True
        ),
        Distortion(
            "low_contrast", "exposure", distortion_filters.change_contrast, (1, 0.8, 0.63, 0.47, 0.32, 0.17), may_help=True
        ),
        Distortion(
            "high_contrast", "exposure", distortion_filters.change_contrast, (1, 1.25, 1.6, 2.1, 2.9, 4.2), may_help=True
        ),
        Distortion(
            "colour_cast", "colour", distortion_filters.cast_colour, (0, 0.22, 0.45, 0.8, 1.3, 2.1), may_help=True
        ),  # stops
        Distortion("oversaturation", "colour", distortion_filters.oversaturate, (1, 1.4, 1.9, 2.6, 3.8, 6), may_help=True),
        Distortion("banding", "colour", distortion_filters.quantise_tones, (1, 9, 15, 24, 38, 62)),  # values
        Distortion("oversharpening", "processing", distortion_filters.oversharpen, (0, 0.6, 1.3, 2.5, 4.5, 8), may_help=True),
        Distortion("denoise", "processing", distortion_filters.denoise, (0, 10, 16, 24, 36, 55), may_help=True),  # values
    )
}
"""By name. What takes colours away is not among them: a black and white photo is not a bad one."""

HELD_OUT = ("webp", "aliasing")
"""Kept out of training, to measure models on distortions that they never saw. They are of two families, neither is among the
kinds that LIVE, CSIQ, TID2013 and KADID-10k list, so labels do not give them away, and both have relatives that are trained
(jpeg and avif; downscale and pixelation): a model that learned what distortion is can be expected to get them right."""


# ---- harmless changes ----


def resize(rgb: Rgb, factor: float) -> Rgb:
    """The picture at another size, bicubic and antialiased."""
    height, width = (max(1, round(side * factor)) for side in rgb.shape[:2])
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))


def limit_short_side(rgb: Rgb, side: int) -> Rgb:
    """The picture with a short side of at most so many px, bicubic and antialiased."""
    height, width = rgb.shape[:2]
    scale = side / min(height, width)
    if scale >= 1:
        return rgb
    size = max(side, round(width * scale)), max(side, round(height * scale))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))


def mirror(rgb: Rgb) -> Rgb:
    """The picture with left and right swapped."""
    return np.ascontiguousarray(rgb[:, ::-1])


def crop_border(rgb: Rgb, share: float) -> Rgb:
    """The picture without that share of each side, at least a pixel of it, unless nothing would be left."""
    height, width = rgb.shape[:2]
    y, x = (min(max(1, round(side * share)), (side - 1) // 2) for side in (height, width))
    return np.ascontiguousarray(rgb[y : height - y, x : width - x])


GREY = np.array((0.299, 0.587, 0.114), np.float32)  # luma of BT.601, as a JPEG has it
QUALITY = 82, 97  # of JPEGs in which nobody sees a difference
SIZES = 0.85, 1.15  # at which a picture looks as good


def desaturate(rgb: Rgb) -> Rgb:
    """The picture in black and white."""
    return np.repeat(np.rint(rgb.astype(np.float32) @ GREY).astype(np.uint8)[..., None], 3, axis=2)


def change_harmlessly(rgb: Rgb, generator: np.random.Generator) -> Rgb:
    """The picture in black and white, at another size, or saved again as a JPEG of high quality, by chance."""
    chance = generator.random()
    if chance < 0.3:
        return desaturate(rgb)
    if chance < 0.8:
        return resize(rgb, generator.uniform(*SIZES))
    return distortion_filters.compress(rgb, "JPEG", quality=int(generator.integers(*QUALITY)))


HARMLESS: dict[str, Callable[[Rgb], Rgb]] = {
    "JPEG quality 95": lambda rgb: distortion_filters.compress(rgb, "JPEG", quality=95),  # colours at half the resolution
    "resized to 90 %": lambda rgb: resize(rgb, 0.9),
    "resized to 110 %": lambda rgb: resize(rgb, 1.1),
    "mirrored": mirror,
    "cropped by 2 %": lambda rgb: crop_border(rgb, 0.01),
    "black and white": desaturate,
}
"""Changes that hardly anyone notices, or that take nothing from a good photo."""
