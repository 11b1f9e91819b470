"""The same images have the same scores by every road, row for row and bit for bit."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import BUCKET, Run, write_photo
from processes import running
from shards import read_files, write_tar, write_zip

from iqa_cli import ScoreOptions, Scorer, score_images

pq = pytest.importorskip("pyarrow.parquet", reason="needs the [parquet] extra")
pytest.importorskip("s3fs", reason="needs the [remote] extra")
SIZES = ((96, 80), (80, 96), (200, 60), (64, 64), (333, 217))

Rows = list[dict[str, Any]]


def make_images(folder: Path, count: int) -> Path:
    """Pictures in three folders; every 40th is none, and every 40th is cut short."""
    for number in range(count):
        path = folder / "abc"[number % 3] / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_photo(path, number, SIZES[number % 5])
        if number % 40 == 7:
            path.write_text("text")
        if number % 40 == 23:
            path.write_bytes(path.read_bytes()[:-200])
    return folder


def read_rows(place: Path) -> Rows:
    """The rows of a table or of all parts in a folder."""
    files = [place] if place.is_file() else sorted(place.glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def bare(rows: Rows, place: object) -> Rows:
    """What is the same by every road, by the paths below a folder, an archive or a prefix."""
    moved = [{**row, "path": row["path"].removeprefix(str(place)).lstrip(":/"), "shard": None, "key": None} for row in rows]
    return sorted(moved, key=lambda row: str(row["path"]))


def walk_roads(iqa: Run, s3: Any, model: Path, images: Path, tmp_path: Path, size: int) -> Iterator[tuple[str, Rows]]:
    """Roads by their names, each with its rows."""
    files = read_files(images)
    tar, packed = write_tar(tmp_path / "0.tar", files), write_zip(tmp_path / "0.zip", files)
    for name, data in files:
        s3.pipe(f"{BUCKET}/set/{name}", data)
    s3.put(str(tar), f"{BUCKET}/0.tar")
    bucket, shard = f"s3://{BUCKET}/set", f"s3://{BUCKET}/0.tar"
    for number, place in enumerate((images, tar, packed, bucket, shard)):
        table, parts = tmp_path / f"{number}.parquet", tmp_path / f"parts-{number}"
        iqa("score", place, "-m", model, "--no-cache", "--parquet", table)
        yield f"{place}, one table", bare(read_rows(table), place)
        iqa("score", place, "-m", model, "--output", parts, "--part-size", str(size))
        yield f"{place}, in parts", bare(read_rows(parts), place)
    iqa("score", images, "-m", model, "--parquet", tmp_path / "cached.parquet")
    iqa("score", images, "-m", model, "--parquet", tmp_path / "cached.parquet")
    yield "the cache", bare(read_rows(tmp_path / "cached.parquet"), images)
    if importlib.util.find_spec("ray") is None:
        return
    for number, place in enumerate((images, bucket, shard)):
        parts = tmp_path / f"ray-{number}"
        command = ("score", place, "-m", model, "--output", parts, "--part-size", size, "--engine", "ray", "--actors", 2)
        with running(*command, log=tmp_path / "log") as run:
            assert run.wait(900) == 1, run.log.read_text()
        yield f"{place}, by Ray", bare(read_rows(parts), place)


@pytest.mark.slow
def test_a_thousand_images_have_the_same_rows_by_every_road(iqa: Run, s3: Any, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray.data", reason="needs the [ray] extra")
    images = make_images(tmp_path / "images", 1000)
    roads = dict(walk_roads(iqa, s3, model, images, tmp_path, 60))
    expected = roads[f"{images}, one table"]
    assert len(expected) == 1000
    assert sum(row["score"] is None for row in expected) == 50
    assert len({row["score"] for row in expected}) > 300
    assert [name for name, rows in roads.items() if rows != expected] == []
    assert len(roads) == 14


def test_scores_are_the_same_by_every_road_unrounded(s3: Any, model: Path, tmp_path: Path) -> None:
    """A few dozen images; of one process, where scores are not rounded yet."""
    images = make_images(tmp_path / "images", 40)
    files = read_files(images)
    tar = write_tar(tmp_path / "0.tar", files)
    s3.put(str(tar), f"{BUCKET}/0.tar")
    for name, data in files:
        s3.pipe(f"{BUCKET}/set/{name}", data)
    paths = [str(images / name) for name, _ in files]
    with Scorer(model) as scorer:
        expected = [(record.score, record.status, record.detail) for record in scorer.score_many(paths)]
        roads = {
            "bytes": list(scorer.score_many(data for _, data in files)),
            "members": list(scorer.score_many(f"{tar}::{name}" for name, _ in files)),
            "URLs": list(scorer.score_many(f"s3://{BUCKET}/set/{name}" for name, _ in files)),
        }
    options = ScoreOptions(str(model), batch_size=3)
    for place in (str(tar), f"s3://{BUCKET}/0.tar"):
        roads[place] = list(score_images(place, options))
    assert len({score for score, *_ in expected}) > 20
    for name, records in roads.items():
        assert [(record.score, record.status, record.detail) for record in records] == expected, name
