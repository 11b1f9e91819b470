"""Listing: the parts of a job, lazily, in one process; it reads names, and of objects nothing but what their listing says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from threading import Event

from iqa_cli.distributed.job import Job
from iqa_cli.distributed.outcomes import Outcome, report_error
from iqa_cli.distributed.parts import Part, cut_parts
from iqa_cli.errors import IqaError
from iqa_cli.images.find import is_pattern
from iqa_cli.images.formats import kind_of_suffix
from iqa_cli.records import Undecodable
from iqa_cli.remote.entries import Entry, find_version
from iqa_cli.remote.find import list_entries
from iqa_cli.remote.names import plainly, split_member
from iqa_cli.remote.stores import Stores
from iqa_cli.scoring.cache import read_state
from iqa_cli.scoring.pipeline import filter_names
from iqa_cli.scoring.tally import Tally


def list_parts(job: Job) -> Iterator[Part | Outcome]:
    """The parts of a job, and then what became of the listing; an error of it comes as such an outcome, too."""
    tally, stores = Tally(), Stores(Event())
    gone: list[str] = []
    lost: dict[str, dict[str, str]] = {}
    is_bare = cache(holds_nothing)
    failed = 0
    try:
        job.enter_folder()
        for part in cut_parts(complete_entries(job, tally, stores, gone), job.part_size):
            failed += any(entry.failure for entry in part.entries)
            missing = {entry.name: find_holder(entry.name) for entry in part.entries if is_missing(entry)}
            if images := {name: holder for name, holder in missing.items() if is_bare(holder)}:
                lost[part.name] = images
            yield part
    except IqaError as error:
        yield report_error(error)
        return
    yield Outcome(tally=tally, whole=not failed and not tally.unseen, gone=tuple(gone), lost=lost)


def complete_entries(job: Job, tally: Tally, stores: Stores, gone: list[str]) -> Iterator[Entry]:
    """What the job names, with its sizes and versions, as far as they can be had without a request an image.

    What is named and may have held images, and now is not there, or holds none, comes into `gone`.
    """
    for name in job.draw_names():
        found = False
        for entry in list_entries([name], tally.left_out, filter_names(job.options), stores):
            found = True
            if may_have_held(entry):
                gone.append(entry.name)
            yield complete_entry(entry, stores)
        if not found:
            gone.append(plainly(name))


def may_have_held(entry: Entry) -> bool:
    """Whether it is the name of nothing here, and may have been that of a folder or an archive, or a pattern."""
    if entry.root or entry.failure or os.path.exists(entry.name):  # noqa: PTH110  # names stay strings
        return False
    return is_pattern(entry.name) or not kind_of_suffix(os.path.splitext(entry.name)[1].lower())  # noqa: PTH122


def is_missing(entry: Entry) -> bool:
    """Whether it is the name of an image here, and of nothing that is there."""
    return entry.size is None and not (entry.root or entry.failure or entry.archive or os.path.exists(entry.name))  # noqa: PTH110


def find_holder(name: str) -> str:
    """The archive or the folder that a named image is in, of a link the folder that it leads to."""
    inside = split_member(name)
    if inside is not None:
        return inside[0]
    return os.path.dirname(os.path.realpath(name) if os.path.islink(name) else name) or os.curdir  # noqa: PTH114, PTH120


def holds_nothing(holder: str) -> bool:
    """Whether a folder or an archive is not there, or, as where a disk is not mounted, an empty folder."""
    try:
        with os.scandir(holder) as entries:
            return next(entries, None) is None
    except (NotADirectoryError, PermissionError):  # an archive that is there; a folder that is, as its images will say
        return False
    except OSError:
        return True


def complete_entry(entry: Entry, stores: Stores) -> Entry:
    """An entry with its size and version, as far as they can be had without a request an image."""
    if entry.failure or entry.size is not None:
        return entry
    if entry.root:
        return ask_for_size(entry, stores) if entry.archive else entry
    state = read_state(entry.name)
    return entry if state is None else replace(entry, size=state.size, version=str(state.modified))


def ask_for_size(entry: Entry, stores: Stores) -> Entry:
    """An archive of a store with its size and version; as it is where they cannot be had, which its rows will say."""
    try:
        facts = stores.find(entry.root).call("info", entry.path)
    except Undecodable:
        return entry
    return replace(entry, size=facts.get("size"), version=find_version(facts))
