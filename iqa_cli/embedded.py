"""What an .onnx file says about itself, read without loading it.

ONNX files are Protocol Buffers. The field numbers are those of onnx.proto: `ModelProto.metadata_props` = 14, a repeated
`StringStringEntryProto` of key = 1 and value = 2. All others are skipped, the graph with its weights above all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

METADATA_PROPS, KEY, VALUE = 14, 1, 2
VARINT, BYTES = 0, 2  # wire types
FIXED = {1: 8, 5: 4}  # those of a fixed number of bytes
LONGEST = 1 << 31  # bytes of a field, which is what Protocol Buffers allow


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of an .onnx file, key -> value. Raises OSError, and ValueError where it is not such a file."""
    with path.open("rb") as file:
        entries = [dict(read_fields(BytesIO(entry), {KEY, VALUE})) for _, entry in read_fields(file, {METADATA_PROPS})]
    return {entry.get(KEY, b"").decode(): entry.get(VALUE, b"").decode() for entry in entries}


def read_fields(file: BinaryIO, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    """The fields of a message that are bytes and have one of these numbers: number, content. Raises ValueError."""
    while (tag := read_varint(file)) is not None:
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            read_varint(file)
            continue
        length = read_varint(file) if wire == BYTES else FIXED.get(wire)
        if length is None or length > LONGEST:
            raise ValueError("not an ONNX file")
        if wire == BYTES and number in wanted:
            yield number, file.read(length)
        else:
            file.seek(length, os.SEEK_CUR)


def read_varint(file: BinaryIO) -> int | None:
    """A number of seven bits a byte, the lowest first; None at the end of the file. Raises ValueError for an endless one."""
    value = 0
    for place in range(10):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:
            return value
    raise ValueError("not an ONNX file")
