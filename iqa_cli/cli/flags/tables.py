"""Options of `iqa score` for the tables that data sets are built with, and what they make."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqa_cli.cli.flags.shared import OUTPUT, STREAM, parse_output
from iqa_cli.errors import DataError, UsageError
from iqa_cli.records import COLUMNS
from iqa_cli.remote.names import ARCHIVE, is_archive, is_pattern_of_urls, leads_out, plainly, split_member
from iqa_cli.scoring.writers import Columns, Sink, SinkGroup

if TYPE_CHECKING:
    from iqa_cli.cli.flags.score import OutputFlags
    from iqa_cli.files.outputs import Output
    from iqa_cli.records import ScoreRecord


@dataclass(frozen=True)
class TableFlags:
    """Tables to write, beside or instead of other outputs."""

    parquet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=parse_output,
            help="Write Parquet, typed, with the model's SHA-256; - is stdout.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    imagefolder: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the metadata.csv, .jsonl or .parquet of the images' folder, for Hugging Face's imagefolder.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    shard_scores: Annotated[
        bool,
        typer.Option("--shard-scores", help="Write SHARD.scores.parquet beside each local shard.", rich_help_panel=OUTPUT),
    ] = False

    shard_json: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write DIR/SHARD.tar with KEY.iqa.json for each image.", rich_help_panel=OUTPUT),
    ] = None

    @property
    def any(self) -> bool:
        """Whether some table is written."""
        return bool(self.parquet or self.imagefolder or self.shard_scores or self.shard_json)

    @property
    def by_shard(self) -> str:
        """The option that asks for files of single shards; empty where none does."""
        return "--shard-scores" if self.shard_scores else "--shard-json" if self.shard_json else ""

    @property
    def files(self) -> list[Path]:
        """The files that are named."""
        return [path for path in (self.parquet, self.imagefolder) if path is not None]

    def check(self, output: OutputFlags, *, waits: bool) -> None:
        """Raises UsageError where these options do not go with others, ExtraMissing where Parquet cannot be written.

        waits: records come sorted, or in groups.
        """
        if not self.any:
            return
        if output.format is not None:
            raise UsageError("--format is about stdout: leave it out, or the files")
        if output.append and self.parquet:
            raise UsageError("--append: a Parquet file has its end, and nothing comes behind it: write another one beside it")
        if output.append:
            raise UsageError("--append is about CSV and JSON Lines: leave it out")
        if output.no_header and output.csv is None:  # a table of a data set is nothing without its header
            raise UsageError("--no-header is about CSV: add --csv FILE, or leave it out")
        if self.parquet == STREAM and STREAM in (output.csv, output.jsonl, output.json, output.html):
            raise UsageError("only one of the outputs can be stdout")
        if self.by_shard and waits:
            raise UsageError(f"{self.by_shard} goes from shard to shard: leave out --sort, --top, --bottom and --group")
        from iqa_cli.tables.imagefolder import check_name
        from iqa_cli.tables.parquet import need_pyarrow

        if self.imagefolder:
            check_name(self.imagefolder)
        if self.parquet or self.shard_scores:
            need_pyarrow("--parquet" if self.parquet else "--shard-scores")

    def check_shards(self, paths: Iterable[str], *, whole: bool, force: bool) -> None:
        """Raises UsageError where files of shards are wanted, and these inputs name none, or what is in one.

        Raises DataError where the file of one may not be written.
        whole: there are no others, as of lists that say so only as they are read.
        """
        if not self.by_shard:
            return
        named = list(self.refuse_members(paths))
        if whole and not any(map(is_archive, named)):
            raise UsageError(f"{self.by_shard}: no shard is named: name tars or zips, as DIR/*.tar, or write --parquet FILE")
        from iqa_cli.tables.shards import check_shards, find_json_tars, find_side_files

        files = [find_side_files(force=force)] if self.shard_scores else []
        if self.shard_json:
            files.append(find_json_tars(self.shard_json, force=force))
        check_shards(filter(is_known_shard, map(plainly, named)), files)

    def refuse_members(self, paths: Iterable[str]) -> Iterator[str]:
        """These inputs, as they come. Raises UsageError for what is in a shard, where files of shards are wanted."""
        for path in paths:
            if self.by_shard and split_member(plainly(path)):
                what = "only a part of a shard, in whose file the rest would be missing"
                raise UsageError(f"{self.by_shard}: {path}: {what}: name the whole shard, or write --parquet FILE")
            yield path

    def list_outputs(self) -> list[Output]:
        """The files, as `outputs.check_outputs` wants them."""
        if not self.any:
            return []
        from iqa_cli.tables.imagefolder import list_metadata
        from iqa_cli.tables.parquet import list_parquet

        tables = [list_parquet(self.parquet)] if self.parquet and self.parquet != STREAM else []
        return [*tables, *([list_metadata(self.imagefolder)] if self.imagefolder else [])]

    @contextmanager
    def open(self, find_sha256: Callable[[], str], columns: Columns) -> Iterator[Sink]:
        """The tables of all records as one sink, complete when the block ends. find_sha256: that of the model's weights."""
        with ExitStack() as stack:
            sinks: list[Sink] = []
            if self.files:
                from iqa_cli.tables.imagefolder import open_metadata
                from iqa_cli.tables.parquet import open_parquet

                sha256 = find_sha256()
                if self.parquet:
                    sinks.append(stack.enter_context(open_parquet(self.parquet, sha256, columns)))
                if self.imagefolder:
                    sinks.append(stack.enter_context(open_metadata(self.imagefolder, sha256, columns)))
            yield SinkGroup(sinks)

    @contextmanager
    def open_shards(
        self,
        find_sha256: Callable[[], str],
        admits: Callable[[ScoreRecord], bool],
        columns: Columns = COLUMNS,
        *,
        force: bool,
    ) -> Iterator[Sink]:
        """The files of single shards as one sink, which takes every record. admits: whether one is written."""
        with ExitStack() as stack:
            sinks: list[Sink] = []
            if self.by_shard:
                from iqa_cli.tables.shards import open_json_tars, open_side_files

                def admits_inside(record: ScoreRecord) -> bool:  # a tar of ours leads nobody out of where it is unpacked
                    inside = split_member(record.path)
                    return admits(record) and not (inside and leads_out(inside[1]))

                sha256 = find_sha256()
                if self.shard_scores:
                    sinks.append(stack.enter_context(open_side_files(sha256, admits, columns, force=force)))
                if self.shard_json:
                    tars = open_json_tars(self.shard_json, sha256, admits_inside, columns, force=force)
                    sinks.append(stack.enter_context(tars))
            yield SinkGroup(sinks)


def is_known_shard(path: str) -> bool:
    """Whether a name is that of one shard, rather than a pattern of them, or the name of a folder."""
    return ARCHIVE.fullmatch(path) is not None and not is_pattern_of_urls(path) and not os.path.isdir(path)  # noqa: PTH112


class Strays:
    """Counts images that have no place in the files of shards, where such are written.

    admits: whether a record is written at all. kept: whether all records are written somewhere else, too.
    """

    def __init__(self, tables: TableFlags, admits: Callable[[ScoreRecord], bool], *, kept: bool) -> None:
        self.tables, self.admits, self.kept = tables, admits, kept
        self.outside = self.leading_out = 0

    def write(self, record: ScoreRecord) -> None:
        """Count one."""
        if not self.tables.by_shard or not self.admits(record):
            return
        inside = split_member(record.path)
        self.outside += inside is None and not ARCHIVE.fullmatch(record.path)
        self.leading_out += bool(self.tables.shard_json) and inside is not None and leads_out(inside[1])

    def list_warnings(self) -> Iterator[str]:
        """What is to be told of them."""
        if self.outside:
            where = "only the other outputs have them" if self.kept else "no output has them: add --csv or --parquet FILE"
            yield f"images in no shard: {self.outside:,}; {where}"
        if self.leading_out:
            yield f"--shard-json: left out: {self.leading_out:,} whose name leads out of the archive"

    @property
    def exit_code(self) -> int:
        """4 where a record that is wanted is not written."""
        return DataError.exit_code if self.leading_out or (self.outside and not self.kept) else 0
