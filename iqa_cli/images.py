"""Decode one image file to upright sRGB of 8 bits. The only place that opens pictures.

What a file is goes by its first bytes, never by its name: a photograph called `notes.txt` is scored, and a text called
`photo.jpg` is not (`formats`). Of animations and of files with several pages the first picture counts.
"""
# Paths stay the strings that the user gave, as in `finding`.
# ruff: noqa: PTH116, PTH122, PTH123

from __future__ import annotations

import ctypes
import errno
import logging
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import BinaryIO

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    _imaging,
)

from iqa_cli import tiffs
from iqa_cli.crops import Rgb
from iqa_cli.formats import HEAD, RAW, name_kind
from iqa_cli.options import MAX_PIXELS
from iqa_cli.pixels import convert_to_srgb, flatten
from iqa_cli.records import Status, Undecodable

OPENERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,  # MPO, the telephones' several pictures in one, begins with a whole JPEG
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
"""What is decoded here. `Image.open` is passed by: it hides what its plugins have to say about a broken file."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""

LYING = 5  # from this orientation on height and width change places

SPARE = 3.2
"""A JPEG is decoded no smaller than this times what is wanted, so that photos of 12 MP are decoded at a half for views of
480 px. What that does to scores, `tests.benchmarks.reduction` prints."""

Enough = Callable[[int, int], tuple[int, int]]
"""Height and width of an upright picture in px -> those that will do. A JPEG may then come out smaller, see `reduce_jpeg`."""


@dataclass(frozen=True)
class Decoded:
    """One picture, upright.

    picture: in sRGB, mode RGB.
    width, height: px of the whole picture, even where it was decoded smaller.
    """

    picture: Image.Image
    width: int
    height: int

    @property
    def rgb(self) -> Rgb:
        """The pixels, copied: uint8 [H, W, 3], C-contiguous, read-only."""
        return np.asarray(self.picture)


def decode_image(path: str, *, max_pixels: int = MAX_PIXELS, enough: Enough | None = None) -> Decoded:
    """Decode one file to upright sRGB; safe to call from many threads.

    Transparency lies on white. Embedded ICC profiles are applied. Deep samples become 8 bits as `scale_to_bytes` says.

    max_pixels: larger pictures are refused from their header alone.
    enough: what will do; None for every pixel.

    Raises Undecodable, and nothing else, where the file is missing, denied, unsupported, damaged or too large.
    """
    prepare_decoders()
    with open_file(path) as file, naming_failures("file"):
        head = file.read(HEAD)
        if not head:
            raise Undecodable(Status.DAMAGED, "empty file")
        kind = name_kind(head, os.path.splitext(path)[1].lower())
        if kind not in OPENERS:
            raise Undecodable(Status.UNSUPPORTED, f"{kind}: not decoded here" if kind else "not an image")
        with naming_failures(kind):
            if kind == "TIFF":
                return decode_tiff(file, max_pixels)
            return decode_picture(open_header(file, kind), kind, max_pixels, enough)


def prepare_decoders() -> None:
    """Make Pillow quiet and leave the limits to this module. All of it is process-wide: decoding runs in many threads,
    and `warnings.catch_warnings` is not safe there.
    """
    set_up_pillow()
    pillow = re.compile(r"PIL\.")  # a broken EXIF block is nobody's concern, least of all under "warnings as errors"
    if not any(module == pillow for *_, module, _line in warnings.filters):  # whoever restored the filters took it away
        warnings.filterwarnings("ignore", module=pillow.pattern)


@cache
def set_up_pillow() -> None:
    """What has to be said once a process, at the first decode because importing does nothing."""
    Image.MAX_IMAGE_PIXELS = None  # max_pixels stands in its place, and is checked before anything is decoded
    TiffImagePlugin.READ_LIBTIFF = True  # Pillow's own reader garbles separate planes of 16 bits
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # without any handler, its errors go to stderr
    with suppress(OSError, AttributeError):  # where libtiff is linked into Pillow, its complaints stay on stderr
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


def open_file(path: str) -> BinaryIO:
    """A regular file, open for reading. Raises Undecodable without ever waiting, as opening a FIFO would."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise Undecodable(Status.UNSUPPORTED, "a folder" if stat.S_ISDIR(mode) else "not a regular file")
        return open(path, "rb")
    except OSError as error:
        raise explain_refusal(error) from error
    except ValueError as error:  # a NUL in the name
        raise Undecodable(Status.MISSING, "no such file or directory") from error


def explain_refusal(error: OSError) -> Undecodable:
    """What the system's refusal to open or read a file means."""
    absent = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
    return Undecodable(Status.MISSING if absent else Status.DENIED, (error.strerror or "cannot be read").lower())


@contextmanager
def naming_failures(kind: str, width: int | None = None, height: int | None = None) -> Iterator[None]:
    """Turn whatever goes wrong inside into Undecodable."""
    try:
        yield
    except Undecodable:
        raise
    except Exception as error:  # a decoder fed broken bytes may raise anything; whatever it is, only this image fails
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: an offset read from the file
            raise explain_refusal(error) from error
        text = "".join(c if c.isprintable() else " " for c in str(error))
        if isinstance(error, MemoryError):
            raise Undecodable(Status.TOO_LARGE, f"{kind}: not enough memory to decode it", width, height) from error
        if not re.search("[a-z]{3}", text):  # KeyError(320) says nothing to a reader
            text = "its header makes no sense"
        detail = f"{kind} that cannot be decoded: {' '.join(text.split())}"[:160]
        raise Undecodable(Status.DAMAGED, detail, width, height) from error


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raises Undecodable where the picture has more pixels than allowed."""
    if width * height > max_pixels:
        detail = f"{width} x {height} px are {width * height / 1e6:.0f} million, above the limit of {max_pixels / 1e6:g}"
        raise Undecodable(Status.TOO_LARGE, detail, width, height)


def open_header(file: BinaryIO, kind: str) -> ImageFile.ImageFile:
    """The picture with its header read and no pixel decoded. Raises whatever the decoder raises."""
    file.seek(0)
    return OPENERS[kind](file)


def decode_picture(picture: ImageFile.ImageFile, kind: str, max_pixels: int, enough: Enough | None = None) -> Decoded:
    """The road of everything that Pillow decodes right."""
    orientation = 1 if kind == "PNG" else read_orientation(picture)  # asking a PNG would decode it
    width, height = swap_sides(picture.size, orientation)
    check_size(width, height, max_pixels)
    with naming_failures(kind, width, height):
        if enough and kind == "JPEG":
            reduce_jpeg(picture, swap_sides(enough(height, width), orientation))
        picture.load()
        if kind == "PNG":
            orientation = read_orientation(picture)
            width, height = swap_sides(picture.size, orientation)
        rgb = convert_to_srgb(flatten(picture), picture.info.get("icc_profile"))
        del picture  # a large one need not be held twice
        if orientation in TURNS:
            rgb = rgb.transpose(TURNS[orientation])
        return Decoded(rgb, width, height)


def reduce_jpeg(picture: ImageFile.ImageFile, enough: tuple[int, int]) -> None:
    """Have a JPEG decoded at 1/8, 1/4 or 1/2, the least that leaves SPARE times `enough` (height, width) as it is stored.

    Most of the work of decoding, the transform back from frequencies, then falls away. Without such a scale nothing changes.
    """
    rows, columns = enough
    picture.draft(None, (ceil(SPARE * columns), ceil(SPARE * rows)))


def swap_sides(sides: tuple[int, int], orientation: int) -> tuple[int, int]:
    """The sides of an upright picture from those of the stored one, or the other way round."""
    return sides[::-1] if orientation >= LYING else sides


def read_orientation(picture: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none, or none that makes sense."""
    if picture.format == "TIFF":
        return 1  # Pillow turns TIFFs itself
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # EXIF is foreign bytes too, and however broken, it takes nothing from the pixels
        return 1
    return int(orientation) if orientation in TURNS else 1


def decode_tiff(file: BinaryIO, max_pixels: int) -> Decoded:
    """A TIFF, by whichever decoder gets it right. Raises Undecodable, or whatever the decoder raises."""
    tags = tiffs.read_tags(file)
    if tiffs.is_raw(tags):
        raise Undecodable(Status.UNSUPPORTED, f"{RAW}: not decoded here")
    if not tiffs.is_deep(tags):
        return decode_picture(open_header(file, "TIFF"), "TIFF", max_pixels)
    if tiffs.is_planar(tags):
        raise Undecodable(Status.UNSUPPORTED, "TIFF with deep colours in separate planes: not decoded here")
    width, height = tiffs.read_size(tags)
    check_size(width, height, max_pixels)
    with naming_failures("TIFF", width, height):
        picture = flatten(Image.fromarray(tiffs.read_deep(file, tags)))
        rgb = convert_to_srgb(picture, tags.get(tiffs.ICC_PROFILE))
        return Decoded(rgb, *rgb.size)
