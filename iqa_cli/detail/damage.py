"""Known damage to native pixels, and the truth about it: what the network learns from, and what it is measured on.

Chains as photos go through: out of focus or shaken, enlarged, noisy, denoised, sharpened, coded. Whatever is random is drawn
by the generator that is given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from iqa_cli.detail.patches import to_luma
from iqa_cli.images.crops import Rgb
from iqa_cli.images.distortion_filters import compress, to_pixels

Floats = npt.NDArray[np.float32]
BlurKind = Literal["gaussian", "disc", "motion"]

LIMIT = 1.46  # sigma x this is the factor by which a side may be reduced: the MTF of a gaussian is 0.1 at the new limit
KERNELS = (cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_LINEAR)  # of enlargements
SIGMAS = np.array([0.0, 0.3, 0.45, 0.6, 0.8, 1.1, 1.5, 2.0, 3.0])  # px: blurs that a denoiser is compared with
LEAST_BLUR = 0.3  # px: of any pixel


@dataclass(frozen=True)
class Damage:
    """What is done to a sharp picture, in this order; by default nothing.

    blur: sigma in px of the picture before it is enlarged, or the radius of a disc over 2; of a motion its length over the root
    of 24, which has the same variance. angle: of a motion. scale: factor and kernel of an enlargement. noise: SD of each
    channel on 0..255, before an enlargement if early; grain: its size in px. denoise: strength of a filter against it, in
    values. sharpen: amount and radius of an unsharp mask. codec: "JPEG", "WEBP" or none, and its quality.
    """

    kind: BlurKind = "gaussian"
    blur: float = 0.0
    angle: float = 0.0
    scale: float = 1.0
    kernel: int = cv2.INTER_CUBIC
    noise: float = 0.0
    early: bool = False
    grain: float = 0.0
    denoise: float = 0.0
    sharpen: float = 0.0
    radius: float = 1.0
    codec: str = ""
    quality: int = 95


@dataclass(frozen=True)
class Truth:
    """What is true of a damaged picture, as `records.Detail` has it; reduction: factor of a side with nothing lost, from 1."""

    reduction: float
    blur: float
    scale: float
    shake: float
    noise: float
    compression: float


def find_truth(damage: Damage, extra: float = 0.0, noise: float = 0.0, compression: float = 0.0) -> Truth:
    """The truth about a sharp picture after damage. extra: sigma in px that something else blurred as much as."""
    blur = float(np.hypot(damage.blur * damage.scale, extra))
    reduction = (damage.scale**4 + (LIMIT * blur) ** 4) ** 0.25
    shake = damage.blur * damage.scale * 24**0.5 if damage.kind == "motion" else 0.0
    return Truth(reduction, blur, damage.scale, shake, noise, compression)


# ---- single steps, on float32 [H, W, 3] in 0..255 ----


def blur_picture(picture: Floats, damage: Damage) -> Floats:
    """Out of focus or shaken."""
    if damage.blur <= 0:
        return picture
    if damage.kind == "gaussian":
        return as_floats(cv2.GaussianBlur(picture, (0, 0), damage.blur))
    kernel = make_disc(2 * damage.blur) if damage.kind == "disc" else make_line(damage.blur * 24**0.5, damage.angle)
    return as_floats(cv2.filter2D(picture, -1, kernel / kernel.sum()))


def make_disc(radius: float) -> npt.NDArray[np.float64]:
    """A disc with an edge of one px."""
    cells = np.arange(-np.ceil(radius), np.ceil(radius) + 1)
    return np.asarray(np.clip(radius + 0.5 - np.hypot(cells, cells[:, None]), 0, 1))


def make_line(length: float, angle: float) -> npt.NDArray[np.float64]:
    """A straight motion at even speed."""
    half = length / 2
    cells = np.arange(-np.ceil(half), np.ceil(half) + 1)
    stops = np.linspace(-half, half, 8 * int(np.ceil(half)) + 1)[:, None]
    x, y = (np.clip(1 - np.abs(cells - stops * way), 0, 1) for way in (np.cos(angle), np.sin(angle)))
    return np.asarray(y.T @ x)


def enlarge(picture: Floats, scale: float, kernel: int) -> Floats:
    """By a factor, with one of the KERNELS."""
    if scale == 1:
        return picture
    rows, columns = (max(1, round(side * scale)) for side in picture.shape[:2])
    return as_floats(cv2.resize(picture, (columns, rows), interpolation=kernel))


def draw_noise(shape: tuple[int, ...], damage: Damage, rng: np.random.Generator) -> Floats:
    """Gaussian noise of each channel, in grains."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    if damage.grain:
        noise = as_floats(cv2.GaussianBlur(noise, (0, 0), damage.grain))
        noise /= max(float(noise.std()), 1e-6)
    return np.asarray(noise * np.float32(damage.noise), np.float32)


def denoise(picture: Floats, strength: float) -> Floats:
    """Smooth what differs by less than the strength, and keep edges."""
    return as_floats(cv2.bilateralFilter(np.ascontiguousarray(picture, np.float32), 7, 2.5 * strength, 1.6))


def sharpen(picture: Floats, amount: float, radius: float) -> Floats:
    """An unsharp mask."""
    return as_floats(picture + np.float32(amount) * (picture - cv2.GaussianBlur(picture, (0, 0), radius)))


def as_floats(picture: object) -> Floats:
    """As float32."""
    return np.asarray(picture, np.float32)


# ---- all of them ----


def apply_damage(rgb: Rgb, damage: Damage, rng: np.random.Generator, blur: float = 0.0) -> tuple[Rgb, Truth]:
    """A damaged copy of a sharp picture, uint8 [H, W, 3], enlarged by its scale, and the truth about it.

    blur: sigma in px that it had before.
    """
    clean = blur_picture(rgb.astype(np.float32), damage)
    noisy = clean + draw_noise(clean.shape, damage, rng) if damage.noise and damage.early else clean
    clean, noisy = (enlarge(picture, damage.scale, damage.kernel) for picture in (clean, noisy))
    if damage.noise and not damage.early:
        noisy = noisy + draw_noise(noisy.shape, damage, rng)
    extra = blur * damage.scale
    if damage.denoise:
        before, clean, noisy = clean, denoise(clean, damage.denoise), denoise(noisy, damage.denoise)
        extra = float(np.hypot(extra, find_equal_blur(before, clean)))
    if damage.sharpen:
        clean, noisy = (sharpen(picture, damage.sharpen, damage.radius) for picture in (clean, noisy))
    pixels = to_pixels(noisy)
    remaining = float(np.std(to_gray(noisy) - to_gray(clean))) if damage.noise else 0.0
    coded = compress(pixels, damage.codec, quality=damage.quality) if damage.codec else pixels
    error = float(np.sqrt(np.mean(np.square(to_luma(coded).astype(np.float32) - to_luma(pixels))))) if damage.codec else 0.0
    return coded, find_truth(damage, extra, remaining, error)


def to_gray(picture: Floats) -> Floats:
    """The luma of a picture in floats."""
    return as_floats(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY))


def find_equal_blur(before: Floats, after: Floats) -> float:
    """Sigma in px of the gaussian that takes as much of a picture's finest structure as something else did."""
    gray = to_gray(before)
    left = measure_fine(to_gray(after))
    blurred = [measure_fine(gray if sigma == 0 else as_floats(cv2.GaussianBlur(gray, (0, 0), sigma))) for sigma in SIGMAS]
    return float(np.interp(-left, -np.array(blurred), SIGMAS))


def measure_fine(gray: Floats) -> float:
    """The energy of the finest structure, mean of squares."""
    return float(np.mean(np.square(cv2.Laplacian(gray, cv2.CV_32F))))


# ---- drawn ----


def draw_damage(rng: np.random.Generator) -> Damage:
    """A chain of damage as photos may have, from none at all to plain."""
    damage = draw_softness(rng)
    if rng.random() < 0.5:
        noise = log_uniform(rng, 1.0, 30.0)
        early, grain = bool(rng.random() < 0.3), float(rng.choice([0.0, 0.0, 0.5, 0.8]))
        wants_denoising = noise > 3 and rng.random() < 0.45
        damage = replace(damage, noise=noise, early=early, grain=grain, denoise=noise * rng.uniform(0.6, 2) * wants_denoising)
    elif rng.random() < 0.12:
        damage = replace(damage, denoise=log_uniform(rng, 3.0, 20.0))
    if rng.random() < 0.3:
        damage = replace(damage, sharpen=rng.uniform(0.2, 1.5), radius=rng.uniform(0.6, 1.6))
    return draw_codec(damage, rng)


def draw_softness(rng: np.random.Generator) -> Damage:
    """Blur, an enlargement, both, or, in a quarter, none."""
    damage, fate = Damage(), rng.random()
    if fate > 0.25:
        kind: BlurKind = ("gaussian", "gaussian", "disc", "motion")[rng.integers(4)]
        blur = log_uniform(rng, 0.4, 6.0) if fate < 0.8 else 0.0
        damage = replace(damage, kind=kind, blur=blur, angle=rng.uniform(0, np.pi))
    if fate > 0.6:
        scale = log_uniform(rng, 1.1, 4.0)
        early = damage.blur / scale  # so that blurs are as wide at the end as without
        damage = replace(damage, scale=scale, kernel=KERNELS[rng.integers(len(KERNELS))], blur=early)
    return damage


def draw_codec(damage: Damage, rng: np.random.Generator) -> Damage:
    """How it is saved: mostly as a JPEG, half of these as good as cameras do."""
    fate = rng.random()
    if fate < 0.1:
        return damage
    high = rng.random() < 0.5
    quality = int(rng.integers(88, 99)) if high else int(rng.integers(20, 89))
    return replace(damage, codec="JPEG" if fate < 0.88 else "WEBP", quality=quality)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is evenly distributed."""
    return float(low * (high / low) ** rng.random())
