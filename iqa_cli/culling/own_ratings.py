"""A person's own ratings of a photo: in its sidecars, in the packets in it, in its EXIF."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from iqa_cli.culling.companions import FolderNames
from iqa_cli.culling.ratings import holds_own
from iqa_cli.culling.sidecar_names import find_sidecars
from iqa_cli.culling.sidecar_undo import read_bytes
from iqa_cli.culling.xmp import Packet, find_packets
from iqa_cli.culling.xmp_text import Unpatchable
from iqa_cli.images.capture import parse_number
from iqa_cli.images.containers import png_metadata
from iqa_cli.images.decode import open_file
from iqa_cli.images.exif import read_exif
from iqa_cli.images.formats import HEAD, identify_kind
from iqa_cli.records import Undecodable

LARGEST = 64 << 20  # bytes of a sidecar that is read
RATINGS = (0x4746, 0x4749)  # tags of EXIF that hold one, in stars and in percent; 0 is none


def is_rated(photo: Path, besides: Path, folders: FolderNames) -> bool:
    """Whether a person has rated a photo in another sidecar than the one, or in the picture itself. Raises OSError.

    One that may be about several pictures, as IMG.xmp beside IMG.png and IMG.webp, counts for each.
    """
    shared = (photo.with_name(name) for name in folders.find(photo.parent).list_shared(photo.name) if is_sidecar(name))
    there = {*find_sidecars(photo, folders).values(), *shared}
    return any(reads_own(sidecar) for sidecar in there if sidecar.resolve() != besides) or embeds_own(photo)


def is_sidecar(name: str) -> bool:
    """Whether a file of this name holds XMP."""
    return name.lower().endswith(".xmp")


def reads_own(sidecar: Path) -> bool:
    """Whether a sidecar holds a person's rating; not so where it cannot be read, which is told where it is to be written."""
    try:
        return says_own(read_sidecar(sidecar), strict=False)
    except (OSError, Unpatchable):
        return False


def says_own(data: bytes | None, *, strict: bool = True) -> bool:
    """Whether a packet holds a person's rating. strict: raises Unpatchable for what cannot be read."""
    try:
        return data is not None and holds_own(Packet(data))
    except Unpatchable:
        if strict:
            raise
        return False


def read_sidecar(sidecar: Path) -> bytes | None:
    """What a sidecar holds; None for no file. Raises OSError and Unpatchable."""
    if sidecar.exists() and not sidecar.is_file():
        raise Unpatchable("it is no regular file")
    if sidecar.exists() and sidecar.stat().st_size > LARGEST:
        raise Unpatchable(f"more than {LARGEST >> 20} MB, which is no sidecar")
    data = read_bytes(sidecar)
    if data is not None and not data.strip(b"\0 \t\r\n"):
        raise Unpatchable("it is empty")
    return data


def embeds_own(photo: Path) -> bool:
    """Whether a picture itself holds a person's rating, in a packet or in its EXIF; not so where it cannot be read."""
    with suppress(OSError, Undecodable):
        return any(says_own(packet, strict=False) for packet in list_packets(photo)) or any(map(is_rating, read_ratings(photo)))
    return False


def list_packets(photo: Path) -> Iterator[bytes]:
    """The packets in a picture, also those that a PNG has packed. Raises OSError and Undecodable."""
    with open_file(str(photo)) as file:
        kind = identify_kind(file.read(HEAD), "")
        file.seek(0)
        yield from find_packets(file)
        if kind == "PNG":
            for packed in png_metadata.list_packets(file):
                yield from find_packets(io.BytesIO(packed))


def read_ratings(photo: Path) -> list[object]:
    """The ratings that the EXIF of a picture holds; none where it cannot be read."""
    with suppress(Exception):  # EXIF is foreign bytes
        picture, _ = read_exif(str(photo))
        return [picture.get(tag) for tag in RATINGS]
    return []


def is_rating(value: object) -> bool:
    """Whether the value of a tag is a number of stars, or percent, but none for no rating."""
    return bool(parse_number(value, signed=True))
