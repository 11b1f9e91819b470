"""What a command that scores is given: the names on its command line, those of lists, and what is found by them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, BinaryIO

from iqa_cli.cli.flags.score import STDIN
from iqa_cli.cli.flags.shared import STREAM
from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.atomic import find_open
from iqa_cli.files.outputs import list_model_parts
from iqa_cli.remote.names import is_archive, is_url, matches_nothing, split_member

if TYPE_CHECKING:
    from iqa_cli.options import ScoreOptions
    from iqa_cli.scoring.sources import Source
    from iqa_cli.scoring.tally import Tally


def list_inputs(paths: list[str], files_from: Path | None, model: str) -> Iterator[str | Path | int]:
    """The files that are named as inputs; those of lists are known only as the lists are read."""
    yield from ((split_member(path) or (path,))[0] for path in paths if path != STDIN and not is_url(path))
    yield from list_model_parts(model)
    if files_from not in (None, STREAM):
        yield files_from
    if STDIN in paths or files_from == STREAM:
        yield 0  # where a shell may have put a file


def list_names(paths: list[str], files_from: Path | None, *, null: bool) -> Iterator[str]:
    """The names that are known before anything is scored: those of a list, too, where it is a file that is read twice.

    Raises DataError where the list cannot be read.
    """
    from iqa_cli.images.path_lists import read_list

    yield from (path for path in paths if path != STDIN)
    if files_from is not None and files_from != STREAM and is_file(files_from):
        with open_list(files_from) as listing:
            yield from read_list(listing, null_separated=null)


def is_file(path: Path) -> bool:
    """Whether a path is that of a file, which begins anew each time that it is opened, as /dev/stdin may not."""
    return os.path.isfile(path) and find_open(path) is None  # noqa: PTH113  # which a Path may not be allowed to say


def explain_patterns(paths: list[str]) -> list[str]:
    """What to say of patterns that match nothing; their records only say that there is no such file."""
    return [f"{path}: no file is called so, and none matches this pattern" for path in paths if matches_nothing(path)]


def name_inputs(paths: list[str], files_from: Path | None, *, null: bool) -> Iterator[str]:
    """The paths to score, those of lists among them. Raises UsageError without any, DataError where FILE cannot be read."""
    if not paths and files_from is None:
        raise UsageError("nothing to score: name images or folders, or - for a list on stdin. See: iqa score --help")
    if paths.count(STDIN) + (files_from == STREAM) > 1:
        raise UsageError("stdin can be read once only")
    listing = None if files_from is None else open_list(files_from)
    return draw_inputs(paths, listing, null=null)


def open_list(path: Path) -> BinaryIO:
    """A file of paths; - is stdin. Raises DataError."""
    try:
        return open_stdin() if path == STREAM else path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot read the list of paths: {error.strerror}") from error


def open_stdin() -> BinaryIO:
    """Standard input, but not Python's own object, which aborts a process that ends while a thread reads. Raises OSError."""
    return open(0, "rb", closefd=False)


def draw_inputs(paths: list[str], listing: BinaryIO | None, *, null: bool) -> Iterator[str]:
    """Each path as it is needed: first those named, with the list on stdin where - stands, then those of the list."""
    from iqa_cli.images.path_lists import read_list

    for path in paths:
        if path == STDIN:
            with open_list(STREAM) as stdin:
                yield from read_list(stdin, null_separated=null)
        else:
            yield path
    if listing is not None:
        with listing:
            yield from read_list(listing, null_separated=null)


def plan_count(paths: list[str], files_from: Path | None, options: ScoreOptions) -> Callable[[], int] | None:
    """What finds out how many images there are, unless a list, an archive or a server says so only as it is read."""
    from collections import Counter

    from iqa_cli.images.find import find_images
    from iqa_cli.scoring.pipeline import filter_names

    if not paths or STDIN in paths or files_from is not None or any(is_archive(path) or is_url(path) for path in paths):
        return None
    names = filter_names(options)
    return lambda: sum(1 for _ in find_images(paths, Counter(), names))


@contextmanager
def stopping() -> Iterator[Event]:
    """An event that is set when the block ends: nothing need be read any more."""
    stop = Event()
    try:
        yield stop
    finally:
        stop.set()


def find_inputs(
    inputs: Iterable[str], options: ScoreOptions, tally: Tally, stop: Event, *, files_only: bool
) -> Iterator[Source]:
    """What is scored. files_only: no archive is looked into, because something will be written beside each image.

    Raises DataError at the end where there were only archives, in folders.
    """
    from iqa_cli.images.find import find_images
    from iqa_cli.remote.find import find_sources
    from iqa_cli.scoring.pipeline import filter_names

    names = filter_names(options)
    if files_only:
        yield from find_images(inputs, tally.left_out, names)
    else:
        yield from find_sources(inputs, tally.left_out, names, stop)
    if not tally.found and not files_only and (kind := next(filter(is_archive, tally.left_out), None)):
        left_out = tally.describe_left_out()
        raise DataError(f"no images found; {left_out}: name archives to score what is in them, as in: iqa score DIR/{kind}")


def refuse_elsewhere(paths: Iterable[str], option: str) -> None:
    """Raises UsageError for an image that is no file here, beside which nothing can be written."""
    for path in paths:
        if is_archive(path) or is_url(path):
            raise UsageError(f"{option}: {path}: nothing can be written beside an image that is no file here: leave it out")


def find_span(options: ScoreOptions) -> float:
    """How far the scale of the model reaches, from end to end. Raises WeightsError and UsageError."""
    from iqa_cli.models.find import find_model

    low, high = find_model(options.model, options.backend).card.score_range
    return high - low
