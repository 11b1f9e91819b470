"""Members: files that are in something other than a folder, and which of them are images to be scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iqa_cli.images.find import SYSTEM_FOLDER, SYSTEM_FOLDERS, NameFilter, classify_content

FILE, FOLDER = "file", "folder"


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    name: its path there; kind: FILE, FOLDER, or in words what else; size: bytes; place: what tells it from others of that name.
    read: all of its bytes, raises Undecodable; read_head: the first ones, none where they cannot be read.
    passing: both must be called before the next member is drawn, the head first.
    """

    name: str
    kind: str
    size: int
    place: str
    read: Callable[[], bytes]
    read_head: Callable[[], bytes]
    passing: bool = False


def classify_member(member: Member, names: NameFilter) -> str:
    """The kind of a file in an archive, as `images.find.classify_entry` says it."""
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if member.kind == FOLDER or not parts:
        return FOLDER
    if any(part.startswith(".") for part in parts):
        return "hidden"
    if any(map(SYSTEM_FOLDER.fullmatch, parts[:-1])):
        return SYSTEM_FOLDERS
    for depth in range(1, len(parts)):
        if names.excludes(parts[depth - 1], "/".join(parts[:depth]), folder=True):
            return "in an excluded folder"
    if names.excludes(parts[-1], "/".join(parts), folder=False):
        return "excluded"
    if names.max_depth is not None and len(parts) > names.max_depth:
        return "deeper file"
    return member.kind if member.kind != FILE else classify_content(parts[-1], member.read_head)
