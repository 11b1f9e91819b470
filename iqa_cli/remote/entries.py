"""Entries: images, and archives of them, that were found and not opened, so that another process may read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iqa_cli.records import Undecodable

VERSIONS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated")
"""What listings call that which changes with a file: S3, GCS, Azure, local files."""


@dataclass(frozen=True)
class Entry:
    """What was found. It can be pickled.

    name: what records call it. root: the URL of the store that it is in, "" for a file here; path: its path there.
    size: bytes, None where that is not known; version: what changes with its content, "" where that is not known.
    archive: it is a folder of what is in it; wanted: of that the path, or a pattern of paths; None: all images.
    failure: why it cannot be read at all.
    """

    name: str
    root: str = ""
    path: str = ""
    size: int | None = None
    version: str = ""
    archive: bool = False
    wanted: str | None = None
    failure: Undecodable | None = None


def find_version(facts: Mapping[str, Any]) -> str:
    """What a listing says of an object that changes with its content; "" for nothing."""
    return next((str(facts[name]) for name in VERSIONS if facts.get(name)), "")
