"""`iqa watch`, the whole program: photos come in every way there is, it is stopped in every way, and it goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Run, wait_until, write_photo
from in_process import environment
from test_processes import started
from unseen import make_unreadable

pytest.importorskip("watchfiles", reason="needs the [watch] extra")
pytestmark = pytest.mark.process
SETTLE = 0.4  # seconds


def read_log(path: Path) -> list[tuple[str, str]]:
    """The name and the status of each line, also while one is written."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [(Path(values["path"]).name, values["status"]) for values in map(json.loads, lines)]


@contextmanager
def watching(folder: Path, log: Path, model: Path, *more: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A watch that has begun; ended by Ctrl-C, without a word too many."""
    with started("watch", folder, "--jsonl", log, "--model", model, "--settle", str(SETTLE), *more) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith(b"iqa: watching "), first + process.stderr.read()
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().splitlines()[-1].startswith(b"iqa: scored ")
    assert not log.exists() or log.read_bytes()[-1:] in (b"", b"\n")  # no line is left half written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one photo, and what is none."""
    path = tmp_path / "incoming"
    path.mkdir()
    write_photo(path / "first.jpg", 1)
    (path / "notes.txt").write_text("no photo")
    return path


def test_photos_are_scored_as_they_come_however_they_come(model: Path, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with watching(folder, log, model):
        wait_until(lambda: read_log(log) == [("first.jpg", "ok")], 60)
        write_photo(folder / "written.jpg", 2)
        wait_until(lambda: len(read_log(log)) == 2, 60)
        write_photo(tmp_path / "elsewhere.jpg", 3).rename(folder / "renamed.jpg")
        wait_until(lambda: len(read_log(log)) == 3, 60)
        (tmp_path / "album" / "deep").mkdir(parents=True)
        write_photo(tmp_path / "album" / "deep" / "moved.jpg", 4)
        (tmp_path / "album").rename(folder / "album")
        wait_until(lambda: len(read_log(log)) == 4, 60)
        write_photo(folder / "album" / "inside.jpg", 5)
        shutil.copy(folder / "first.jpg", os.fsencode(folder) + b"/raw\xff.jpg")
        wait_until(lambda: len(read_log(log)) == 6, 60)
        (folder / "more.txt").write_text("no photo")
        write_photo(folder / ".hidden.jpg", 6)
        time.sleep(4 * SETTLE)
    names = ["first.jpg", "written.jpg", "renamed.jpg", "moved.jpg"]
    found = read_log(log)
    assert found[:4] == [(name, "ok") for name in names]
    assert sorted(found[4:]) == [("inside.jpg", "ok"), ("raw\ufffd.jpg", "ok")]


def test_a_photo_that_arrives_slowly_is_scored_once_and_whole(model: Path, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    whole = write_photo(tmp_path / "whole.jpg", 7, (400, 300)).read_bytes()
    with watching(folder, log, model), (folder / "slow.jpg").open("wb", buffering=0) as slow:
        for start in range(0, len(whole), len(whole) // 5 + 1):
            slow.write(whole[start : start + len(whole) // 5 + 1])
            time.sleep(1.5 * SETTLE)  # longer than what makes a file complete
        wait_until(lambda: ("slow.jpg", "ok") in read_log(log), 60)
    assert read_log(log) == [("first.jpg", "ok"), ("slow.jpg", "ok")]


def test_a_damaged_photo_has_its_line_when_it_had_its_time(model: Path, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with watching(folder, log, model):
        (folder / "cut.jpg").write_bytes((folder / "first.jpg").read_bytes()[:500])
        wait_until(lambda: ("cut.jpg", "damaged") in read_log(log), 60)
        write_photo(folder / "cut.jpg", 8)
        wait_until(lambda: ("cut.jpg", "ok") in read_log(log), 60)
    assert read_log(log) == [("first.jpg", "ok"), ("cut.jpg", "damaged"), ("cut.jpg", "ok")]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is denied to root")
def test_what_was_denied_is_scored_as_soon_as_it_may_be_read(model: Path, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    (folder / "first.jpg").chmod(0)
    with watching(folder, log, model):
        wait_until(lambda: read_log(log) == [("first.jpg", "denied")], 60)
    with watching(folder, log, model):
        wait_until(lambda: read_log(log) == [("first.jpg", "denied")] * 2, 60)
        (folder / "first.jpg").chmod(0o644)
        wait_until(lambda: ("first.jpg", "ok") in read_log(log), 60)
    assert len(read_log(log)) == 3


def test_a_later_run_goes_on(model: Path, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with watching(folder, log, model):
        wait_until(lambda: len(read_log(log)) == 1, 60)
    whole = log.read_bytes()
    log.write_bytes(whole + whole[:30])  # as a killed run leaves it
    write_photo(folder / "second.jpg", 2)
    with watching(folder, log, model):
        wait_until(lambda: log.read_bytes().count(b"\n") == 2, 60)
        time.sleep(2 * SETTLE)
    assert read_log(log) == [("first.jpg", "ok"), ("second.jpg", "ok")]


def test_photos_are_scored_again_with_other_options(model: Path, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    for options in ([], ["--crops", "3"]):
        before = len(read_log(log))
        with watching(folder, log, model, *options):
            wait_until(lambda: len(read_log(log)) > before, 60)  # noqa: B023  # which is called here alone
    with watching(folder, log, model, "--crops", "3"):
        time.sleep(4 * SETTLE)
    assert read_log(log) == [("first.jpg", "ok")] * 2
    assert len({json.loads(line)["settings"] for line in log.read_bytes().splitlines()}) == 2


def test_only_photos_that_are_there_are_said_to_be_known(model: Path, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    write_photo(folder / "second.jpg", 2)
    with watching(folder, log, model):
        wait_until(lambda: len(read_log(log)) == 2, 60)
    (folder / "second.jpg").unlink()
    with started("watch", folder, "--jsonl", log, "--model", model) as process:
        assert process.stderr is not None
        assert b", of which 1 photos are known; " in process.stderr.readline()


@pytest.mark.parametrize("options", [(), ("--quiet",)])
def test_what_cannot_be_read_is_told_also_by_a_silent_run(
    model: Path, folder: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    make_unreadable(folder)
    log = tmp_path / "log.jsonl"
    with started("watch", folder, "--jsonl", log, "--model", model, "--settle", str(SETTLE), *options) as process:
        wait_until(lambda: len(read_log(log)) == 1, 60)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr is not None
        told = process.stderr.read()
    assert told.count(b"1 folder that cannot be read: there may be images that have no score\n") == 1


def test_a_run_that_was_killed_is_gone_on_with(model: Path, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with started("watch", folder, "--jsonl", log, "--model", model, "--settle", str(SETTLE)) as process:
        wait_until(lambda: len(read_log(log)) == 1, 60)
        process.kill()
    write_photo(folder / "first.jpg", 9)  # and it is another one now
    with watching(folder, log, model):
        wait_until(lambda: len(read_log(log)) == 2, 60)
    assert read_log(log) == [("first.jpg", "ok")] * 2
    scores = [json.loads(line)["score"] for line in log.read_bytes().splitlines()]
    assert scores[0] != scores[1]


def test_only_one_process_adds_to_a_file(iqa: Run, model: Path, folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with watching(folder, log, model):
        done = iqa("watch", folder, "--jsonl", log, "--model", model)
        assert done.returncode == 2
        assert b"another process adds to this file" in done.stderr


def test_records_go_to_a_pipe(model: Path, folder: Path) -> None:
    with started("watch", folder, "--jsonl", "-", "--model", model, "--quiet") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["status"] == "ok"
        process.stdout.close()  # whoever read it has had enough
        write_photo(folder / "second.jpg", 2)
        assert process.wait(60) == 141


@pytest.mark.parametrize("name", ["raw\udcff", "a b ü 写"])
def test_a_folder_of_any_name_is_watched(model: Path, folder: Path, tmp_path: Path, name: str) -> None:
    log, named = tmp_path / "log.jsonl", tmp_path / name
    folder.rename(named)
    with watching(named, log, model, "--poll", "0.3"):
        wait_until(lambda: len(read_log(log)) == 1, 60)
        write_photo(named / "second.jpg", 2)
        wait_until(lambda: len(read_log(log)) == 2, 60)


def test_without_a_word_of_the_system_the_folder_is_looked_through(model: Path, folder: Path, tmp_path: Path) -> None:
    """As over a network: what is behind a link is not watched, but it is walked."""
    log, far = tmp_path / "log.jsonl", tmp_path / "far"
    far.mkdir()
    (folder / "link").symlink_to(far)
    with watching(folder, log, model, "--poll", "0.5"):
        wait_until(lambda: len(read_log(log)) == 1, 60)
        write_photo(far / "second.jpg", 2)
        wait_until(lambda: len(read_log(log)) == 2, 60)


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["nowhere", "--jsonl", "x.jsonl"], 4, b"nowhere: no such folder"),
        (["incoming", "--jsonl", "incoming/first.jpg"], 2, b"is not JSON Lines of scores"),
        (["incoming"], 2, b"--jsonl"),
        (["incoming", "--jsonl", "x.jsonl", "--batch-size", "2"], 2, b"--batch-size"),
        (["incoming", "--jsonl", "nowhere/x.jsonl"], 4, b"cannot write the results"),
    ],
)
def test_what_cannot_work_is_said(
    iqa: Run, model: Path, folder: Path, tmp_path: Path, args: list[str], code: int, said: bytes
) -> None:
    done = iqa("watch", *args, "--model", model, cwd=tmp_path)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert (folder / "first.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_a_folder_that_goes_away_is_said(model: Path, folder: Path, tmp_path: Path) -> None:
    with started("watch", folder, "--jsonl", tmp_path / "log.jsonl", "--model", model) as process:
        wait_until(lambda: len(read_log(tmp_path / "log.jsonl")) == 1, 60)
        shutil.rmtree(folder)
        assert process.wait(60) == 4
        assert process.stderr is not None
        assert b"incoming: the folder is gone" in process.stderr.read()


def test_without_the_extra_it_says_how_to_get_it(iqa_process: Run, model: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "watchfiles.py").write_text("raise ImportError")
    env = environment() | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "absent"), *sys.path])}
    done = iqa_process("watch", folder, "--jsonl", tmp_path / "log.jsonl", "--model", model, env=env)
    assert done.returncode == 2
    assert b"pip install 'iqa-cli[watch]'" in done.stderr
