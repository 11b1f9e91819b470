"""`iqa filter`: options, one core call, exit code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.filter import KeepFlags, LimitFlags
from iqa_cli.cli.flags.shared import STREAM, spread
from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.atomic import SealedFile, open_target
from iqa_cli.files.folders import filling
from iqa_cli.files.outputs import Output, check_outputs, name_place

if TYPE_CHECKING:
    from iqa_cli.filtering.choice import Judged, Limits, Outcome
    from iqa_cli.filtering.shards import Copied

EXIT_CODES = "Exit codes: 0 it is done, be it that none stays, 2 usage, 4 files."


@spread
def filter_scores(*, limits: LimitFlags, keep: KeepFlags) -> None:
    """Keep the images of a data set that are good enough, by scores that are there.

    Writes a list of paths (to stdout unless named), links in a new folder, or new shards; says how many go, and why. No image
    is changed or removed.

    An image without a score goes. A sample of a shard stays, with all its files, if one of its images does.

    $ iqa filter scores.csv --min 30 --dry-run

    $ iqa filter scores.parquet --keep-fraction .8 --per-class --links best

    $ iqa filter scores.parquet --percentile 20 --shards filtered

    $ iqa filter scores.csv --min 30 -0 | xargs -0 ls -l
    """
    run_filter(limits.scores, limits.gather(), keep)


def run_filter(scores: Path, limits: Limits, keep: KeepFlags) -> None:
    """Say and write what stays. Raises UsageError and DataError."""
    from iqa_cli.cli.views import terminal
    from iqa_cli.filtering.choice import Outcome, choose, find_bounds
    from iqa_cli.filtering.scores import describe_end, read_scores
    from iqa_cli.filtering.shards import Copied, write_shards

    listing = keep.find_list()
    check_written(scores, listing, keep)
    outcome, copied = Outcome(), Copied()
    with interrupts.raised():
        chosen = choose(read_scores(scores), limits, find_bounds(read_scores(scores), limits), outcome)
        with writing(scores, listing, keep) as write:
            kept = note_kept(chosen, write, scores, outcome)
            if keep.shards is not None and not keep.dry_run:
                write_shards(kept, keep.shards, copied)
            for _ in kept:
                pass
    show_outcome(outcome, copied, keep)
    if not keep.quiet:
        terminal.print_notes(f"iqa: warning: {note}" for note in describe_end(scores))


def check_written(scores: Path, listing: Path | None, keep: KeepFlags) -> None:
    """Raises UsageError where something would be lost, or mixed with what is there."""
    from iqa_cli.filtering.links import check_empty

    if listing is not None and listing != STREAM:
        check_outputs([Output(listing, "--list", "a list", None)], [scores], force=keep.force)
    named = {} if keep.dry_run else {"--links": keep.links, "--shards": keep.shards}
    folders = {option: folder for option, folder in named.items() if folder is not None}
    for option, folder in folders.items():
        check_empty(folder, option)
    refuse_nested(folders | ({} if listing is None or listing == STREAM else {"--list": listing}))


def refuse_nested(outputs: dict[str, Path]) -> None:
    """Raises UsageError where an output would be another one, or in it: a folder appears whole. outputs: by their options."""
    for (option, path), (other, folder) in permutations(outputs.items(), 2):
        real = Path(os.path.realpath(path))
        if name_place(folder) in map(name_place, (real, *real.parents)):
            raise UsageError(f"{option} {path}: this is in {other} {folder}, or the same: name a place outside of it")


def show_outcome(outcome: Outcome, copied: Copied, keep: KeepFlags) -> None:
    """Say what stays and what goes, and why."""
    from iqa_cli.cli.views import filter as view
    from iqa_cli.cli.views import terminal

    if keep.dry_run:
        for line in view.draw_histogram(outcome):
            terminal.print_line(line)
    if not keep.quiet:
        terminal.print_notes(view.describe_outcome(outcome))
        if copied.shards or copied.notes:
            terminal.print_notes(view.describe_copied(copied))


def note_kept(chosen: Iterator[Judged], write: Callable[[str], None], scores: Path, outcome: Outcome) -> Iterator[Judged]:
    """The same, each image that stays written as it passes. Raises DataError at the end, where there is nothing to choose from.

    So outputs that are there stay, and no others appear.
    """
    for image, stays in chosen:
        if stays:
            write(image.path)
        yield image, stays
    if not outcome.total:
        raise DataError(f"{scores}: no scores in it")
    if outcome.lacks_percentiles:
        raise DataError(f"{scores}: the column percentile is empty: the model has none; use --min or --keep-fraction")


@contextmanager
def writing(scores: Path, listing: Path | None, keep: KeepFlags) -> Iterator[Callable[[str], None]]:
    """What writes the path of each image that stays into the list, and links to it. Raises DataError."""
    from iqa_cli.filtering.links import find_top, link
    from iqa_cli.filtering.scores import read_scores

    end = b"\0" if keep.null else b"\n"
    with ExitStack() as stack:
        target = None if listing is None else stack.enter_context(open_target(listing, SealedFile))
        links = None if keep.dry_run else keep.links
        top = "" if links is None else find_top(image.path for image in read_scores(scores))
        aside = None if links is None else stack.enter_context(filling(links))

        def write(path: str) -> None:
            if target is not None:
                target.write(os.fsencode(path) + end)
            if links is not None and aside is not None:
                link(path, top, aside, links)

        yield write
        if isinstance(target, SealedFile):  # a list that breaks off would say that the rest goes
            target.seal()
