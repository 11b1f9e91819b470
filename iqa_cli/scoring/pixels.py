"""Prepare pictures that are pixels already, as a decoding worker prepares files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqa_cli.detail.native import NativePatches
from iqa_cli.images.crops import Rgb, cut_views, make_region
from iqa_cli.scoring.decode_client import PreparedImage
from iqa_cli.scoring.decode_protocol import DecodeOptions

if TYPE_CHECKING:
    from iqa_cli.images.decode import Decoded


def prepare_pixels(rgb: Rgb, options: DecodeOptions) -> PreparedImage:
    """The crops of a picture, uint8 [H, W, 3], upright sRGB. Raises Undecodable where it has too many pixels.

    No foreign bytes are decoded here, so it needs no process of its own.
    """
    from iqa_cli.images.decode import Decoded, check_size  # beside decoders, which only those load who score pixels
    from iqa_cli.images.preview import make_preview

    height, width = rgb.shape[:2]
    check_size(width, height, options.max_pixels)
    region = make_region(rgb)
    decoded = Decoded(region, width, height)
    preview = make_preview("", decoded, options.preview) if options.preview else None
    native = take_native(decoded) if options.detail else None
    measured = measure_pixels(rgb) if options.reasons else None
    return PreparedImage(cut_views(region, options.crops), width, height, preview, native=native, measured=measured)


def take_native(decoded: Decoded) -> NativePatches:
    """The native patches of a picture."""
    from iqa_cli.detail.take import take_patches

    return take_patches("", decoded)


def measure_pixels(rgb: Rgb) -> dict[str, float]:
    """What is measured of a picture for reasons; nothing where measuring it fails."""
    from iqa_cli.explain.measure import measure_safely

    return measure_safely(rgb, rgb.shape[1])
