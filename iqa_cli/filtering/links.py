"""A folder of links to the images that stay, in the folders that they are in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from iqa_cli.errors import DataError, UsageError
from iqa_cli.remote.names import is_url, split_member


def check_empty(folder: Path, option: str) -> None:
    """Raises UsageError where a folder to be filled holds something, is none, or cannot be replaced."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{option} {folder}: not an empty folder: name another one, which need not be there")
        if folder.exists() and (folder.samefile(os.curdir) or os.path.ismount(folder)):
            what = "the working folder" if folder.samefile(os.curdir) else "where a disk is mounted"
            raise UsageError(f"{option} {folder}: this is {what}, whose place no new folder can take: name one in it")
    except OSError as error:
        raise DataError(f"{option} {folder}: cannot be read: {error.strerror}") from error


def find_top(paths: Iterable[str]) -> str:
    """The folder that holds all of the images, absolute; the root for none."""
    top: str | None = None
    for path in paths:
        folder = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120
        top = folder if top is None else os.path.commonpath([top, folder])
    return top or os.sep


def link(path: str, top: str, aside: Path, folder: Path) -> None:
    """A link to an image that is below `top`, in what is going to be another folder. Raises DataError."""
    if is_url(path) or split_member(path) is not None:
        raise DataError(f"--links: {path}: only to files here can be linked: write --shards DIR or --list FILE")
    target = os.path.abspath(path)  # noqa: PTH100
    if not os.path.lexists(target):
        raise DataError(f"--links: {path}: no such file: run this where the images were scored")
    inside = os.path.relpath(target, top)
    place = aside / inside
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not (place.is_symlink() and os.readlink(place) == target):  # noqa: PTH115  # an image may be listed twice
            place.symlink_to(target)
    except OSError as error:
        raise DataError(f"--links: {folder / inside}: cannot be written: {error.strerror}") from error
