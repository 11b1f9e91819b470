import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from conftest import Run, read_rows, wait_until
from in_process import environment
from servers import serving
from shards import read_files, write_tar, write_zip

from iqa_cli import ScoreOptions, Scorer, score_images
from iqa_cli.records import ScoreRecord
from iqa_cli.remote.find import find_sources
from iqa_cli.remote.objects import list_links
from iqa_cli.scoring.sources import name_source

pytest.importorskip("fsspec", reason="needs the [remote] extra")
pytest.importorskip("aiohttp", reason="needs the [remote] extra")


def score(model: Path, *paths: str, **options: object) -> list[ScoreRecord]:
    return list(score_images(list(paths), ScoreOptions(str(model), **options)))


def inside(records: list[ScoreRecord], place: object) -> list[ScoreRecord]:
    return [replace(record, path=record.path.removeprefix(str(place)).lstrip(":/")) for record in records]


def test_images_on_a_web_server_score_as_files_do_to_the_last_bit(model: Path, photos: Path) -> None:
    expected = inside(score(model, str(photos)), photos)
    with serving(photos) as (url, seen):
        assert inside(score(model, f"{url}/"), url) == expected
        named = [f"{url}/{record.path}" for record in expected]
        seen.clear()
        assert inside(score(model, *named), url) == expected
        assert set(seen.values()) == {1}, "one request an image"
        with Scorer(str(model)) as scorer:
            assert inside(list(scorer.score_many(named)), url) == expected
            assert inside([scorer.score(named[3])], url) == expected[3:4]


def test_archives_on_a_web_server_score_as_folders_do(model: Path, photos: Path, tmp_path: Path) -> None:
    expected = inside(score(model, str(photos)), photos)
    write_tar(tmp_path / "0.tar", read_files(photos))
    write_tar(tmp_path / "0.tgz", read_files(photos), "w:gz")
    write_zip(tmp_path / "0.zip", read_files(photos))
    with serving(tmp_path) as (url, _):
        for name in ("0.tar", "0.tgz", "0.zip"):
            records = score(model, f"{url}/{name}")
            assert inside(records, f"{url}/{name}") == expected
            assert score(model, records[5].path) == records[5:6]
            with Scorer(str(model)) as scorer:
                assert scorer.score(records[5].path) == records[5]
        assert inside(score(model, f"zip://00.jpg::{url}/0.zip"), url)[0].status == "missing"


def test_a_listing_leaves_out_what_is_no_image(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    photo = (photos / "01.jpg").read_bytes()
    for name in ("b c.jpg", "a.txt", "0.tar", "sub/ä.jpg", "no-suffix"):
        (tmp_path / name).write_bytes(photo)
    left_out = Counter[str]()
    with serving(tmp_path) as (url, _):
        found = [name_source(source) for source in find_sources([f"{url}/"], left_out)]
    assert found == [f"{url}/b%20c.jpg", f"{url}/no-suffix", f"{url}/sub/%C3%A4.jpg"]
    assert left_out == {"*.txt": 1, "*.tar": 1}


@pytest.mark.parametrize("itself", ["./", "././", "%2E/", "sub/../", "./sub/./", ""])
def test_a_page_that_links_to_itself_is_listed_once(photos: Path, tmp_path: Path, itself: str) -> None:
    for folder in (tmp_path, tmp_path / "sub"):
        folder.mkdir(exist_ok=True)
        (folder / "a.jpg").write_bytes((photos / "01.jpg").read_bytes())
        links = [itself, "../", "a.jpg", "./b.jpg", "b.jpg"] + ["sub/"] * (folder == tmp_path)
        (folder / "index.html").write_text("".join(f'<a href="{link}">link</a>' for link in links))
    left_out = Counter[str]()
    with serving(tmp_path, lambda _, count: 410 if count > 3 else None) as (url, _):
        found = [name_source(source) for source in islice(find_sources([f"{url}/"], left_out), 9)]
    nested = itself == "./sub/./"  # which is a folder of its own, and in `sub` one that is not there
    expected = [f"{url}/{name}" for name in ("a.jpg", "b.jpg", "sub/a.jpg", "sub/b.jpg")]
    assert found[:4] == expected
    assert len(found) == 4 + nested


def test_links_are_those_that_lead_below_each_once() -> None:
    names = [
        "http://h/a/./b.jpg",
        "http://h/a/b.jpg",
        "https://h/a/c.jpg",
        "http://h/a/%2e/d/",
        "http://h/a/d/../e/",
        "http://h/a/?n",
    ]
    found = [link["name"] for link in list_links([{"name": name} for name in names], "http://h/a")]
    assert found == ["http://h/a/b.jpg", "https://h/a/c.jpg", "http://h/a/d/"]


def test_a_page_may_be_named_by_way_of_others(photos: Path) -> None:
    with serving(photos) as (url, _):
        found = [name_source(source) for source in find_sources([f"{url}/more/../more/"], Counter())]
    assert found == [f"{url}/more/../more/{name}" for name in ("00.jpg", "03.jpg", "06.jpg", "09.jpg")]


def test_faults_that_pass_are_waited_for_and_others_are_rows(model: Path, photos: Path) -> None:
    def answer(path: str, count: int) -> int | None:
        passing = {"/01.jpg": 503, "/02.jpg": 429, "/04.jpg": 0}  # 0: cut short
        lasting = {"/05.jpg": 403, "/07.jpg": 410}
        return lasting.get(path) or (passing.get(path) if count == 1 else None)

    names = ["01.jpg", "02.jpg", "gone.jpg", "04.jpg", "05.jpg", "07.jpg", "08.jpg"]
    with serving(photos, answer) as (url, seen):
        records = score(model, *(f"{url}/{name}" for name in names))
        assert [record.status for record in records] == ["ok", "ok", "missing", "ok", "denied", "missing", "ok"]
        assert [seen[f"/{name}"] for name in names] == [2, 2, 1, 2, 1, 1, 1]
    expected = score(model, *(str(photos / name) for name in ("01.jpg", "02.jpg")))
    assert [record.score for record in records[:2]] == [record.score for record in expected]


def test_one_object_that_never_comes_is_a_row(model: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iqa_cli.remote.stores.DELAYS", (0.01, 0.01))  # else it takes a while
    with serving(photos, lambda path, _: 500 if path == "/02.jpg" else None) as (url, seen):
        records = score(model, *(f"{url}/{name}" for name in ("01.jpg", "02.jpg", "04.jpg")))
    assert [record.status for record in records] == ["ok", "denied", "ok"]
    assert "500" in records[1].detail
    assert seen["/02.jpg"] == 3


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that nobody listens at, nor anybody else can."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def test_a_host_that_cannot_be_reached_ends_the_run_and_keeps_what_is_done(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf_port: int
) -> None:
    monkeypatch.setattr("iqa_cli.remote.stores.DELAYS", (0.01,))
    url = f"http://127.0.0.1:{deaf_port}/a.jpg"
    done = iqa("score", photos / "01.jpg", url, photos / "02.jpg", "-m", model, "--csv", tmp_path / "scores.csv")
    assert done.returncode == 4
    errors = [line for line in done.stderr.splitlines() if b"error" in line]
    assert len(errors) == 1
    assert url.rpartition("/")[0].encode() + b": cannot be reached" in errors[0]
    assert [row["status"] for row in read_rows((tmp_path / "scores.csv").read_bytes())] == ["ok"]


def test_a_host_that_stops_answering_is_given_up(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iqa_cli.remote.stores.DELAYS", ())
    with serving(photos, lambda path, _: 500 if "gone" in path else None) as (url, _):
        listing = "".join(f"{url}/{name}\n" for name in ["01.jpg", *(f"gone{number}.jpg" for number in range(500))])
        done = iqa("score", "-", "-m", model, "--csv", tmp_path / "scores.csv", input=listing.encode())
    assert done.returncode == 4
    rows = read_rows((tmp_path / "scores.csv").read_bytes())
    assert rows[0]["status"] == "ok"
    assert 1 < len(rows) < 100


def test_urls_of_unknown_kinds_are_rows(model: Path, photos: Path) -> None:
    records = score(model, "nosuch://a/b.jpg", f"file://{photos}/01.jpg", str(photos / "01.jpg"))
    assert [record.status for record in records] == ["unsupported", "ok", "ok"]
    assert records[1] == records[2]


def test_the_cache_takes_no_url_for_a_file(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    with serving(served) as (url, _):
        here = tmp_path / "http:" / url.removeprefix("http://")
        here.mkdir(parents=True)
        (here / "a.jpg").write_bytes((photos / "01.jpg").read_bytes())
        scores = []
        for name in ("01.jpg", "02.jpg", "04.jpg"):
            (served / "a.jpg").write_bytes((photos / name).read_bytes())
            done = iqa("score", f"{url}/a.jpg", "-m", model, "--cache", cwd=tmp_path)
            assert b"from the cache" not in done.stderr
            scores.append(read_rows(done.stdout)[0]["score"])
        expected = [
            read_rows(iqa("score", photos / name, "-m", model).stdout)[0]["score"] for name in ("01.jpg", "02.jpg", "04.jpg")
        ]
    assert scores == expected


def test_no_sidecar_is_written_for_a_url(iqa: Run, model: Path) -> None:
    done = iqa("score", "http://127.0.0.1:9/a.jpg", "-m", model, "--write-xmp")
    assert done.returncode == 2
    assert b"no file here" in done.stderr


@pytest.mark.process
def test_without_the_extra_one_line_says_how_to_get_it(model: Path, photos: Path) -> None:
    program = "import sys; sys.modules['fsspec'] = None; from iqa_cli.cli.entry import main; main()"
    arguments = ["score", str(photos / "01.jpg"), "s3://bucket/a.jpg", "-m", str(model)]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, env=environment(), check=False)
    assert done.returncode == 2
    assert b"pip install 'iqa-cli[remote]'" in done.stderr
    assert b"Traceback" not in done.stderr
    assert [row["status"] for row in read_rows(done.stdout)] == ["ok"]


@pytest.mark.process
def test_ctrl_c_ends_a_run_that_waits_for_a_server(model: Path, photos: Path, tmp_path: Path) -> None:
    release = threading.Event()

    def answer(path: str, _: int) -> None:
        if path != "/01.jpg":
            release.wait(300)

    with serving(photos, answer) as (url, seen):
        names = [f"{url}/{name}" for name in ("01.jpg", "02.jpg", "04.jpg")]
        command = [sys.executable, "-m", "iqa_cli", "score", *names, "-m", str(model), "--csv", str(tmp_path / "scores.csv")]
        run = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment())
        wait_until(
            lambda: (
                "/02.jpg" in seen
                and list(tmp_path.glob(".scores.csv.*"))
                and b"01.jpg" in next(tmp_path.glob(".scores.csv.*")).read_bytes()
            )
        )
        os.kill(run.pid, signal.SIGINT)
        try:
            _, stderr = run.communicate(timeout=120)
        finally:
            release.set()
            run.kill()
    assert run.returncode == 130
    assert b"Traceback" not in stderr
    assert [row["status"] for row in read_rows((tmp_path / "scores.csv").read_bytes())] == ["ok"]
