"""PreviewSpool: the small pictures of a run, on the disk until the page takes them in, so that memory stays flat."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import IO

from iqa_cli.errors import WriteError
from iqa_cli.records import ScoreRecord


class PreviewSpool:
    """Previews by path, in a file without a name, which is gone however the process ends.

    folder: where that file is, as the page will be of its size; the system's own place for such files where nothing can be
    written there. Without previews there is no file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places: dict[str, tuple[int, int]] = {}  # where a preview begins, and its length
        self.size = 0
        self.file: IO[bytes] | None = None

    def __enter__(self) -> PreviewSpool:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()

    def keep(self, record: ScoreRecord) -> ScoreRecord:
        """The record without its preview, which is kept here. Raises WriteError."""
        if record.preview is None:
            return record
        try:
            self.file = self.file or open_unnamed(self.folder)
            self.file.seek(self.size)
            self.file.write(record.preview)
        except OSError as error:
            raise WriteError(f"cannot keep the previews for the report: {error.strerror}") from error
        self.places[record.path] = self.size, len(record.preview)
        self.size += len(record.preview)
        return replace(record, preview=None)

    def read(self, path: str) -> bytes:
        """The preview of a photo; empty where it has none. Raises WriteError."""
        start, length = self.places.get(path, (0, 0))
        if self.file is None or not length:
            return b""
        try:
            self.file.seek(start)
            return self.file.read(length)
        except OSError as error:  # what was written last may only now find no room
            raise WriteError(f"cannot keep the previews for the report: {error.strerror}") from error


def open_unnamed(folder: Path) -> IO[bytes]:
    """A temporary file, if possible in that folder. Raises OSError."""
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError:
        return tempfile.TemporaryFile()
