"""Made records and pages of them, for tests: any number of photos without a file."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from iqa_cli.records import ScoreRecord, Status
from iqa_cli.reports.previews import PreviewSpool
from iqa_cli.reports.sink import open_report

MODEL = "toy"


@cache
def make_jpeg(seed: int, side: int = 200) -> bytes:
    """A picture of noise over a coarse pattern, about as large as a photo's preview."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (3, 4, 3), np.uint8)).resize((side, side * 3 // 4), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 9, (side * 3 // 4, side, 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=80)
    return file.getvalue()


def make_record(path: str, score: float, *, preview: bytes | None = None, size: tuple[int, int] = (4000, 3000)) -> ScoreRecord:
    width, height = size
    return ScoreRecord(path, Status.OK, MODEL, score, min(score, 100.0), width=width, height=height, preview=preview)


def make_failure(path: str, detail: str = "JPEG: the data end early") -> ScoreRecord:
    return ScoreRecord(path, Status.DAMAGED, MODEL, detail=detail)


def make_records(count: int, *, folders: int = 4) -> list[ScoreRecord]:
    """So many photos, with scores from 0 up to 100, in some order."""
    rng = np.random.default_rng(count)
    scores = rng.permutation(np.linspace(0, 99.9, count))
    return [
        make_record(f"photos/{i % folders:03}/IMG_{i:05}.jpg", float(scores[i]), preview=make_jpeg(i % 50))
        for i in range(count)
    ]


@dataclass(frozen=True)
class GroupedRecord(ScoreRecord):
    """A record that says more."""

    group: int | None = None
    group_kind: str = ""
    rank_in_group: int | None = None
    best_of_group: bool = False
    reasons: tuple[str, ...] = ("blur", "noise")


def make_groups() -> list[ScoreRecord]:
    """A burst of three, and a bracket of two."""
    rows = [
        (7, "burst", 3, 10.0),
        (7, "burst", 2, 30.0),
        (7, "burst", 1, 50.0),
        (8, "bracket", 1, 40.0),
        (8, "bracket", 2, 20.0),
    ]
    return [
        GroupedRecord(
            *(f"{at}.jpg", Status.OK, MODEL, score, score, "", 4000, 3000, 6.2, make_jpeg(at)),
            group=group,
            group_kind=kind,
            rank_in_group=rank,
            best_of_group=rank == 1,
        )
        for at, (group, kind, rank, score) in enumerate(rows, 1)
    ]


def write_page(path: Path, records: Iterable[ScoreRecord], remarks: Sequence[str] = ()) -> Path:
    with PreviewSpool(path.parent) as previews, open_report(path, previews, lambda: remarks) as sink:
        for record in records:
            sink.write(record)
    return path
