"""Pixels of any depth, colour model and transparency -> sRGB of 8 bits."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

PROFILED_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}  # an ICC profile's colour space -> Pillow's mode
SRGB = re.compile(r"^(?!.*([Ll]inear|g10)).*sRGB")  # what sRGB profiles are called; not those of its primaries alone

Samples = npt.NDArray[Any]  # [h, w] or [h, w, channels], of any depth


def flatten(picture: Image.Image) -> Image.Image:
    """The picture in mode L, RGB, CMYK or LAB: 8 bits, no palette, composited on white."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray(scale_to_bytes(np.asarray(picture)))
    if picture.has_transparency_data:
        mode = "LA" if picture.mode in ("1", "L", "LA", "La") else "RGBA"
        visible = picture if picture.mode == mode else picture.convert(mode)
        opaque = visible.convert(mode[:-1])
        white = Image.new(opaque.mode, opaque.size, "white")
        white.paste(opaque, mask=visible.getchannel("A"))
        return white
    if picture.mode in PROFILED_MODES.values():
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def convert_to_srgb(picture: Image.Image, icc: bytes | None) -> Image.Image:
    """The flat picture in sRGB, mode RGB: relative colorimetric, black onto black.

    An ICC profile that is broken, or meant for another kind of pixels, counts as none: grey and RGB then are sRGB already.
    """
    if picture.mode != "LAB" and not icc:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    try:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB") if picture.mode == "LAB" else BytesIO(icc or b""))
        mode = PROFILED_MODES[profile.profile.xcolor_space.strip()]
        pixels = picture.convert("RGB") if (picture.mode, mode) == ("L", "RGB") else picture
        if pixels.mode == mode and not SRGB.search(profile.profile.profile_description or ""):
            converted = ImageCms.profileToProfile(
                pixels,
                profile,
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            if converted:  # always, when not asked to convert in place
                return converted
    except Exception:  # a profile is foreign bytes too; without it the colours are a little off, which is no reason to fail
        pass
    return picture.convert("RGB")


def scale_to_bytes(samples: Samples, levels: int = 65535) -> npt.NDArray[np.uint8]:
    """Samples of more than 8 bits as 8, rounded, never clipped at the top; the shape stays.

    16-bit integers have their type's full scale, or that of `levels`. Integers of 32 bits and floats do not say theirs, so it
    is the least of these that holds the largest sample: 1 (floats only), 255, 65535, 4294967295, the largest itself. Below 0
    is black, and so is what is no number.
    """
    if samples.dtype == np.uint16:  # by a table, which needs no memory for floats in between
        table: npt.NDArray[np.uint8] = ((np.arange(levels + 1) * 255 + levels // 2) // levels).astype(np.uint8)
        return np.take(table, samples)
    with np.errstate(over="ignore", invalid="ignore"):  # of what no float32 can hold becomes infinity, then black
        values = np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    peak = float(values.max(initial=0.0))
    scales = (1.0, 255.0, 65535.0, 4294967295.0) if samples.dtype.kind == "f" else (255.0, 65535.0, 4294967295.0)
    full = 32767.0 if samples.dtype == np.int16 else next((scale for scale in scales if peak <= scale), peak)
    rounded: npt.NDArray[np.uint8] = (np.clip(values, 0, full) * (255.0 / full) + 0.5).astype(np.uint8)
    return rounded
