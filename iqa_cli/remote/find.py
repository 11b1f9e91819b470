"""Find what is to be scored: files and folders as `images.find` does, and the images in archives that are named."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import chain
from threading import Event

from iqa_cli.errors import DataError
from iqa_cli.images.find import EVERYTHING, NameFilter, find_images, read_head
from iqa_cli.images.formats import DECODED, identify_kind
from iqa_cli.records import Status, Undecodable
from iqa_cli.remote.entries import Entry
from iqa_cli.remote.members import FILE, FOLDER, Member, classify_member, is_image
from iqa_cli.remote.names import ARCHIVE, expand_name, is_elsewhere, is_url, join_member, path_of, plainly, split_member
from iqa_cli.remote.stores import Stores, make_lazy
from iqa_cli.scoring.cache import read_state
from iqa_cli.scoring.ordered_map import map_ordered
from iqa_cli.scoring.sources import LazyFile, Source, Unreadable, name_source
from iqa_cli.scoring.tally import Tally

READERS = 16  # objects that are read at a time, ahead of what decodes them


def find_sources(
    paths: Iterable[str], left_out: Counter[str], names: NameFilter = EVERYTHING, stop: Event | None = None
) -> Iterator[Source]:
    """What to score, lazily, in a fixed order: as `find_images`, but named archives and URLs are folders of what is in them.

    Archives in folders count as files that are no images. One that is missing, damaged or cut short comes out as such a source,
    after the images before that. stop: ends what waits for a network. Raises ExtraMissing for URLs where what reads them is not
    installed, DataError where a bucket or a host cannot be reached.
    """
    return read_ahead(list_sources(paths, left_out, names, stop))


def list_sources(
    paths: Iterable[str], left_out: Counter[str], names: NameFilter = EVERYTHING, stop: Event | None = None
) -> Iterator[Source]:
    """The same, objects of stores not yet read."""
    stores = Stores(stop or Event())
    return open_entries(list_entries(paths, left_out, names, stores), left_out, names, stores)


def list_photos(named: Sequence[str], tally: Tally, stop: Event | None = None) -> Iterator[Source]:
    """What the words of a command line name, patterns among them, as `list_sources`; the tally counts what else there is.

    Raises DataError where there is nothing, and as `list_sources` does.
    """
    paths = (path for word in named for path in expand_name(word))
    for source in list_sources(paths, tally.left_out, stop=stop):
        tally.found += 1
        yield source
    if not tally.found:
        raise DataError("; ".join(filter(None, [f"{', '.join(named)}: no photos found there", tally.describe_left_out()])))


def list_entries(paths: Iterable[str], left_out: Counter[str], names: NameFilter, stores: Stores) -> Iterator[Entry]:
    """The same as entries, lazily: no object is read, and no archive opened. Raises ExtraMissing and DataError."""
    for named in paths:
        path = plainly(named)
        archive, wanted = split_member(path) or (path, None)
        if is_url(archive):
            yield from list_remote(stores, archive, wanted, left_out, names)
        elif ARCHIVE.fullmatch(archive) and holds_members(archive):
            yield Entry(archive, archive=True, wanted=wanted)
        else:
            yield from map(Entry, find_images([archive if wanted is None else path], left_out, names))


def open_entries(entries: Iterable[Entry], left_out: Counter[str], names: NameFilter, stores: Stores) -> Iterator[Source]:
    """Entries as sources, of archives all that is wanted; objects of stores not yet read. Raises ExtraMissing and DataError."""
    for entry in entries:
        if entry.failure is not None:
            yield Unreadable(entry.name, entry.failure)
        elif entry.archive:
            yield from find_members(entry, left_out, names, stores)
        elif entry.root:
            yield make_lazy(entry.name, stores.find(entry.root), entry.path, entry.size)
        else:
            yield entry.name


def read_ahead(sources: Iterator[Source]) -> Iterator[Source]:
    """The same sources; from the first object of a store on, several are read at a time, before they are drawn."""
    for source in sources:
        if not is_remote(source):
            yield source
            continue
        tasks = map_ordered(chain([source], sources), lambda each, _: fetch(each), threads=READERS, name="read")
        with closing(tasks):
            yield from tasks


def is_remote(source: Source) -> bool:
    """Whether it is still to be read from a store."""
    return isinstance(source, LazyFile) and not source.container


def fetch(source: Source) -> Source:
    """The same, read where it is an object of a store. Raises DataError where that cannot be reached."""
    return source.fetch() if isinstance(source, LazyFile) and not source.container else source


def locate_sources(sources: Iterable[Source]) -> Iterator[Source]:
    """Sources of a program, of which paths that are URLs or names in archives are found and read. One image each."""
    stores = Stores(Event())
    return read_ahead(locate(each, stores) if isinstance(each, str) and is_elsewhere(each) else each for each in sources)


def locate(path: str, stores: Stores) -> Source:
    """One image by its URL or its name in an archive. Raises ExtraMissing and DataError."""
    path = plainly(path)
    if split_member(path) is not None:
        named = list_entries([path], Counter(), EVERYTHING, stores)
        return choose_one(path, open_entries(named, Counter(), EVERYTHING, stores))
    opened = stores.open(path)
    return Unreadable(path, refuse_kind()) if opened is None else make_lazy(path, *opened)


def choose_one(name: str, found: Iterator[Source]) -> Source:
    """The source of that very name, else the only one that it matches, as a pattern; where there are several, none of them."""
    first = next(found)
    if name_source(first) == name or not re.search(r"[*?[]", name):
        return first
    several = False
    for other in found:
        if name_source(other) == name:
            return other
        several |= not isinstance(other, Unreadable)
    why = "nothing in the archive is called so, and this pattern matches several files: name one of them"
    return Unreadable(name, Undecodable(Status.MISSING, why)) if several else first


def holds_members(path: str) -> bool:
    """Whether a file that is called as an archive may be one: it is there, and no image. As always the content decides."""
    return os.path.isfile(path) and identify_kind(read_head(path), "") not in DECODED  # noqa: PTH113


# ---- in archives ----


def find_members(entry: Entry, left_out: Counter[str], names: NameFilter, stores: Stores) -> Iterator[Source]:
    """The images in an archive, and what is wrong with it, where something is. Raises ExtraMissing and DataError."""
    if entry.root:
        from iqa_cli.remote import objects  # and what it needs for archives

        members = objects.list_members(stores.find(entry.root), entry.path)
        yield from choose_members(entry.name, members, entry.wanted, left_out, names)
        return
    from iqa_cli.remote.archives import list_members  # whose libraries only archives need

    archive = entry.name
    state = read_state(archive)
    if state is not None and state.recent:  # only a hash of all of it would tell a later change
        state = None
    for source in choose_members(archive, list_members(archive), entry.wanted, left_out, names):
        yield replace(source, container=archive, state=state) if isinstance(source, LazyFile) else source


def choose_members(
    archive: str, members: Iterable[Member], wanted: str | None, left_out: Counter[str], names: NameFilter
) -> Iterator[Source]:
    """Those members of an archive that are scored, and what is wrong with it, where something is."""
    found, other = 0, ""
    try:
        for member in members:
            if is_wanted(member, wanted, left_out, names):
                found += 1
                lazy = LazyFile(join_member(archive, member.name), member.read, place=f"{member.place}:{member.name}")
                yield lazy.fetch() if member.passing else lazy
            elif member.name == wanted and member.kind != FOLDER:
                other = member.kind
    except Undecodable as failure:
        yield Unreadable(archive, failure)
        return
    if wanted is not None and not found:
        yield Unreadable(join_member(archive, wanted), explain_absence(other))


def explain_absence(other: str) -> Undecodable:
    """Why there is nothing of a name in an archive. other: what else is called so, by its kind; "" for nothing."""
    if not other:
        return Undecodable(Status.MISSING, "nothing in the archive is called so")
    return Undecodable(Status.UNSUPPORTED, f"{other}: of an archive files are read, and hard links to files before them")


def is_wanted(member: Member, wanted: str | None, left_out: Counter[str], names: NameFilter) -> bool:
    """Whether a file in an archive is to be scored; counts what is not, unless one is named.

    One that is named is, whatever it is, as with files.
    """
    if wanted is not None:
        return member.kind == FILE and (member.name == wanted or fnmatchcase(member.name, wanted))
    return member.kind != FOLDER and is_image(classify_member(member, names), left_out)


# ---- in stores ----


def refuse_kind() -> Undecodable:
    """Why a URL of a kind that nobody knows cannot be read."""
    return Undecodable(Status.UNSUPPORTED, "nothing is known of URLs of this kind")


def list_remote(stores: Stores, url: str, wanted: str | None, left_out: Counter[str], names: NameFilter) -> Iterator[Entry]:
    """What a URL names. wanted: of what is in the archive that it names. Raises ExtraMissing and DataError."""
    opened = stores.open(url)
    if opened is None:
        yield Entry(url, failure=refuse_kind())
        return
    from iqa_cli.remote import objects  # and what it needs for archives

    store, path = opened
    if ARCHIVE.fullmatch(path_of(url)):
        yield from objects.find_archives(store, url, path, wanted)
    else:
        yield from objects.find_objects(store, url, path, left_out, names)
