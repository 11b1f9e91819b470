"""HEIC and JPEG XL as Pillow's pictures: header read, no pixel decoded. Both come upright, whatever their EXIF says."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from PIL import ImageFile

from iqa_cli.images.colors.convert import Samples
from iqa_cli.images.formats import HEIC, JXL
from iqa_cli.images.openers.libraries import import_library


def open_heic(file: BinaryIO) -> ImageFile.ImageFile:
    """The primary picture of a HEIF file, turned as the file's own properties say. Raises whatever the decoder raises."""
    library = import_library(HEIC)
    options = library.options
    options.DECODE_THREADS = 1  # as fast for one picture, and a limit of threads would make it fail
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    picture: ImageFile.ImageFile = library.HeifImageFile(file)
    return picture


def read_heic(file: BinaryIO) -> Samples:
    """All samples of a deep HEIF in 16 bits, upright: [h, w, 3 or 4]. Raises whatever the decoder raises."""
    file.seek(0)
    container = import_library(HEIC).open_heif(file, convert_hdr_to_8bit=False)
    return np.array(container)  # copied while the container lives: its memory goes with it


def open_jxl(file: BinaryIO) -> ImageFile.ImageFile:
    """A JPEG XL, or the first picture of an animation, in 8 bits. Raises whatever the decoder raises."""
    picture: ImageFile.ImageFile = import_library(JXL).JxlImageFile(file)
    return picture
