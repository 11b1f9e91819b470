"""The boxes of AVIF, HEIC and JPEG 2000 (ISO/IEC 14496-12, 23008-12), as far as their colours need them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

import numpy as np

from iqa_cli.images.colors.convert import Samples
from iqa_cli.images.containers import av1
from iqa_cli.images.containers.tiff import read_samples

BOXES = 1000  # more of them, one beside another, are nobody's photo
LARGEST = 1 << 22  # bytes of a box of metadata that are looked at
HEADER = 256  # bytes of a coded picture, among which its sequence header is
SAMPLE_ENTRY = 78  # bytes before the boxes of a track's description
TRACK = (b"trak", b"mdia", b"minf", b"stbl")


class Coding(NamedTuple):
    """primaries, transfer: CICP code points of the `nclx` box; None where there is none. depth: bits a sample."""

    cicp: tuple[int, int] | None
    depth: int


def read_coding(file: BinaryIO) -> Coding:
    """How the first picture of an AVIF or HEIC is coded: that of its track where it is a sequence, else its primary item."""
    boxes = dict(read_top(file))
    sequence = boxes.get(b"ftyp", b"").startswith(b"avis") and b"moov" in boxes
    properties = list(list_track(boxes[b"moov"]) if sequence else list_item(boxes.get(b"meta", b"")[4:]))
    depth, cicp = 0, None
    for name, data in properties:
        if name == b"colr" and data[:4] == b"nclx" and len(data) >= 8:
            cicp = read_number(data, 4, 2), read_number(data, 6, 2)
        elif name == b"pixi":
            depth = max(data[5:], default=0)
        elif name == b"av1C" and not depth:
            depth = (12 if data[2] & 0x20 else 10) if data[2:3] and data[2] & 0x40 else 8
        elif name == b"hvcC" and not depth:
            depth = 8 + (read_number(data, 17, 1) & 7)
    by_av1 = b"avi" in boxes.get(b"ftyp", b"")  # avif or avis
    return Coding(cicp or (av1.read_cicp(read_picture(file, boxes)) if by_av1 else None), depth)


def read_number(data: bytes, at: int, size: int) -> int:
    """An unsigned number; what is missing of it counts as nothing."""
    return int.from_bytes(data[at : at + size], "big")


def list_top(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """The outermost boxes: name, and where its content begins and ends; that may be behind the end of a file cut short."""
    start, end = 0, file.seek(0, io.SEEK_END)
    for _ in range(BOXES):
        if start >= end:
            return
        file.seek(start)
        head = file.read(16)
        size, name, first = read_number(head, 0, 4), head[4:8], 8
        if size == 1:
            size, first = read_number(head, 8, 8), 16
        size = size or end - start
        if size < first:
            return
        yield name, start + first, start + size
        start += size


def read_top(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The outermost boxes of metadata: name, content."""
    last = file.seek(0, io.SEEK_END)
    for name, start, end in list_top(file):
        if name in (b"ftyp", b"meta", b"moov", b"jp2h") and end <= last:
            file.seek(start)
            yield name, file.read(min(end - start, LARGEST))


def read_boxes(data: bytes, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """The boxes within one: name, content."""
    for _ in range(BOXES):
        size = read_number(data, start, 4)
        if size < 8 or start + 8 > len(data):
            return
        yield data[start + 4 : start + 8], data[start + 8 : start + size]
        start += size


def find_box(data: bytes, *names: bytes) -> bytes:
    """The content of a box in a box in a box, the first of each name; empty where there is none."""
    for name in names:
        data = next((content for found, content in read_boxes(data) if found == name), b"")
    return data


def list_item(meta: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The properties of the primary item."""
    pitm, iprp = find_box(meta, b"pitm"), find_box(meta, b"iprp")
    primary = read_number(pitm, 4, 4 if pitm[:1] > b"\0" else 2)
    properties = list(read_boxes(find_box(iprp, b"ipco")))
    for name, ipma in read_boxes(iprp):
        if name == b"ipma":
            yield from (properties[i - 1] for i in list_associations(ipma, primary) if 0 < i <= len(properties))


def read_picture(file: BinaryIO, boxes: Mapping[bytes, bytes]) -> bytes:
    """The first bytes of the coded picture: of the primary item, or of the first of its tiles; empty where there is none."""
    meta = boxes.get(b"meta", b"")[4:]
    pitm, iinf = find_box(meta, b"pitm"), find_box(meta, b"iinf")
    primary = read_number(pitm, 4, 4 if pitm[:1] > b"\0" else 2)
    coded = [item for item, kind in list_kinds(iinf) if kind == b"av01"]
    item = primary if primary in coded else next(iter(coded), None)
    start = next((offset for found, offset in list_offsets(find_box(meta, b"iloc")) if found == item), None)
    if start is None:
        return b""
    file.seek(start)
    return file.read(HEADER)


def list_kinds(iinf: bytes) -> Iterator[tuple[int, bytes]]:
    """Items, and what kind each is of."""
    for name, infe in read_boxes(iinf, 6 if iinf[:1] == b"\0" else 8):
        if name == b"infe" and infe[:1] >= b"\2":
            wide = 2 if infe[:1] == b"\2" else 4
            yield read_number(infe, 4, wide), infe[6 + wide : 10 + wide]


def list_offsets(iloc: bytes) -> Iterator[tuple[int, int]]:
    """Items that are in the file itself, and where the first part of each begins."""
    version = read_number(iloc, 0, 1)
    if version > 2:
        return
    sizes = read_number(iloc, 4, 2)
    offset, length, base = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index = sizes & 15 if version else 0
    wide = 4 if version == 2 else 2
    at = 6 + wide
    for _ in range(min(read_number(iloc, 6, wide), BOXES)):
        item = read_number(iloc, at, wide)
        at += wide
        method = read_number(iloc, at, 2) & 15 if version else 0
        at += (2 if version else 0) + 2
        first = read_number(iloc, at, base)
        extents = read_number(iloc, at + base, 2)
        at += base + 2
        if not method and extents:
            yield item, first + read_number(iloc, at + index, offset)
        at += extents * (index + offset + length)


def list_associations(ipma: bytes, primary: int) -> Iterator[int]:
    """The numbers, from 1, of an item's properties."""
    wide, size = (4 if ipma[:1] > b"\0" else 2), (2 if ipma[3:4] and ipma[3] & 1 else 1)
    at = 8
    for _ in range(min(read_number(ipma, 4, 4), BOXES)):
        item, count = read_number(ipma, at, wide), read_number(ipma, at + wide, 1)
        at += wide + 1
        if item == primary:
            essential = 1 << (8 * size - 1)
            yield from (read_number(ipma, at + i * size, size) & (essential - 1) for i in range(count))
        at += count * size


def list_track(moov: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What describes the pictures of the first track."""
    entry = find_box(moov, *TRACK, b"stsd")[8:]
    for name, content in read_boxes(entry):
        if name == b"av01":
            yield from read_boxes(content, SAMPLE_ENTRY)
            return


def read_avif(file: BinaryIO, size: tuple[int, int]) -> Samples | None:
    """All samples of an AVIF in its own depth, as it is stored: [h, w, 3 or 4]; None where OpenCV does not give them.

    size: its width and height.
    """
    try:
        samples = read_samples(file)
    except ValueError:  # OpenCV without AVIF
        return None
    if samples.shape[1::-1] != size or samples.dtype != np.uint16:
        return None
    return np.dstack([samples] * 3) if samples.ndim == 2 else samples
