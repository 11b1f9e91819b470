"""`iqa score --html`: a page beside the other outputs, by the whole program."""

import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, read_rows, wait_until
from idle import wait_until_idle
from test_processes import started


def read_page(page: Path) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    return dict(json.loads(found))


@pytest.fixture
def own(photos: Path, tmp_path: Path) -> Path:
    """A folder of good photos, damaged ones and others, and one whose name is no UTF-8."""
    folder = Path(shutil.copytree(photos, tmp_path / "own"))
    (folder / "cut.jpg").write_bytes((folder / "01.jpg").read_bytes()[:400])
    (folder / "notes.txt").write_text("no photo")
    shutil.copy(folder / "01.jpg", os.fsencode(folder) + b"/raw\xff.jpg")
    return folder


def test_the_page_has_the_rows_of_the_table_and_a_preview_a_score(iqa: Run, model: Path, own: Path, tmp_path: Path) -> None:
    page, table = tmp_path / "r.html", tmp_path / "r.csv"
    done = iqa("score", own, "--model", model, "--html", page, "--csv", table)
    assert (done.returncode, done.stdout) == (1, b"")
    rows, data = read_rows(table.read_bytes()), read_page(page)
    shown = [record["path"] for record in data["records"]]
    assert shown == [os.fsencode(row["path"]).decode("utf-8", "replace") for row in rows]
    assert [record["score"] for record in data["records"]] == [float(row["score"]) if row["score"] else None for row in rows]
    assert len(data["thumbs"]) == sum(row["status"] == "ok" for row in rows)
    assert data["remarks"] == ["left out: 1 *.txt"]


@pytest.mark.parametrize("choice", [["--sort", "-score"], ["--top", "2"], ["--bottom", "1", "--top", "1"], ["--max", "99"]])
def test_what_is_chosen_is_in_the_page_with_its_previews(
    iqa: Run, model: Path, own: Path, tmp_path: Path, choice: list[str]
) -> None:
    page, table = tmp_path / "r.html", tmp_path / "r.csv"
    iqa("score", own, "--model", model, "--html", page, "--csv", table, *choice)
    data = read_page(page)
    assert [record["href"] for record in data["records"]] != []
    assert len(data["records"]) == len(read_rows(table.read_bytes()))
    assert {place for place, record in enumerate(data["records"]) if record["score"] is not None} == set(data["thumbs"])


def test_links_lead_from_the_page_to_the_photos(iqa: Run, model: Path, own: Path) -> None:
    (own / "out").mkdir()
    iqa("score", ".", "--model", model, "--html", "out/r.html", cwd=own)
    for record in read_page(own / "out" / "r.html")["records"]:
        raw = re.sub(rb"%([0-9A-F]{2})", lambda code: bytes.fromhex(code[1].decode()), record["href"].encode())
        assert (own / "out" / os.fsdecode(raw)).is_file()


def test_a_second_page_takes_the_place_of_the_first_and_of_nothing_else(
    iqa: Run, model: Path, own: Path, tmp_path: Path
) -> None:
    page = tmp_path / "r.html"
    for _ in range(2):
        assert iqa("score", own / "01.jpg", "--model", model, "--html", page).returncode == 0
    page.write_text("<!doctype html><title>Holidays</title>")
    done = iqa("score", own / "01.jpg", "--model", model, "--html", page)
    assert (done.returncode, page.read_text()) == (2, "<!doctype html><title>Holidays</title>")
    assert b"not a report of an earlier run" in done.stderr
    assert iqa("score", own / "01.jpg", "--model", model, "--html", page, "--force").returncode == 0
    assert read_page(page)["records"]


def test_a_page_goes_to_stdout(iqa: Run, model: Path, own: Path) -> None:
    done = iqa("score", "01.jpg", "--model", model, "--html", "-", cwd=own)
    assert done.stdout.startswith(b"<!doctype html>\n<!-- iqa report -->")
    assert done.stdout.endswith(b"</html>\n")


def test_the_scores_are_those_without_a_page(iqa: Run, model: Path, own: Path, tmp_path: Path) -> None:
    plain = iqa("score", own, "--model", model, "--csv", "-").stdout
    assert iqa("score", own, "--model", model, "--csv", "-", "--html", tmp_path / "r.html").stdout == plain


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--html", "r.html", "--csv", "old.csv", "--append"], b"nothing can be added to a page"),
        (["--html", "-", "--csv", "-"], b"only one of the outputs can be stdout"),
        (["--html", "01.jpg"], b"there is a file that is not a report"),
        (["--html", "nowhere/r.html"], b"nowhere/r.html: cannot write the results"),
    ],
)
def test_what_cannot_be_written_is_refused(iqa: Run, model: Path, own: Path, args: list[str], said: bytes) -> None:
    done = iqa("score", own / "02.jpg", "--model", model, *args, cwd=own)
    assert done.returncode in (2, 4)
    assert said in done.stderr
    assert not (own / "r.html").exists()


@pytest.mark.process
def test_ctrl_c_leaves_a_page_of_what_is_done(model: Path, photos: Path, tmp_path: Path) -> None:
    page, table = tmp_path / "r.html", tmp_path / "r.csv"
    with started("score", "-", "--model", model, "--html", page, "--csv", table) as process:
        assert process.stdin is not None
        process.stdin.write(b"".join(os.fsencode(photo) + b"\n" for photo in sorted(photos.glob("*.jpg"))[:3]))
        process.stdin.flush()
        part = tmp_path / f".r.csv.{process.pid}.part"
        wait_until(lambda: part.exists() and part.read_bytes().count(b"\n") == 4)
        wait_until_idle(process.pid)  # a row of the table is there before what the page has of it
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    data = read_page(page)
    assert (len(data["records"]), len(data["thumbs"])) == (3, 3)
    assert data["remarks"] == ["The run was cut short: not all photos are here."]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.csv", "r.html"]
