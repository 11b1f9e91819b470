"""A folder in which one process works at a time, tried with processes."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from in_process import environment

from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.appended import is_living
from iqa_cli.files.atomic import remove_leftovers
from iqa_cli.files.locks import claim, claim_if_free, lock_folder

HOLD = """
import os, sys, time
from pathlib import Path
from iqa_cli.files.locks import lock_folder
with lock_folder(Path(sys.argv[1])):
    if len(sys.argv) > 2 and os.fork() == 0:
        print(os.getpid(), flush=True)
        os.close(1)
        time.sleep(300)
    elif len(sys.argv) == 2:
        print(os.getpid(), flush=True)
    sys.stdin.read()
"""


@contextmanager
def holding(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that has the folder, and the number that it prints: its own, or that of a child that outlives it."""
    command = [sys.executable, "-c", HOLD, str(folder), *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment(), **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def test_a_second_process_is_kept_out_and_told_who_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "mine"
    with holding(folder) as (process, number):
        assert number == process.pid
        with (
            pytest.raises(UsageError, match=f"mine: process {number} is at work in this folder; wait until it ends"),
            lock_folder(folder),
        ):
            pass
        process.communicate()  # its stdin ends, and so does it
        with lock_folder(folder):
            assert (folder / "lock").read_text().split()[0] == str(os.getpid())
    with lock_folder(folder):
        assert [path.name for path in folder.iterdir()] == ["lock"]


def test_a_killed_process_leaves_the_folder_free(tmp_path: Path) -> None:
    with holding(tmp_path) as (process, number):
        process.kill()
        process.wait()
        assert (tmp_path / "lock").read_text().startswith(f"{number} ")
        with lock_folder(tmp_path):
            pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_outlives_a_killed_process_keeps_nobody_out(tmp_path: Path) -> None:
    with holding(tmp_path, "and its child") as (process, child):
        with pytest.raises(UsageError, match=f"process {process.pid} is"), lock_folder(tmp_path):
            pass
        process.kill()
        process.wait()
        os.kill(child, 0)  # it is there
        with lock_folder(tmp_path):
            pass
        os.kill(child, 9)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_only_what_is_taken_is_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Where there are no claims a file is free, and yet nobody's: what may only be removed where it is nobody's stays."""
    with (tmp_path / "file").open("wb") as one, (tmp_path / "file").open("ab") as another:
        assert claim_if_free(one)
        assert not claim_if_free(another)
    monkeypatch.setattr(fcntl, "flock", failing(number))
    aside = tmp_path / ".out.csv.1.part"
    with aside.open("wb") as file:
        assert claim_if_free(file)
        assert not claim(file, wait=False)
    remove_leftovers(tmp_path / "out.csv")
    assert aside.exists()
    assert not is_living(aside)  # else nothing could ever be added to out.csv


def failing(number: int) -> Callable[..., None]:
    """A function that fails so."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_another_machine_is_named(tmp_path: Path) -> None:
    with holding(tmp_path) as (process, number):
        (tmp_path / "lock").write_text(f"{number} elsewhere\n")
        with pytest.raises(UsageError, match=f"process {process.pid} on elsewhere is at work"), lock_folder(tmp_path):
            pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="lock: cannot write: Not a directory"), lock_folder(tmp_path / "file" / "run"):
        pass
