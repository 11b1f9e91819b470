"""Find what is to be scored: files and folders as `images.find` does, and the images in archives that are named."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from iqa_cli.images.find import EVERYTHING, NameFilter, find_images, read_head
from iqa_cli.images.formats import DECODED, identify_kind
from iqa_cli.records import Status, Undecodable
from iqa_cli.remote.members import FILE, FOLDER, Member, classify_member
from iqa_cli.remote.names import ARCHIVE, join_member, plainly, split_member
from iqa_cli.scoring.cache import read_state
from iqa_cli.scoring.sources import LazyFile, Source, Unreadable


def find_sources(paths: Iterable[str], left_out: Counter[str], names: NameFilter = EVERYTHING) -> Iterator[Source]:
    """What to score, lazily, in a fixed order: as `find_images`, but a named archive is a folder of what is in it.

    Archives in folders count as files that are no images. One that is missing, damaged or cut short comes out as such a source,
    after the images before that.
    """
    for named in paths:
        path = plainly(named)
        archive, wanted = split_member(path) or (path, None)
        if ARCHIVE.fullmatch(archive) and holds_members(archive):
            yield from find_members(archive, wanted, left_out, names)
        else:
            yield from find_images([archive if wanted is None else path], left_out, names)


def holds_members(path: str) -> bool:
    """Whether a file that is called as an archive may be one: it is there, and no image. As always the content decides."""
    return os.path.isfile(path) and identify_kind(read_head(path), "") not in DECODED  # noqa: PTH113


def find_members(archive: str, wanted: str | None, left_out: Counter[str], names: NameFilter) -> Iterator[Source]:
    """The images in a local archive. wanted: a path there, or a pattern of paths; None: all that is an image."""
    from iqa_cli.remote.archives import list_members  # whose libraries only archives need

    state, found = read_state(archive), 0
    if state is not None and state.recent:  # only a hash of all of it would tell a later change
        state = None
    try:
        for member in list_members(archive):
            if not is_wanted(member, wanted, left_out, names):
                continue
            found += 1
            name = join_member(archive, member.name)
            lazy = LazyFile(name, member.read, archive, state, f"{member.place}:{member.name}")
            yield lazy.fetch() if member.passing else lazy
    except Undecodable as failure:
        yield Unreadable(archive, failure)
        return
    if wanted is not None and not found:
        yield Unreadable(join_member(archive, wanted), Undecodable(Status.MISSING, "nothing in the archive is called so"))


def is_wanted(member: Member, wanted: str | None, left_out: Counter[str], names: NameFilter) -> bool:
    """Whether a file in an archive is to be scored; counts what is not, unless one is named.

    One that is named is, whatever it is, as with files.
    """
    if wanted is not None:
        return member.kind == FILE and (member.name == wanted or fnmatchcase(member.name, wanted))
    kind = classify_member(member, names)
    if kind not in ("image", FOLDER):
        left_out[kind] += 1
    return kind == "image"
