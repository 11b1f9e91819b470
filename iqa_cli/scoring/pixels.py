"""Prepare pictures that are pixels already, as a decoding worker prepares files."""

from __future__ import annotations

from iqa_cli.images.crops import Rgb, cut_views, make_region
from iqa_cli.scoring.decode_client import PreparedImage
from iqa_cli.scoring.decode_protocol import DecodeOptions


def prepare_pixels(rgb: Rgb, options: DecodeOptions) -> PreparedImage:
    """The crops of a picture, uint8 [H, W, 3], upright sRGB. Raises Undecodable where it has too many pixels.

    No foreign bytes are decoded here, so it needs no process of its own.
    """
    from iqa_cli.images.decode import Decoded, check_size  # beside decoders, which only those load who score pixels
    from iqa_cli.images.preview import make_preview

    height, width = rgb.shape[:2]
    check_size(width, height, options.max_pixels)
    region = make_region(rgb)
    preview = make_preview("", Decoded(region, width, height), options.preview) if options.preview else None
    measured = None
    if options.reasons:
        from iqa_cli.explain.measure import measure_picture

        measured = measure_picture(rgb, width)
    return PreparedImage(cut_views(region, options.crops), width, height, preview, measured=measured)
