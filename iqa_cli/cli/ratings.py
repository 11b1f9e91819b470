"""Ratings: written at the end of `iqa score --write-xmp`, and undone by `iqa ratings`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqa_cli.errors import DataError
from iqa_cli.records import ScoreRecord

if TYPE_CHECKING:
    from iqa_cli.culling.rating_options import RatingOptions
    from iqa_cli.culling.sidecar_undo import UndoLog
    from iqa_cli.culling.sidecars import Rated

NOT_RATED = (
    "no photo is rated: the run was cut short, and shares of some photos are not those of all; fixed scores would do:"
    " --stars-at, and --reject-below for rejects"
)
LISTED = 10  # sidecars that are named of those to which something was not done


class RatingSink:
    """Keeps the records of photos that will be rated; exit_code: 4 where a sidecar could not be written."""

    def __init__(self, *, keep: bool) -> None:
        self.keep = keep
        self.records: list[ScoreRecord] = []
        self.exit_code = 0

    def write(self, record: ScoreRecord) -> None:
        """Keep one that has a score, without its picture."""
        if self.keep and record.score is not None:
            self.records.append(replace(record, preview=None))


@contextmanager
def rating(options: RatingOptions | None, *, quiet: bool) -> Iterator[RatingSink]:
    """A sink whose photos are rated when the block ends; None: none is.

    A block that ends by an exception rates by fixed scores only: shares of what was scored so far are not those of all photos.
    Raises ExtraMissing and DataError before the block where that cannot be done.
    """
    sink = RatingSink(keep=options is not None)
    if options is None:
        yield sink
        return
    from iqa_cli.cli.views import terminal
    from iqa_cli.culling.ratings import need_lxml
    from iqa_cli.culling.sidecar_undo import UndoLog

    need_lxml()
    log = UndoLog(find_logs())
    try:
        yield sink
    except BaseException:
        if options.fixed:
            rate_kept(sink, options, log, quiet=quiet)
        elif sink.records:
            terminal.print_warnings([NOT_RATED])
        raise
    rate_kept(sink, options, log, quiet=quiet)


def rate_kept(sink: RatingSink, options: RatingOptions, log: UndoLog, *, quiet: bool) -> None:
    """Rate the photos of a sink, if there are any. Raises DataError."""
    if sink.records:
        sink.exit_code = write_ratings(sink.records, options, log, quiet=quiet)


def write_ratings(records: list[ScoreRecord], options: RatingOptions, log: UndoLog, *, quiet: bool) -> int:
    """Rate photos, say what was done, and how it is undone: the exit code. Raises DataError."""
    from iqa_cli.cli.views import terminal
    from iqa_cli.culling.sidecars import Rated, rate_photos

    done = Rated()
    try:
        with terminal.waiting("" if quiet else "writing ratings"):
            rate_photos(records, options, log, done)
    finally:
        for line in [] if quiet else describe_ratings(done, log.path):
            terminal.print_note(line)
        print_left(done.failed, "not written")
    return DataError.exit_code if done.failed else 0


def describe_ratings(done: Rated, log: Path) -> Iterator[str]:
    """What was done, in words: "rated 10 photos: 1 with 5 stars, 2 with 4, ..."."""
    counts = Counter(done.ratings.values())
    shares = [f"{counts[stars]:,} with {stars}" for stars in range(5, 0, -1) if counts[stars]]
    if shares:
        shares[0] += " stars" if shares[0][-1] != "1" else " star"
    if counts[-1]:
        shares.append(f"{counts[-1]:,} rejected")
    parts = [f"rated {count_words(len(done.ratings), 'photo')}" + (f": {', '.join(shares)}" if shares else "")]
    if done.own:
        parts.append(f"{count_words(len(done.own), 'photo')} {'keeps' if len(done.own) == 1 else 'keep'} your own rating")
    yield "; ".join(parts)
    if done.written:
        import shlex

        yield f"wrote {count_words(done.written, 'sidecar')}; to undo: {shlex.join(['iqa', 'ratings', '--undo', str(log)])}"


def find_logs() -> Path:
    """The folder of undo files. Raises DataError without a home."""
    from iqa_cli.culling import sidecar_undo
    from iqa_cli.files.homes import needing_home

    with needing_home(sidecar_undo.VARIABLE):
        return sidecar_undo.find_folder()


def count_words(number: int, word: str) -> str:
    """A number and a word: 1 photo, 2 photos."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def print_left(left: list[tuple[Path, str]], what: str) -> None:
    """Name sidecars to which something was not done, a line each, if they are many the first of them. what: what was not."""
    from iqa_cli.cli.views import terminal

    for path, reason in left[:LISTED]:
        terminal.print_error(f"{path}: {what}: {reason}")
    if left[LISTED:]:
        terminal.print_error(f"and {len(left) - LISTED:,} more: {what}")


# ---- the command ----


def ratings(
    *,
    undo: Annotated[
        Path | None, typer.Option("--undo", metavar="FILE", help="Undo the run that made FILE, as it said at its end.")
    ] = None,
) -> None:
    """List the runs that rated photos (iqa score --write-xmp), or undo one.

    Sidecars get back the bytes that they had, and those that were new are removed. One that was edited since is kept, and said,
    as is one that has been moved away with its photo.

    The environment variable IQA_STATE names another folder for undo files.

    $ iqa score photos --write-xmp

    $ iqa ratings

    $ iqa ratings --undo ~/.local/state/iqa/ratings-20261129-101500-120345-4711.jsonl
    """
    if undo is None:
        list_runs()
    else:
        raise typer.Exit(undo_run(undo))


def list_runs() -> None:
    """A table of the runs that can be undone. Raises DataError where there are none."""
    from iqa_cli.cli.views import terminal
    from iqa_cli.culling import sidecar_undo

    folder = find_logs()
    rows = [{"undo file": str(log), "sidecars": count_changes(log)} for log in sidecar_undo.list_logs(folder)]
    if not rows:
        raise DataError(f"no run has rated photos, as far as {folder} says")
    terminal.print_rows(rows)


def count_changes(log: Path) -> str:
    """How many sidecars a run changed, for the table."""
    from iqa_cli.culling.sidecar_undo import read_log

    try:
        return str(len(read_log(log)[1]))
    except DataError:
        return "damaged"


def undo_run(log: Path) -> int:
    """Undo a run and say what was done: the exit code, 1 where something was kept, or not found. Raises DataError."""
    from iqa_cli.cli import interrupts
    from iqa_cli.cli.views import terminal
    from iqa_cli.culling.sidecar_undo import Outcome, Undone, undo_ratings

    done = Undone()
    with interrupts.raised(), terminal.waiting("undoing"):
        undo_ratings(log, done)
    restored, removed, untouched = (
        done.outcomes[outcome] for outcome in (Outcome.RESTORED, Outcome.REMOVED, Outcome.UNTOUCHED)
    )
    parts = [f"restored {count_words(restored, 'sidecar')}, removed {removed:,} that the run had made"]
    if untouched:
        parts.append(f"{untouched:,} were as before already")
    terminal.print_line("; ".join(parts))
    print_left(done.kept, "kept")
    print_left([(path, "its photo is not there either: have they been moved?") for path in done.missing], "not found")
    return int(bool(done.kept or done.missing))
