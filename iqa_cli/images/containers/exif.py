"""EXIF read tag by tag, no more than is wanted of a large file, also from camera RAW, where it stands in several ways."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from PIL import ExifTags

from iqa_cli.images.containers.heif import find_box, read_boxes, read_top

Tags = Mapping[int, Any]
ORDERS = {b"II": "<", b"MM": ">"}
MAGICS = (b"II*\0", b"MM\0*", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
"""How a TIFF begins, and how those of Olympus and Panasonic do."""
FORMATS = {1: "B", 2: "s", 3: "H", 4: "I", 5: "I", 6: "b", 7: "s", 8: "h", 9: "i", 10: "i", 11: "f", 12: "d"}
ASCII, RATIONALS = 2, (5, 10)
ENTRY, ENTRIES, LARGEST = 12, 1000, 4096  # bytes of an entry; entries of a directory; bytes of a value: more is no plain fact
EXIF = b"Exif"  # and two bytes, before the TIFF in a JPEG
SCAN, APP1 = 0xDA, 0xE1  # markers of a JPEG
SEGMENTS = 1000  # more of them before the pixels are nobody's photo
FUJI, FUJI_JPEG = b"FUJIFILMCCD-RAW", 84  # and where the place of its JPEG stands
MINOLTA, MINOLTA_TIFF = b"\0MRM", b"\0TTW"
CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")  # of the box that holds the TIFFs of a CR3
NONE: tuple[Tags, Tags] = ({}, {})


def read_raw_exif(file: BinaryIO) -> tuple[Tags, Tags] | None:
    """The tags of a RAW file's picture, and those of its exposure; None for a kind that is not known.

    Raises what broken bytes cause: OSError, ValueError and struct.error.
    """
    file.seek(0)
    head = file.read(FUJI_JPEG + 4)
    if head.startswith(MAGICS):
        return read_tiff(file, 0)
    if head[4:8] == b"ftyp":
        return read_canon(file)
    if head.startswith(FUJI):
        place = find_in_jpeg(file, int.from_bytes(head[FUJI_JPEG:], "big"))
        return NONE if place is None else read_tiff(file, place)
    if head.startswith(MINOLTA):
        return next((read_tiff(file, place) for name, place in list_blocks(file) if name == MINOLTA_TIFF), NONE)
    return None


def read_tiff(file: BinaryIO, begin: int) -> tuple[Tags, Tags]:
    """The tags of the first picture of a TIFF, and those of its exposure. begin: where in the file the TIFF does."""
    file.seek(begin)
    head = file.read(8)
    order = ORDERS[head[:2]] if head.startswith(MAGICS) else None
    if order is None:
        raise ValueError("no TIFF")
    picture = read_directory(file, begin, order, *struct.unpack(f"{order}I", head[4:]))
    place = picture.get(ExifTags.IFD.Exif)
    return picture, read_directory(file, begin, order, place) if isinstance(place, int) else {}


def read_directory(file: BinaryIO, begin: int, order: str, at: int) -> Tags:
    """The tags of a directory whose values are short: numbers, tuples of numbers, texts, bytes. at: from the TIFF's begin."""
    file.seek(begin + at)
    count = min(struct.unpack(f"{order}H", file.read(2))[0], ENTRIES)
    entries = file.read(ENTRY * count)
    tags: dict[int, Any] = {}
    for place in range(0, len(entries) - ENTRY + 1, ENTRY):
        tag, kind, number = struct.unpack_from(f"{order}HHI", entries, place)
        size = struct.calcsize(FORMATS.get(kind, "")) * number * (2 if kind in RATIONALS else 1)
        if not 0 < size <= LARGEST:
            continue
        data = entries[place + 8 : place + 8 + size]
        if size > 4:
            file.seek(begin + struct.unpack_from(f"{order}I", entries, place + 8)[0])
            data = file.read(size)
        if len(data) == size:
            tags[tag] = unpack_value(data, order, kind)
    return tags


def unpack_value(data: bytes, order: str, kind: int) -> Any:
    """The value that the bytes of an entry are."""
    name = FORMATS[kind]
    if name == "s":
        return data.split(b"\0")[0].decode("latin-1") if kind == ASCII else data
    numbers = struct.unpack(f"{order}{len(data) // struct.calcsize(name)}{name}", data)
    if kind in RATIONALS:
        numbers = tuple(
            over / under if under else float("nan") for over, under in zip(numbers[::2], numbers[1::2], strict=True)
        )
    return numbers[0] if len(numbers) == 1 else numbers


def read_canon(file: BinaryIO) -> tuple[Tags, Tags]:
    """The tags of a CR3, which has a TIFF for the picture and one for the exposure, each with one directory."""
    boxes = dict(read_top(file))
    for name, content in read_boxes(boxes.get(b"moov", b"")):
        if name == b"uuid" and content.startswith(CANON):
            inner = content[len(CANON) :]
            picture, exposure = (read_packed(find_box(inner, box)) for box in (b"CMT1", b"CMT2"))
            return picture, exposure
    return NONE


def read_packed(data: bytes) -> Tags:
    """The tags of the first directory of a TIFF; none where there is no TIFF."""
    return read_tiff(io.BytesIO(data), 0)[0] if data else {}


def find_in_jpeg(file: BinaryIO, begin: int) -> int | None:
    """Where in a file the EXIF of a JPEG begins; None where it has none. begin: where the JPEG does."""
    place = begin + 2
    for _ in range(SEGMENTS):
        file.seek(place)
        head = file.read(10)
        if len(head) < 4 or head[0] != 0xFF or head[1] == SCAN:
            return None
        if head[1] == APP1 and head[4:8] == EXIF:
            return place + len(head)
        place += 2 + int.from_bytes(head[2:4], "big")
    return None


def list_blocks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The blocks of a Minolta RAW file: name, and where the content begins."""
    place = 8
    for _ in range(SEGMENTS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        yield head[:4], place + 8
        place += 8 + int.from_bytes(head[4:], "big")
