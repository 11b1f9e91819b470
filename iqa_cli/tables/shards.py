"""Side files: SHARD.scores.parquet beside each local shard, with a row an image and WebDataset's keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from iqa_cli.errors import DataError
from iqa_cli.files.outputs import may_replace
from iqa_cli.records import ScoreRecord
from iqa_cli.remote.names import ARCHIVE, is_url, split_member
from iqa_cli.scoring.writers import Sink
from iqa_cli.tables.parquet import list_parquet, open_parquet

OPTION = "--shard-scores"


def name_side_file(shard: str) -> Path:
    """Where the scores of a shard go: 00000.scores.parquet beside 00000.tar."""
    return Path(shard).with_name(f"{Path(shard).name.rpartition('.')[0].removesuffix('.tar')}.scores.parquet")


class SideFileSink:
    """Writes each shard's records into a file of its own, as the shards come one after the other.

    sha256: of the model's weights. force: side files of other kinds may be replaced.
    """

    def __init__(self, sha256: str, *, force: bool) -> None:
        self.sha256, self.force = sha256, force
        self.shard: str | None = None
        self.done: set[Path] = set()
        self.opened = ExitStack()
        self.sink: Sink | None = None

    def write(self, record: ScoreRecord) -> None:
        """One row; nothing of an image in no shard. Raises DataError where the file may not or cannot be written."""
        inside = split_member(record.path)
        if inside is None and not ARCHIVE.fullmatch(record.path):
            return
        shard = record.path if inside is None else inside[0]
        if shard != self.shard:
            self.close()
            self.shard, self.sink = shard, self.opened.enter_context(open_parquet(self._name(shard), self.sha256))
        if self.sink is not None:
            self.sink.write(record)

    def _name(self, shard: str) -> Path:
        """The file for a shard. Raises DataError where it may not be written."""
        if is_url(shard):
            raise DataError(f"{OPTION}: {shard}: only beside shards on this machine can be written: use --parquet FILE")
        path = name_side_file(shard)
        if path in self.done:
            raise DataError(f"{OPTION}: {path}: two shards, or one that is named twice, would be written to one file")
        if not self.force and not may_replace(list_parquet(path, OPTION)):
            raise DataError(f"{OPTION}: {path}: there is a file that is no earlier output: move it away, or add --force")
        self.done.add(path)
        return path

    def close(self) -> None:
        """Complete the file of the last shard."""
        self.opened.close()
        self.sink = None


@contextmanager
def open_side_files(sha256: str, *, force: bool) -> Iterator[Sink]:
    """Side files, each complete when the next begins or the block ends, however it ends."""
    sink = SideFileSink(sha256, force=force)
    try:
        yield sink
    finally:
        sink.close()
