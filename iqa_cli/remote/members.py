"""Members: files that are in something other than a folder, and which of them are images to be scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from iqa_cli.images.find import SYSTEM_FOLDER, SYSTEM_FOLDERS, NameFilter, classify_content
from iqa_cli.records import Status, Undecodable

FILE, FOLDER = "file", "folder"
MAX_BYTES = 1 << 30  # of a file that is no local one: it is held in memory


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    name: its path there, as it is written; plain: the same with slashes, where it is written otherwise.
    kind: FILE, FOLDER, or in words what else; size: bytes; place: what tells it from others of that name.
    read: all of its bytes, raises Undecodable; read_head: the first ones, None where they cannot be read.
    passing: both must be called before the next member is drawn, the head first.
    """

    name: str
    kind: str
    size: int
    place: str
    read: Callable[[], bytes]
    read_head: Callable[[], bytes | None]
    passing: bool = False
    plain: str = ""


def list_parts(name: str) -> list[str]:
    """The folders and the file of a name in an archive; `..` leads out of a folder, at most to the top of the archive.

    >>> list_parts("./a//b/../c.jpg"), list_parts("../photos/c.jpg")
    (['a', 'c.jpg'], ['photos', 'c.jpg'])
    """
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def classify_member(member: Member, names: NameFilter) -> str:
    """The kind of a file in an archive or a store, as `images.find.classify_entry` says it: "image", FOLDER, or in words."""
    parts = list_parts(member.plain or member.name)
    if not parts:
        return FOLDER
    if any(part.startswith(".") for part in parts):
        return "hidden"
    folders = parts if member.kind == FOLDER else parts[:-1]
    if any(map(SYSTEM_FOLDER.fullmatch, folders)):
        return SYSTEM_FOLDERS
    if any(names.excludes(parts[depth], "/".join(parts[: depth + 1]), folder=True) for depth in range(len(folders))):
        return "excluded folder" if member.kind == FOLDER else "in an excluded folder"
    if member.kind == FOLDER:
        return FOLDER if names.max_depth is None or len(parts) < names.max_depth else "deeper folder"
    if names.excludes(parts[-1], "/".join(parts), folder=False):
        return "excluded"
    if names.max_depth is not None and len(parts) > names.max_depth:
        return "deeper file"
    return member.kind if member.kind != FILE else classify_content(parts[-1], member.read_head)


def is_image(kind: str, left_out: Counter[str]) -> bool:
    """Whether a file of this kind is to be scored; counts what is not."""
    if kind != "image":
        left_out[kind] += 1
    return kind == "image"


def refuse_large(size: int | None) -> None:
    """Raises Undecodable for more bytes than are held in memory; None: as many as nobody knows."""
    if size is not None and size > MAX_BYTES:
        raise Undecodable(Status.TOO_LARGE, f"{size:,} bytes: at most {MAX_BYTES:,} are read into memory")
