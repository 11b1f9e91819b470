"""Golden scores: what each released file of weights says of a picture that is computed, not stored."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from iqa_cli.images.crops import Rgb

SIDE = 480  # px
TOLERANCE = 0.5  # points: what processors and versions of libraries may change
GOLDEN = {
    "d26d42c2e54b9e5aba1b633616c43f7536b1ad12b6d6cb040a115aa6b03ee8cd": 38.39,  # qfm-iqm-lite.onnx
    "e0a8efe8e9a8cd8dddde6e40bdcff3202644f453dfb3421149ff03ec431f3af9": 26.22,  # qfm-iqm.onnx
}
"""SHA-256 of a file of weights -> its score of `make_picture`. A new model gets its line from: iqa doctor."""


def make_picture() -> Rgb:
    """The picture, uint8 [480, 480, 3]: waves, discs and an edge, by whole numbers alone, so the same on any machine."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.int64)
    rings = ((x - 200) ** 2 + (y - 160) ** 2) // 97 % 256
    waves = (x * 3 + y * y // 41) % 256
    disc = np.where((x - 330) ** 2 + (y - 320) ** 2 < 90**2, 200, 60)
    ramp = (x + y) * 255 // (2 * SIDE - 2)
    red, green, blue = (rings + ramp) // 2, (waves + disc + ramp) // 3, (disc + 255 - ramp) // 2
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def encode_png(rgb: Rgb) -> bytes:
    """A PNG of a picture, so that it can be decoded as a file is."""
    height, width = rgb.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in rgb)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
