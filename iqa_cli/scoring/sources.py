"""Sources: where a picture comes from (a path, a file in memory, pixels), and how whatever a program gives becomes one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from iqa_cli.errors import InputError
from iqa_cli.images.crops import Rgb
from iqa_cli.images.in_memory import Channels, is_picture, read_array, read_picture
from iqa_cli.records import Status, Undecodable
from iqa_cli.scoring.cache import FileState, read_state

if TYPE_CHECKING:
    from iqa_cli.images.in_memory import ImageInput, Picture


@dataclass(frozen=True)
class FileBytes:
    """A file in memory. name: what its record calls it; its suffix tells RAW from TIFF, as that of a file does."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Pixels:
    """A picture that was decoded elsewhere: uint8 [H, W, 3], upright sRGB. name: what its record calls it."""

    name: str
    rgb: Rgb = field(repr=False)


@dataclass(frozen=True)
class Unreadable:
    """What could not even be read. name: what its record calls it; failure: why."""

    name: str
    failure: Undecodable


@dataclass(frozen=True)
class LazyFile:
    """A file that is read when its turn comes, as one in an archive.

    name: what its record calls it; read: gives its bytes, raises Undecodable. container: the local file that it is part of, in
    this state, and place: where in it, by which the cache knows it; without a state it knows nothing of it.
    """

    name: str
    read: Callable[[], bytes] = field(repr=False)
    container: str = ""
    state: FileState | None = None
    place: str = ""

    def fetch(self) -> FileBytes | Unreadable:
        """The file in memory, or why it cannot be."""
        try:
            return FileBytes(self.name, self.read())
        except Undecodable as failure:
            return Unreadable(self.name, failure)


Source = str | FileBytes | LazyFile | Pixels | Unreadable
"""A string is a path."""


def name_source(source: Source) -> str:
    """What the record of a source calls it: its path, where it has one."""
    return source if isinstance(source, str) else source.name


def find_state(source: Source) -> FileState | None:
    """The state of what the cache knows a source by: its file, or the archive that it is in; None where it knows nothing."""
    if isinstance(source, LazyFile):
        return source.state
    return read_state(source) if isinstance(source, str) else None


def locate_source(source: Source) -> tuple[str, str]:
    """The file, and the place in it, by which the cache knows a source."""
    return (source.container, source.place) if isinstance(source, LazyFile) else (name_source(source), "")


# ---- what programs give ----


def read_image(image: ImageInput, name: str | None = None, channels: Channels = "rgb") -> Source:
    """What a program gives, as a source that does not change any more. Raises InputError."""
    if isinstance(image, str | os.PathLike):
        return read_path(image, name)
    if isinstance(image, bytes | bytearray | memoryview):
        return FileBytes(name or "<bytes>", bytes(image))
    if isinstance(image, np.ndarray):
        return Pixels(name or "<array>", read_array(image, channels))
    if hasattr(image, "read"):
        return read_file(cast("BinaryIO", image), name)
    if is_picture(image):
        return read_pillow(image, name or "<image>")
    kinds = "a path, bytes, a binary file, a Pillow image or an array of uint8"
    raise InputError(f"{type(image).__module__}.{type(image).__qualname__} is no image: give {kinds}")


def read_path(image: str | os.PathLike[str], name: str | None) -> Source:
    """A path. Raises InputError for another name, which a path has already."""
    if name is not None:
        raise InputError("a name is for what has no path")
    return os.fsdecode(image)


def read_file(file: BinaryIO, name: str | None) -> Source:
    """All of a file object. Raises InputError where it gives text."""
    own = getattr(file, "name", None)
    name = name or (own if isinstance(own, str) and own else "<file>")
    try:
        if getattr(file, "seekable", lambda: False)():
            file.seek(0)
        data = file.read()
    except UnicodeError as error:
        raise InputError(f'{name}: a file object that gives text: open it in binary mode, "rb"') from error
    except (OSError, ValueError) as error:  # of a file that is closed
        return Unreadable(name, Undecodable(Status.DENIED, f"cannot be read: {getattr(error, 'strerror', None) or error}"))
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InputError(f'{name}: a file object that gives {type(data).__name__}: open it in binary mode, "rb"')
    return FileBytes(name, bytes(data))


def read_pillow(picture: Picture, name: str) -> Source:
    """A Pillow image. Raises InputError."""
    try:
        read = read_picture(picture)
    except Undecodable as failure:
        return Unreadable(name, failure)
    return FileBytes(name, read) if isinstance(read, bytes) else Pixels(name, read)
