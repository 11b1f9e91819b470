"""ReportSink: records become a page when the last one is there, or when the run is cut short."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
"""The fields of every record."""


Describe = Callable[[ScoreRecord], Mapping[str, Any]]
"""The fields of a record by their names, rounded, as other outputs have them: `writers.round_record`, or one that says more."""


@dataclass(frozen=True)
class Wording:
    """What the page says beside the pictures.

    describe: of each record; what is not in SHOWN stands in its `extra`, where the page knows native_detail, effective_mp,
    group, group_kind, rank_in_group, best_of_group and reasons. remarks: what there is to say about the run, asked for at its
    end.
    """

    describe: Describe = round_record
    remarks: Callable[[], Iterable[str]] = tuple


PLAIN = Wording()


class ReportSink:
    """Collects records, and writes the page at `finish`.

    previews: where the small pictures are. folder: what links to photos are relative to.
    """

    def __init__(self, target: Target, previews: PreviewSpool, folder: Path, wording: Wording) -> None:
        self.target, self.previews, self.folder, self.wording = target, previews, folder, wording
        self.records: list[ScoreRecord] = []

    def write(self, record: ScoreRecord) -> None:
        """Keep it. Raises as `PreviewSpool.keep` does."""
        self.records.append(self.previews.keep(record))

    def finish(self, *remarks: str) -> None:
        """Write the page, whole after each write, be it that there is no record. Raises as `Target.write` does."""
        drawn = [place for place, record in enumerate(self.records) if record.path in self.previews.places]
        drawn.sort(key=lambda place: self.records[place].score or 0.0)  # as the page begins, whose first are then soon there
        data = {
            "version": __version__,
            "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
            "id": identify(self.records, self.previews),
            "remarks": [*remarks, *self.wording.remarks()],
            "chunk": CHUNK,
            "thumbs": drawn,
            "records": [self._describe(record) for record in self.records],
        }
        self.target.write(build_head(data, __version__), tail=END)
        for number, first in enumerate(range(0, len(drawn), CHUNK)):
            thumbs = [self.previews.read(self.records[place].path) for place in drawn[first : first + CHUNK]]
            self.target.write(build_thumbs(number, thumbs), tail=END)

    def _describe(self, record: ScoreRecord) -> dict[str, Any]:
        """A record as the page's script has it: its fields, a link to the photo, and what else is said of it."""
        values = self.wording.describe(record)
        shown = {name: values[name] for name in SHOWN} | encode_path(record.path)
        extra = {name: value for name, value in values.items() if name not in SHOWN and value not in (None, "", ())}
        return shown | {"href": link_photo(record.path, self.folder)} | ({"extra": extra} if extra else {})


def identify(records: Iterable[ScoreRecord], previews: PreviewSpool) -> str:
    """What tells the page of these photos from others, so that a browser keeps marks of each.

    It is where they are and how they look: cameras count from 1 in many folders, and a memory card is where another one was.
    Raises as `PreviewSpool.read` does.
    """
    told = hashlib.sha256()
    for record in records:
        place = record.path if "://" in record.path else os.path.abspath(record.path)  # noqa: PTH100  # by its text alone
        told.update(hashlib.sha256(place.encode("utf-8", "surrogateescape")).digest())
        told.update(hashlib.sha256(previews.read(record.path)).digest())
    return told.hexdigest()[:16]


@contextmanager
def open_report(path: Path, previews: PreviewSpool, wording: Wording = PLAIN) -> Iterator[ReportSink]:
    """A sink that is a page; written when the block ends; where that fails, of the records so far, if there are any.

    Raises WriteError where it cannot be.
    """
    with open_target(path) as target:
        sink = ReportSink(target, previews, find_folder(path), wording)
        try:
            yield sink
        except BaseException:
            if sink.records:
                sink.finish("The run was cut short: not all photos are here.")
            raise
        sink.finish()


def list_report(path: Path | None) -> list[Output]:
    """The page among outputs, as `outputs.check_outputs` wants it."""
    written = path is not None and path != STDOUT
    return [Output(path, "--html", "a report", lambda head: head.startswith(BEGIN))] if path is not None and written else []
