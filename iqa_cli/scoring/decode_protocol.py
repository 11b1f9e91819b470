"""Work: what decoding processes have to do, and how they are spoken to. Both ends know this module.

A message is a length (4 bytes, the highest first) and that many bytes of JSON; pixels follow behind an answer that has a shape.
A process says that it is ready, hears what its work is, and then answers a path at a time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from iqa_cli.images.crops import CropSpec

LENGTH = 4  # bytes that say how long a message is
BASE_MEMORY = 1 << 30  # bytes of address space: the interpreter, the libraries, and crops
BYTES_A_PIXEL = 16  # the worst: AVIF and progressive JPEG with their planes or coefficients, the picture, and its copy in sRGB


@dataclass(frozen=True)
class Work:
    """What a decoding process has to do.

    crops: what to cut; max_pixels: larger pictures are refused; timeout: seconds an image.
    """

    crops: CropSpec
    max_pixels: int
    timeout: float

    @property
    def memory(self) -> int:
        """The bytes of address space that a process may have; a decoder that wants more fails."""
        return BASE_MEMORY + BYTES_A_PIXEL * self.max_pixels

    def encode(self) -> dict[str, Any]:
        """As a message."""
        return asdict(self)

    @classmethod
    def decode(cls, message: Mapping[str, Any]) -> Work:
        """From a message."""
        crops: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in message["crops"].items()}
        return cls(CropSpec(**crops), message["max_pixels"], message["timeout"])


def pack(message: Mapping[str, Any]) -> bytes:
    """A message as it is sent. Undecodable bytes of file names survive as escaped surrogates."""
    data = json.dumps(message).encode("ascii")
    return len(data).to_bytes(LENGTH, "big") + data
