"""What a PNG says besides its pixels, which are passed over: EXIF and texts, wherever they stand, packed or not."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import BinaryIO

from iqa_cli.images.containers.png import SIGNATURE

CHUNKS = 100_000  # more of them are nobody's photo
LARGEST = 16 << 20  # bytes of a chunk, and of all that is unpacked of a file
EXIF, TEXTS = b"eXIf", (b"iTXt", b"zTXt", b"tEXt")
PROFILE = b"Raw profile type "  # keyword of a text in which ImageMagick writes bytes in hexadecimal
EXIF_TEXTS, XMP_TEXTS = (PROFILE + b"exif", PROFILE + b"APP1"), (PROFILE + b"xmp", b"XML:com.adobe.xmp")


def find_exif(file: BinaryIO) -> io.BytesIO | None:
    """The EXIF of a PNG as a file, from its TIFF on; None without any. Raises OSError."""
    data = next(list_contents(file, EXIF_TEXTS, EXIF), None)
    return None if data is None else io.BytesIO(data.removeprefix(b"Exif\0\0"))


def list_packets(file: BinaryIO) -> Iterator[bytes]:
    """The XMP packets of a PNG, as they were before they were packed. Raises OSError."""
    return list_contents(file, XMP_TEXTS)


def list_contents(file: BinaryIO, keywords: Collection[bytes], name: bytes = b"") -> Iterator[bytes]:
    """What the texts of those keywords hold, and the chunks of that name; nothing of broken ones."""
    left = LARGEST
    for found, data in list_chunks(file, (*TEXTS, name)):
        keyword = data.split(b"\0", 1)[0]
        if found != name and keyword not in keywords:
            continue
        content = data if found == name else unpack_text(found, data, left)
        left -= len(content)
        if left <= 0:
            return
        if found != name and keyword.startswith(PROFILE):
            content = read_profile(content)
        if content:
            yield content


def list_chunks(file: BinaryIO, names: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of those names, unless they are longer than any photo's: name, content."""
    place = SIGNATURE
    for _ in range(CHUNKS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        length, name = struct.unpack(">I4s", head)
        if name in names and length <= LARGEST:
            yield name, file.read(length)
        place += 12 + length


def unpack_text(name: bytes, chunk: bytes, most: int) -> bytes:
    """What a text holds, at most so many bytes; nothing of a broken one."""
    _, _, rest = chunk.partition(b"\0")
    packed, content = name == b"zTXt", rest[1:] if name == b"zTXt" else rest
    if name == b"iTXt":
        packed, content = rest[:1] == b"\1", [*rest[2:].split(b"\0", 2), b"", b""][2]
    if packed:
        with suppress(zlib.error):
            return zlib.decompressobj().decompress(content, most)
        return b""
    return content


def read_profile(text: bytes) -> bytes:
    """The bytes that a text spells: an empty line, their kind, their number, then they; nothing of a broken one."""
    with suppress(ValueError):
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("latin-1"))
    return b""
