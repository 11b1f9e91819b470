import os
import urllib.request
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import BUCKET, Run, read_rows
from in_process import environment
from shards import read_files, write_tar, write_zip

from iqa_cli import ScoreOptions, score_images
from iqa_cli.errors import UsageError
from iqa_cli.records import ScoreRecord
from iqa_cli.remote.find import find_sources
from iqa_cli.scoring.sources import name_source

pytest.importorskip("s3fs", reason="needs the [remote] extra")
pytest.importorskip("moto.server", reason="needs moto[server]")


def score(model: Path, *paths: str) -> list[ScoreRecord]:
    return list(score_images(list(paths), ScoreOptions(str(model))))


def inside(records: list[ScoreRecord], place: object) -> list[ScoreRecord]:
    return [replace(record, path=record.path.removeprefix(str(place)).lstrip(":/")) for record in records]


def list_names(url: str) -> tuple[list[str], dict[str, int]]:
    left_out = Counter[str]()
    return [name_source(source) for source in find_sources([url], left_out)], dict(left_out)


def put(s3: Any, prefix: str, files: list[tuple[str, bytes]]) -> None:
    for name, data in files:
        s3.pipe(f"{BUCKET}/{prefix}/{name}", data)


def test_a_bucket_scores_as_the_folder_does_to_the_last_bit(s3: Any, model: Path, photos: Path) -> None:
    put(s3, "set", read_files(photos))
    expected = inside(score(model, str(photos)), photos)
    for url in (f"s3://{BUCKET}/set", f"s3://{BUCKET}/set/", f"s3://{BUCKET}", f"s3://{BUCKET}/"):
        records = score(model, url)
        assert inside(records, f"s3://{BUCKET}/set") == expected, url
    assert score(model, *(record.path for record in records)) == records
    assert inside(score(model, f"s3://{BUCKET}/set/0*.jpg"), f"s3://{BUCKET}/set") == [
        record for record in expected if record.path.startswith("0")
    ]


def test_shards_in_a_bucket_score_as_the_folder_does(s3: Any, model: Path, photos: Path, tmp_path: Path) -> None:
    expected = inside(score(model, str(photos)), photos)
    for name, write in (("0.tar", write_tar), ("1.tar", write_tar), ("2.zip", write_zip)):
        s3.pipe(f"{BUCKET}/shards/{name}", write(tmp_path / name, read_files(photos)).read_bytes())
    records = score(model, f"s3://{BUCKET}/shards/*.tar")
    for number, part in enumerate((records[:12], records[12:])):
        assert inside(part, f"s3://{BUCKET}/shards/{number}.tar") == expected
    assert score(model, records[15].path) == records[15:16]
    assert inside(score(model, f"s3://{BUCKET}/shards/2.zip"), f"s3://{BUCKET}/shards/2.zip") == expected
    found, left_out = list_names(f"s3://{BUCKET}/shards")
    assert (found, left_out) == ([], {"*.tar": 2, "*.zip": 1})


def test_a_shard_cut_short_in_a_bucket_keeps_the_rows_before(s3: Any, model: Path, photos: Path, tmp_path: Path) -> None:
    data = write_tar(tmp_path / "0.tar", read_files(photos)).read_bytes()
    s3.pipe(f"{BUCKET}/0.tar", data[: len(data) // 2])
    records = score(model, f"s3://{BUCKET}/0.tar", f"s3://{BUCKET}/gone.tar", str(photos / "01.jpg"))
    statuses = [record.status for record in records]
    assert statuses[-3:] == ["damaged", "missing", "ok"]
    assert set(statuses[:-3]) == {"ok"}


def test_a_shard_larger_than_a_request_is_read_in_parts(s3: Any, model: Path, photos: Path, tmp_path: Path) -> None:
    from iqa_cli.remote.streams import BLOCK

    files = read_files(photos)
    padded = [*files[:6], ("large.bin", os.urandom(2 * BLOCK + 12345)), *files[6:]]
    s3.pipe(f"{BUCKET}/0.tar", write_tar(tmp_path / "0.tar", padded).read_bytes())
    assert inside(score(model, f"s3://{BUCKET}/0.tar"), f"s3://{BUCKET}/0.tar") == inside(score(model, str(photos)), photos)


def test_objects_are_found_as_files_are(s3: Any, photos: Path) -> None:
    photo = (photos / "01.jpg").read_bytes()
    names = ["b.jpg", "a.txt", ".hidden.jpg", "sub/c.jpg", "sub/no-suffix", "__MACOSX/d.jpg", "ä b.jpg", "empty.jpg"]
    put(s3, "set", [(name, photo) for name in names])
    s3.pipe(f"{BUCKET}/set/empty.jpg", b"")
    found, left_out = list_names(f"s3://{BUCKET}/set")
    assert found == [f"s3://{BUCKET}/set/{name}" for name in ("b.jpg", "empty.jpg", "ä b.jpg", "sub/c.jpg", "sub/no-suffix")]
    assert left_out == {"*.txt": 1, "hidden": 1, "system folder": 1}


@pytest.mark.parametrize("top", ["", "/set", "/set/"])
def test_prefixes_without_a_name_are_walked_too(s3: Any, photos: Path, top: str) -> None:
    photo = (photos / "01.jpg").read_bytes()
    for name in ("set/a.jpg", "set//b.jpg", "set//in/c.jpg", "set/", "set//", "set/sub//d.jpg"):
        s3.pipe(f"{BUCKET}/{name}", photo if name.endswith(".jpg") else b"")
    found, _ = list_names(f"s3://{BUCKET}{top}")
    assert found == [f"s3://{BUCKET}/set/{name}" for name in ("/b.jpg", "/in/c.jpg", "a.jpg", "sub//d.jpg")]


def test_two_stars_beside_letters_are_one_as_in_patterns_of_files(s3: Any, photos: Path, tmp_path: Path) -> None:
    put(s3, "set", [(f"{number}.jpg", (photos / "01.jpg").read_bytes()) for number in (1, 2)])
    s3.pipe(f"{BUCKET}/set/sub/1.jpg", b"below")
    s3.pipe(f"{BUCKET}/set/sub/1.tar", write_tar(tmp_path / "1.tar", read_files(photos)[:1]).read_bytes())
    for pattern, names in (
        ("set/**.jpg", ["set/1.jpg", "set/2.jpg"]),
        ("s**t/1***", ["set/1.jpg"]),
        ("**/1**.jpg", ["set/1.jpg", "set/sub/1.jpg"]),
        ("**/1**.tar", ["set/sub/1.tar::01.jpg"]),
    ):
        assert list_names(f"s3://{BUCKET}/{pattern}") == ([f"s3://{BUCKET}/{name}" for name in names], {}), pattern


def test_a_prefix_that_matches_a_pattern_is_walked_as_a_folder_is(s3: Any, photos: Path, tmp_path: Path) -> None:
    photo = (photos / "01.jpg").read_bytes()
    put(s3, "set", [(name, photo) for name in ("1.jpg", "1/a.jpg", "1/in/b.jpg", "2/c.jpg", "2/in/in/d.jpg")])
    s3.pipe(f"{BUCKET}/set/1.tar", write_tar(tmp_path / "1.tar", read_files(photos)[:1]).read_bytes())
    s3.pipe(f"{BUCKET}/set/2.tar/e.jpg", photo)
    for pattern, names in (
        ("set/1*", ["1/a.jpg", "1/in/b.jpg", "1.jpg", "1.tar"]),
        ("set/?", ["1/a.jpg", "1/in/b.jpg", "2/c.jpg", "2/in/in/d.jpg"]),
        ("**/in", ["1/in/b.jpg", "2/in/in/d.jpg"]),
        ("set/*/**", ["1/a.jpg", "1/in/b.jpg", "2.tar/e.jpg", "2/c.jpg", "2/in/in/d.jpg"]),
        ("set/*.tar::*.jpg", ["1.tar::01.jpg"]),
    ):
        found, _ = list_names(f"s3://{BUCKET}/{pattern}")
        assert sorted(found) == sorted(f"s3://{BUCKET}/set/{name}" for name in names), pattern
    assert list_names(f"s3://{BUCKET}/set/2.t*r::*.jpg")[0] == [f"s3://{BUCKET}/set/2.t*r::*.jpg"]


@pytest.mark.usefixtures("s3")
def test_what_is_no_name_of_anything_says_so(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iqa_cli.remote.stores.DELAYS", ())  # after which it would be denied, in time
    for url in ("s3://*/a.jpg", "s3://ph?tos", "s3://ph*s/*.tar::a.jpg", "hf://datasets/owner/*/a.jpg"):
        with pytest.raises(UsageError, match=r"a pattern may not stand for a (bucket|repository): name one"):
            list_names(url)
    for url in ("s3://Bad Bucket/a.jpg", "s3://Bad Bucket/*.jpg", "s3://Bad Bucket/0.tar"):
        (record,) = score(model, url)
        assert record.status == "missing"
        assert record.detail.startswith("nothing can be called so: Parameter validation failed: Invalid bucket name")


def test_what_is_not_there_is_a_row(s3: Any, model: Path, photos: Path) -> None:
    put(s3, "set", [("a.jpg", (photos / "01.jpg").read_bytes()), ("empty.jpg", b"")])
    urls = ["set/gone.jpg", "gone/", "gone", "gone*.jpg", "gone*.tar", "gone.tar::a.jpg", "set/empty.jpg", "set/a.jpg"]
    records = score(model, *(f"s3://{BUCKET}/{url}" for url in urls))
    assert [record.path for record in records] == [f"s3://{BUCKET}/{url}".removesuffix("::a.jpg") for url in urls]
    assert [record.status for record in records] == ["missing"] * 6 + ["damaged", "ok"]


@pytest.mark.usefixtures("s3")
def test_a_whole_bucket_that_is_not_there_is_one_line(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    for url in ("s3://no-such-bucket/a.jpg", "s3://no-such-bucket/", "s3://no-such-bucket/0.tar", "s3://no-such-bucket/*.jpg"):
        done = iqa("score", photos / "01.jpg", url, "-m", model, "--csv", tmp_path / "scores.csv")
        errors = [line for line in done.stderr.splitlines() if b"error" in line]
        assert done.returncode == 4, url
        assert len(errors) == 1
        assert b"s3://no-such-bucket" in errors[0]
        assert [row["status"] for row in read_rows((tmp_path / "scores.csv").read_bytes())] == ["ok"]


@pytest.mark.usefixtures("s3")
def test_no_credentials_are_one_line(iqa: Run, model: Path, tmp_path: Path) -> None:
    env = {name: value for name, value in environment().items() if not name.startswith("AWS_")}
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    done = iqa("score", f"s3://{BUCKET}/a.jpg", "-m", model, env={**env, **nowhere})
    assert done.returncode == 4
    assert b"credentials" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def check_credentials(endpoint: str, after: bytes) -> None:
    """Let the server look at credentials, of which it knows none, after so many requests."""
    url, header = f"{endpoint}/moto-api/reset-auth", {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(url, data=after, headers=header, method="POST")).close()


def test_wrong_credentials_are_one_line(s3: Any, endpoint: str, iqa: Run, model: Path, photos: Path) -> None:
    put(s3, "set", read_files(photos)[:2])
    check_credentials(endpoint, b"0")
    try:
        for url in ("set/01.jpg", "set/", "set/*.jpg", "0.tar"):
            done = iqa("score", f"s3://{BUCKET}/{url}", "-m", model)
            assert done.returncode == 4, url
            assert len(done.stderr.splitlines()) == 1
            assert b"cannot be read: " in done.stderr
    finally:
        check_credentials(endpoint, b"inf")


@pytest.mark.usefixtures("s3")
def test_an_endpoint_that_cannot_be_reached_is_one_line(iqa: Run, model: Path) -> None:
    done = iqa("score", f"s3://{BUCKET}/a.jpg", "-m", model, env=environment(AWS_ENDPOINT_URL="http://127.0.0.1:9"))
    assert done.returncode == 4
    assert b"cannot be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_list_may_mix_files_archives_and_buckets(iqa: Run, s3: Any, model: Path, photos: Path, tmp_path: Path) -> None:
    put(s3, "set", read_files(photos)[:2])
    write_tar(tmp_path / "0.tar", read_files(photos)[:2])
    listing = f"{photos}/01.jpg\ns3://{BUCKET}/set/01.jpg\n{tmp_path}/0.tar::01.jpg\ns3://{BUCKET}/set/\ngone.jpg\n"
    rows = read_rows(iqa("score", "-", "-m", model, input=listing.encode()).stdout)
    assert [row["path"] for row in rows][:3] == listing.split("\n")[:3]
    assert [row["status"] for row in rows] == ["ok"] * 5 + ["missing"]
    assert rows[0]["score"] == rows[1]["score"] == rows[2]["score"] == rows[3]["score"]
