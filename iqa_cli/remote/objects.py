"""Objects: what URLs name, as entries. Those that look like images are not asked about before they are read."""

from __future__ import annotations

import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from iqa_cli.images.find import NameFilter
from iqa_cli.images.formats import HEAD, kind_of_suffix
from iqa_cli.records import Status, Undecodable
from iqa_cli.remote.archives import list_passing, list_zip, naming_failures
from iqa_cli.remote.entries import Entry, find_version
from iqa_cli.remote.members import FILE, FOLDER, Member, classify_member, is_image
from iqa_cli.remote.names import is_pattern_of_urls, path_of
from iqa_cli.remote.stores import Store
from iqa_cli.remote.streams import open_ranges, open_stream


def find_objects(store: Store, url: str, path: str, left_out: Counter[str], names: NameFilter) -> Iterator[Entry]:
    """What a URL names that is no archive: an object, those that match a pattern, or the images below a prefix.

    Raises DataError where the store cannot be reached.
    """
    try:
        if is_pattern_of_urls(url):
            yield from find_matching(store, url, path)
        elif is_prefix(store, url, path):
            yield from walk_prefix(store, path, left_out, names)
        else:
            yield Entry(url, store.root, path)
    except Undecodable as failure:
        yield Entry(url, failure=failure)


def find_archives(store: Store, url: str, path: str, wanted: str | None) -> Iterator[Entry]:
    """The archives that a URL names, one or those that match a pattern. wanted: of what is in them. Raises DataError."""
    if not is_pattern_of_urls(url):
        yield Entry(url, store.root, path, archive=True, wanted=wanted)
        return
    try:
        for found in find_matching(store, url, path):
            yield found if found.failure else replace(found, archive=True, wanted=wanted)
    except Undecodable as failure:
        yield Entry(url, failure=failure)


def find_matching(store: Store, url: str, path: str) -> Iterator[Entry]:
    """The objects that match a pattern, by their names. Raises Undecodable and DataError.

    Two stars beside other letters are one, as in patterns of files.
    """
    pattern = "/".join(part if part == "**" else re.sub(r"\*+", "*", part) for part in path.split("/"))
    found = store.call("glob", pattern, detail=True)
    for each in sorted(found):
        yield Entry(name_object(store, each), store.root, each, found[each].get("size"), find_version(found[each]))
    if not found:
        store.check_bucket()
        yield Entry(url, failure=Undecodable(Status.MISSING, "nothing matches this pattern"))


def is_prefix(store: Store, url: str, path: str) -> bool:
    """Whether a URL names something like a folder. Raises Undecodable for nothing at all, DataError."""
    if store.is_web:
        return path_of(url).endswith("/")
    suffix = PurePosixPath(path).suffix.lower()
    if kind_of_suffix(suffix):  # of an image, decoded here or not
        return False
    return bool(store.call("info", path)["type"] == "directory")


def name_object(store: Store, path: str) -> str:
    """The URL of a path in a store."""
    return path if store.is_web else f"{store.scheme}://{path}"


def walk_prefix(store: Store, top: str, left_out: Counter[str], names: NameFilter) -> Iterator[Entry]:
    """The images below a prefix, as `images.find.walk_folder` walks folders. Raises Undecodable and DataError.

    Only the names below one prefix are held at a time, and all prefixes: a page may link back to one.
    """
    top = top.rstrip("/")
    pending, seen = [top], set[str]()
    while pending:
        prefix = pending.pop()
        if prefix in seen:
            continue
        seen.add(prefix)
        folders = []
        for entry in list_prefix(store, prefix):
            path = str(entry["name"]).rstrip("/")
            kind = classify_member(make_member(store, entry, path[len(top) :]), names)
            if kind == FOLDER:
                folders.append(path)
            elif is_image(kind, left_out):
                yield Entry(name_object(store, path), store.root, path, entry.get("size"), find_version(entry))
        pending.extend(reversed(folders))


def list_prefix(store: Store, prefix: str) -> list[dict[str, Any]]:
    """What is directly below a prefix, by names; of web pages, what links to something below. Raises Undecodable, DataError.

    Of a prefix without a name, as in `photos//a.jpg`, which cannot be listed by itself, it is all that is below.
    """
    store.files.invalidate_cache()  # which would hold all names
    entries = store.call("ls", f"{prefix}/" if store.is_web else prefix, detail=True)
    if store.is_web:
        entries = list_links(entries, prefix)
    below = [entry for entry in entries if entry["name"].rstrip("/") != prefix]
    if not store.is_web and any(entry["type"] == "directory" and entry["name"] == f"{prefix}/" for entry in entries):
        found = store.call("find", prefix, detail=True)
        below += [found[name] for name in found if name.startswith(f"{prefix}//") and not name.endswith("/")]
    return sorted(below, key=lambda entry: os.fsencode(entry["name"]))


def list_links(entries: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    """What a web page links to below a prefix, each once: `./a.jpg` is `a.jpg`. No query and no `..` leads there."""
    links: dict[str, dict[str, Any]] = {}
    for entry in entries:
        parts = entry["name"].removeprefix(prefix).split("/")
        if not any(unquote(part) == ".." or "?" in part for part in parts):
            kept = "/".join(part for part in parts if unquote(part) != ".")
            name = prefix + kept if entry["name"].startswith(prefix) else kept  # http may link to https
            links.setdefault(name.rstrip("/"), {**entry, "name": name})
    return list(links.values())


def make_member(store: Store, entry: dict[str, Any], name: str) -> Member:
    """An entry of a listing as what is in a folder. Its first bytes are asked for only where it has no suffix."""
    path, name = entry["name"], unquote(name) if store.is_web else name
    suffix = PurePosixPath(name).suffix

    def read_head() -> bytes:
        return b"" if suffix else store.read_range(path, 0, HEAD)

    kind = FOLDER if entry["type"] == "directory" else FILE
    return Member(name, kind, entry.get("size") or 0, "", lambda: store.read(path), read_head)


def list_members(store: Store, path: str) -> Iterator[Member]:
    """The files in an archive of a store, as `archives.list_members`; a tar is read once, from its beginning to its end.

    Raises Undecodable and DataError.
    """
    with naming_failures():
        if path_of(path).lower().endswith(".zip"):
            yield from list_zip(zipfile.ZipFile(open_ranges(store, path)))
            return
        with open_stream(store, path) as stream:
            yield from list_passing(stream)
