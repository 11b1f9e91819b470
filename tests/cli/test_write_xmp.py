"""`iqa score --write-xmp` and `iqa ratings --undo`, as a person uses them, with other programs as the readers."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run, read_rows, write_photo
from idle import wait_until_idle
from in_process import environment, run_at_terminal
from packets import SIDECARS, read_by_exiftool, read_by_exiv2

from iqa_cli.cli.ratings import rating
from iqa_cli.culling.rating_options import RatingOptions
from iqa_cli.errors import DataError
from iqa_cli.records import ScoreRecord, Status

pytest.importorskip("lxml", reason="needs the [xmp] extra")
pytestmark = pytest.mark.process

BY_DARKTABLE = next(path for path in SIDECARS if path.stem == "darktable-history").read_bytes()
RATED = next(path for path in SIDECARS if path.stem == "lightroom-rated-picked").read_bytes()


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Ten photos, of which one was edited by darktable and one rated by a person, and a text that is called a photo."""
    folder = tmp_path / "album"
    folder.mkdir()
    for seed in range(10):
        write_photo(folder / f"{seed}.jpg", seed)
    (folder / "1.jpg.xmp").write_bytes(BY_DARKTABLE)
    (folder / "2.xmp").write_bytes(RATED)
    (folder / "text.jpg").write_text("text")
    return folder


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def find_undo(stderr: bytes) -> list[str]:
    """The command that undoes a run, as the run said it, without its first word."""
    found = re.search(r"; to undo: (iqa ratings --undo .*)", stderr.decode())
    assert found, stderr
    return shlex.split(found[1])[1:]


def test_a_folder_is_rated_and_the_ratings_undone(iqa: Run, model: Path, album: Path) -> None:
    before = snapshot(album)
    plain = iqa("score", album, "--model", model)
    done = iqa("score", album, "--model", model, "--write-xmp")
    assert (done.returncode, done.stdout) == (1, plain.stdout)
    after = snapshot(album)
    assert {name: after[name] for name in before if name != "1.jpg.xmp"} == {
        n: b for n, b in before.items() if n != "1.jpg.xmp"
    }
    assert after.keys() - before.keys() == {f"{seed}.xmp" for seed in (0, *range(3, 10))}  # no sidecar for what has no score
    said = done.stderr.decode().splitlines()
    assert re.match(r"scored 10 of 11 images", said[0])
    assert re.fullmatch(r"rated 9 photos: \d with 5 stars, .*; 1 photo keeps your own rating", said[-2])
    assert said[-1].startswith("wrote 9 sidecars; to undo: iqa ratings --undo ")
    undone = iqa(*find_undo(done.stderr))
    assert (undone.returncode, undone.stderr) == (0, b"")
    assert undone.stdout == b"restored 1 sidecar, removed 8 that the run had made\n"
    assert snapshot(album) == before


def test_other_programs_read_the_ratings(iqa: Run, model: Path, album: Path) -> None:
    (album / "2.xmp").unlink()
    done = iqa("score", album, "--model", model, "--write-xmp", "--xmp-style", "both")
    scores = {Path(row["path"]).stem: row["score"] for row in read_rows(done.stdout) if row["score"]}
    ordered = sorted(scores, key=lambda name: float(scores[name]))
    stars = dict(zip(ordered, [1, 2, 2, 3, 3, 3, 3, 4, 4, 5], strict=True))
    assert read_by_exiftool(album) == stars | {f"{name}.jpg": count for name, count in stars.items()}
    assert all(read_by_exiv2(album / f"{name}.xmp") == str(count) for name, count in stars.items())
    assert all(read_by_exiv2(album / f"{name}.xmp", "Xmp.iqa.score") == score for name, score in scores.items())


def test_all_photos_are_rated_whatever_is_chosen_to_be_written(iqa: Run, model: Path, album: Path) -> None:
    done = iqa("score", album, "--model", model, "--write-xmp", "--top", "1", "--overwrite-ratings", "--format", "paths")
    assert len(done.stdout.splitlines()) == 1
    assert b"rated 10 photos: 1 with 5 stars, 2 with 4, 4 with 3, 2 with 2, 1 with 1\n" in done.stderr


def test_limits_and_rejects(iqa: Run, model: Path, album: Path) -> None:
    limits = ("--stars-at", "0,0.5,1,100", "--reject-as", "pick", "--reject-below", "100")
    done = iqa("score", album, "--model", model, "--write-xmp", *limits)
    assert b"rated 9 photos: 9 with 4 stars;" in done.stderr
    assert b'xmpDM:pick="-1"' in (album / "0.xmp").read_bytes()
    done = iqa("score", album, "--model", model, "--write-xmp", "--reject-as", "rating", "--reject-below", "100")
    assert b"rated 9 photos: 9 rejected;" in done.stderr
    assert b"pick" not in re.sub(rb"xmlns:\S+", b"", (album / "0.xmp").read_bytes())
    assert b'xmp:Rating="-1"' in (album / "0.xmp").read_bytes()


def test_broken_sidecars_are_named_and_the_others_written(iqa: Run, model: Path, album: Path) -> None:
    (album / "text.jpg").unlink()
    (album / "3.xmp").write_bytes(RATED[:200])
    for quiet in ([], ["--quiet"]):
        done = iqa("score", album, "--model", model, "--write-xmp", *quiet)
        assert done.returncode == 4
        assert re.search(rb"iqa: error: \S*/3\.xmp: not written: no XML that can be read: .*line 3", done.stderr)
        assert (album / "3.xmp").read_bytes() == RATED[:200]
    assert done.stderr.count(b"\n") == 1
    assert (album / "4.xmp").exists()


def test_many_that_cannot_be_written_are_not_all_named(iqa: Run, model: Path, album: Path) -> None:
    for seed in range(100, 106):
        write_photo(album / f"{seed}.jpg", seed)
    for photo in album.glob("*.jpg"):
        (album / f"{photo.stem}.xmp").write_bytes(b"<")
    done = iqa("score", album, "--model", model, "--write-xmp", "--xmp-style", "adobe", "--quiet")
    assert done.stderr.count(b": not written: ") == 10
    assert done.stderr.endswith(b"iqa: error: and 6 more: not written\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do anything")
def test_a_folder_that_may_not_be_written_is_said(iqa: Run, model: Path, album: Path) -> None:
    album.chmod(0o500)
    try:
        done = iqa("score", album, "--model", model, "--write-xmp")
        assert b"not written: Permission denied" in done.stderr
    finally:
        album.chmod(0o700)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--stars-at", "20,40,60,80"], "--stars-at is about sidecars: add --write-xmp"),
        (["--xmp-style", "both"], "--xmp-style is about sidecars"),
        (["--overwrite-ratings"], "--overwrite-ratings is about sidecars"),
        (["--write-xmp", "--stars-at", "20,40"], "four rising scores"),
        (["--write-xmp", "--stars-at", "a,b"], "20,40,60,80, not a,b"),
        (["--write-xmp", "--reject-below", "3"], "--reject-as"),
        (["--write-xmp", "--reject-as", "burn"], "burn"),
    ],
)
def test_usage_errors(iqa: Run, album: Path, args: list[str], message: str) -> None:
    before = snapshot(album)
    done = iqa("score", album, *args)
    assert (done.returncode, done.stdout) == (2, b"")
    assert message in " ".join(done.stderr.decode().split())
    assert snapshot(album) == before


def test_without_lxml_it_ends_before_anything_is_scored(album: Path, model: Path) -> None:
    code = "import sys; sys.modules['lxml'] = None; from iqa_cli.cli.entry import main; main()"  # as where it is not installed
    command = [sys.executable, "-c", code, "score", album, "--model", model, "--write-xmp"]
    before = snapshot(album)
    done = subprocess.run(command, capture_output=True, check=False, timeout=120, env=environment())
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == (
        "iqa: error: --write-xmp needs the [xmp] extra, which is not installed. Install it with: pip install 'iqa-cli[xmp]'\n"
    )
    assert snapshot(album) == before


def interrupt(album: Path, model: Path, *options: str) -> bytes:
    """Score one photo and rate it, and press Ctrl-C before the list of photos ends: what is said on stderr."""
    command = [sys.executable, "-m", "iqa_cli", "score", "-", "--model", model, "--write-xmp", *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), **pipes) as process:
        process.stdin.write(os.fsencode(album / "5.jpg") + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.readline()
        wait_until_idle(process.pid)  # between a row and its count the signal would say that nothing is kept
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        return process.stderr.read()


def test_ctrl_c_rates_what_is_done_by_fixed_scores(album: Path, model: Path) -> None:
    said = interrupt(album, model, "--stars-at", "0,0.5,100,101", "--reject-as", "rating", "--reject-below", "0")
    assert b"1 of the 1 images found so far are kept\nrated 1 photo: 1 with 3 stars\n" in said
    assert b'xmp:Rating="3"' in (album / "5.xmp").read_bytes()


@pytest.mark.parametrize("options", [(), ("--stars-at", "0,0.5,100,101", "--reject-as", "rating")], ids=["stars", "rejects"])
def test_ctrl_c_rates_nothing_by_shares_of_what_is_done(album: Path, model: Path, options: tuple[str, ...]) -> None:
    before = snapshot(album)
    said = interrupt(album, model, *options)
    assert said.count(b"iqa: warning: no photo is rated: the run was cut short") == 1
    assert b"--stars-at" in said
    assert snapshot(album) == before


def test_a_run_that_ends_by_an_error_rates_nothing_by_shares(album: Path) -> None:
    def fail(options: RatingOptions) -> None:
        with rating(options, quiet=True) as sink:
            sink.write(ScoreRecord(str(album / "0.jpg"), Status.OK, "toy", 50.0, 50.0))
            raise DataError("the disk is full")

    before = snapshot(album)
    with pytest.raises(DataError, match="the disk is full"):
        fail(RatingOptions())
    assert snapshot(album) == before
    with pytest.raises(DataError, match="the disk is full"):
        fail(RatingOptions(stars_at=(20, 40, 60, 80)))
    assert snapshot(album).keys() - before.keys() == {"0.xmp"}


# ---- iqa ratings ----


def test_runs_are_listed_and_what_was_edited_since_is_kept(iqa: Run, model: Path, album: Path) -> None:
    none = iqa("ratings")
    assert none.returncode == 4
    assert none.stderr.startswith(b"iqa: error: no run has rated photos")
    done = iqa("score", album, "--model", model, "--write-xmp")
    (row,) = read_rows(iqa("ratings").stdout)
    assert row["sidecars"] == "9"
    assert row["undo file"] == find_undo(done.stderr)[-1]
    (album / "5.xmp").write_bytes(RATED)
    undone = iqa("ratings", "--undo", row["undo file"])
    assert undone.returncode == 1
    assert undone.stdout == b"restored 1 sidecar, removed 7 that the run had made\n"
    assert undone.stderr.endswith(b"5.xmp: kept: it has been edited since\n")
    assert (album / "5.xmp").read_bytes() == RATED


def test_what_was_moved_away_is_not_undone_in_silence(iqa: Run, model: Path, album: Path, tmp_path: Path) -> None:
    (album / "1.jpg.xmp").unlink()
    done = iqa("score", album, "--model", model, "--write-xmp")
    before = snapshot(album)
    album.rename(tmp_path / "moved")
    undone = iqa(*find_undo(done.stderr))
    assert undone.returncode == 1
    assert undone.stdout == b"restored 0 sidecars, removed 0 that the run had made\n"
    assert undone.stderr.count(b".xmp: not found: its photo is not there either") == 9
    (tmp_path / "moved").rename(album)
    assert snapshot(album) == before
    assert iqa(*find_undo(done.stderr)).stdout == b"restored 0 sidecars, removed 9 that the run had made\n"


def test_an_undo_file_that_is_none_is_exit_4(iqa: Run, album: Path) -> None:
    before = snapshot(album)
    for path in (album / "0.jpg", album / "gone"):
        done = iqa("ratings", "--undo", path)
        assert (done.returncode, done.stdout) == (4, b"")
        assert done.stderr.count(b"\n") == 1
    assert snapshot(album) == before


def test_at_a_terminal(model: Path, album: Path) -> None:
    code, shown = run_at_terminal("score", str(album), "--model", str(model), "--write-xmp")
    assert code == 1
    assert "rated 9 photos: " in shown
    code, shown = run_at_terminal("score", "--help", columns=200)
    assert "the worst 10 % get 1 star, then 20 % 2, 40 % 3, 20 % 4, the best 10 % 5" in " ".join(
        re.sub("[│╭╮╰╯─]", " ", shown).split()
    )
