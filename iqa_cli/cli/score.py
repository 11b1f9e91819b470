"""`iqa score`: options, one core call, exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.ratings import RatingFlags
from iqa_cli.cli.flags.score import STDIN, ChoiceFlags, InputFlags, ModelFlags, OutputFlags, gather_scoring
from iqa_cli.cli.flags.shared import STREAM, RuntimeFlags, spread
from iqa_cli.cli.ratings import rating
from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.atomic import open_stdout
from iqa_cli.files.outputs import Output, check_outputs, list_model_parts
from iqa_cli.images.find import expand_pattern, is_pattern
from iqa_cli.options import GROUP_PREVIEW
from iqa_cli.scoring.decode_protocol import start_worker
from iqa_cli.scoring.selection import selecting
from iqa_cli.scoring.writers import Columns, CsvSink, Sink, SinkGroup, list_outputs, open_sinks, round_record, with_groups

if TYPE_CHECKING:
    from iqa_cli.culling.rating_options import RatingOptions
    from iqa_cli.options import ScoreOptions
    from iqa_cli.records import ScoreRecord
    from iqa_cli.reports.previews import PreviewSpool
    from iqa_cli.scoring.pipeline import Tally

EXIT_CODES = (
    "Exit codes: 0 every image has a score, 1 some image has none (its row says why), 2 usage, 3 model, 4 files, as a sidecar"
    " that is not written, 5 all have one, and some is below --fail-under."
)
FAILING = 5
REPORT = "html"  # the output that is a page


@spread
def score(
    *,
    images: InputFlags,
    choice: ChoiceFlags,
    output: OutputFlags,
    ratings: RatingFlags,
    model: ModelFlags,
    runtime: RuntimeFlags,
) -> None:
    """Score images: 0 is bad, 100 is excellent.

    The percentile says what share of the photographs that people rated scores no higher. Nine times in ten the mean of people's
    opinions lies within the uncertainty of the score.

    Without --csv, --jsonl, --json or --html the records go to stdout: a table at a terminal, CSV in a pipe.

    Every image gets a record, scored or not, in the order of the paths. Files appear whole; at Ctrl-C with what is done.

    --group adds group (the path of its first photo), group_kind, rank_in_group and best_of_group.

    Brackets, focus stacks and panoramas are kept whole: they have no ranks.

    Paths that are not UTF-8 are the bytes they are in CSV; in JSON they have U+FFFD, and path_base64 holds their bytes.

    $ iqa score photos

    $ iqa score photos --csv scores.csv --json scores.json

    $ iqa score photos --html report.html

    $ find . -name '*.jpg' -print0 | iqa score -0 - --jsonl scores.jsonl --append

    $ iqa score photos --group --csv groups.csv

    $ iqa score photos --bottom 20 --format paths -0 | xargs -0 ls -l

    $ iqa score photos --write-xmp --csv scores.csv

    $ iqa score . --no-header | awk -F, '/,ok,,/ {print $(NF-7), $0}' | sort -g
    """
    paths = [path for named in images.paths or [] for path in expand_pattern(named)]
    images = replace(images, paths=paths)
    options = gather_scoring(images, model, runtime, output)
    if choice.group:
        options = replace(options, preview=max(options.preview, GROUP_PREVIEW))
    raise typer.Exit(run_scoring(options, images, choice, output, ratings.gather()))


def run_scoring(
    options: ScoreOptions, images: InputFlags, choice: ChoiceFlags, output: OutputFlags, ratings: RatingOptions | None
) -> int:
    """Score the images, show and write what becomes of them: the exit code. What is done is kept, however the run ends."""
    paths, files, selection = images.paths or [], output.list_files(null=images.null), choice.gather()
    read = list_inputs(paths, images.files_from, options.model)
    check_outputs(list_written(files, output), read, force=output.force)
    inputs = name_inputs(paths, images.files_from, null=images.null)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy would start a thread a core, of which scoring uses none
    with closing(start_worker()) as worker:  # it loads what decodes, while this process loads what runs the network
        from iqa_cli.cli.views import terminal  # after the options: who misspelt one need not wait for it
        from iqa_cli.culling.grouping.groups import grouping
        from iqa_cli.reports.previews import PreviewSpool
        from iqa_cli.scoring import pipeline

        with interrupts.raised():
            tally = pipeline.Tally()
            tally.notes += explain_patterns(paths)
            count = plan_count(paths, images.files_from, options)
            follow = terminal.follow(
                tally, list(files.values()), quiet=output.quiet, count=count, held=selection.waits or choice.group
            )
            with (
                rating(ratings, quiet=output.quiet) as rated,
                follow as hide,
                PreviewSpool(files.get(REPORT, STREAM).parent) as previews,
                open_output(files, output, with_groups(choice.group), previews, tally) as sink,
                selecting(selection, sink, hide) as chosen,
            ):
                sinks = SinkGroup([rated, chosen])
                with grouping(sinks.write, hide, wanted=choice.group) as write:
                    keep = previews.keep if REPORT in files else forget_preview
                    pipeline.score_all(inputs, options, lambda record: write(record, keep(record)), tally, worker)
                if chosen.failing:
                    tally.notes.append(f"{chosen.failing} of {tally.recorded} images score below {selection.fail_under:g}")
    return tally.exit_code or rated.exit_code or (FAILING if chosen.failing else 0)


def forget_preview(record: ScoreRecord) -> ScoreRecord:
    """The record without its preview."""
    return record if record.preview is None else replace(record, preview=None)


def list_inputs(paths: list[str], files_from: Path | None, model: str) -> Iterator[str | Path | int]:
    """The files that are named as inputs; those of lists are known only as the lists are read."""
    yield from (path for path in paths if path != STDIN)
    yield from list_model_parts(model)
    if files_from not in (None, STREAM):
        yield files_from
    if STDIN in paths or files_from == STREAM:
        yield 0  # where a shell may have put a file


def explain_patterns(paths: list[str]) -> list[str]:
    """What to say of patterns that match nothing; their records only say that there is no such file."""
    return [f"{path}: no file is called so, and none matches this pattern" for path in paths if is_pattern(path)]


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
    """What finds out how many images there are, unless a list says so only as it is read."""
    from collections import Counter

    from iqa_cli.images.find import find_images
    from iqa_cli.scoring.pipeline import filter_names

    if not paths or STDIN in paths or files_from is not None:
        return None
    names = filter_names(options)
    return lambda: sum(1 for _ in find_images(paths, Counter(), names))


def list_written(files: Mapping[str, Path], output: OutputFlags) -> list[Output]:
    """The outputs that are files, as `check_outputs` wants them."""
    written = list_outputs({kind: path for kind, path in files.items() if kind != REPORT}, append=output.append)
    if REPORT in files:
        from iqa_cli.reports.sink import list_report

        written += list_report(files[REPORT])
    return written


@contextmanager
def open_output(
    files: Mapping[str, Path], output: OutputFlags, columns: Columns, previews: PreviewSpool, tally: Tally
) -> Iterator[Sink]:
    """Where records go: the files, or stdout. previews: those of the report. Raises UsageError and DataError."""
    from iqa_cli.cli.views import terminal

    tables = {kind: path for kind, path in files.items() if kind != REPORT}
    with ExitStack() as stack:
        sinks: list[Sink] = []
        if tables:
            sinks.append(stack.enter_context(open_sinks(tables, columns, header=not output.no_header, append=output.append)))
        elif not files and sys.stdout.isatty():
            sinks.append(terminal.TableSink(columns, header=not output.no_header))
        elif not files:
            sinks.append(CsvSink(open_stdout(), columns, header=not output.no_header))
        if REPORT in files:
            from iqa_cli.reports.sink import Wording, open_report

            wording = Wording(partial(round_record, columns=columns), lambda: list_remarks(tally))
            sinks.append(stack.enter_context(open_report(files[REPORT], previews, wording)))
        yield SinkGroup(sinks)


def list_remarks(tally: Tally) -> list[str]:
    """What the report says of the run besides its records."""
    return [*tally.notes, *filter(None, [tally.describe_left_out()])]
