"""`iqa score`: options, one core call, exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, BinaryIO

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.ratings import RatingFlags
from iqa_cli.cli.flags.score import STDIN, ChoiceFlags, InputFlags, ModelFlags, OutputFlags, gather_scoring
from iqa_cli.cli.flags.shared import STREAM, RuntimeFlags, spread
from iqa_cli.cli.flags.tables import TableFlags
from iqa_cli.cli.ratings import rating
from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.atomic import open_stdout
from iqa_cli.files.outputs import check_outputs, list_model_parts
from iqa_cli.remote.names import expand_name, is_archive, is_url, matches_nothing, split_member
from iqa_cli.scoring.decode_protocol import start_worker
from iqa_cli.scoring.selection import Selection, selecting
from iqa_cli.scoring.writers import CsvSink, Sink, SinkGroup, list_outputs, open_sinks

if TYPE_CHECKING:
    from iqa_cli.culling.rating_options import RatingOptions
    from iqa_cli.options import ScoreOptions
    from iqa_cli.scoring.pipeline import Tally
    from iqa_cli.scoring.sources import Source

EXIT_CODES = (
    "Exit codes: 0 every image has a score, 1 some image has none (its row says why), 2 usage, 3 model, 4 files, as a sidecar"
    " that is not written, 5 all have one, and some is below --fail-under."
)
FAILING = 5


@spread
def score(
    *,
    images: InputFlags,
    choice: ChoiceFlags,
    output: OutputFlags,
    tables: TableFlags,
    ratings: RatingFlags,
    model: ModelFlags,
    runtime: RuntimeFlags,
) -> None:
    """Score images: 0 is bad, 100 is excellent.

    The percentile says what share of the photographs that people rated scores no higher. Nine times in ten the mean of people's
    opinions lies within the uncertainty of the score.

    Without --csv, --jsonl or --json the records go to stdout: a table at a terminal, CSV in a pipe.

    Every image gets a record, scored or not, in the order of the paths. Files appear whole; at Ctrl-C with what is done.

    Paths that are not UTF-8 are the bytes they are in CSV; in JSON they have U+FFFD, and path_base64 holds their bytes.

    $ iqa score photos

    $ iqa score photos --csv scores.csv --json scores.json

    $ find . -name '*.jpg' -print0 | iqa score -0 - --jsonl scores.jsonl --append

    $ iqa score photos --bottom 20 --format paths -0 | xargs -0 ls -l

    $ iqa score photos --write-xmp --csv scores.csv

    $ iqa score "s3://bucket/shards/*.tar" --csv scores.csv    (paths as s3://bucket/shards/00000.tar::KEY.jpg)

    $ iqa score . --no-header | awk -F, '/,ok,,/ {print $(NF-7), $0}' | sort -g
    """
    paths = [path for named in images.paths or [] for path in expand_name(named)]
    images = replace(images, paths=paths)
    options = gather_scoring(images, model, runtime)
    raise typer.Exit(run_scoring(options, images, choice.gather(), output, tables, ratings.gather()))


def run_scoring(
    options: ScoreOptions,
    images: InputFlags,
    selection: Selection,
    output: OutputFlags,
    tables: TableFlags,
    ratings: RatingOptions | None,
) -> int:
    """Score the images, show and write what becomes of them: the exit code. What is done is kept, however the run ends."""
    to_stdout = STREAM in (output.csv, output.jsonl, output.json)
    tables.check(format_named=output.format is not None, append=output.append, waits=selection.waits, other_stdout=to_stdout)
    paths, files = images.paths or [], output.list_files(null=images.null)
    if ratings is not None and (others := [path for path in paths if is_archive(path) or is_url(path)]):
        raise UsageError(
            f"--write-xmp: {others[0]}: no sidecar can be written beside an image that is no file here: leave it out"
        )
    read = list_inputs(paths, images.files_from, options.model)
    check_outputs([*list_outputs(files, append=output.append), *tables.list_outputs()], read, force=output.force)
    inputs = name_inputs(paths, images.files_from, null=images.null)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy would start a thread a core, of which scoring uses none
    with closing(start_worker()) as worker:  # it loads what decodes, while this process loads what runs the network
        from iqa_cli.cli.views import terminal  # after the options: who misspelt one need not wait for it
        from iqa_cli.scoring import pipeline

        with interrupts.raised(), stopping() as stop:
            tally = pipeline.Tally()
            tally.notes += explain_patterns(paths)
            count = plan_count(paths, images.files_from, options)
            named = [*files.values(), *tables.files]
            follow = terminal.follow(tally, named, quiet=output.quiet, count=count, held=selection.waits)
            with (
                rating(ratings, quiet=output.quiet) as rated,
                follow as hide,
                tables.open(lambda: find_sha256(options), force=output.force) as sinks,
                open_output(files, output, to_stdout=not tables.any) as sink,
                selecting(selection, SinkGroup([sink, *sinks]), hide) as chosen,
            ):
                sources = find_inputs(inputs, options, tally, stop, files_only=ratings is not None)
                pipeline.score_all(sources, options, SinkGroup([rated, chosen]).write, tally, worker)
                if chosen.failing:
                    tally.notes.append(f"{chosen.failing} of {tally.recorded} images score below {selection.fail_under:g}")
    return tally.exit_code or rated.exit_code or (FAILING if chosen.failing else 0)


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


def list_inputs(paths: list[str], files_from: Path | None, model: str) -> Iterator[str | Path | int]:
    """The files that are named as inputs; those of lists are known only as the lists are read."""
    yield from ((split_member(path) or (path,))[0] for path in paths if path != STDIN and not is_url(path))
    yield from list_model_parts(model)
    if files_from not in (None, STREAM):
        yield files_from
    if STDIN in paths or files_from == STREAM:
        yield 0  # where a shell may have put a file


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
    from iqa_cli.images.find import read_paths

    for path in paths:
        if path == STDIN:
            with open_list(STREAM) as stdin:
                yield from read_paths(stdin, null_separated=null)
        else:
            yield path
    if listing is not None:
        with listing:
            yield from read_paths(listing, null_separated=null)


def plan_count(paths: list[str], files_from: Path | None, options: ScoreOptions) -> Callable[[], int] | None:
    """What finds out how many images there are, unless a list, an archive or a server says so only as it is read."""
    from collections import Counter

    from iqa_cli.images.find import find_images
    from iqa_cli.scoring.pipeline import filter_names

    if not paths or STDIN in paths or files_from is not None or any(is_archive(path) or is_url(path) for path in paths):
        return None
    names = filter_names(options)
    return lambda: sum(1 for _ in find_images(paths, Counter(), names))


def find_sha256(options: ScoreOptions) -> str:
    """The SHA-256 of the weights that score. Raises WeightsError."""
    from iqa_cli.models.find import find_model
    from iqa_cli.options import FILE_KINDS

    found = find_model(options.model, options.backend)
    return found.card.files[FILE_KINDS[found.backend]].sha256


def open_output(files: Mapping[str, Path], output: OutputFlags, *, to_stdout: bool) -> AbstractContextManager[Sink]:
    """Where records go: the files; without any, to stdout or nowhere. Raises UsageError and DataError."""
    from iqa_cli.cli.views import terminal

    if files:
        return open_sinks(files, header=not output.no_header, append=output.append)
    if not to_stdout:
        return nullcontext(SinkGroup([]))
    if sys.stdout.isatty():
        return nullcontext(terminal.TableSink(header=not output.no_header))
    return nullcontext(CsvSink(open_stdout(), header=not output.no_header))
