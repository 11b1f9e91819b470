"""Samples of PNG and AVIF above 8 bits, of which Pillow keeps but 8, and the chunks of a PNG that describe them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from iqa_cli.images.color import Samples
from iqa_cli.images.tiff import read_samples

Keys = npt.NDArray[np.uint16]

SIGNATURE = 8  # bytes
CHUNKS = 10_000  # more of them before the pixels are nobody's photo
LARGEST = 1 << 16  # bytes of a chunk that says something about colours
GREY, COLOUR = 0, 2  # types of PNG without alpha or palette


def read_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG before its pixels: name, content; content is left out where it is long, or its checksum is wrong."""
    file.seek(SIGNATURE)
    for _ in range(CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IDAT":
            return
        length, name = struct.unpack(">I4s", head)
        if length > LARGEST:
            file.seek(length + 4, io.SEEK_CUR)
            continue
        data, checksum = file.read(length), file.read(4)
        if zlib.crc32(data, zlib.crc32(name)) == int.from_bytes(checksum, "big"):
            yield name, data


def pare_png(file: BinaryIO) -> bytes:
    """The PNG without what it says of its pixels."""
    file.seek(0)
    pared, place = file.read(SIGNATURE), SIGNATURE
    for _ in range(1 << 20):
        head = file.read(8)
        if len(head) < 8:
            break
        length, name = struct.unpack(">I4s", head)
        place += 12 + length
        if name in (b"IHDR", b"IDAT"):
            pared += head + file.read(length + 4)
        file.seek(place)
    return pared + struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))


def read_png(file: BinaryIO, header: bytes, key: bytes) -> Samples:
    """All samples of a PNG of 16 bits, [h, w, 3 or 4]; those of the one transparent colour, if any, are.

    header, key: the content of IHDR and tRNS. Raises ValueError where they cannot be decoded.
    """
    samples = read_samples(io.BytesIO(pare_png(file)))
    samples = np.dstack([samples] * 3) if samples.ndim == 2 else samples
    kind = header[9]
    if kind not in (GREY, COLOUR) or len(key) < (2 if kind == GREY else 6):
        return samples
    colour: Keys = np.frombuffer(key[: 2 if kind == GREY else 6], ">u2").astype(np.uint16)
    opaque = (samples != colour).any(-1)
    return np.dstack([samples, opaque * np.uint16(65535)])


def read_avif(file: BinaryIO) -> Samples:
    """All samples of an AVIF in its own depth, as it is stored: [h, w, 3 or 4]. Raises ValueError where OpenCV cannot."""
    samples = read_samples(file)
    return np.dstack([samples] * 3) if samples.ndim == 2 else samples
