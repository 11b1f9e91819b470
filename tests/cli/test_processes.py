"""Whole runs over what goes wrong in practice: each file gets its row or one clear line, and nothing that was done is lost."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import Run, read_rows, wait_until, write_photo
from idle import wait_until_idle
from in_process import environment
from pictures import forge_png

from iqa_cli.scoring.cache import describe_cache

pytestmark = pytest.mark.process

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs signals")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def find_children(pid: int) -> list[int]:
    """The processes that a process has started."""
    children = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            children += map(int, (task / "children").read_text().split())
    return children


def has_open(pid: int, path: Path) -> bool:
    """Whether a process has a file open."""
    try:
        return any(link.resolve() == path for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it ends, or closes what was just listed
        return False


def is_alive(pid: int) -> bool:
    """Whether a process runs; not where it has ended and nobody has asked how, as of orphans in some containers."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def started(*args: str | Path, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """The command line while it runs; killed at the end."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment()}
    process = subprocess.Popen([sys.executable, "-m", "iqa_cli", *args], **{**pipes, **options})
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three photos, the second of which takes a decoder long enough to be met at it."""
    folder = tmp_path / "album"
    folder.mkdir()
    write_photo(folder / "a.jpg", 1)
    (folder / "b.png").write_bytes(forge_png(9000, 9000, 8, 0, bytes(9001 * 9000)))
    write_photo(folder / "c.jpg", 3)
    return folder


# ---- lists ----


def test_a_path_that_comes_alone_has_its_record_at_once(model: Path, photos: Path) -> None:
    with started("score", "-", "--model", model) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("01.jpg", "02.jpg"):
            process.stdin.write(os.fsencode(photos / name) + b"\n")
            process.stdin.flush()
            row = process.stdout.readline()
            row = process.stdout.readline() if row.startswith(b"path,") else row
            assert row.startswith(os.fsencode(photos / name) + b",")
        process.stdin.close()
        assert process.wait(60) == 0
        process.stdin = None


def test_ctrl_c_while_it_waits_for_a_path_ends_it(model: Path, photos: Path) -> None:
    with started("score", "-", "--model", model) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(os.fsencode(photos / "01.jpg") + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.readline()
        wait_until_idle(process.pid)  # between a row and its count the signal would say that nothing is kept
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b"iqa: interrupted: 1 of the 1 images found so far are kept\n"


# ---- files ----


@POSIX
def test_whatever_is_named_has_its_row(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    (tmp_path / "vanished.jpg").symlink_to(tmp_path / "gone")
    (tmp_path / "cut.jpg").write_bytes((photos / "01.jpg").read_bytes()[:500])
    expected = {
        "pipe.jpg": "unsupported",
        "empty.jpg": "damaged",
        "circle.jpg": "missing",
        "vanished.jpg": "missing",
        "cut.jpg": "damaged",
        "/dev/zero": "unsupported",
        "x" * 300: "missing",
        str(photos / "01.jpg"): "ok",
    }
    done = iqa("score", "--model", model, "--", *expected, cwd=tmp_path)
    assert {row["path"]: row["status"] for row in read_rows(done.stdout)} == expected
    assert done.returncode == 1
    assert all(row["detail"] for row in read_rows(done.stdout) if row["status"] != "ok")


@POSIX
def test_links_in_circles_end(iqa: Run, model: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", 1)
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "up").symlink_to("..")
    done = iqa("score", tmp_path, "--model", model)
    assert [Path(row["path"]).name for row in read_rows(done.stdout)] == ["a.jpg"]
    assert b"left out: 1 link to a folder already seen" in done.stderr


def test_files_that_grow_or_vanish_while_it_runs_have_their_rows(model: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "whole.jpg", 1).read_bytes()
    (tmp_path / "grows.jpg").write_bytes(photo[:300])
    (tmp_path / "vanishes.jpg").write_bytes(photo)
    with started("score", "-", "--model", model, "--quiet") as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(name: str) -> str:
            process.stdin.write(os.fsencode(tmp_path / name) + b"\n")
            process.stdin.flush()
            row = process.stdout.readline()
            return (process.stdout.readline() if row.startswith(b"path,") else row).decode().split(",")[4]

        assert [ask("grows.jpg"), ask("vanishes.jpg")] == ["damaged", "ok"]
        (tmp_path / "grows.jpg").write_bytes(photo)
        (tmp_path / "vanishes.jpg").unlink()
        assert [ask("grows.jpg"), ask("vanishes.jpg"), ask("whole.jpg")] == ["ok", "missing", "ok"]


# ---- decoders ----


def test_an_image_that_takes_too_long_costs_its_row(iqa: Run, model: Path, album: Path) -> None:
    done = iqa("score", album / "b.png", "--model", model, "--timeout", "0.02")
    (row,) = read_rows(done.stdout)
    assert (done.returncode, row["status"], row["score"]) == (1, "timeout", "")
    assert row["detail"] == "decoding took longer than 0.02 s"
    assert done.stderr.decode().splitlines()[1] == "failed: 1 timeout"


@LINUX
@pytest.mark.parametrize(("number", "status"), [(signal.SIGSEGV, "crashed"), (signal.SIGSTOP, "timeout")])
def test_a_decoder_that_crashes_or_hangs_costs_one_row(
    model: Path, album: Path, tmp_path: Path, number: signal.Signals, status: str
) -> None:
    """Whichever process opens b.png meets the signal, the one that tries again, too."""
    out, limit = tmp_path / "out.csv", "10" if status == "crashed" else "3"  # one is waited for, the other not
    with started("score", album, "--model", model, "--csv", out, "--timeout", limit, stdin=subprocess.DEVNULL) as process:
        met: set[int] = set()
        while process.poll() is None:
            for child in find_children(process.pid):
                if child not in met and has_open(child, album / "b.png"):
                    met.add(child)
                    os.kill(child, number)
            time.sleep(0.001)
        assert process.returncode == 1
    rows = read_rows(out.read_bytes())
    assert [(Path(row["path"]).name, row["status"]) for row in rows] == [("a.jpg", "ok"), ("b.png", status), ("c.jpg", "ok")]
    assert (
        rows[1]["detail"]
        == {
            "crashed": "the decoder crashed on it (SIGSEGV)",
            "timeout": "decoding took longer than 3 s",
        }[status]
    )


# ---- the run itself ----


@LINUX
def test_a_killed_run_leaves_the_old_file_whole_and_its_scores_in_the_cache(
    model: Path, photos: Path, tmp_path: Path, cache: Path, iqa: Run
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("older")
    with started("score", "-", "--force", "--model", model, "--csv", out) as process:
        assert process.stdin is not None
        for photo in sorted(photos.glob("*.jpg")):
            process.stdin.write(os.fsencode(photo) + b"\n")
        process.stdin.flush()  # and it waits for more
        wait_until(lambda: (cache / "scores-1.sqlite").exists() and describe_cache(cache).scores == 8)
        decoders = find_children(process.pid)
        process.kill()
        process.wait()
    assert out.read_text() == "older"
    wait_until(lambda: not any(map(is_alive, decoders)))
    done = iqa("score", photos, "--model", model, "--csv", out, "--force")
    assert done.stderr.endswith(b"images/s), 8 from the cache\n")
    assert [row["status"] for row in read_rows(out.read_bytes())] == ["ok"] * 12


@contextmanager
def waiting(model: Path, photos: Path, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has written some of its records and waits for more paths."""
    with started("score", "-", "--model", model, "--csv", out) as process:
        assert process.stdin is not None
        process.stdin.write(os.fsencode(photos / "01.jpg") + b"\n" + os.fsencode(photos / "02.jpg") + b"\n")
        process.stdin.flush()
        part = out.with_name(f".{out.name}.{process.pid}.part")
        wait_until(lambda: part.exists() and part.read_bytes().count(b"\n") == 3)
        yield process


@POSIX
def test_a_killed_run_leaves_nothing_behind_the_next(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with waiting(model, photos, out) as process:
        process.kill()
        process.wait()
    assert [path.name for path in tmp_path.iterdir()] == [f".out.csv.{process.pid}.part"]
    done = iqa("score", photos, "--model", model, "--csv", out)
    assert done.returncode == 0
    assert [row["status"] for row in read_rows(out.read_bytes())] == ["ok"] * 12
    assert list(tmp_path.iterdir()) == [out]


@POSIX
def test_a_living_run_keeps_what_it_has_written(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with waiting(model, photos, out) as process:
        assert iqa("score", photos, "--model", model, "--csv", out).returncode == 0
        assert len(read_rows(out.read_bytes())) == 12
        assert {path.name for path in tmp_path.iterdir()} == {"out.csv", f".out.csv.{process.pid}.part"}
        process.stdin.close()  # type: ignore[union-attr]
        process.stdin = None
        assert process.wait(60) == 0
    assert len(read_rows(out.read_bytes())) == 2
    assert list(tmp_path.iterdir()) == [out]


def test_two_runs_at_once_share_the_cache(model: Path, photos: Path, cache: Path) -> None:
    outcomes: list[bytes] = []

    def run() -> None:
        command = [sys.executable, "-m", "iqa_cli", "score", photos, "--model", model]
        done = subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, env=environment())
        assert b"warning" not in done.stderr
        outcomes.append(done.stdout)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 3
    assert len(set(outcomes)) == 1
    assert describe_cache(cache).scores == 12


def test_a_folder_that_cannot_be_written_is_one_line(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = iqa("score", photos, "--model", model, "--csv", tmp_path / "file" / "out.csv")
    assert done.returncode == 4
    assert done.stderr.decode() == f"iqa: error: {tmp_path}/file/out.csv: cannot write the results: Not a directory\n"
