"""ReportSink: records become a page when the last one is there, or when the run is cut short."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from iqa_cli import __version__
from iqa_cli.files.atomic import STDOUT, Target, open_target
from iqa_cli.files.outputs import Output
from iqa_cli.records import ScoreRecord
from iqa_cli.reports.links import find_folder, link_photo
from iqa_cli.reports.page import BEGIN, END, build_head, build_thumbs
from iqa_cli.reports.previews import PreviewSpool
from iqa_cli.scoring.writers import encode_path, round_record

CHUNK = 50  # thumbnails of one script element: half a megabyte, of which a browser splits a few at a time
SHOWN = ("path", "score", "percentile", "uncertainty", "status", "detail", "width", "height", "model")
"""The fields that the page knows by name; all others that a record has stand in `extra`."""


class ReportSink:
    """Collects records, and writes the page at `finish`.

    previews: where the small pictures are. folder: what links to photos are relative to. remarks: what there is to say about
    the run, asked for at its end.
    """

    def __init__(self, target: Target, previews: PreviewSpool, folder: Path, remarks: Callable[[], Iterable[str]]) -> None:
        self.target, self.previews, self.folder, self.remarks = target, previews, folder, remarks
        self.records: list[ScoreRecord] = []

    def write(self, record: ScoreRecord) -> None:
        """Keep it. Raises as `PreviewSpool.keep` does."""
        self.records.append(self.previews.keep(record))

    def finish(self, *remarks: str) -> None:
        """Write the page, whole after each write, unless there is no record. Raises as `Target.write` does."""
        if not self.records:
            return
        drawn = [place for place, record in enumerate(self.records) if record.path in self.previews.places]
        drawn.sort(key=lambda place: self.records[place].score or 0.0)  # as the page begins, whose first are then soon there
        data = {
            "version": __version__,
            "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
            "id": identify(self.records),
            "remarks": [*remarks, *self.remarks()],
            "chunk": CHUNK,
            "thumbs": drawn,
            "records": [describe(record, self.folder) for record in self.records],
        }
        self.target.write(build_head(data, __version__), tail=END)
        for number, first in enumerate(range(0, len(drawn), CHUNK)):
            thumbs = [self.previews.read(self.records[place].path) for place in drawn[first : first + CHUNK]]
            self.target.write(build_thumbs(number, thumbs), tail=END)


def describe(record: ScoreRecord, folder: Path) -> dict[str, Any]:
    """A record as the page's script has it: its fields, a link to the photo, and what else it carries in `extra`."""
    values = round_record(record)
    others = {field.name: getattr(record, field.name) for field in fields(record) if field.name not in (*SHOWN, "preview")}
    extra = {name: value for name, value in others.items() if value not in (None, "", ())}
    shown = {name: values[name] for name in SHOWN} | encode_path(record.path) | {"href": link_photo(record.path, folder)}
    return shown | ({"extra": extra} if extra else {})


def identify(records: Iterable[ScoreRecord]) -> str:
    """What tells the page of these photos from others, so that a browser keeps marks of each."""
    paths = "\0".join(record.path for record in records)
    return hashlib.sha256(paths.encode("utf-8", "surrogateescape")).hexdigest()[:16]


@contextmanager
def open_report(path: Path, previews: PreviewSpool, remarks: Callable[[], Iterable[str]] = tuple) -> Iterator[ReportSink]:
    """A sink that is a page; written when the block ends, however it ends. Raises DataError where it cannot be."""
    with open_target(path) as target:
        sink = ReportSink(target, previews, find_folder(path), remarks)
        try:
            yield sink
        except BaseException:
            sink.finish("The run was cut short: not all photos are here.")
            raise
        sink.finish()


def list_report(path: Path | None) -> list[Output]:
    """The page among outputs, as `outputs.check_outputs` wants it."""
    written = path is not None and path != STDOUT
    return [Output(path, "--html", "a report", lambda head: head.startswith(BEGIN))] if path is not None and written else []
