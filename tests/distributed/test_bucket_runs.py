"""Runs in parts from a bucket into a bucket, of a real server of S3's protocol on loopback."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import BUCKET, Run
from in_process import environment
from shards import read_files, write_tar

from iqa_cli import ScoreOptions, score_images
from iqa_cli.records import ScoreRecord
from iqa_cli.scoring.writers import round_record

pq = pytest.importorskip("pyarrow.parquet", reason="needs the [parquet] extra")
pytest.importorskip("s3fs", reason="needs the [remote] extra")
OUT = f"s3://{BUCKET}/scores/"


def read_bucket(s3: Any) -> list[dict[str, Any]]:
    """The rows of all parts in the output, by their paths."""
    tables = [s3.cat_file(name) for name in s3.glob(f"{BUCKET}/scores/*.parquet")]
    rows = [row for data in tables for row in pq.read_table(io.BytesIO(data)).to_pylist()]
    return sorted(rows, key=lambda row: str(row["path"]))


def list_objects(s3: Any) -> dict[str, str]:
    """The objects of the output and when they were written."""
    return {name: str(facts["LastModified"]) for name, facts in s3.find(f"{BUCKET}/scores", detail=True).items()}


def expect(photos: Path, model: Path, place: str) -> list[dict[str, object]]:
    """The rows that a folder's images have with their paths below a URL."""
    records = score_images(str(photos), ScoreOptions(str(model)))
    moved = [replace(each, path=each.path.replace(str(photos), place)) for each in records]
    return sorted(map(round_record, moved), key=lambda row: str(row["path"]))


def core(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The columns that a record has."""
    return [{name: row[name] for name in ScoreRecord.__dataclass_fields__ if name in row} for row in rows]


def test_a_bucket_scores_into_a_bucket_as_the_folder_does(s3: Any, iqa: Run, model: Path, photos: Path) -> None:
    for name, data in read_files(photos):
        s3.pipe(f"{BUCKET}/set/{name}", data)
    command = ("score", f"s3://{BUCKET}/set", "-m", model, "--output", OUT, "--part-size", "4")
    assert iqa(*command).returncode == 0
    assert core(read_bucket(s3)) == core(expect(photos, model, f"s3://{BUCKET}/set"))  # type: ignore[arg-type]
    before = list_objects(s3)
    s3.pipe(f"{BUCKET}/set/01.jpg", (photos / "02.jpg").read_bytes())
    s3.pipe(f"{BUCKET}/set/new.jpg", b"text")
    assert iqa(*command).returncode == 1
    rows = read_bucket(s3)
    assert len(rows) == 13
    scores = {row["path"].rpartition("/")[2]: row["score"] for row in rows}
    assert scores["01.jpg"] == scores["02.jpg"]
    assert scores["new.jpg"] is None
    after = list_objects(s3)
    assert {name for name in before if after.get(name) == before[name]}
    assert {name for name in before if name not in after}


def test_shards_in_a_bucket_are_parts(s3: Any, iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    for number in range(2):
        s3.pipe(f"{BUCKET}/shards/{number}.tar", write_tar(tmp_path / "a.tar", read_files(photos)).read_bytes())
    command = ("score", f"s3://{BUCKET}/shards/*.tar", "-m", model, "--output", OUT)
    assert iqa(*command).returncode == 0
    rows = read_bucket(s3)
    assert len(rows) == 24
    assert {row["shard"] for row in rows} == {f"s3://{BUCKET}/shards/{number}.tar" for number in range(2)}
    before = list_objects(s3)
    s3.pipe(f"{BUCKET}/shards/1.tar", write_tar(tmp_path / "a.tar", read_files(photos)[:3]).read_bytes())
    assert b"12 from an earlier run" in iqa(*command).stderr
    assert len(read_bucket(s3)) == 15
    assert len(set(list_objects(s3)) & set(before)) == 2  # one shard, and what says what the folder is


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("images", "place", "reason"),
    [
        ("s3://{bucket}/gone/", OUT, "1 missing"),
        ("s3://{bucket}", OUT, "no images found"),
        ("s3://no-such-bucket/", OUT, "s3://no-such-bucket"),
        ("{photos}", "s3://no-such-bucket/scores", "s3://no-such-bucket"),
    ],
)
def test_what_is_not_there_is_said(iqa: Run, model: Path, photos: Path, images: str, place: str, reason: str) -> None:
    done = iqa("score", images.format(bucket=BUCKET, photos=photos), "-m", model, "--output", place)
    assert done.returncode == (1 if "missing" in reason else 4)
    assert reason in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert sum(b"error" in line for line in done.stderr.splitlines()) <= 1


@pytest.mark.usefixtures("s3")
def test_no_credentials_for_the_output_are_one_line(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    env = {name: value for name, value in environment().items() if not name.startswith("AWS_")}
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    done = iqa("score", photos, "-m", model, "--output", OUT, env={**env, **nowhere})
    assert done.returncode == 4
    assert b"credentials" in done.stderr
    assert len(done.stderr.splitlines()) == 1
