"""Decode one image file to upright sRGB of 8 bits. The only place that opens pictures.

What a file is goes by its first bytes, never by its name: a photograph called `notes.txt` is scored, and a text called
`photo.jpg` is not (`formats`). Of animations and of files with several pages the first picture counts.
"""
# Paths stay the strings that the user gave, as in `find`.
# ruff: noqa: PTH116, PTH122, PTH123

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, NamedTuple, cast

import numpy as np
from PIL import Image, ImageFile

from iqa_cli.images.colors.convert import flatten
from iqa_cli.images.colors.rendering import ByteRaster, LumaRaster, WideRaster, find_tiff_space, rasterise, rasterise_bytes
from iqa_cli.images.containers import tiff
from iqa_cli.images.containers.jpeg import draft_jpeg, limit_jpeg_rows
from iqa_cli.images.containers.jpeg_gaps import find_gap
from iqa_cli.images.crops import Region, Rgb, Wanted, Window
from iqa_cli.images.formats import DECODED, HEAD, HEIC, JXL, RAW, identify_kind
from iqa_cli.images.openers.pillow import PLUGINS, open_ico, open_jpeg2000, open_psd, prepare_decoders
from iqa_cli.images.openers.raw import describe_size, read_raw
from iqa_cli.images.openers.upright import open_heic, open_jxl
from iqa_cli.images.orientation import find_stored_window, read_orientation, rotate_upright, swap_sides
from iqa_cli.images.repair import describe_failure, refuse_missing, repair_file, repair_jpeg
from iqa_cli.options import MAX_PIXELS, RawChoice
from iqa_cli.records import Status, Undecodable

OPENERS: dict[str, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    **PLUGINS,
    "JPEG 2000": open_jpeg2000,
    "PSD": open_psd,
    "ICO": open_ico,
    HEIC: open_heic,
    JXL: open_jxl,
}


@dataclass(frozen=True)
class Decoded:
    """One picture, upright.

    region: in sRGB: all of it, perhaps reduced, or what crops are made of. width, height: px of the picture in the file.
    reduction: by how much it was reduced as it was decoded: 1, 2, 4 or 8 for a JPEG, 1 or 2 for a RAW file's sensor, else 1.
    """

    region: Region
    width: int
    height: int
    reduction: int = 1

    @property
    def rgb(self) -> Rgb:
        """The pixels that there are, copied: uint8 [H, W, 3], C-contiguous, read-only."""
        return np.asarray(self.region.picture)


class Known(NamedTuple):
    """What is known better of a picture than its file says it: its ICC profile, and its EXIF orientation."""

    profile: bytes | None = None
    orientation: int | None = None


UNKNOWN = Known()


def decode_image(
    path: str,
    *,
    max_pixels: int = MAX_PIXELS,
    crops: Wanted | None = None,
    raw: RawChoice = RawChoice.PREVIEW,
    suffix: str | None = None,
) -> Decoded:
    """Decode one file to upright sRGB; safe to call from many threads.

    Transparency lies on white. Colours are those that the file says (ICC, CICP, gAMA and cHRM), HDR as a plain screen shows it.
    Deep samples become 8 bits as `scale_to_bytes` says.

    max_pixels: larger pictures are refused from their header alone.
    crops: what will be cut, as a CropSpec, so that no more is decoded than that needs; None for every pixel.
    raw: which picture of a camera's RAW file.
    suffix: of the name that the user knows the file by; None: that of the path.

    Raises Undecodable, and nothing else, where the file is missing, denied, unsupported, damaged or too large.
    """
    prepare_decoders()
    with open_file(path) as file, naming_failures("file"):
        head = file.read(HEAD)
        if not head:
            raise Undecodable(Status.DAMAGED, "empty file")
        kind = identify_kind(head, (os.path.splitext(path)[1] if suffix is None else suffix).lower())
        if kind not in DECODED:
            raise Undecodable(Status.UNSUPPORTED, f"{kind}: not decoded here" if kind else "not an image")
        with naming_failures(kind):
            if kind == RAW or (kind == "TIFF" and tiff.is_raw_file(file)):
                return decode_raw(file, raw, max_pixels, crops)
            return decode_or_repair(file, kind, max_pixels, crops)


def decode_or_repair(file: BinaryIO, kind: str, max_pixels: int, crops: Wanted | None) -> Decoded:
    """Decode a picture, if need be after a repair. Raises Undecodable, or the OSError of the system."""
    try:
        if kind == "TIFF":
            return decode_tiff(file, max_pixels, crops)
        if kind == "JPEG" and (first := find_gap(file)) is not None:
            return decode_picture(cut_gap(file, first), kind, max_pixels, crops)
        return decode_picture(file, kind, max_pixels, crops)
    except Undecodable as failure:
        if failure.status is not Status.DAMAGED or failure.__cause__ is None:
            raise
        size, cause = (failure.width, failure.height), failure.__cause__
    except Exception as failure:
        if isinstance(failure, MemoryError) or is_refusal(failure):
            raise
        size, cause = (None, None), failure
    try:
        repaired = repair_file(file, kind, cause)
        return decode_picture(repaired.file, kind, max_pixels, crops, Known(repaired.profile))
    except Undecodable as failure:
        raise Undecodable(failure.status, failure.detail, failure.width or size[0], failure.height or size[1]) from cause


def cut_gap(file: BinaryIO, first: int) -> io.BytesIO:
    """A JPEG without the zeros from byte `first` on, if every pixel is there. Raises Undecodable where some are not."""
    picture = open_header(file, "JPEG")
    width, height = swap_sides(picture.size, read_orientation(picture))
    file.seek(0)
    try:
        return repair_jpeg(file.read(first), "with zeros in place of a part")
    except Undecodable as failure:
        raise Undecodable(failure.status, failure.detail, width, height) from None


def is_refusal(error: BaseException) -> bool:
    """Whether it is the system that refuses, and not the decoder; EINVAL is an offset read from the file."""
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


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
    except Undecodable as refused:
        size = refused.width or width, refused.height or height
        raise Undecodable(refused.status, refused.detail, *size) from refused.__cause__
    except Exception as error:  # a decoder fed broken bytes may raise anything; whatever it is, only this image fails
        if is_refusal(error):
            raise explain_refusal(cast(OSError, error)) from error
        if isinstance(error, MemoryError):
            raise Undecodable(Status.TOO_LARGE, f"{kind}: not enough memory to decode it", width, height) from error
        raise Undecodable(Status.DAMAGED, describe_failure(kind, error), width, height) from error


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raises Undecodable where the picture has more pixels than allowed."""
    if width * height > max_pixels:
        raise Undecodable(Status.TOO_LARGE, describe_size(width, height, max_pixels), width, height)


def open_header(file: BinaryIO, kind: str) -> ImageFile.ImageFile:
    """The picture with its header read and no pixel decoded. Raises whatever the decoder raises."""
    file.seek(0)
    return OPENERS[kind](file)


def decode_picture(file: BinaryIO, kind: str, max_pixels: int, crops: Wanted | None, known: Known = UNKNOWN) -> Decoded:
    """What Pillow decodes."""
    picture = open_header(file, kind)
    if known.profile:
        picture.info["icc_profile"] = known.profile
    orientation = known.orientation or (1 if kind == "PNG" else read_orientation(picture))  # asking a PNG would decode it
    width, height = swap_sides(picture.size, orientation)
    check_size(width, height, max_pixels)
    with naming_failures(kind, width, height):
        stored, scale, seen = None, 1, 1.0
        if crops and kind == "JPEG":
            required = swap_sides(crops.required_size(height, width), orientation)
            scale = draft_jpeg(picture, required, luma=crops.luma)
            stored = picture.size
            *_, bottom = find_stored_window(choose_window(stored, orientation, crops), stored, orientation)
            picture = limit_jpeg_rows(file, picture, bottom, scale)
            seen = min(1.0, picture.height / stored[1])
        if isinstance(file, io.BytesIO) and seen == 1:
            picture.decodermaxblock = len(file.getbuffer())  # arithmetic coding cannot wait for more in the middle
        picture.load()
        if kind == "JPEG":
            refuse_missing(file, picture, seen)
        if kind == "PNG":
            orientation = read_orientation(picture)
            width, height = swap_sides(picture.size, orientation)
        luma = crops is not None and crops.luma and picture.mode == "L"
        raster = LumaRaster(picture) if luma else rasterise(file, kind, picture)
        del picture  # a large one need not be held twice
        return Decoded(make_region(raster, stored or raster.size, orientation, crops), width, height, scale)


def choose_window(stored: tuple[int, int], orientation: int, crops: Wanted | None) -> Window:
    """The part that is wanted of the upright picture whose width and height are stored as given."""
    width, height = swap_sides(stored, orientation)
    return crops.window(height, width) if crops else (0, 0, width, height)


def make_region(
    raster: ByteRaster | LumaRaster | WideRaster, stored: tuple[int, int], orientation: int, crops: Wanted | None
) -> Region:
    """What is wanted of a picture, in sRGB and upright. stored: its width and height, had it all its rows."""
    window = choose_window(stored, orientation, crops)
    seen = raster.render(find_stored_window(window, stored, orientation))
    width, height = swap_sides(stored, orientation)
    return Region(rotate_upright(seen, orientation), height, width, *window[:2])


def decode_tiff(file: BinaryIO, max_pixels: int, crops: Wanted | None) -> Decoded:
    """A TIFF, by whichever decoder gets it right. Raises Undecodable, or whatever the decoder raises."""
    tags = tiff.read_tags(file)
    if not tiff.is_deep(tags):
        return decode_picture(file, "TIFF", max_pixels, crops)
    if tiff.is_planar(tags):
        raise Undecodable(Status.UNSUPPORTED, "TIFF with deep colours in separate planes: not decoded here")
    if tiff.is_transparent_grey(tags):
        raise Undecodable(Status.UNSUPPORTED, "TIFF of deep grey with transparency: not decoded here")
    width, height = tiff.read_size(tags)
    check_size(width, height, max_pixels)
    with naming_failures("TIFF", width, height):
        icc = tags.get(tiff.ICC_PROFILE)
        flat = rasterise_bytes(Image.fromarray(tiff.read_deep(file, tags)), icc, find_tiff_space(tags, icc))
        return Decoded(make_region(flat, flat.size, 1, crops), *flat.size)


def decode_raw(file: BinaryIO, choice: RawChoice, max_pixels: int, crops: Wanted | None) -> Decoded:
    """A camera's RAW file; its size is that of the photo, whatever its preview has. Raises as `read_raw` does."""
    found = read_raw(file, develop=choice is RawChoice.DEVELOP, max_pixels=max_pixels, crops=crops)
    with naming_failures(RAW, found.width, found.height):
        if isinstance(found.picture, io.BytesIO):
            decoded = decode_picture(found.picture, "JPEG", max_pixels, crops, Known(orientation=found.orientation))
            return replace(decoded, width=found.width, height=found.height)
        flat = ByteRaster(flatten(found.picture))
        region = make_region(flat, flat.size, found.orientation, crops)
        return Decoded(region, found.width, found.height, found.reduction)
