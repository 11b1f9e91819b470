"""Choosing by score on the command line."""

from pathlib import Path

import pytest
from conftest import Run, read_rows

pytestmark = pytest.mark.process


def test_the_worst_are_chosen_for_xargs(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    whole = read_rows(iqa("score", photos, tmp_path / "cut.jpg", "--model", model).stdout)
    scored = sorted((row for row in whole if row["status"] == "ok"), key=lambda row: float(row["score"]))
    done = iqa("score", photos, tmp_path / "cut.jpg", "--model", model, "--bottom", "3", "--format", "paths", "-0")
    assert done.returncode == 1  # a failure is no path, and not forgotten
    assert done.stdout.decode().split("\0") == [*(row["path"] for row in scored[:3]), ""]
    csv = iqa("score", photos, tmp_path / "cut.jpg", "--model", model, "--bottom", "3", "--format", "csv")
    assert [row["path"] for row in read_rows(csv.stdout)] == [*(row["path"] for row in scored[:3]), str(tmp_path / "cut.jpg")]


@pytest.mark.parametrize("others", [(), ("--output", "scores")], ids=["at once", "as a job"])
def test_a_nul_that_would_end_nothing_is_refused(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, others: tuple[str, ...]
) -> None:
    done = iqa("score", photos, "--model", model, "-0", *others, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--null is about lists of paths: add - or --files-from FILE, or --format paths, or leave it out" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_score_below_the_bar_has_an_exit_code_of_its_own(iqa: Run, model: Path, photos: Path) -> None:
    done = iqa("score", photos, "--model", model, "--fail-under", "100", "--min", "99")
    assert done.returncode == 5
    assert b"images score below 100" in done.stderr
    assert iqa("score", photos, "--model", model, "--fail-under", "0").returncode == 0


def test_folders_are_looked_into_as_deep_as_asked(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    photo = sorted(photos.glob("*.*g"))[0].read_bytes()
    for place in ("1.jpg", "a/2.jpg", "a/b/3.jpg"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(photo)
    for depth, count, said in (("1", 1, b"1 deeper folder"), ("2", 2, b"1 deeper folder"), ("3", 3, b"")):
        done = iqa("score", tmp_path, "--model", model, "--max-depth", depth)
        assert len(read_rows(done.stdout)) == count
        assert said in done.stderr


def test_links_in_folders_may_be_left_out(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(sorted(photos.glob("*.*g"))[0].read_bytes())
    (tmp_path / "2.jpg").symlink_to("1.jpg")
    (tmp_path / "more").symlink_to(photos)
    assert len(read_rows(iqa("score", tmp_path, "--model", model).stdout)) > 2
    done = iqa("score", tmp_path, "--model", model, "--no-follow-symlinks")
    assert [row["path"] for row in read_rows(done.stdout)] == [str(tmp_path / "1.jpg")]
    assert b"left out: 2 link" in done.stderr
