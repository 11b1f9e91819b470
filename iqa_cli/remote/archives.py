"""Archives: the files in tar and zip archives, one after the other, in the archive's order, none of them written anywhere.

Of an archive that is cut short, or damaged further on, the files before that come out, and then Undecodable is raised.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO

from iqa_cli.images.formats import HEAD
from iqa_cli.records import Status, Undecodable
from iqa_cli.remote.links import HardLinks, is_plain, make_passed
from iqa_cli.remote.members import FILE, FOLDER, Member, refuse_large

CUT = "the archive is cut short"
PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")  # how gzip, bzip2 and xz begin
ZIPPED = (b"PK\3\4", b"PK\5\6")
UNKNOWN = {b"\x28\xb5\x2f\xfd": "Zstandard", b"7z\xbc\xaf\x27\x1c": "7-Zip", b"Rar!": "RAR"}
BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
    ValueError,
)
"""What reading archives raises, besides OSError. RuntimeError: zipfile's, for a password."""


class HeldFile:
    """An open file for several threads, closed with the last of those that hold it. Raises OSError."""

    def __init__(self, path: str) -> None:
        self.number = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self.number).st_size

    def read(self, start: int, size: int) -> bytes:
        """The bytes there; fewer at the end of the file."""
        parts = []
        while size > 0 and (part := os.pread(self.number, size, start)):
            parts.append(part)
            start, size = start + len(part), size - len(part)
        return b"".join(parts)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


def list_members(path: str) -> Iterator[Member]:
    """The files in a local archive. Raises Undecodable: at once for what is none, later where it is damaged."""
    with naming_failures():
        held = HeldFile(path)
        head = held.read(0, HEAD)
        with open(os.dup(held.number), "rb") as stream:  # noqa: PTH123
            if head.startswith(ZIPPED) or is_late_zip(path, held):
                yield from list_zip(zipfile.ZipFile(path))
            elif head.startswith(PACKED):
                yield from list_passing(stream)
            else:
                refuse_unknown(head)
                yield from list_tar(stream, held)


def is_late_zip(path: str, held: HeldFile) -> bool:
    """Whether a file is a zip behind something else, as one that unpacks itself is; a tar may end with a zip as well."""
    try:
        tarfile.TarInfo.frombuf(held.read(0, tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return zipfile.is_zipfile(path)
    return False


@contextmanager
def naming_failures() -> Iterator[None]:
    """What goes wrong with an archive in the block, as Undecodable."""
    try:
        yield
    except FileNotFoundError:
        raise Undecodable(Status.MISSING, "no such file") from None
    except NotImplementedError as error:
        raise Undecodable(Status.UNSUPPORTED, f"the archive is of a kind that is not read: {error}") from error
    except BROKEN as error:
        if isinstance(error, EOFError) or "end of data" in str(error):
            raise Undecodable(Status.DAMAGED, CUT) from error
        raise Undecodable(Status.DAMAGED, f"the archive cannot be read: {str(error) or type(error).__name__}") from error
    except OSError as error:
        raise Undecodable(Status.DENIED, f"cannot be read: {error.strerror or error}") from error


def refuse_unknown(head: bytes) -> None:
    """Raises Undecodable for archives of kinds that are not read here, by their first bytes."""
    for magic, name in UNKNOWN.items():
        if head.startswith(magic):
            raise Undecodable(Status.UNSUPPORTED, f"{name} archives are not read: unpack it, or make it a tar")


# ---- tar ----


class NotingInfo(tarfile.TarInfo):
    """A header that tells its archive why there was no further one, which tarfile itself keeps silent about."""

    @classmethod
    def fromtarfile(cls, archive: Any) -> Any:
        """The next header."""
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            archive.ending = error
            raise


def list_tar(stream: BinaryIO, held: HeldFile) -> Iterator[Member]:
    """The files in a tar that can be read anywhere: only headers are read here, and each file when it is wanted.

    A hard link is the file before it that it leads to.
    """
    links = HardLinks(lambda: draw_again(stream))
    with tarfile.open(fileobj=stream, mode="r:", tarinfo=NotingInfo) as archive:
        for info in draw_headers(archive):
            place = links.follow(info)
            start, size = place or (info.offset_data, 0)

            def read(start: int = start, size: int = size) -> bytes:
                refuse_large(size)
                data = held.read(start, size)
                if len(data) < size:
                    raise Undecodable(Status.DAMAGED, f"{CUT} in this file")
                return data

            def read_head(start: int = start, size: int = size) -> bytes:
                return held.read(start, min(size, HEAD))

            kind = FILE if place and info.islnk() else name_kind(info)
            yield Member(info.name, kind, size, str(start), read, read_head)
            if kind == FILE and start + size > held.size:  # of others the size is not that of what stands here
                return  # which the file itself says


def list_passing(stream: IO[bytes]) -> Iterator[Member]:
    """The files in a tar that is read from its beginning to its end, packed or not."""
    with tarfile.open(fileobj=stream, mode="r|*", tarinfo=NotingInfo) as archive:
        for info in draw_headers(archive):
            if info.islnk():
                yield make_passed(info)
                continue
            passing = PassingFile(archive, info)
            yield Member(
                info.name, name_kind(info), info.size, str(info.offset_data), passing.read, passing.read_head, passing=True
            )
            if passing.failed:
                return


class PassingFile:
    """A file in a stream: its head, and then all of it, each byte of the stream read once."""

    def __init__(self, archive: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        self.archive, self.info = archive, info
        self.file: IO[bytes] | None = None
        self.head = b""
        self.failed = False  # which the file itself says

    def read_head(self) -> bytes:
        """The first bytes. Raises Undecodable where the stream ends."""
        with self._noting_failures():
            self.file = self.archive.extractfile(self.info)
            self.head = self.file.read(HEAD) if self.file else b""
        return self.head

    def read(self) -> bytes:
        """All bytes. Raises Undecodable where the stream ends, and for too many."""
        refuse_large(self.info.size)
        if self.file is None:
            self.read_head()
        with self._noting_failures():
            data = self.head + (self.file.read() if self.file else b"")
            if len(data) < self.info.size:
                raise EOFError
        return data

    @contextmanager
    def _noting_failures(self) -> Iterator[None]:
        try:
            with naming_failures():
                yield
        except Undecodable:
            self.failed = True
            raise


def draw_headers(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The headers of an archive, none of them kept. Raises Undecodable where it does not end as an archive does."""
    archive.ending = None  # type: ignore[attr-defined]
    while (info := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined]  # else it keeps all of them
        yield info
    ending = archive.ending  # type: ignore[attr-defined]
    if isinstance(ending, tarfile.EmptyHeaderError | tarfile.TruncatedHeaderError):  # type: ignore[attr-defined]
        raise Undecodable(Status.DAMAGED, f"{CUT}: it has no end mark")
    if ending is not None and not isinstance(ending, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
        raise Undecodable(Status.DAMAGED, f"the archive is damaged at byte {archive.offset:,}: {ending}")


def draw_again(stream: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """The headers of a tar from its beginning, as far as they go, while it is listed: which seeks before it reads on."""
    stream.seek(0)
    try:
        with tarfile.open(fileobj=stream, mode="r:", tarinfo=NotingInfo) as archive:
            yield from draw_headers(archive)
    except (Undecodable, *BROKEN):  # which the listing itself says
        return


def name_kind(info: tarfile.TarInfo) -> str:
    """The kind of a tar's entry."""
    if info.isdir():
        return FOLDER
    if info.issym() or info.islnk():
        return "link"
    return FILE if is_plain(info) else "not a regular file"


# ---- zip ----


def list_zip(archive: zipfile.ZipFile) -> Iterator[Member]:
    """The files in a zip, which is closed with the last of them."""
    for info in archive.infolist():

        def read(info: zipfile.ZipInfo = info) -> bytes:
            refuse_large(info.file_size)
            return read_zipped(archive, info, info.file_size + 1)

        def read_head(info: zipfile.ZipInfo = info) -> bytes | None:
            try:
                return read_zipped(archive, info, HEAD)
            except Undecodable:
                return None

        plain = info.filename.replace("\\", "/")  # old programs for Windows write the other ones
        kind = FOLDER if plain.endswith("/") else FILE
        yield Member(info.filename, kind, info.file_size, str(info.header_offset), read, read_head, plain=plain)


def read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> bytes:
    """The first bytes of a file in a zip, at most so many. Raises Undecodable."""
    if info.flag_bits & 1:
        raise Undecodable(Status.DENIED, "a password is needed")
    try:
        with archive.open(info) as file:
            return file.read(size)
    except NotImplementedError as error:  # a compression, or encryption, that zipfile does not know
        raise Undecodable(Status.UNSUPPORTED, f"cannot be read from the archive: {error}") from error
    except (*BROKEN, OSError) as error:
        reason = str(error) or type(error).__name__
        raise Undecodable(Status.DAMAGED, f"cannot be read from the archive: {reason}") from error
