"""`iqa explain` and `iqa score --explain`: pages, pictures, JSON, and what they refuse."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CARD, Run, toy_nodes, write_model
from in_process import environment, run_at_terminal
from PIL import Image
from shards import write_tar

FOLDER = Path(__file__).parents[1] / "photos"
GOOD, BLURRED, DARK = FOLDER / "coffee.jpg", FOLDER / "coffee-blur.jpg", FOLDER / "coffee-dark.jpg"


def test_a_page_says_what_is_wrong_and_what_to_do(iqa: Run, model: Path) -> None:
    page = iqa("explain", BLURRED, "-m", model).stdout.decode()
    assert str(BLURRED) in page
    assert "soft" in page
    assert "→ Focus on the subject" in page
    score = re.search(r"Score +(\d+\.\d+)[^\n]*?  (━*)(─*) *\n", page)  # the bar is one without colours, too
    assert score is not None
    assert (len(score[2]), len(score[2] + score[3])) == (round(float(score[1]) * 0.3), 30)
    assert "Nothing is wrong" in iqa("explain", GOOD, "-m", model).stdout.decode()


def test_the_percentile_is_that_of_the_models_own_training(iqa: Run, model: Path, tmp_path: Path) -> None:
    page = " ".join(iqa("explain", GOOD, "-m", model).stdout.decode().split())
    assert "so many in 100 training photos were rated no higher Size" in page
    meaning = "how pleasant cats look"
    other = write_model(tmp_path, toy_nodes(), replace(CARD, score_meaning=meaning))
    page = " ".join(iqa("explain", GOOD, "-m", other).stdout.decode().split())
    assert f"were rated no higher; the score is {meaning} Size" in page


def test_json_has_the_numbers_the_words_and_the_map(iqa: Run, model: Path) -> None:
    done = iqa("explain", DARK, GOOD, "--json", "-m", model)
    dark, good = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 0
    assert dark["reasons"][0] == "dark"
    assert dark["reason_values"][0]["measurement"] == "stops_too_dark"
    assert dark["reason_values"][0]["value"] > dark["reason_values"][0]["threshold"]
    assert dark["reason_values"][0]["advice"].startswith("Take it in better light")
    rows, columns = np.array(dark["map"]).shape
    assert (columns, round(rows / columns, 1)) == (64, 0.7)
    assert good["reasons"] == []
    (row,) = json.loads(iqa("score", DARK, "--explain", "--format", "json", "-m", model).stdout)
    assert {name: dark[name] for name in ("score", "percentile", "reasons", "width")} == {
        name: row[name] for name in ("score", "percentile", "reasons", "width")
    }


def test_the_picture_shows_the_photo_and_the_map(iqa: Run, model: Path, tmp_path: Path) -> None:
    map_file = tmp_path / "map.png"
    assert iqa("explain", GOOD, "-o", map_file, "-m", model).returncode == 0
    with Image.open(map_file) as picture:
        assert picture.info["Software"] == "iqa explain"
        assert picture.width > 640
    assert iqa("explain", GOOD, "-o", map_file, "-m", model).returncode == 0, "an earlier one may be replaced"


@pytest.mark.process
def test_the_picture_is_there_although_nobody_reads_the_page(model: Path, tmp_path: Path) -> None:
    """As with `| head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "iqa_cli", "explain", GOOD, "-o", tmp_path / "map.png", "-m", model]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, env=environment())
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.width > 640


def test_pictures_of_several_photos_go_into_a_folder(iqa: Run, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "coffee.jpg"
    other.write_bytes(DARK.read_bytes())
    assert iqa("explain", GOOD, other, "-o", tmp_path / "maps", "-m", model).returncode == 0
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["coffee.jpg.2.png", "coffee.jpg.png"]


def test_photos_whose_names_differ_in_case_alone_have_a_picture_each(iqa: Run, model: Path, tmp_path: Path) -> None:
    photos = [tmp_path / "a" / "IMG.jpg", tmp_path / "b" / "img.jpg"]
    for photo in photos:
        photo.parent.mkdir()
        photo.write_bytes(DARK.read_bytes())
    if (tmp_path / "A").exists():
        pytest.skip("a file system that takes both for one name")
    assert iqa("explain", *photos, "-o", tmp_path / "maps", "-m", model).returncode == 0
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["IMG.jpg.png", "img.jpg.png"]


def test_a_name_that_is_as_long_as_it_may_be_has_a_picture(iqa: Run, model: Path, tmp_path: Path) -> None:
    for number, letters in enumerate(("x" * 251, "x" * 250 + "y", "ü" * 125)):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / f"{letters}.jpg").write_bytes(DARK.read_bytes())
    done = iqa("explain", tmp_path / "0", tmp_path / "1", tmp_path / "2", "-o", tmp_path / "maps", "-m", model)
    assert (done.returncode, done.stderr) == (0, b"")
    names = [path.name for path in (tmp_path / "maps").iterdir()]
    assert len(names) == 3
    assert all(name.endswith(".png") and len(name.encode()) < 140 for name in names)


@pytest.mark.parametrize("name", ["a.tar", "a.tgz"])
def test_photos_in_archives_are_explained_one_and_all(iqa: Run, model: Path, tmp_path: Path, name: str) -> None:
    files = [("x/a.jpg", GOOD.read_bytes()), ("y/a.jpg", DARK.read_bytes()), ("b.png", b"none")]
    archive = write_tar(tmp_path / name, files, "w:gz" if name == "a.tgz" else "w")
    done = iqa("explain", f"{archive}::*.jpg", "--json", "-o", tmp_path / "maps", "-m", model)
    assert done.returncode == 0
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["path"] for each in found] == [f"{archive}::x/a.jpg", f"{archive}::y/a.jpg"]
    assert "dark" in found[1]["reasons"]
    assert "dark" not in found[0]["reasons"]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["a.jpg.2.png", "a.jpg.png"]
    whole = iqa("explain", archive, "--json", "-m", model)
    assert whole.returncode == 1
    assert [json.loads(line)["status"] for line in whole.stdout.splitlines()] == ["ok", "ok", "unsupported"]
    before = archive.read_bytes()
    lost = iqa("explain", f"{archive}::y/*.jpg", "-o", archive, "-m", model)
    assert (lost.returncode, archive.read_bytes()) == (2, before)
    assert b"this is also an input" in lost.stderr


def test_nothing_of_the_user_is_lost(iqa: Run, model: Path, tmp_path: Path) -> None:
    photo, own = tmp_path / "a.jpg", tmp_path / "own.png"
    photo.write_bytes(GOOD.read_bytes())
    Image.new("RGB", (9, 9)).save(own)
    for output, words in ((photo, "also an input"), (own, "not a picture of iqa explain")):
        before = output.read_bytes()
        done = iqa("explain", photo, "-o", output, "-m", model)
        assert (done.returncode, output.read_bytes()) == (2, before)
        assert words in done.stderr.decode()


def test_a_photo_without_a_score_is_said_to_have_none(iqa: Run, model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(GOOD.read_bytes()[:900])
    done = iqa("explain", broken, "-o", tmp_path / "m.png", "-m", model)
    assert done.returncode == 1
    assert "damaged" in done.stdout.decode()
    assert not (tmp_path / "m.png").exists()
    assert json.loads(iqa("explain", broken, "--json", "-m", model).stdout)["map"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nosuch-folder/",), 1, "missing"),
        ((str(GOOD), "--json", "-o", "-"), 2, "only one of --json and -o"),
        ((str(GOOD), str(DARK), "-o", "-"), 2, "name a folder with -o"),
    ],
)
def test_what_makes_no_sense_is_refused(iqa: Run, model: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = iqa("explain", *arguments, "-m", model)
    assert done.returncode == code
    assert words in (done.stdout + done.stderr).decode()


def test_parts_without_a_number_are_null_and_named_nowhere(iqa: Run, broken_model: Path, tmp_path: Path) -> None:
    """Of a network that gives no number for dark parts."""
    picture = np.full((120, 160, 3), 250, np.uint8)
    picture[:, :70] = 5
    Image.fromarray(picture).save(tmp_path / "half.png")
    done = iqa("explain", tmp_path / "half.png", "--json", "-m", broken_model)
    rows = json.loads(done.stdout, parse_constant=pytest.fail)["map"]
    assert {row[0] for row in rows} == {None}
    assert all(isinstance(row[-1], float) for row in rows)
    shown = iqa("explain", tmp_path / "half.png", "-o", tmp_path / "map.png", "-m", broken_model).stdout.decode()
    assert "nan" not in shown
    assert (tmp_path / "map.png").exists()


def test_an_output_that_ends_as_a_folder_is_one(iqa: Run, model: Path, tmp_path: Path) -> None:
    assert iqa("explain", GOOD, "-o", f"{tmp_path}/maps/", "-m", model).returncode == 0
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["coffee.jpg.png"]


# ---- iqa score --explain ----


def test_reasons_are_a_column_of_codes(iqa: Run, model: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    assert iqa("score", BLURRED, GOOD, "--explain", "--csv", table, "-m", model).returncode == 0
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert list(rows[0])[-1] == "reasons"
    assert "soft" in rows[0]["reasons"].split(";")
    assert rows[1]["reasons"] == ""
    assert "reasons" not in iqa("score", BLURRED, "-m", model).stdout.decode()


def test_json_lines_have_the_numbers_and_the_run_its_counts(iqa: Run, model: Path) -> None:
    done = iqa("score", BLURRED, DARK, "--explain", "--format", "jsonl", "-m", model)
    for line in map(json.loads, done.stdout.splitlines()):
        assert [each["code"] for each in line["reason_values"]] == line["reasons"]
        assert all({"measurement", "value", "threshold"} <= set(each) for each in line["reason_values"])
    assert "reasons: " in done.stderr.decode()


def test_the_score_is_the_same_and_comes_from_the_cache(iqa: Run, model: Path) -> None:
    first = iqa("score", FOLDER, "--include", "coffee*", "-m", model)
    plain = list(csv.DictReader(io.StringIO(first.stdout.decode())))
    assert first.returncode == 0
    done = iqa("score", FOLDER, "--include", "coffee*", "--explain", "-m", model)
    explained = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    assert [row["score"] for row in explained] == [row["score"] for row in plain]
    assert "from the cache" in done.stderr.decode()
    assert any(row["reasons"] for row in explained)


def test_appending_needs_the_same_columns(iqa: Run, model: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    assert iqa("score", GOOD, "--csv", table, "-m", model).returncode == 0
    done = iqa("score", DARK, "--explain", "--csv", table, "--append", "-m", model)
    assert done.returncode == 2
    assert "with the columns" in done.stderr.decode()


def test_the_table_at_a_terminal_says_it_below_the_path(model: Path) -> None:
    shown = run_at_terminal("score", str(BLURRED), "--explain", "-m", str(model))
    assert "soft" in str(shown)


def test_the_report_has_the_reasons(iqa: Run, model: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    assert iqa("score", BLURRED, "--explain", "--html", page, "-m", model).returncode == 0
    assert '"reasons":["soft"' in page.read_text()
