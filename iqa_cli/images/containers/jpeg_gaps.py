"""Zeros where a JPEG has lost a part: a card or a download that broke off leaves them, and decoders take them for pixels.

A file that ends in zeros, without an end mark, is judged without them. Zeros between coded pixels are judged by the tables that
code them: where a photo's plain areas may be zeros, nothing can be said.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from iqa_cli.images.containers.jpeg import END, SCAN, SEGMENTS, SEQUENTIAL

TABLE, INTERVAL = 0xC4, 0xDD
LENGTHS = 16  # bits of the longest code
TAIL = 64  # zeros at the end of a file that are looked into
GAP = 4096  # zeros that no photo has between its coded pixels; what file systems and cards lose comes in such blocks
STEP = GAP // 4


class Header(NamedTuple):
    """What a JPEG says before its pixels: where they begin, whether they come from top to bottom, and first codes.

    first_codes: symbols of the codes of zero bits for coefficients, by the number of their table.
    """

    start: int
    sequential: bool
    first_codes: dict[int, int]


def find_gap(file: BinaryIO) -> int | None:
    """Where zeros begin that stand in place of a JPEG's pixels, in bytes; None for a whole file."""
    end = file.seek(0, io.SEEK_END)
    header = read_header(file) if end > GAP else None
    if header is None:
        return None
    if ends_in_zeros(file, end) and (first := find_tail(file, header.start)) is not None:
        return first
    if header.sequential and header.first_codes.get(0):  # zero bits are then no plain area
        return find_hole(file, header.start)
    return None


def ends_in_zeros(file: BinaryIO, end: int) -> bool:
    """Whether nothing else is at the end of a file."""
    file.seek(end - TAIL)
    return not any(file.read(TAIL))


def find_tail(file: BinaryIO, start: int) -> int | None:
    """The first of the zeros at the end of a file whose pixels have no end mark."""
    file.seek(start)
    data = file.read()
    return None if END in data else start + len(data.rstrip(b"\0"))


def find_hole(file: BinaryIO, start: int) -> int | None:
    """The first long zeros between coded pixels."""
    file.seek(start)
    data = file.read()
    samples = data[::STEP]
    at = -1
    while (at := samples.find(bytes(GAP // STEP - 1), at + 1)) >= 0:  # as many are in each long row of zeros
        first = data.find(bytes(GAP), max(0, at - 1) * STEP, at * STEP + 2 * GAP)
        if first >= 0:
            return None if END in data[:first] else start + first  # behind the end are no pixels
    return None


def read_header(file: BinaryIO) -> Header | None:
    """What stands before the pixels; None where that is no header of a JPEG."""
    sequential = False
    first_codes: dict[int, int] = {}
    for marker, body in read_segments(file):
        if marker == TABLE:
            first_codes |= dict(read_tables(body))
        elif marker in SEQUENTIAL:
            sequential = True
        elif marker == SCAN:
            return Header(file.tell(), sequential, first_codes)
    return None


def read_segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Markers and contents, the first scan the last of them; of those that are of no matter here, without their contents."""
    file.seek(2)
    for _ in range(SEGMENTS):
        mark, marker, *length = file.read(4).ljust(4, b"\0")
        rest = int.from_bytes(bytes(length), "big") - 2
        if mark != 0xFF or rest < 0:
            return
        if marker in (TABLE, INTERVAL, SCAN, *SEQUENTIAL):
            yield marker, file.read(rest)
        else:
            file.seek(rest, os.SEEK_CUR)
            yield marker, b""
        if marker == SCAN:
            return


def read_tables(body: bytes) -> Iterator[tuple[int, int]]:
    """Of each table for coefficients: its number, and the symbol of the code of zero bits, which is the first."""
    at = 0
    while at + 1 + LENGTHS < len(body):
        kind, number = divmod(body[at], 16)
        codes = sum(body[at + 1 : at + 1 + LENGTHS])
        if kind == 1:
            yield number, body[at + 1 + LENGTHS]
        at += 1 + LENGTHS + codes
