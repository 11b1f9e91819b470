"""Pooled features of a network in ONNX: what it standardizes before its head, means and deviations over the whole picture.

The file is read as it is; a copy in memory gets one output more. Protocol Buffers let a message be appended to: what follows
another message of the same field is merged with it, and repeated fields go on. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.images.crops import Crops
from iqa_cli.models.onnx_backend import first_line, load_session, refuse_external_data
from iqa_cli.models.onnx_metadata import read_fields

Features = npt.NDArray[np.float32]  # [n, f]

GRAPH, NODE, GRAPH_OUTPUT, VALUE_NAME = 7, 1, 12, 1  # of ModelProto, GraphProto, ValueInfoProto
INPUT, OUTPUT, KIND = 1, 2, 4  # of NodeProto
TEXT = 2  # wire type


@dataclass(frozen=True)
class Node:
    """A node of a graph: its operator, and the names of what it takes and gives."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def list_nodes(data: bytes) -> Iterator[Node]:
    """The nodes of a network, in order. Raises ValueError where the bytes are none."""
    for number, start, end in read_fields(data, 0, len(data)):
        if number == GRAPH:
            yield from (read_node(data, a, b) for n, a, b in read_fields(data, start, end) if n == NODE)


def read_node(data: bytes, start: int, end: int) -> Node:
    """One node."""
    parts = [(number, data[a:b]) for number, a, b in read_fields(data, start, end) if number in (INPUT, OUTPUT, KIND)]
    texts = {wanted: tuple(text.decode() for number, text in parts if number == wanted) for wanted in (INPUT, OUTPUT, KIND)}
    return Node("".join(texts[KIND]), texts[INPUT], texts[OUTPUT])


def find_pooled(data: bytes) -> str | None:
    """The name of the pooled features of the whole crop: what a norm takes that follows the choice of one place; or None."""
    chosen = set[str]()
    for node in list_nodes(data):
        if node.kind == "Gather":
            chosen.update(node.outputs)
        elif node.kind == "BatchNormalization" and node.inputs[0] in chosen:
            return node.inputs[0]
    return None


def add_output(data: bytes, name: str) -> bytes:
    """The network with one output more, a value that it computes anyway."""
    return data + wrap(GRAPH, wrap(GRAPH_OUTPUT, wrap(VALUE_NAME, name.encode())))


def wrap(number: int, content: bytes) -> bytes:
    """A field of a message that has a length."""
    length, size = b"", len(content)
    while size > 0x7F:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | TEXT]) + length + bytes([size]) + content


class OnnxFeatures:
    """The pooled features of a network. Safe to call from many threads.

    Raises UsageError for a network without such, WeightsError where the file is damaged.
    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        refuse_external_data(path)
        data = path.read_bytes()
        name = find_pooled(data)
        if name is None:
            raise UsageError(f"{path}: has no pooled features to compare by: name a model of iqa models, as qfm-iqm-lite")
        self.path, self.name = path, name
        self.session = load_session(add_output(data, name), path, device)
        self.input = str(self.session.get_inputs()[0].name)

    def extract(self, crops: Crops) -> Features:
        """Crops [n, 3, h, w] -> features [n, f]. Raises WeightsError where the network does not take them."""
        try:
            runs = [self.session.run([self.name], {self.input: crop})[0] for crop in np.split(crops, len(crops))]
        except Exception as error:  # ONNX Runtime's own errors have no common base
            raise WeightsError(f"{self.path}: fails on crops of shape {crops.shape}: {first_line(error)}") from error
        return np.concatenate(runs).astype(np.float32)
