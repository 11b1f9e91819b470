"""Photoshop's files for tests, made byte by byte."""

import struct

import numpy as np


def forge_psd(planes: list[np.ndarray], *, mode: int = 3, bits: int = 8, version: int = 1, resources: bytes = b"") -> bytes:
    """A PSD of its flat picture alone: planes of samples, one behind another."""
    height, width = planes[0].shape
    head = struct.pack(">4sH6xHIIHH", b"8BPS", version, len(planes), height, width, bits, mode)
    return (
        head
        + struct.pack(">I", 0)
        + struct.pack(">I", len(resources))
        + resources
        + struct.pack(">IH", 0, 0)
        + b"".join(plane.tobytes() for plane in planes)
    )


def resource(number: int, data: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + bytes(len(data) % 2)
