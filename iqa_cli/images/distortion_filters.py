"""Filters behind the distortions: functions (rgb, strength, rng) -> a new uint8 [H, W, 3]; `rgb` stays as it was.

Whatever has an extent (blurs, blocks, halos, the radius of the denoiser) is given in px of a picture whose short side is 512 px
and grows with the picture. Grain, impulses and codecs work on single pixels or fixed blocks and stay as they are.
Nothing moves: kernels are symmetric and grids are centred, so that only the distortion tells a picture from the original.
"""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from iqa_cli.images.crops import Rgb

Floats = npt.NDArray[np.floating]

REFERENCE_SIDE = 512.0  # px of the short side for which extents are given
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of linear red, green and blue: Rec. 709


def image_scale(rgb: Rgb) -> float:
    """Ratio of this picture's short side to the one that extents are tabulated for."""
    return float(min(rgb.shape[:2])) / REFERENCE_SIDE


def to_pixels(values: Floats) -> Rgb:
    """Round and clip values in 0..255 to uint8."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def encode_srgb(light: Floats) -> Floats:
    """Encode linear light as sRGB in 0..255 (IEC 61966-2-1)."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


TONES = np.arange(256, dtype=np.float32)
LINEAR = np.where(TONES <= 10, TONES / 255 / 12.92, ((TONES / 255 + 0.055) / 1.055) ** 2.4).astype(np.float32)
FINE = 4095  # steps of light in the way back; in the darkest tones one step is less than one value
ENCODED = to_pixels(encode_srgb(np.linspace(0, 1, FINE + 1)))


def encode_light(light: Floats) -> Rgb:
    """Encode linear light [H, W, 3] as sRGB, by table, which is ten times faster than powers."""
    return ENCODED[np.rint(np.clip(light, 0, 1) * FINE).astype(np.int16)]


def map_tones(rgb: Rgb, tones: Floats) -> Rgb:
    """Map every value v to tones[v], or tones[v, channel]."""
    table = to_pixels(tones).reshape(256, 1, -1)
    return np.asarray(cv2.LUT(rgb, table), np.uint8)


# --- blur


def blur_gaussian(rgb: Rgb, sigma: float, _: np.random.Generator) -> Rgb:
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma * image_scale(rgb)), np.uint8)


def blur_motion(rgb: Rgb, length: float, rng: np.random.Generator) -> Rgb:
    """Blur by a straight shake over `length` px in a drawn direction."""
    angle = rng.uniform(0, np.pi)
    half = length * image_scale(rgb) / 2
    stops = np.linspace(-half, half, 8 * int(np.ceil(half)) + 1)[:, None]  # [stops, 1]
    x, y = (np.clip(1 - np.abs(kernel_cells(half) - stops * way), 0, 1) for way in (np.cos(angle), np.sin(angle)))
    return convolve(rgb, y.T @ x)  # every stop shared out bilinearly: [stops, cells] twice -> [cells, cells]


def blur_lens(rgb: Rgb, radius: float, _: np.random.Generator) -> Rgb:
    """Blur as out of focus: every point becomes a disc of `radius` px with a soft edge of one px more."""
    radius *= image_scale(rgb)
    cells = kernel_cells(radius)
    return convolve(rgb, np.clip(radius + 1 - np.hypot(cells, cells[:, None]), 0, 1))


def kernel_cells(radius: float) -> Floats:
    """Positions along one axis of the cells of a kernel that extends `radius` px from its center."""
    cells = int(np.ceil(radius))
    return np.arange(-cells, cells + 1, dtype=np.float64)


def convolve(rgb: Rgb, kernel: Floats) -> Rgb:
    return np.asarray(cv2.filter2D(rgb, -1, kernel / kernel.sum()), np.uint8)


# --- noise


def draw_grain(rgb: Rgb, channels: int, size: float, rng: np.random.Generator) -> Floats:
    """Draw gaussian noise of standard deviation 1, [H, W, channels], smoothed to grains of `size` px (0: single pixels)."""
    grain = rng.standard_normal((*rgb.shape[:2], channels), dtype=np.float32)
    if size == 0:
        return grain
    kernel = cv2.getGaussianKernel(2 * int(np.ceil(3 * size)) + 1, size, cv2.CV_32F)
    smooth = cv2.sepFilter2D(grain, -1, kernel, kernel) / np.sum(kernel**2)  # the sum is what smoothing leaves of 1
    return np.asarray(smooth, np.float32)


def add_white_noise(rgb: Rgb, sigma: float, rng: np.random.Generator) -> Rgb:
    return to_pixels(rgb + np.float32(sigma) * draw_grain(rgb, 3, 0, rng))


def add_colour_noise(rgb: Rgb, sigma: float, rng: np.random.Generator) -> Rgb:
    """Add coloured blotches at unchanged luma: grain in Cb and Cr alone, coarse as a raw converter leaves it."""
    cr, cb = np.moveaxis(sigma * draw_grain(rgb, 2, 1.0, rng), 2, 0)
    return to_pixels(rgb + np.stack([1.402 * cr, -0.714 * cr - 0.344 * cb, 1.772 * cb], axis=2))  # JFIF's YCbCr to RGB


def add_impulse_noise(rgb: Rgb, share: float, rng: np.random.Generator) -> Rgb:
    """Add salt and pepper in each channel on its own; `share` of the values is hit."""
    fate = rng.random(rgb.shape, dtype=np.float32)
    noisy = rgb.copy()
    noisy[fate < share / 2] = 0
    noisy[fate > 1 - share / 2] = 255
    return noisy


def add_sensor_noise(rgb: Rgb, gain: float, rng: np.random.Generator) -> Rgb:
    """Add noise of high ISO: photon noise, its variance `gain` times the linear light, over read noise, strongest in shadows.

    The Gaussian of Foi et al., IEEE TIP 2008; the grains are as large as demosaicing makes them.
    """
    light = LINEAR[rgb]
    deviation = np.sqrt(gain * light + gain**2)
    return encode_light(light + deviation * draw_grain(rgb, 3, 0.6, rng))


# --- compression


def compress(rgb: Rgb, codec: str, **options: object) -> Rgb:
    """Compress by one of Pillow's lossy formats and decode again."""
    file = BytesIO()
    Image.fromarray(rgb).save(file, codec, **options)
    return np.array(Image.open(file).convert("RGB"))


def compress_jpeg(rgb: Rgb, quality: float, _: np.random.Generator) -> Rgb:
    return compress(rgb, "JPEG", quality=round(quality))


def compress_jpeg2000(rgb: Rgb, ratio: float, _: np.random.Generator) -> Rgb:
    """Compress to about 1/`ratio` of the raw size; by far the slowest, as all bit planes are coded before most are dropped."""
    return compress(rgb, "JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True)


def compress_webp(rgb: Rgb, quality: float, _: np.random.Generator) -> Rgb:
    return compress(rgb, "WEBP", quality=round(quality), method=2)


def compress_avif(rgb: Rgb, quality: float, _: np.random.Generator) -> Rgb:
    return compress(rgb, "AVIF", quality=round(quality), speed=10, max_threads=1)


# --- scaling


def reduced_size(rgb: Rgb, factor: float) -> tuple[int, int]:
    """(width, height) after a reduction by `factor` that grows with the picture."""
    factor = 1 + (factor - 1) * image_scale(rgb)
    height, width = rgb.shape[:2]
    return max(1, round(width / factor)), max(1, round(height / factor))


def downscale(rgb: Rgb, factor: float, _: np.random.Generator) -> Rgb:
    """Reduce and enlarge again, both bicubic."""
    image = Image.fromarray(rgb)
    small = image.resize(reduced_size(rgb, factor), Image.Resampling.BICUBIC)
    return np.array(small.resize(image.size, Image.Resampling.BICUBIC))


def alias(rgb: Rgb, factor: float, _: np.random.Generator) -> Rgb:
    """Reduce by leaving pixels out, enlarge linearly from their places: jagged edges, moire, and nothing moves."""
    width, height = reduced_size(rgb, factor)
    rows, y = sample_places(rgb.shape[0], height)
    columns, x = sample_places(rgb.shape[1], width)
    return np.asarray(cv2.remap(rgb[np.ix_(rows, columns)], *np.meshgrid(x, y), cv2.INTER_LINEAR), np.uint8)


def sample_places(side: int, count: int) -> tuple[npt.NDArray[np.intp], Floats]:
    """`count` evenly spread places out of `side`, and where each of the `side` places lies among them."""
    kept = ((np.arange(count) + 0.5) * side / count).astype(np.intp)
    return kept, np.interp(np.arange(side), kept, np.arange(count)).astype(np.float32)


def pixelate(rgb: Rgb, factor: float, _: np.random.Generator) -> Rgb:
    """Show blocks of one colour, about `factor` px wide."""
    small = cv2.resize(rgb, reduced_size(rgb, factor), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


# --- exposure


def change_exposure(rgb: Rgb, stops: float, _: np.random.Generator) -> Rgb:
    """Change the light of the scene by 2^stops; what is above white is lost."""
    return map_tones(rgb, encode_srgb(LINEAR * 2**stops))


def change_contrast(rgb: Rgb, factor: float, _: np.random.Generator) -> Rgb:
    """Bring all tones nearer to (below 1) or further from (above 1) their mean."""
    mean = rgb.mean()
    return map_tones(rgb, mean + (TONES - mean) * factor)


# --- colour


def cast_colour(rgb: Rgb, stops: float, rng: np.random.Generator) -> Rgb:
    """Shift the white balance towards a drawn hue: gains that differ by up to `stops`, the luminance of white kept."""
    angle = rng.uniform(0, 2 * np.pi)
    gains = 2 ** (stops / 3**0.5 * np.cos(angle + np.array([0, 2, 4]) * np.pi / 3))  # cosines differ by up to the root of 3
    return map_tones(rgb, encode_srgb(LINEAR[:, None] * gains / (LUMINANCE @ gains)))


def oversaturate(rgb: Rgb, factor: float, _: np.random.Generator) -> Rgb:
    """Bring all colours further from the grey of the same luma."""
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    return to_pixels(luma + np.float32(factor) * (rgb - luma))


def quantise_tones(rgb: Rgb, step: float, _: np.random.Generator) -> Rgb:
    """Keep only every `step`-th value of each channel: banding in skies, false colours."""
    return map_tones(rgb, np.rint(TONES / step) * step)


# --- processing


def oversharpen(rgb: Rgb, amount: float, _: np.random.Generator) -> Rgb:
    """Apply an unsharp mask far too strong: halos along edges, crisp noise."""
    smooth = cv2.GaussianBlur(rgb, (0, 0), 1.6 * image_scale(rgb))
    return np.asarray(cv2.addWeighted(rgb, 1 + amount, smooth, -amount, 0), np.uint8)


def denoise(rgb: Rgb, contrast: float, _: np.random.Generator) -> Rgb:
    """Smooth texture of less than `contrast` (values), edges kept: a guided filter (He et al., TPAMI 2013)."""
    side = 2 * max(1, round(4 * image_scale(rgb))) + 1

    def average(values: Floats) -> Floats:
        return np.asarray(cv2.blur(values, (side, side)), np.float32)

    values = rgb.astype(np.float32)
    mean = average(values)
    variance = np.maximum(average(values * values) - mean * mean, 0)
    kept = variance / (variance + np.float32(contrast**2 + 1e-6))  # of the detail: near 1 at edges; the rest averts 0 / 0
    return to_pixels(average(kept) * values + average(mean - kept * mean))
