"""Listing: the parts of a job, lazily, in one process; it reads names, and of objects nothing but what their listing says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from threading import Event

from iqa_cli.distributed.job import Job
from iqa_cli.distributed.outcomes import Outcome, report_error
from iqa_cli.distributed.parts import Part, cut_parts
from iqa_cli.errors import IqaError
from iqa_cli.records import Undecodable
from iqa_cli.remote.entries import Entry, find_version
from iqa_cli.remote.find import list_entries
from iqa_cli.remote.stores import Stores
from iqa_cli.scoring.cache import read_state
from iqa_cli.scoring.pipeline import filter_names
from iqa_cli.scoring.tally import Tally

UNREAD = "folder that cannot be read"  # as `images.find` counts it


def list_parts(job: Job) -> Iterator[Part | Outcome]:
    """The parts of a job, and then what became of the listing; an error of it comes as such an outcome, too."""
    tally, stores = Tally(), Stores(Event())
    failed = 0
    try:
        job.enter_folder()
        for part in cut_parts(complete_entries(job, tally, stores), job.part_size):
            failed += any(entry.failure for entry in part.entries)
            yield part
    except IqaError as error:
        yield report_error(error)
        return
    yield Outcome(tally=tally, whole=not failed and not tally.left_out[UNREAD])


def complete_entries(job: Job, tally: Tally, stores: Stores) -> Iterator[Entry]:
    """What the job names, with its sizes and versions, as far as they can be had without a request an image."""
    for entry in list_entries(job.draw_names(), tally.left_out, filter_names(job.options), stores):
        if entry.failure or entry.size is not None:
            yield entry
        elif entry.root:
            yield ask_for_size(entry, stores) if entry.archive else entry
        else:
            state = read_state(entry.name)
            yield entry if state is None else replace(entry, size=state.size, version=str(state.modified))


def ask_for_size(entry: Entry, stores: Stores) -> Entry:
    """An archive of a store with its size and version; as it is where they cannot be had, which its rows will say."""
    try:
        facts = stores.find(entry.root).call("info", entry.path)
    except Undecodable:
        return entry
    return replace(entry, size=facts.get("size"), version=find_version(facts))
