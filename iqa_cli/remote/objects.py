"""Objects: what URLs name, as entries. Those that look like images are not asked about before they are read."""

from __future__ import annotations

import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
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

NO_MATCH = "nothing matches this pattern"


def find_objects(store: Store, url: str, path: str, left_out: Counter[str], names: NameFilter) -> Iterator[Entry]:
    """What a URL names that is no archive: an object, those that match a pattern, or the images below a prefix.

    Raises DataError where the store cannot be reached.
    """
    try:
        if is_pattern_of_urls(url):
            yield from find_by_pattern(store, path, left_out, names)
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
        found = match_objects(store, path)
    except Undecodable as failure:
        yield Entry(url, failure=failure)
        return
    archives = [each for each, facts in found.items() if not is_folder(facts)]
    if not archives:
        yield Entry(url, failure=Undecodable(Status.MISSING, NO_MATCH))
    for each in archives:
        yield replace(make_entry(store, each, found[each]), archive=True, wanted=wanted)


def find_by_pattern(store: Store, path: str, left_out: Counter[str], names: NameFilter) -> Iterator[Entry]:
    """The objects that match a pattern, by their names, and the images below each prefix that does, as of folders.

    Not of a prefix of which the pattern itself names what is below. Raises Undecodable and DataError.
    """
    found = match_objects(store, path)
    named = {folder for each, facts in found.items() if not is_folder(facts) for folder in PurePosixPath(each).parents}
    walked = set[PurePosixPath]()
    for each, facts in found.items():
        if not is_folder(facts):
            yield make_entry(store, each, facts)
        elif (folder := PurePosixPath(each)) not in named and walked.isdisjoint(folder.parents):
            walked.add(folder)
            yield from walk_prefix(store, each, left_out, names)


def match_objects(store: Store, path: str) -> dict[str, dict[str, Any]]:
    """What the store tells of each object and prefix that matches a pattern, by their paths, in order.

    Two stars beside other letters are one, as in patterns of files. Raises Undecodable where nothing matches, and DataError.
    """
    pattern = "/".join(part if part == "**" else re.sub(r"\*+", "*", part) for part in path.split("/"))
    found: dict[str, dict[str, Any]] = store.call("glob", pattern, detail=True)
    if not found:
        store.check_bucket()
        raise Undecodable(Status.MISSING, NO_MATCH)
    return {each: found[each] for each in sorted(found)}


def is_folder(facts: Mapping[str, Any]) -> bool:
    """Whether what a store tells is of a prefix."""
    return bool(facts["type"] == "directory")


def make_entry(store: Store, path: str, facts: dict[str, Any]) -> Entry:
    """An object, with what the store tells of it."""
    return Entry(name_object(store, path), store.root, path, facts.get("size"), find_version(facts))


def is_prefix(store: Store, url: str, path: str) -> bool:
    """Whether a URL names something like a folder. Raises Undecodable for nothing at all, DataError."""
    if store.is_web:
        return path_of(url).endswith("/")
    suffix = PurePosixPath(path).suffix.lower()
    if kind_of_suffix(suffix):  # of an image, decoded here or not
        return False
    return is_folder(store.call("info", path))


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
                yield make_entry(store, path, entry)
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
    if not store.is_web and any(is_folder(entry) and entry["name"] == f"{prefix}/" for entry in entries):
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

    kind = FOLDER if is_folder(entry) else FILE
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
