"""Options of `iqa score` for the tables that data sets are built with, and what they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqa_cli.cli.flags.shared import OUTPUT, STREAM, parse_output
from iqa_cli.errors import UsageError
from iqa_cli.scoring.writers import Columns, Sink, SinkGroup

if TYPE_CHECKING:
    from iqa_cli.cli.flags.score import OutputFlags
    from iqa_cli.files.outputs import Output


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
            help="Write DIR/metadata.csv, .jsonl or .parquet for Hugging Face's imagefolder.",
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
        if self.parquet == STREAM and STREAM in (output.csv, output.jsonl, output.json, output.html):
            raise UsageError("only one of the outputs can be stdout")
        if (self.shard_scores or self.shard_json) and waits:
            option = "--shard-scores" if self.shard_scores else "--shard-json"
            raise UsageError(f"{option} goes from shard to shard: leave out --sort, --top, --bottom and --group")
        from iqa_cli.tables.imagefolder import check_name
        from iqa_cli.tables.parquet import need_pyarrow

        if self.imagefolder:
            check_name(self.imagefolder)
        if self.parquet or self.shard_scores:
            need_pyarrow("--parquet" if self.parquet else "--shard-scores")

    def list_outputs(self) -> list[Output]:
        """The files, as `outputs.check_outputs` wants them."""
        if not self.any:
            return []
        from iqa_cli.tables.imagefolder import list_metadata
        from iqa_cli.tables.parquet import list_parquet

        tables = [list_parquet(self.parquet)] if self.parquet and self.parquet != STREAM else []
        return [*tables, *([list_metadata(self.imagefolder)] if self.imagefolder else [])]

    @contextmanager
    def open(self, find_sha256: Callable[[], str], columns: Columns, *, force: bool) -> Iterator[Sink]:
        """All tables as one sink, complete when the block ends, however it ends. find_sha256: that of the model's weights."""
        with ExitStack() as stack:
            sinks: list[Sink] = []
            if self.any:
                from iqa_cli.tables.imagefolder import open_metadata
                from iqa_cli.tables.parquet import open_parquet
                from iqa_cli.tables.shards import open_json_tars, open_side_files

                sha256 = find_sha256()
                if self.parquet:
                    sinks.append(stack.enter_context(open_parquet(self.parquet, sha256, columns)))
                if self.imagefolder:
                    sinks.append(stack.enter_context(open_metadata(self.imagefolder, sha256)))
                if self.shard_scores:
                    sinks.append(stack.enter_context(open_side_files(sha256, force=force)))
                if self.shard_json:
                    sinks.append(stack.enter_context(open_json_tars(self.shard_json, sha256, force=force)))
            yield SinkGroup(sinks)
