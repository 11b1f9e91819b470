"""`iqa score`: options, one core call, exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.inputs import (
    explain_patterns,
    find_inputs,
    find_span,
    list_inputs,
    list_names,
    name_inputs,
    plan_count,
    refuse_elsewhere,
    stopping,
)
from iqa_cli.cli.flags.ratings import RatingFlags
from iqa_cli.cli.flags.score import ChoiceFlags, Format, InputFlags, ModelFlags, OutputFlags, gather_scoring
from iqa_cli.cli.flags.shared import STREAM, BatchFlags, spread
from iqa_cli.cli.flags.tables import Strays, TableFlags
from iqa_cli.cli.jobs.flags import EngineFlags
from iqa_cli.cli.jobs.score_parts import refuse_others, run_parts
from iqa_cli.cli.ratings import rating
from iqa_cli.errors import UsageError
from iqa_cli.files.outputs import Output, check_outputs
from iqa_cli.options import GROUP_PREVIEW
from iqa_cli.remote.names import expand_name
from iqa_cli.scoring.decode_protocol import start_worker
from iqa_cli.scoring.selection import selecting
from iqa_cli.scoring.writers import Columns, Sink, SinkGroup, list_columns, list_outputs, open_sinks, round_record

if TYPE_CHECKING:
    from iqa_cli.culling.rating_options import RatingOptions
    from iqa_cli.options import ScoreOptions
    from iqa_cli.records import ScoreRecord
    from iqa_cli.reports.previews import PreviewSpool
    from iqa_cli.scoring.tally import Tally

EXIT_CODES = (
    "Exit codes: 0 every image has a score, 1 some image has none (its row says why), or some folder or file cannot be read,"
    " 2 usage, 3 model, 4 files, as a sidecar that is not written, 5 all have one, and some is below --fail-under."
)
FAILING = 5
REPORT = "html"  # the output that is a page


@spread
def score(
    *,
    images: InputFlags,
    choice: ChoiceFlags,
    output: OutputFlags,
    tables: TableFlags,
    ratings: RatingFlags,
    model: ModelFlags,
    runtime: BatchFlags,
    engine: EngineFlags,
) -> None:
    """Score images: 0 is bad, 100 is excellent.

    The percentile says what share of the photographs that people rated scores no higher. Nine times in ten the mean of people's
    opinions lies within the uncertainty of the score.

    Unless an output is named, the records go to stdout: a table at a terminal, CSV in a pipe.

    Every image gets a record, scored or not, in the order of the paths. Files appear whole; at Ctrl-C with what is done.

    --explain adds reasons, joined by ";" in CSV; JSON has what was measured, too. iqa explain says them in full sentences.

    --group adds group (the path of its first photo), group_kind, rank_in_group and best_of_group. Brackets, focus stacks and
    panoramas are kept whole: they have no ranks.

    --detail adds native_detail, from 0 to 100: how much of the photo's resolution is real, seen at full size where it is
    sharpest; and effective_mp, the megapixels to which it could be reduced with nothing lost.

    Paths that are not UTF-8 are the bytes they are in CSV; in JSON they have U+FFFD, and path_base64 holds their bytes.

    $ iqa score photos

    $ iqa score photos --csv scores.csv --json scores.json

    $ iqa score photos --html report.html

    $ find . -name '*.jpg' -print0 | iqa score -0 - --jsonl scores.jsonl --append

    $ iqa score photos --group --csv groups.csv

    $ iqa score photos --bottom 20 --format paths -0 | xargs -0 ls -l

    $ iqa score photos --write-xmp --csv scores.csv

    $ iqa score "s3://bucket/shards/*.tar" --parquet scores.parquet    (paths as s3://bucket/shards/00000.tar::KEY.jpg)

    $ iqa score s3://bucket/photos --engine ray --output s3://bucket/scores/    (millions: in parts, on a cluster)

    $ iqa score . --no-header | awk -F, '/,ok,,/ {print $(NF-7), $0}' | sort -g
    """
    engine.check()
    if images.null and not images.has_list and output.format is not Format.PATHS:
        raise UsageError("--null is about lists of paths: add - or --files-from FILE, or --format paths, or leave it out")
    if engine.place is not None:
        refuse_others(choice, output, tables, ratings, model)
        options = replace(gather_scoring(images, model, runtime, output), detail=choice.detail)
        raise typer.Exit(run_parts(options, images, output, engine))
    images = replace(images, paths=[path for named in images.paths or [] for path in expand_name(named)])
    scoring = gather_scoring(images, model, runtime, output)
    options = replace(scoring, detail=choice.detail or choice.group, reasons=choice.explain)
    if choice.group:
        options = replace(options, preview=max(options.preview, GROUP_PREVIEW))
    raise typer.Exit(run_scoring(options, images, choice, output, tables, ratings.gather()))


def run_scoring(
    options: ScoreOptions,
    images: InputFlags,
    choice: ChoiceFlags,
    output: OutputFlags,
    tables: TableFlags,
    ratings: RatingOptions | None,
) -> int:
    """Score the images, show and write what becomes of them: the exit code. What is done is kept, however the run ends."""
    selection = choice.gather()
    tables.check(output, waits=selection.waits or choice.group)
    paths, files = images.paths or [], output.list_files(null=images.null)
    whole = bool(paths) and not images.has_list  # a list says so only as it is read
    tables.check_shards(list_names(paths, images.files_from, null=images.null), whole=whole, force=output.force)
    if ratings is not None:
        refuse_elsewhere(paths, "--write-xmp")
    read = list_inputs(paths, images.files_from, options.model)
    check_outputs([*list_written(files, output), *tables.list_outputs()], read, force=output.force)
    inputs = tables.refuse_members(name_inputs(paths, images.files_from, null=images.null))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy would start a thread a core, of which scoring uses none
    with closing(start_worker()) as worker:  # it loads what decodes, while this process loads what runs the network
        from iqa_cli.cli.views import terminal  # after the options: who misspelt one need not wait for it
        from iqa_cli.culling.grouping.groups import grouping
        from iqa_cli.reports.previews import PreviewSpool
        from iqa_cli.scoring import pipeline
        from iqa_cli.scoring.tally import Tally

        with interrupts.raised(), stopping() as stop:
            tally = Tally()
            tally.notes += explain_patterns(paths)
            count = plan_count(paths, images.files_from, options)
            held = selection.waits or choice.group
            columns = list_columns(groups=choice.group, detail=choice.detail, reasons=choice.explain)
            named = [*files.values(), *tables.files]
            strays = Strays(tables, selection.admits, kept=bool(named))
            follow = terminal.follow(tally, named, quiet=output.quiet, count=count, held=held)
            with (
                rating(ratings, quiet=output.quiet) as rated,
                follow as hide,
                PreviewSpool(files.get(REPORT, STREAM).parent) as previews,
                tables.open(lambda: find_sha256(options), columns) as tables_sink,
                tables.open_shards(lambda: find_sha256(options), selection.admits, columns, force=output.force) as by_shard,
                open_output(files, output, columns, previews, tally, to_stdout=not tables.any) as sink,
                selecting(selection, SinkGroup([sink, tables_sink]), hide) as chosen,
            ):
                sinks = SinkGroup([rated, strays, by_shard, chosen])
                with grouping(sinks.write, hide, find_span(options) if choice.group else None) as write:
                    keep = previews.keep if REPORT in files else forget_preview
                    sources = find_inputs(inputs, options, tally, stop, files_only=ratings is not None)
                    pipeline.score_all(sources, options, lambda record: write(record, keep(record)), tally, worker)
                tally.warnings += strays.list_warnings()
                if chosen.failing:
                    tally.notes.append(f"{chosen.failing} of {tally.recorded} images score below {selection.fail_under:g}")
    return tally.exit_code or rated.exit_code or strays.exit_code or (FAILING if chosen.failing else 0)


def forget_preview(record: ScoreRecord) -> ScoreRecord:
    """The record without its preview."""
    return record if record.preview is None else replace(record, preview=None)


def find_sha256(options: ScoreOptions) -> str:
    """The SHA-256 of the weights that score. Raises WeightsError."""
    from iqa_cli.models.find import find_model
    from iqa_cli.options import FILE_KINDS

    found = find_model(options.model, options.backend)
    return found.card.files[FILE_KINDS[found.backend]].sha256


def list_written(files: Mapping[str, Path], output: OutputFlags) -> list[Output]:
    """The outputs that are files, as `check_outputs` wants them."""
    written = list_outputs({kind: path for kind, path in files.items() if kind != REPORT}, append=output.append)
    if REPORT in files:
        from iqa_cli.reports.sink import list_report

        written += list_report(files[REPORT])
    return written


@contextmanager
def open_output(
    files: Mapping[str, Path],
    output: OutputFlags,
    columns: Columns,
    previews: PreviewSpool,
    tally: Tally,
    *,
    to_stdout: bool,
) -> Iterator[Sink]:
    """Where records go: the files; without any, to stdout or nowhere. previews: those of the report.

    Raises UsageError and DataError.
    """
    from iqa_cli.cli.views import terminal

    tables = {kind: path for kind, path in files.items() if kind != REPORT}
    with ExitStack() as stack:
        sinks: list[Sink] = []
        if tables:
            sinks.append(stack.enter_context(open_sinks(tables, columns, header=not output.no_header, append=output.append)))
        elif not files and to_stdout and sys.stdout.isatty():
            sinks.append(terminal.TableSink(columns, header=not output.no_header))
        elif not files and to_stdout:
            sinks.append(stack.enter_context(open_sinks({"csv": STREAM}, columns, header=not output.no_header)))
        if REPORT in files:
            from iqa_cli.reports.sink import Wording, open_report

            wording = Wording(partial(round_record, columns=columns), lambda: list_remarks(tally))
            sinks.append(stack.enter_context(open_report(files[REPORT], previews, wording)))
        yield SinkGroup(sinks)


def list_remarks(tally: Tally) -> list[str]:
    """What the report says of the run besides its records."""
    return [*tally.notes, *filter(None, [tally.describe_left_out()])]
