"""Golden scores: what each released file of weights says of a picture that is computed, not stored."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from iqa_cli.images.crops import Rgb

SIDE = 480  # px
TOLERANCE = 0.5  # points: what processors and versions of libraries may change
GOLDEN = {
    "fd80fc0e1580e31aeaf1e716acfa3fc0c518770d7f6180652d453aab063bbbc2": 38.39,  # qfm-iqm-lite.onnx
    "effe51117929f8deff10a0cac645fbbb7f9709516948a8c6b679db1241186975": 26.76,  # qfm-iqm.onnx
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
