"""EXIF of any photo: the tags of its picture, and those of its exposure."""

from __future__ import annotations

import os
from typing import BinaryIO

from PIL import ExifTags

from iqa_cli.images.containers.exif import NONE, Tags, read_raw_exif, read_tiff
from iqa_cli.images.containers.png_metadata import find_exif
from iqa_cli.images.decode import OPENERS, open_file
from iqa_cli.images.formats import HEAD, RAW, identify_kind
from iqa_cli.images.openers.pillow import prepare_decoders


def read_exif(path: str, suffix: str | None = None) -> tuple[Tags, Tags]:
    """The tags of a photo's picture, and those of its exposure; none where it has none.

    suffix: as of `decode_image`. Raises whatever broken bytes cause.
    """
    prepare_decoders()
    with open_file(path) as file:
        kind = identify_kind(file.read(HEAD), (os.path.splitext(path)[1] if suffix is None else suffix).lower())  # noqa: PTH122
        if kind == "PNG":  # Pillow would decode it, to look behind the pixels
            exif = find_exif(file)
            return NONE if exif is None else read_tiff(exif, 0)
        found = read_raw_exif(file) if kind == RAW else None
        return read_by_pillow(file, "TIFF" if kind == RAW else kind) if found is None else found


def read_by_pillow(file: BinaryIO, kind: str) -> tuple[Tags, Tags]:
    """The same of what Pillow opens."""
    file.seek(0)
    with OPENERS[kind](file) as picture:
        exif = picture.getexif()
        return exif, exif.get_ifd(ExifTags.IFD.Exif)
