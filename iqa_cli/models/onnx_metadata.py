"""What an .onnx file says about itself, read without loading it.

ONNX files are Protocol Buffers. The field numbers are those of onnx.proto: `ModelProto.metadata_props` = 14, a repeated
`StringStringEntryProto` of key = 1 and value = 2; those of what holds tensors are in PARTS.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

METADATA_PROPS, KEY, VALUE = 14, 1, 2
EXTERNAL_DATA = 13  # of TensorProto: in which file its values are, where they are not in this one
PARTS = {  # message -> field -> message, wherever there may be tensors
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
}
VARINT, BYTES = 0, 2  # wire types
FIXED = {1: 8, 5: 4}  # those of a fixed number of bytes


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of an .onnx file, key -> value. Raises OSError, and ValueError where it is not such a file."""
    data = path.read_bytes()
    entries = [
        {name: data[first:last] for name, first, last in read_fields(data, start, end)}
        for number, start, end in read_fields(data, 0, len(data))
        if number == METADATA_PROPS
    ]
    return {entry.get(KEY, b"").decode(): entry.get(VALUE, b"").decode() for entry in entries}


def has_external_data(path: Path) -> bool:
    """Whether some of the numbers of an .onnx file are in other files.

    Raises OSError, and ValueError or RecursionError where it is not such a file.
    """
    data = path.read_bytes()
    tensors = find_tensors(data, 0, len(data), "Model")
    return any(number == EXTERNAL_DATA for start, end in tensors for number, *_ in read_fields(data, start, end))


def find_tensors(data: bytes, start: int, end: int, message: str) -> Iterator[tuple[int, int]]:
    """Where the tensors of a message begin and end. Raises ValueError, and RecursionError for one nested without measure."""
    for number, first, last in read_fields(data, start, end):
        part = PARTS[message].get(number)
        if part == "Tensor":
            yield first, last
        elif part is not None:
            yield from find_tensors(data, first, last, part)


def read_fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message that have a length: number, begin, end. Raises ValueError."""
    while start < end:
        tag, start = read_varint(data, start)
        number, wire = (tag & 0xFFFFFFFF) >> 3, tag & 7  # more bits are ignored by those who load it
        if wire == VARINT:
            _, start = read_varint(data, start)
            continue
        if wire == BYTES:
            length, start = read_varint(data, start)
        elif wire in FIXED:
            length = FIXED[wire]
        else:
            raise ValueError("not an ONNX file")
        if start + length > end:
            raise ValueError("not an ONNX file, or cut short")
        if wire == BYTES:
            yield number, start, start + length
        start += length


def read_varint(data: bytes, start: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends. Raises ValueError for an endless one."""
    value = 0
    for place, byte in enumerate(data[start : start + 10]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, start + place + 1
    raise ValueError("not an ONNX file, or cut short")
