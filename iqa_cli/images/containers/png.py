"""PNG: the chunks that say what its pixels mean, samples of 16 bits, of which Pillow keeps but 8, and what can be left out."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Container, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from iqa_cli.images.colors.convert import Samples
from iqa_cli.images.containers.tiff import read_samples
from iqa_cli.records import Status, Undecodable

Keys = npt.NDArray[np.uint16]

SIGNATURE = 8  # bytes
CHUNKS = 10_000  # more of them before the pixels are nobody's photo
LARGEST = 1 << 16  # bytes of a chunk that says something about colours
LARGEST_PROFILE = 16 << 20  # bytes of an unpacked ICC profile; printers' have some
GREY, COLOUR = 0, 2  # types of PNG without alpha or palette
CHANNELS = {GREY: 1, COLOUR: 3, 3: 1, 4: 2, 6: 4}  # type -> samples a pixel
PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
COLOURS = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"iCCP", b"eXIf")
"""Chunks besides those of pixels that change how a picture looks, if they are whole."""
LENGTHS: dict[bytes, Container[int]] = {b"cICP": (4,), b"sRGB": (1,), b"gAMA": (4,), b"cHRM": (32,)}
KEYS: dict[int, Container[int]] = {GREY: (2,), COLOUR: (6,), 3: range(1, 257)}
"""Bytes that chunks have, the latter a tRNS by the type of PNG; viewers pass by those of any other length."""


class Repaired(NamedTuple):
    """A file without broken metadata. profile: the ICC profile of a PNG, if it had to be taken out."""

    file: io.BytesIO
    profile: bytes | None


def list_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes, bool]]:
    """All chunks of a PNG: name, content, and whether its checksum is right; the last one may be cut short."""
    file.seek(SIGNATURE)
    for _ in range(1 << 20):
        head = file.read(8)
        if len(head) < 8:
            return
        length, name = struct.unpack(">I4s", head)
        data = file.read(length)
        yield name, data, file.read(4) == struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def clean_png(file: BinaryIO) -> Repaired:
    """A PNG without ancillary chunks that are broken or that viewers make nothing of; of pixels nothing is left out."""
    file.seek(0)
    kept, profile = [file.read(SIGNATURE)], None
    lengths = dict(LENGTHS)
    for name, data, intact in list_chunks(file):
        if name == b"IHDR" and len(data) > 9:
            lengths[b"tRNS"] = KEYS.get(data[9], ())
        if name == b"iCCP" and intact:
            profile = unpack_profile(data)
        elif intact and name in lengths and len(data) not in lengths[name]:
            continue
        elif name in PIXELS or (name in COLOURS and intact and len(data) <= LARGEST):
            checksum = zlib.crc32(data, zlib.crc32(name)) ^ (0 if intact else 1)
            kept += [struct.pack(">I4s", len(data), name), data, struct.pack(">I", checksum)]
    return Repaired(io.BytesIO(b"".join(kept)), profile)


def unpack_profile(data: bytes) -> bytes | None:
    """The ICC profile of an iCCP chunk; None where there is none, or one of absurd size."""
    _, _, packed = data.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], LARGEST_PROFILE)
    except zlib.error:
        return None
    return profile if unpacker.eof and profile[36:40] == b"acsp" else None


def count_rows(file: BinaryIO) -> float | None:
    """The share of the rows of a PNG that are there; None where that cannot be told, as where rows are interlaced."""
    unpacker, there, size = zlib.decompressobj(), 0, 0
    try:
        for name, data, _ in list_chunks(file):
            if name == b"IHDR":
                width, height, bits, kind, _, _, interlaced = struct.unpack(">IIBBBBB", data)
                size = 0 if interlaced else height * (1 + (width * bits * CHANNELS[kind] + 7) // 8)
            elif name == b"IDAT":
                while data and there <= size:
                    there += len(unpacker.decompress(data, 1 << 20))
                    data = unpacker.unconsumed_tail
    except (zlib.error, struct.error, KeyError):  # broken, which is another thing than missing
        return None
    return min(1.0, there / size) if size else None


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


def strip_metadata(file: BinaryIO) -> bytes:
    """The header and the pixels of a PNG, without any other chunk."""
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

    header, key: the content of IHDR and tRNS. Raises Undecodable where OpenCV, unlike Pillow, cannot.
    """
    try:
        samples = read_samples(io.BytesIO(strip_metadata(file)))
    except ValueError as error:
        raise Undecodable(Status.UNSUPPORTED, "PNG of 16 bits that OpenCV does not decode") from error
    samples = np.dstack([samples] * 3) if samples.ndim == 2 else samples
    kind = header[9]
    if kind not in (GREY, COLOUR) or len(key) < (2 if kind == GREY else 6):
        return samples
    colour: Keys = np.frombuffer(key[: 2 if kind == GREY else 6], ">u2").astype(np.uint16)
    opaque = (samples != colour).any(-1)
    return np.dstack([samples, opaque * np.uint16(65535)])
