"""Rendering: what was decoded of a file, of whatever colours, and how a part of it becomes sRGB of 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2 as Tags

from iqa_cli.images.colors.convert import Samples, convert_to_srgb, flatten, scale_to_bytes
from iqa_cli.images.colors.hdr import apply_hlg_ootf, find_peak, tone_map
from iqa_cli.images.colors.spaces import ColorSpace, Light, space_from_cicp, space_from_gamma, space_from_profile
from iqa_cli.images.containers import jpeg2000, png
from iqa_cli.images.containers.heif import read_avif, read_coding
from iqa_cli.images.containers.tiff import read_chromaticities, rescale_palette
from iqa_cli.images.crops import Window
from iqa_cli.images.formats import HEIC
from iqa_cli.images.openers.upright import read_heic
from iqa_cli.records import Status, Undecodable

STRIP = 1 << 18  # samples that are light at a time, 4 bytes each
LEVELS = 65535  # of light, from which sRGB is looked up, and of 16 bits


@dataclass(frozen=True)
class ByteRaster:
    """A picture of 8 bits a sample, without transparency, and its ICC profile, if any."""

    picture: Image.Image
    icc: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.picture.size

    def render(self, window: Window) -> Image.Image:
        """A part of it in sRGB."""
        visible = self.picture if window == (0, 0, *self.size) else self.picture.crop(window)
        return convert_to_srgb(visible, self.icc)


@dataclass(frozen=True)
class LumaRaster:
    """The luma of a picture as it is coded, of 8 bits; no profile is applied to it."""

    picture: Image.Image

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.picture.size

    def render(self, window: Window) -> Image.Image:
        """A part of it, mode L."""
        return self.picture.crop(window)


@dataclass(frozen=True)
class WideRaster:
    """RGB, or RGB and alpha, [h, w, 3 or 4] from 0 to `levels`, in a wider color space than sRGB. peak: see `find_peak`."""

    samples: Samples
    levels: int
    space: ColorSpace
    peak: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.samples.shape[1], self.samples.shape[0]

    def render(self, window: Window) -> Image.Image:
        """A part of it in sRGB, composited on white."""
        left, top, right, bottom = window
        samples = self.samples[top:bottom, left:right]
        rgb = np.empty((*samples.shape[:2], 3), np.uint8)
        light, codes = self.space.tabulate(self.levels), tabulate_srgb()
        rows = max(1, STRIP // max(1, samples.shape[1]))
        for start in range(0, len(samples), rows):
            part = samples[start : start + rows]
            shown = convert_light(light[part[..., :3]], self.space, self.peak)
            rgb[start : start + rows] = composite_on_white(codes[quantise(shown)], part, self.levels)
        return Image.fromarray(rgb)


def quantise(light: Light) -> npt.NDArray[np.uint16]:
    """Light as a place in a table, where black and white are the ends."""
    return (np.clip(light, 0, 1) * np.float32(LEVELS) + np.float32(0.5)).astype(np.uint16)


def tabulate_srgb() -> npt.NDArray[np.uint8]:
    """SRGB of 8 bits for each of LEVELS of light."""
    light = np.arange(LEVELS + 1) / LEVELS
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray((255 * values + 0.5).astype(np.uint8))


def convert_light(light: Light, space: ColorSpace, peak: float) -> Light:
    """Light of a space in sRGB's primaries, tone mapped for a plain screen where it is HDR."""
    if space.hdr:
        light = tone_map(apply_hlg_ootf(light, space.luminance()) if space.scene else light, peak)
    return light @ space.matrix().T.astype(np.float32)


def composite_on_white(rgb: npt.NDArray[np.uint8], samples: Samples, levels: int) -> npt.NDArray[np.uint8]:
    """Colours composited on white by the alpha of their samples, where they have any."""
    if samples.shape[2] < 4:
        return rgb
    share = (samples[..., 3:] / np.float32(levels)).astype(np.float32)
    return (255 - (255 - rgb) * share + np.float32(0.5)).astype(np.uint8)


def rasterise(file: BinaryIO, kind: str, picture: Image.Image) -> ByteRaster | WideRaster:
    """A decoded picture; from its file comes what Pillow does not say of it. Raises Undecodable for HDR without a decoder."""
    icc = picture.info.get("icc_profile")
    if kind == "PNG":
        return rasterise_png(file, picture, icc)
    if kind in ("AVIF", HEIC):
        return rasterise_heif(file, kind, picture, icc)
    if kind == "TIFF":
        rescale_palette(picture)
        return rasterise_bytes(picture, icc, find_tiff_space(getattr(picture, "tag_v2", Tags()), icc))
    space = space_from_profile(icc) if icc else None
    if kind == "JPEG 2000" and picture.mode != "I;16" and jpeg2000.is_deep(file):
        return rasterise_deep(*jpeg2000.read_deep(file, len(picture.getbands())), icc, space)
    return rasterise_bytes(picture, icc, space)


def rasterise_deep(samples: Samples, bits: int, icc: bytes | None, space: ColorSpace | None) -> ByteRaster | WideRaster:
    """Samples of 9 to 16 bits, [h, w, 3 or 4], or [h, w]. space: as in `rasterise_bytes`."""
    levels = (1 << bits) - 1
    if space is None or space.srgb:
        return ByteRaster(flatten(Image.fromarray(scale_to_bytes(samples, levels))), icc)
    return make_wide_raster(np.dstack([samples] * 3) if samples.ndim == 2 else samples, levels, space)


def rasterise_bytes(picture: Image.Image, icc: bytes | None, space: ColorSpace | None) -> ByteRaster | WideRaster:
    """A picture of 8 bits. space: where it is known, and no ICC profile tells it."""
    if space is None or space.srgb or picture.mode in ("CMYK", "LAB"):
        return ByteRaster(flatten(picture), icc)
    return make_wide_raster(np.asarray(picture.convert("RGBA" if picture.has_transparency_data else "RGB")), 255, space)


def find_tiff_space(tags: Tags, icc: bytes | None) -> ColorSpace | None:
    """The space of a TIFF, by its ICC profile or its own primaries; None where it is that of its profile, or sRGB."""
    if icc:
        return space_from_profile(icc)
    chromaticities = read_chromaticities(tags)
    return space_from_gamma(None, chromaticities) if chromaticities else None


def rasterise_heif(file: BinaryIO, kind: str, picture: Image.Image, icc: bytes | None) -> ByteRaster | WideRaster:
    """A decoded AVIF or HEIC. A profile goes before code points, but for those of HDR, for which profiles have no tables."""
    cicp, depth = read_coding(file)
    space = space_from_cicp(*cicp) if cicp else None
    if icc and not (space and space.hdr):
        space = space_from_profile(icc)
    if space is None or space.srgb or depth <= 8:
        return rasterise_bytes(picture, icc, space)
    if kind == HEIC:
        return make_wide_raster(read_heic(file), LEVELS, space)
    samples = read_avif(file, picture.size)
    if samples is not None:
        return make_wide_raster(samples, (1 << depth) - 1, space)
    if space.hdr:  # of which 8 bits are too few
        raise Undecodable(Status.UNSUPPORTED, "HDR AVIF, which this version of OpenCV does not decode", *picture.size)
    return rasterise_bytes(picture, None, space)


def rasterise_png(file: BinaryIO, picture: Image.Image, icc: bytes | None) -> ByteRaster | WideRaster:
    """A decoded PNG. What it says of its colours counts in this order: cICP, iCCP, sRGB, gAMA and cHRM."""
    chunks = dict(png.read_chunks(file))
    space = read_cicp(chunks.get(b"cICP", b""))
    icc = None if space else icc
    space = space or find_png_space(picture, icc)
    bits, key = chunks[b"IHDR"][8], chunks.get(b"tRNS", b"")
    if bits == 16 and (key or not (space is None or space.srgb)):
        samples = png.read_png(file, chunks[b"IHDR"], key)
        if space and not space.srgb:
            return make_wide_raster(samples, 65535, space)
        visible = Image.fromarray(scale_to_bytes(samples))
        return ByteRaster(flatten(visible.convert("LA") if picture.mode == "I;16" else visible), icc)
    if bits in (2, 4) and picture.mode == "L" and "transparency" in picture.info:
        picture.info["transparency"] *= 255 // ((1 << bits) - 1)  # Pillow spreads the samples, but not the transparent one
    return rasterise_bytes(picture, icc, space)


def read_cicp(cicp: bytes) -> ColorSpace | None:
    """The space of a PNG's cICP; None where there is none, or none that makes sense: a PNG is RGB."""
    return space_from_cicp(cicp[0], cicp[1], bool(cicp[3])) if len(cicp) == 4 and cicp[2] == 0 else None


def find_png_space(picture: Image.Image, icc: bytes | None) -> ColorSpace | None:
    """The space of a PNG without cICP; None where it is that of its ICC profile, or sRGB."""
    if icc:
        return space_from_profile(icc)
    if "srgb" in picture.info:
        return None
    return space_from_gamma(picture.info.get("gamma"), picture.info.get("chromaticity"))


def make_wide_raster(samples: Samples, levels: int, space: ColorSpace) -> WideRaster:
    """Samples with the peak of what is visible of them."""
    return WideRaster(samples, levels, space, measure_peak(samples, levels, space) if space.hdr else 1.0)


def measure_peak(samples: Samples, levels: int, space: ColorSpace) -> float:
    """The light that nearly all pixels stay below, of the whole picture, so that each part of it looks the same."""
    light = space.tabulate(levels)
    greys = np.repeat(light[:, None], 3, 1)
    shown = apply_hlg_ootf(greys, space.luminance())[:, 0] if space.scene else light
    visible = samples[..., :3] if samples.shape[2] < 4 else samples[samples[..., 3] > 0][:, :3]
    return find_peak(visible.reshape(-1, 3), shown) if visible.size else 1.0
