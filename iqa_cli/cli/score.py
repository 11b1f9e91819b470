"""The command that scores images: options, one core call. `cli` registers it and turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import typer

from iqa_cli.cli.groups import spread
from iqa_cli.cli.score_options import STDIN, InputFlags, ModelFlags, OutputFlags, gather_scoring
from iqa_cli.errors import DataError, UsageError
from iqa_cli.scoring.launching import launch
from iqa_cli.scoring.writers import CsvSink, Sink, open_sinks
from iqa_cli.targets import open_stdout

if TYPE_CHECKING:
    from iqa_cli.options import ScoreOptions
    from iqa_cli.scoring.scorer import Tally

EXIT_CODES = "Exit codes: 0 every image has a score, 1 some image has none (its row says why), 2 usage, 3 model, 4 files."


@spread
def score(*, images: InputFlags, output: OutputFlags, model: ModelFlags) -> None:
    """Score images: 0 is bad, 100 is excellent.

    The percentile says what share of the photographs that people rated scores no higher.

    Without --csv, --jsonl or --json the records go to stdout: a table at a terminal, CSV in a pipe.

    Every image gets a record, scored or not, in the order of the paths. Files appear whole; at Ctrl-C with what is done.

    $ iqa score photos

    $ iqa score photos --csv scores.csv --json scores.json

    $ find . -name '*.jpg' -print0 | iqa score -0 - | sort -t, -k2 -g
    """
    options = gather_scoring(images, model)
    tally = run_scoring(options, images, output)
    raise typer.Exit(tally.exit_code)


def run_scoring(options: ScoreOptions, images: InputFlags, output: OutputFlags) -> Tally:
    """Score the images, show and write what becomes of them, and count it. What is done is kept, however the run ends."""
    paths, files = images.paths or [], output.list_files()
    inputs = name_inputs(paths, images.files_from, null=images.null)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy would start a thread a core, of which scoring uses none
    with closing(launch()) as launched:  # it loads what decodes, while this process loads what runs the network
        from iqa_cli.cli import terminal  # after the options: who misspelt one need not wait for it
        from iqa_cli.scoring import scorer

        tally = scorer.Tally()
        count = plan_count(paths, images.files_from, options)
        with terminal.follow(tally, list(files.values()), quiet=output.quiet, count=count), open_output(files) as sink:
            scorer.score_all(inputs, options, sink.write, tally, launched)
    return tally


def name_inputs(paths: list[str], files_from: Path | None, *, null: bool) -> Iterator[str]:
    """The paths to score, those of lists among them. Raises UsageError without any, DataError where FILE cannot be read."""
    if not paths and files_from is None:
        raise UsageError("nothing to score: name images or folders, or - for a list on stdin. See: iqa score --help")
    if paths.count(STDIN) + (files_from == Path(STDIN)) > 1:
        raise UsageError("stdin can be read once only")
    listing = None if files_from is None else open_list(files_from)
    return draw_inputs(paths, listing, null=null)


def open_list(path: Path) -> BinaryIO:
    """A file of paths; - is stdin. Raises DataError."""
    try:
        return open_stdin() if path == Path(STDIN) else path.open("rb")
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
            with open_list(Path(STDIN)) as stdin:
                yield from read_paths(stdin, null_separated=null)
        else:
            yield path
    if listing is not None:
        with listing:
            yield from read_paths(listing, null_separated=null)


def plan_count(paths: list[str], files_from: Path | None, options: ScoreOptions) -> Callable[[], int] | None:
    """What finds out how many images there are, unless a list says so only as it is read."""
    from collections import Counter

    from iqa_cli.images.find import NameFilter, find_images

    if not paths or STDIN in paths or files_from is not None:
        return None
    names = NameFilter(options.include, options.exclude)
    return lambda: sum(1 for _ in find_images(paths, Counter(), names))


def open_output(files: Mapping[str, Path]) -> AbstractContextManager[Sink]:
    """Where records go: the files, or stdout. Raises UsageError and DataError."""
    from iqa_cli.cli import terminal

    if files:
        return open_sinks(files)
    return nullcontext(terminal.TableSink() if sys.stdout.isatty() else CsvSink(open_stdout()))
