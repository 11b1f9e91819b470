"""Made records and pages of them, for tests: any number of photos without a file."""

import io
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from iqa_cli.records import ScoreRecord, Status
from iqa_cli.reports.previews import PreviewSpool
from iqa_cli.reports.sink import Describe, Wording, open_report
from iqa_cli.scoring.writers import round_record

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


def make_groups() -> list[ScoreRecord]:
    """A burst of three, and a bracket of two: what `describe_group` says of them."""
    return [make_record(name, score, preview=make_jpeg(at)) for at, (name, (*_, score)) in enumerate(GROUPED.items(), 1)]


GROUPED = {
    "1.jpg": ("a/7.jpg", "burst", 3, 10.0),
    "2.jpg": ("a/7.jpg", "burst", 2, 30.0),
    "3.jpg": ("a/7.jpg", "burst", 1, 50.0),
    "4.jpg": ("8.jpg", "bracket", None, 40.0),
    "5.jpg": ("8.jpg", "bracket", None, 20.0),
}


def describe_group(record: ScoreRecord) -> dict[str, Any]:
    """A record with more fields than every record has."""
    group, kind, rank, _ = GROUPED.get(record.path, (None, None, None, None))
    more = {"group": group, "group_kind": kind, "rank_in_group": rank, "best_of_group": None if rank is None else rank == 1}
    return round_record(record) | more | {"reasons": ["blur", "noise"]}


def write_page(
    path: Path, records: Iterable[ScoreRecord], remarks: Sequence[str] = (), describe: Describe = round_record
) -> Path:
    with PreviewSpool(path.parent) as previews, open_report(path, previews, Wording(describe, lambda: remarks)) as sink:
        for record in records:
            sink.write(record)
    return path
