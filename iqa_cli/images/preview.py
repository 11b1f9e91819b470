"""Previews: a small JPEG of all of a picture, to look at and to compare views by."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
from PIL import Image, JpegImagePlugin

from iqa_cli.images.crops import MAX_ASPECT, CropSpec, Region, Rgb, resize_box
from iqa_cli.images.decode import Decoded, decode_image
from iqa_cli.records import Undecodable

QUALITY = 80  # of the JPEG


def make_preview(path: str, image: Decoded, side: int) -> bytes:
    """A JPEG of all of an upright picture, its longer side `side` px, or its own size where that is less.

    image: the same file, decoded for other crops; it is decoded again where they left out some of it. Empty where that fails.
    """
    region = image.region
    if region.picture.size != (region.width, region.height):
        long = max(image.width, image.height) > MAX_ASPECT * min(image.width, image.height)  # of which crops show a part
        with suppress(Undecodable):
            region = decode_image(path, crops=None if long else CropSpec(max(2, side), multiple=1)).region
    if region.picture.size != (region.width, region.height):
        return b""
    file = io.BytesIO()
    Image.fromarray(resize_box(region, (0.0, 0.0, region.width, region.height), fit_side(region, side))).save(
        file, "JPEG", quality=QUALITY
    )
    return file.getvalue()


def fit_side(region: Region, side: int) -> tuple[int, int]:
    """Height and width in px of a picture whose longer side is reduced to `side`."""
    scale = min(1.0, side / max(region.height, region.width))
    return max(1, round(region.height * scale)), max(1, round(region.width * scale))


def read_preview(preview: bytes) -> Rgb:
    """The pixels of a preview, uint8 [H, W, 3]."""
    with JpegImagePlugin.JpegImageFile(io.BytesIO(preview)) as picture:
        return np.asarray(picture.convert("RGB"))
