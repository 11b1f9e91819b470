"""JPEG, decoded no further than is needed: at a fraction of its size, and no more rows than the crops depend on.

Nearly all the time goes into its compressed bits, which can only be read from the top to the bottom. They need not be read to
the end: what claims in its header to be lower than it is makes any decoder stop there.
"""

from __future__ import annotations

import io
from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING, BinaryIO, cast

from PIL import JpegImagePlugin

if TYPE_CHECKING:
    from PIL import ImageFile

DRAFT_MARGIN = 3.2
"""A JPEG is decoded no smaller than this times what is wanted, so that photos of 12 MP are decoded at a half for views of
480 px."""

LUMA_SUM = 3688  # of the luma table of ITU T.81, annex K, which libjpeg scales by its quality
SEQUENTIAL = (0xC0, 0xC1)  # markers of frames whose bits give whole pixels, block after block: baseline, and extended
TABLES = (0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0))  # of segments that may stand before the pixels
SCAN = 0xDA
END = b"\xff\xd9"
SEGMENTS = 1000  # more of them before the pixels are nobody's photo
BLOCK = 32  # rows that at most are coded together
CHUNK = 1 << 20  # bytes
PARTS = 64  # in which a file is read, so that one can tell by them where its rows end


def draft_jpeg(picture: ImageFile.ImageFile, required: tuple[int, int], *, luma: bool = False) -> int:
    """Have a JPEG decoded at 1/8, 1/4 or 1/2: the smallest scale that leaves DRAFT_MARGIN times the (height, width) required.

    Most of the inverse DCT then falls away. required: of the picture as stored. luma: of YCbCr decode that alone. Gives 8, 4
    or 2; 1 where nothing changes.
    """
    rows, columns = required
    width = picture.width
    drafted = picture.draft("L" if luma else None, (ceil(DRAFT_MARGIN * columns), ceil(DRAFT_MARGIN * rows)))
    return round(width / drafted[1][2]) if drafted else 1


def find_jpeg_quality(path: str) -> float | None:
    """The quality that a JPEG was saved at last, 1 to 100 as libjpeg has it, by its table for luma; None for other files."""
    with suppress(Exception), JpegImagePlugin.JpegImageFile(path) as picture:  # foreign bytes, of which nothing is expected
        table = picture.quantization[0]
        scale = 100 * sum(table) / LUMA_SUM
        return float(max(1.0, (200 - scale) / 2 if scale <= 100 else 5000 / scale))
    return None


def limit_jpeg_rows(file: BinaryIO, picture: ImageFile.ImageFile, rows: int, scale: int) -> ImageFile.ImageFile:
    """A JPEG that is to be decoded at 1/scale, opened again so that little more than its first `rows`, so reduced, is decoded.

    The pixels of those rows are what they would be. The picture itself where it is no lower, where its bits do not come from
    top to bottom, and where it seems cut short: then decoding is to fail. file: what it was opened from.
    """
    height = BLOCK * (ceil(rows * scale / BLOCK) + 1)  # one more, which colours of half the size are smoothed with
    if height >= picture.height * scale:
        return picture
    place = find_height(file)
    if place is None:
        return picture
    file.seek(0)
    opened = JpegImagePlugin.JpegImageFile(cast(BinaryIO, HeightOverride(file, place, height)))
    opened.draft("L" if picture.mode == "L" else None, (opened.width // scale, 1))
    opened.decodermaxblock = file.seek(0, io.SEEK_END) // PARTS + 1
    return opened if opened.size == (picture.width, ceil(height / scale)) else picture


def find_height(file: BinaryIO) -> int | None:
    """Where in a JPEG its height stands; None where its pixels are not in one scan from top to bottom, or have no end."""
    place, components = None, b""
    file.seek(2)
    for _ in range(SEGMENTS):
        mark, marker, *length = file.read(4).ljust(4, b"\0")
        rest = int.from_bytes(bytes(length), "big") - 2
        if mark != 0xFF or rest < 0:
            return None
        if marker == SCAN:
            return place if file.read(1) == components and has_end(file) else None
        if marker in SEQUENTIAL:
            place = file.tell() + 1  # behind the precision
            components = file.read(6)[5:]
            rest -= 6
        elif marker not in TABLES:
            return None
        file.seek(rest, io.SEEK_CUR)
    return None


def has_end(file: BinaryIO) -> bool:
    """Whether a mark of the end follows. It is no more of coded pixels; what else is behind them may stand behind it."""
    here = file.tell()
    file.seek(-len(END), io.SEEK_END)
    if file.tell() >= here and file.read() == END:
        return True
    file.seek(here)
    last = b""
    while chunk := file.read(CHUNK):
        if END in last + chunk:
            return True
        last = chunk[-1:]
    return False


class HeightOverride:
    """A JPEG file read with another height in its header; has the methods that Pillow needs."""

    def __init__(self, file: BinaryIO, place: int, height: int) -> None:
        self.file = file
        self.place = place
        self.height = height.to_bytes(2, "big")
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """So many bytes from where the file is, or all."""
        at = self.place - self.file.tell()
        data = self.file.read(size)
        if at + 2 <= 0 or at >= len(data):  # as nearly always: the header is read once
            return data
        changed = bytearray(data)
        for i, byte in enumerate(self.height, at):
            if 0 <= i < len(data):
                changed[i] = byte
        return bytes(changed)
