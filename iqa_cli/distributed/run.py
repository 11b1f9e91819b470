"""Run a job: parts to an engine, outcomes into a tally. At the end the folder holds the parts of these images and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from iqa_cli.distributed.folders import Folder, open_folder
from iqa_cli.distributed.gone import Gone
from iqa_cli.distributed.job import Job, claim_folder, leave_folder
from iqa_cli.distributed.listing import list_parts
from iqa_cli.distributed.outcomes import Outcome, read_tally
from iqa_cli.distributed.parts import PART
from iqa_cli.distributed.worker import PartScorer
from iqa_cli.errors import DataError, IqaError
from iqa_cli.scoring.pipeline import check_found
from iqa_cli.scoring.tally import Tally

Engine = Callable[[Job], Iterator[Outcome]]
"""Scores the parts of a job: their outcomes as they get done, in any order, and once that of the listing."""


def run_local(job: Job) -> Iterator[Outcome]:
    """One part after the other, in this process."""
    scorer = PartScorer(job)
    with closing(scorer):
        for item in list_parts(job):
            yield scorer.run(item)


def run_job(job: Job, engine: Engine, tally: Tally, *, force: bool = False) -> None:
    """Score a job into its folder, counting in `tally` as it goes; parts that are there already are counted, and stay.

    force: the folder may hold files of no earlier run. Raises UsageError where it holds another job's rows, DataError where it
    or what is scored cannot be reached, and where there is no image at all; WeightsError. What is done is kept; a
    folder that nothing has come to is given up.
    """
    folder = open_folder(job.place)
    job, is_new = claim_folder(job, folder, force=force)
    tally.source = "an earlier run"
    parts, listing = set[str](), Outcome()
    try:
        for outcome in engine(job):
            outcome.check()
            tally.merge(outcome.tally)
            tally.reused += outcome.tally.found if outcome.reused else 0
            parts.add(outcome.part)
            listing = listing if outcome.part else outcome
        tally.note_undecoded()
        check_found(tally)
    except IqaError:
        if is_new:
            leave_folder(folder)
        raise
    remove_stale(job, folder, parts, tally, listing)


def remove_stale(job: Job, folder: Folder, parts: set[str], tally: Tally, listing: Outcome) -> None:
    """Remove the files of a job's parts that are none any more, because images changed; none after a listing with gaps.

    Rows of what was in a folder or an archive that is named, and is not there any more, stay; so do files of others.
    """
    named = [name for name in folder.list() if PART.fullmatch(name) and name not in parts]
    stale = [name for name in named if is_part(folder, name, job.mark)]
    if others := sorted({*named} - {*stale}):
        more = f" and {len(others) - 1:,} more" if others[1:] else ""
        tally.notes.append(f"called as parts are, but of another run, or damaged, so not removed: {others[0]}{more}")
    images = "images have come, changed or gone since an earlier run"
    if not listing.whole:
        kept = "its parts are kept beside the new ones: some folder could not be listed"
        tally.notes += [f"{images}: {len(stale):,} of {kept}"] if stale else []
        return
    gone = Gone(listing.gone, listing.lost, job.mark)
    replaced = 0
    for name in stale:
        if gone.keep_rows(folder, name) != name:
            folder.remove(name)
            replaced += 1
    gone.drop_rows(folder)
    tally.warnings += gone.describe()
    tally.notes += [f"{images}: {replaced:,} of its parts were replaced"] if replaced else []


def is_part(folder: Folder, name: str, mark: str) -> bool:
    """Whether a file that is called as a part is one of the job of that mark, and whole. False for one that cannot be read."""
    try:
        return read_tally(folder, name, mark) is not None
    except DataError:
        return False
