"""JPEG 2000: how deep its samples are, and those of more than 8 bits, of which Pillow turns the brightest into black."""

from __future__ import annotations

from typing import BinaryIO

from iqa_cli.images.colors.convert import Samples
from iqa_cli.images.containers.heif import list_top, read_boxes, read_number, read_top
from iqa_cli.images.containers.tiff import read_samples
from iqa_cli.records import Status, Undecodable

SIZES = b"\xff\x4f\xff\x51"  # the beginning of coded pixels, and of what says their size
COMPONENTS = 40  # bytes from there to the number of channels, of 3 bytes each
GIVEN_PROFILE, ENUMERATED = 2, 1  # methods of a file's colours: an ICC profile, or a number
SYCC = 18  # the number of luma and chroma, which OpenCV converts by another standard


def find_profile(file: BinaryIO) -> bytes | None:
    """The ICC profile of a JPEG 2000, of which Pillow says nothing."""
    colors = [data for data in list_colors(file) if data[:1] == bytes([GIVEN_PROFILE])]
    return colors[0][3:] if colors else None


def list_colors(file: BinaryIO) -> list[bytes]:
    """What a JPEG 2000 says of its colours: the contents of its `colr` boxes."""
    return [data for name, data in read_boxes(dict(read_top(file)).get(b"jp2h", b"")) if name == b"colr"]


def list_channels(file: BinaryIO) -> list[bytes]:
    """Of each channel three bytes: bits less 1, the highest bit where there is a sign, and its pixels' width and height."""
    file.seek(next((start for name, start, _ in list_top(file) if name == b"jp2c"), 0))
    head = file.read(COMPONENTS + 2)
    if not head.startswith(SIZES):
        return []
    channels = file.read(3 * read_number(head, COMPONENTS, 2))
    return [channels[at : at + 3] for at in range(0, len(channels) - 2, 3)]


def is_deep(file: BinaryIO) -> bool:
    """Whether samples have more than 8 bits."""
    return any(channel[0] & 0x7F > 7 for channel in list_channels(file))


def read_deep(file: BinaryIO, count: int) -> tuple[Samples, int]:
    """All samples in their own depth, [h, w, 3 or 4], or [h, w] where the count of channels is 1, and how many bits that is.

    Raises Undecodable for what OpenCV does not decode, or not as it is meant.
    """
    (channel, *others) = {*list_channels(file)}
    bits = channel[0] + 1
    plain = not others and bits <= 16 and channel[1:] == b"\1\1"
    if plain and not any(data[0] == ENUMERATED and read_number(data, 3, 4) == SYCC for data in list_colors(file)):
        try:
            samples = read_samples(file)
        except ValueError:
            pass
        else:
            if count == (1 if samples.ndim == 2 else samples.shape[2]):
                return samples, bits
    raise Undecodable(Status.UNSUPPORTED, "JPEG 2000 of more than 8 bits with channels that are not decoded here")
