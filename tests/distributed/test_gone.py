"""Runs in parts of what is not there any more, as on a disk that is not mounted: the rows of an earlier run stay."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from shards import read_files, write_tar

pq = pytest.importorskip("pyarrow.parquet", reason="needs the [parquet] extra")


@pytest.fixture
def top(photos: Path, tmp_path: Path) -> Path:
    """A folder with two folders of photos."""
    for name in ("a", "b"):
        shutil.copytree(photos, tmp_path / name)
    return tmp_path


def read_parts(folder: Path) -> list[tuple[Any, ...]]:
    """Path, status and score of each row of all parts."""
    rows = [row for path in folder.glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return sorted((row["path"], row["status"], row["score"]) for row in rows)


@pytest.mark.parametrize("size", ["1", "2", "5", "1000"])
def test_a_folder_that_is_gone_keeps_its_rows_and_no_row_comes_twice(iqa: Run, model: Path, top: Path, size: str) -> None:
    command = ("score", "a", "b/", "-m", model, "--output", "out", "--part-size", size)
    assert iqa(*command, cwd=top).returncode == 0
    before = read_parts(top / "out")
    files = {path.name for path in (top / "out").iterdir()}
    (top / "b").rename(top / "elsewhere")
    for options in ((), ("-q",), ("--retry",)):
        done = iqa(*command, *options, cwd=top)
        assert done.returncode == 1
        assert b"iqa: warning: b: nothing is there any more; rows of an earlier run that are kept: 12\n" in done.stderr
        assert read_parts(top / "out") == sorted([*before, ("b/", "missing", None)], key=lambda row: row[0])
    (top / "elsewhere").rename(top / "b")
    done = iqa(*command, cwd=top)
    assert done.returncode == 0
    assert b"nothing is there" not in done.stderr
    assert read_parts(top / "out") == before
    assert {path.name for path in (top / "out").iterdir()} == files


def test_all_that_is_named_may_be_gone(iqa: Run, model: Path, top: Path) -> None:
    command = ("score", "a", "-m", model, "--output", "out", "--part-size", "2")
    iqa(*command, cwd=top)
    before = {path.name: path.read_bytes() for path in (top / "out").iterdir()}
    (top / "a").rename(top / "elsewhere")
    assert iqa(*command, cwd=top).returncode == 1
    assert before.items() <= {path.name: path.read_bytes() for path in (top / "out").iterdir()}.items()


def test_an_empty_place_where_a_disk_was_keeps_its_rows(iqa: Run, model: Path, top: Path) -> None:
    command = ("score", "a", "b", "-m", model, "--output", "out")
    iqa(*command, cwd=top)
    before = read_parts(top / "out")
    shutil.rmtree(top / "b")
    (top / "b").mkdir()
    done = iqa(*command, "-q", cwd=top)
    assert (done.returncode, done.stderr.count(b"\n")) == (0, 1)
    assert b"b: nothing is there any more; rows of an earlier run that are kept: 12" in done.stderr
    assert read_parts(top / "out") == before


def test_shards_and_patterns_of_which_nothing_is_there_keep_their_rows(iqa: Run, model: Path, top: Path) -> None:
    (top / "disk").mkdir()
    write_tar(top / "disk" / "0.tar", read_files(top / "a"))
    for number, named in enumerate(("disk/0.tar", "disk/*.tar", "disk/0.tar::*.jpg", "b/*.jpg")):
        command = ("score", "a", named, "-m", model, "--output", f"out{number}")
        assert iqa(*command, cwd=top).returncode == 0
        before = read_parts(top / f"out{number}")
        for name in ("disk", "b"):
            (top / name).rename(top / f"no {name}")
        assert iqa(*command, cwd=top).returncode == 1
        assert {*before} < {*read_parts(top / f"out{number}")}, named
        for name in ("disk", "b"):
            (top / f"no {name}").rename(top / name)


def test_photos_that_are_gone_from_a_folder_lose_their_rows_as_before(iqa: Run, model: Path, top: Path) -> None:
    command = ("score", "a", "b", "gone", "-m", model, "--output", "out")
    iqa(*command, cwd=top)
    (top / "b" / "01.jpg").unlink()
    assert b"nothing is there" not in iqa(*command, cwd=top).stderr
    paths = [path for path, _, _ in read_parts(top / "out")]
    assert "b/01.jpg" not in paths
    assert len(paths) == len({*paths}) == 24


@pytest.mark.parametrize("size", ["1", "5", "1000"])
@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_images_of_a_list_whose_folder_is_gone_keep_their_rows(iqa: Run, model: Path, top: Path, size: str, left: str) -> None:
    names = [f"{folder}/{path.name}" for folder in "ab" for path in sorted((top / folder).glob("*.jpg"))]
    (top / "list").write_text("".join(f"{name}\n" for name in (*names, "b/never.jpg")))
    command = ("score", "--files-from", "list", "-m", model, "--output", "out", "--part-size", size)
    iqa(*command, cwd=top)
    before = read_parts(top / "out")
    assert [path for path, status, _ in before if status != "ok"] == ["b/never.jpg"]
    files = {path.name for path in (top / "out").iterdir()}
    (top / "b").rename(top / "elsewhere")
    if left == "an empty folder":
        (top / "b").mkdir()
    for options in ((), ("-q",), ("--retry",)):
        done = iqa(*command, *options, cwd=top)
        assert done.returncode == 1
        assert b"iqa: warning: b: nothing is there any more; rows of an earlier run that are kept: 8\n" in done.stderr
        assert read_parts(top / "out") == before
    if left == "an empty folder":
        (top / "b").rmdir()
    (top / "elsewhere").rename(top / "b")
    done = iqa(*command, cwd=top)
    assert b"nothing is there" not in done.stderr
    assert read_parts(top / "out") == before
    assert {path.name for path in (top / "out").iterdir()} == files


def test_a_member_of_an_archive_and_a_link_that_lead_nowhere_keep_their_rows(iqa: Run, model: Path, top: Path) -> None:
    (top / "disk").mkdir()
    write_tar(top / "disk" / "0.tar", read_files(top / "a"))
    shutil.copy(top / "a" / "01.jpg", top / "disk")
    (top / "link.jpg").symlink_to("disk/01.jpg")
    command = ("score", "disk/0.tar::01.jpg", "link.jpg", "-m", model, "--output", "out")
    assert iqa(*command, cwd=top).returncode == 0
    before = read_parts(top / "out")
    (top / "disk").rename(top / "elsewhere")
    assert iqa(*command, cwd=top).returncode == 1
    assert read_parts(top / "out") == before


def test_an_image_of_a_list_that_is_gone_from_among_others_loses_its_row_as_before(iqa: Run, model: Path, top: Path) -> None:
    command = ("score", "a/01.jpg", "b/01.jpg", "-m", model, "--output", "out")
    iqa(*command, cwd=top)
    (top / "b" / "01.jpg").unlink()
    done = iqa(*command, cwd=top)
    assert b"nothing is there" not in done.stderr
    assert [(path, status) for path, status, _ in read_parts(top / "out")] == [("a/01.jpg", "ok"), ("b/01.jpg", "missing")]
