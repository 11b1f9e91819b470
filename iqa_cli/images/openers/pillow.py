"""What Pillow opens. `Image.open` is passed by: it hides what its plugins have to say about a broken file."""

from __future__ import annotations

import ctypes
import io
import logging
import re
import warnings
from contextlib import suppress
from functools import cache
from typing import BinaryIO

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PsdImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    _imaging,
)

from iqa_cli.images.containers.jpeg2000 import find_profile
from iqa_cli.records import Status, Undecodable

PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,  # MPO, the telephones' several pictures in one, begins with a whole JPEG
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
VERSION_INFO, ENTRY = 1057, 16  # a resource of a PSD; bytes of an entry of an ICO's directory


def prepare_decoders() -> None:
    """Make Pillow quiet and leave the limits to `decode`. All of it is process-wide: decoding runs in many threads,
    and `warnings.catch_warnings` is not safe there.
    """
    set_up_pillow()
    pillow = re.compile(r"PIL\.")  # a broken EXIF block is nobody's concern, least of all under "warnings as errors"
    if not any(module == pillow for *_, module, _line in warnings.filters):  # whoever restored the filters took it away
        warnings.filterwarnings("ignore", module=pillow.pattern)


@cache
def set_up_pillow() -> None:
    """What has to be said once a process, at the first decode because importing does nothing."""
    Image.MAX_IMAGE_PIXELS = None  # max_pixels stands in its place, and is checked before anything is decoded
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # as fast for one picture, and a limit of threads would make it fail
    TiffImagePlugin.READ_LIBTIFF = True  # Pillow's own reader garbles separate planes of 16 bits
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # without any handler, its errors go to stderr
    with suppress(OSError, AttributeError):  # where libtiff is linked into Pillow, its complaints stay on stderr
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


def open_jpeg2000(file: BinaryIO) -> ImageFile.ImageFile:
    """A JPEG 2000 with its ICC profile, of which Pillow says nothing. Raises whatever the decoder raises."""
    profile = find_profile(file)
    file.seek(0)
    picture = Jpeg2KImagePlugin.Jpeg2KImageFile(file)
    if profile:
        picture.info["icc_profile"] = profile
    return picture


def open_psd(file: BinaryIO) -> ImageFile.ImageFile:
    """The flat picture of a PSD, as it was on white. Raises Undecodable where there is none, or none that is decoded here."""
    head = file.read(26)
    version, bits, mode = (int.from_bytes(head[at : at + 2], "big") for at in (4, 22, 24))
    if version == 2:
        raise Undecodable(Status.UNSUPPORTED, "PSB, Photoshop's format for large pictures: not decoded here")
    if (mode, bits) not in PsdImagePlugin.MODES:
        raise Undecodable(Status.UNSUPPORTED, f"PSD of {bits} bits in mode {mode}: not decoded here")
    file.seek(0)
    picture = PsdImagePlugin.PsdImageFile(file)
    told = next((data for number, _, data in picture.resources if number == VERSION_INFO), b"")
    if told[4:5] == b"\0":
        raise Undecodable(Status.UNSUPPORTED, 'PSD without its flat picture: save it with "maximize compatibility"')
    if picture.mode == "RGBA":  # the fourth channel is transparency, of what already lies on white, or any other mask
        picture = PsdImagePlugin.PsdImageFile(drop_channels(file, 3))
    return picture


def drop_channels(file: BinaryIO, channels: int) -> io.BytesIO:
    """A PSD of which only the first channels count: they lie one behind another."""
    file.seek(0)
    data = bytearray(file.read())
    data[12:14] = channels.to_bytes(2, "big")
    return io.BytesIO(data)


def open_ico(file: BinaryIO) -> ImageFile.ImageFile:
    """The largest picture of an ICO; one that is a PNG is opened as such, by its own header. Raises what decoders raise."""
    head = file.read(6)
    count = int.from_bytes(head[4:6], "little")
    directory = file.read(ENTRY * count)
    entries = [directory[at : at + ENTRY] for at in range(0, len(directory), ENTRY)]
    sides = [(entry[0] or 256) * (entry[1] or 256) for entry in entries]
    largest = entries[sides.index(max(sides))]
    size, start = (int.from_bytes(largest[at : at + 4], "little") for at in (8, 12))
    file.seek(start)
    data = file.read(size)
    if data.startswith(b"\x89PNG"):
        return PngImagePlugin.PngImageFile(io.BytesIO(data))
    file.seek(0)
    return IcoImagePlugin.IcoImageFile(file)
