"""Ends of JPEGs: whether coded pixels lack before the end mark. Decoders say nothing of it; they fill the rest with grey."""

from __future__ import annotations

import io
import re
from itertools import takewhile
from math import ceil
from typing import BinaryIO

import numpy as np
from PIL import Image

from iqa_cli.images.containers.jpeg import END, SCAN, SEQUENTIAL
from iqa_cli.images.containers.jpeg_gaps import INTERVAL, read_segments

MARKS = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # those that are no part of coded pixels, as restarts and stuffing are
STOPS = re.compile(rb"\xff[\xd0-\xd7\xd9]")  # restarts, and the end
GREY = (127, 128, 129)  # what decoders make of no coefficients: 128, of ink 127, and where colours bleed into it one more
CORNER = 8  # px at the end of the last row that are looked at
THIN = 0.75  # as many bytes a row as above are plainer content; fewer may be lost ones


def ends_in_grey(picture: Image.Image) -> bool:
    """Whether the last pixels of a decoded JPEG are what decoders fill up with. Few photos end so."""
    width, height = picture.size
    corner = picture.crop((max(0, width - CORNER), height - 1, width, height))
    return bool(np.isin(np.asarray(corner.convert("L") if corner.mode == "RGB" else corner), GREY).all())


def thins_out(file: BinaryIO, share: float) -> bool:
    """Whether a JPEG of which that share of the rows was read has few bytes left for the others."""
    read = file.tell()
    left = file.seek(0, io.SEEK_END) - read
    return left / (1 - share) < THIN * read / share


def find_end(data: bytes) -> int:
    """Where the end mark of a JPEG's picture stands, be there what may behind it; the end of the data where none does."""
    place = 2
    while found := MARKS.search(data, place):
        place = found.end()
        if found[0] == END:
            return found.start()
        if found[0] not in (b"\xff\x01", b"\xff\xd8"):
            place += int.from_bytes(data[place : place + 2], "big")
    return len(data)


def count_intervals(file: BinaryIO) -> float:
    """The share of the restart intervals that are there, of a JPEG in one scan; 1 for a JPEG without any."""
    wanted = expect_restarts(file)
    if not wanted:
        return 1.0
    found = sum(1 for _ in takewhile(lambda stop: stop[0] != END, STOPS.finditer(file.read())))
    return min(1.0, (found + 1) / (wanted + 1)) if found else 1.0  # an encoder that writes none at all means something else


def expect_restarts(file: BinaryIO) -> int:
    """How many restart marks a JPEG whose pixels are in one scan has by its header; 0 for all others. Stops before those."""
    interval = units = 0
    components = b""
    for marker, body in read_segments(file):
        if marker == INTERVAL:
            interval = int.from_bytes(body[:2], "big")
        elif marker in SEQUENTIAL and len(body) > 6 and len(body) >= 6 + 3 * body[5]:
            units, components = count_units(body), body[5:6]
        elif marker == SCAN and body[:1] == components and interval:
            return max(0, ceil(units / interval) - 1)
    return 0


def count_units(frame: bytes) -> int:
    """How many units of blocks are coded one after the other, by the header of a frame."""
    height, width = (int.from_bytes(frame[at : at + 2], "big") for at in (1, 3))
    factors = [divmod(frame[at], 16) for at in range(7, 6 + 3 * frame[5], 3)]
    wide, high = (max(1, *side) for side in zip(*factors, strict=True)) if len(factors) > 1 else (1, 1)
    return ceil(width / (8 * wide)) * ceil(height / (8 * high))
