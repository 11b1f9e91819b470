"""Find image files: in folders, by what they are; in lists of paths. No picture is decoded."""
# Paths stay the strings that the user gave: pathlib would drop "./" and turn "" into ".".
# ruff: noqa: PTH110, PTH112, PTH114, PTH116, PTH122, PTH123, PTH207

from __future__ import annotations

import errno
import glob
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import BinaryIO

from iqa_cli.images.formats import DECODED, HEAD, RAW, identify_kind, kind_of_suffix

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def iterate_paths(paths: AnyPath | Iterable[AnyPath]) -> Iterator[str]:
    """The paths of a Python program, lazily, as strings: one path, or any number of them.

    A string is one path, never a path a character.
    """
    for path in (paths,) if isinstance(paths, str | bytes | os.PathLike) else paths:
        yield os.fsdecode(path)


UNFINISHED = re.compile(r"\..+\.\d+\.part")  # an output that is being written, as files.atomic names it
SYSTEM_FOLDER = re.compile(
    r"@eaDir|#recycle|#snapshot|@Recycle|@Recently-Snapshot|\$RECYCLE\.BIN|System Volume Information|lost\+found"
    r"|__MACOSX|.+\.(photoslibrary|photolibrary|aplibrary|lrdata)",
    re.IGNORECASE,
)
"""What NAS boxes, systems and photo programs keep in folders of their own: thumbnails, and what was thrown away."""
SYSTEM_FOLDERS = "system folder"
UNREAD_FOLDER, UNREAD_FILE = "folder that cannot be read", "file that cannot be read"
UNSEEN = (UNREAD_FOLDER, UNREAD_FILE)
"""What may be an image, or hold some, and could not be looked at: kinds of what nobody wanted to be left out."""
BROKEN_LINK = "broken link"
LEADS_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def read_paths(stream: BinaryIO, *, null_separated: bool) -> Iterator[str]:
    """The paths of a list, as they come: one a line (the line end may be CR LF), or each ended by a NUL.

    Empty entries are left out. Bytes that are no UTF-8 become surrogates, with which the file is still found.
    """
    lines = (line.rstrip(b"\n").removesuffix(b"\r") for line in stream)
    return decode_paths(split_at_null(stream) if null_separated else lines)


def decode_paths(entries: Iterable[bytes]) -> Iterator[str]:
    """The entries of a list as paths, without empty ones."""
    for entry in entries:
        if entry:
            yield entry.decode(sys.getfilesystemencoding(), "surrogateescape")


def split_at_null(stream: BinaryIO) -> Iterator[bytes]:
    """The parts of a stream between NULs, each as soon as it has arrived."""
    read = getattr(stream, "read1", stream.read)  # read() would wait for a full block of a slow pipe
    rest = b""
    while block := read(1 << 16):
        *whole, rest = (rest + block).split(b"\0")
        yield from whole
    yield rest


@dataclass(frozen=True)
class NameFilter:
    """What counts in folders. Patterns are those of a shell, matched with names and with paths below the named folder.

    include: of files, any of these; none: all. exclude: of files and folders, none of these. max_depth: how many levels of the
    named folder count; None: all. follow: whether links in folders are followed, or left out.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_depth: int | None = None
    follow: bool = True

    def excludes(self, name: str, below: str, *, folder: bool) -> bool:
        """Whether a file or a folder with that name and path does not count."""
        if matches(self.exclude, name, below):
            return True
        return not folder and bool(self.include) and not matches(self.include, name, below)


def matches(patterns: Iterable[str], *names: str) -> bool:
    """Whether any of the names matches any of the patterns, case counting."""
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


EVERYTHING = NameFilter()


def find_images(paths: Iterable[str], left_out: Counter[str], names: NameFilter = EVERYTHING) -> Iterator[str]:
    """The files to score, lazily, in a fixed order: files as named, folders as `walk_folder` walks them.

    A named file always comes out, be it missing or no image: whoever named it wants to hear of it. A path that is named
    twice comes out twice. What a folder holds besides images is counted in `left_out`: kind in words -> how many.
    """
    for path in paths:
        if os.path.isdir(path):
            yield from walk_folder(path, left_out, names)
        else:
            yield path


def is_pattern(path: str) -> bool:
    """Whether a path is a pattern rather than a name. Brackets make none: they are common in the names of photos."""
    return re.search(r"[*?]", path) is not None and not os.path.lexists(path)


def expand_pattern(path: str) -> list[str]:
    """What a pattern matches that no shell has expanded, sorted; the path itself where it is none, or matches nothing."""
    if not is_pattern(path):
        return [path]
    return sorted(glob.glob(path, recursive=True), key=os.fsencode) or [path]


def walk_folder(top: str, left_out: Counter[str], names: NameFilter = EVERYTHING) -> Iterator[str]:
    """The images below a folder: in each folder its files first, then its folders, both by the bytes of their names.

    Links are followed, but no folder is walked twice. Only one folder's names are held at a time.
    """
    seen: set[tuple[int, int]] = set()
    pending = [top]  # a stack, not recursion: folders may be nested deeper than Python's calls
    while pending:
        folder = pending.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                by_link = os.path.islink(folder)
                left_out["link to a folder already seen" if by_link else "folder already seen through a link"] += 1
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
        except OSError:
            left_out[UNREAD_FOLDER] += 1
            continue
        folders = []
        for entry in entries:
            if UNFINISHED.fullmatch(entry.name):  # of this very run, as often as not
                continue
            below = os.path.relpath(entry.path, top)
            kind = classify_entry(entry, below, names)
            if kind == "folder" and names.max_depth is not None and below.count(os.sep) + 1 >= names.max_depth:
                kind = "deeper folder"
            if kind == "image":
                yield entry.path
            elif kind == "folder":
                folders.append(entry.path)
            else:
                left_out[kind] += 1
        pending.extend(reversed(folders))


def classify_entry(entry: os.DirEntry[str], below: str, names: NameFilter) -> str:
    """The kind of a folder's entry: "image", "folder", or in words why it is left out.

    below: its path from the folder that was named.
    """
    if entry.name.startswith("."):
        return "hidden"
    if not names.follow and entry.is_symlink():
        return "link"
    try:
        folder = entry.is_dir()
        if folder and SYSTEM_FOLDER.fullmatch(entry.name):
            return SYSTEM_FOLDERS
        if names.excludes(entry.name, below, folder=folder):
            return "excluded folder" if folder else "excluded"
        if folder:
            return "folder"
        if not entry.is_file():
            return "not a regular file" if os.path.exists(entry.path) else BROKEN_LINK
    except OSError as error:  # links in a circle, or to what nobody may see
        if names.excludes(entry.name, below, folder=False):
            return "excluded"
        return BROKEN_LINK if error.errno in LEADS_NOWHERE else UNREAD_FILE
    return classify_file(entry.path)


def classify_file(path: str) -> str:
    """The kind of a regular file: "image", or in words what else it is."""
    return classify_content(path, lambda: peek(path))


def classify_content(name: str, read: Callable[[], bytes | None]) -> str:
    """The kind of a file by its name and, where that leaves it open, its first bytes: "image", or in words what else it is.

    read: gives those; None where they cannot be read.
    """
    suffix = os.path.splitext(name)[1].lower()
    if kind_of_suffix(suffix) in ("image", RAW):
        return "image"
    head = read()
    if head is None:
        return UNREAD_FILE
    kind = identify_kind(head, suffix)
    if kind in DECODED:
        return "image"
    if kind.endswith(" image"):
        return kind
    return f"*{suffix}" if re.fullmatch(r"\.\w{1,10}", suffix) else "no suffix"


def peek(path: str) -> bytes | None:
    """The first bytes of a regular file; none where it is gone, None where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(HEAD)
    except FileNotFoundError:
        return b""
    except OSError:
        return None


def read_head(path: str) -> bytes:
    """The first bytes of a regular file; none where it cannot be read."""
    return peek(path) or b""
