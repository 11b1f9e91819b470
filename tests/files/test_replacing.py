"""What takes the place of a file keeps its mode, and takes no place of one that may only be read, by all roads there are."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from iqa_cli.errors import WriteError
from iqa_cli.files import locks
from iqa_cli.files.appended import AppendedFile
from iqa_cli.files.atomic import SealedFile, WholeFile, open_target
from iqa_cli.files.replacing import replace_bytes, replacing

Write = Callable[[Path], None]


def write_target(path: Path, make: Callable[[Path], WholeFile]) -> None:
    with open_target(path, make) as target:
        target.write(b"new")
        if isinstance(target, SealedFile):
            target.seal()


def write_beside(path: Path) -> None:
    with replacing(path) as aside:
        aside.write_bytes(b"new")
        aside.chmod(0o644)


ROADS: dict[str, Write] = {
    **{make.__name__: partial(write_target, make=make) for make in (WholeFile, SealedFile, AppendedFile)},
    "replacing": write_beside,
    "replace_bytes": lambda path: replace_bytes(path, b"new"),
}
pytestmark = [pytest.mark.parametrize("write", ROADS.values(), ids=ROADS)]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_of_a_file_that_is_replaced_stays(tmp_path: Path, write: Write, mode: int) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    os.utime(path, (1, 1))
    path.chmod(mode)
    write(path)
    assert path.read_bytes().endswith(b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.stat().st_mtime > 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_stays(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    os.chown(path, 12345, 54321)
    write(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


def test_a_file_that_may_only_be_read_stays(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises((WriteError, PermissionError), match="may only be read"):
        write(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_process_of_the_same_number_left_is_no_obstacle_where_nothing_can_be_claimed(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    left = tmp_path / f".out.{os.getpid()}.part"
    left.write_bytes(b"left over, and longer than what comes now")
    write(tmp_path / "out")
    write(tmp_path / "out")
    assert (tmp_path / "out").read_bytes() in (b"new", b"new\nnew")
    assert {*tmp_path.iterdir()} <= {tmp_path / "out", left}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems forbid some such names")
@pytest.mark.parametrize("letter", ["n", "é", "写", "😀", "\udcff"])
def test_names_may_be_as_long_as_the_file_system_has_them(tmp_path: Path, write: Write, letter: str) -> None:
    size = len(os.fsencode(letter))
    for length in {120, 121, 240, 246, 252, 255 // size * size}:
        path = tmp_path / (letter * (length // size))
        for _ in range(2):
            write(path)
            assert path.read_bytes() in (b"new", b"new\nnew")
        path.unlink()
    with pytest.raises((WriteError, OSError), match="File name too long"):
        write(tmp_path / (letter * 256))
    assert not list(tmp_path.iterdir())


def test_a_link_in_a_circle_is_said(tmp_path: Path, write: Write) -> None:
    if write is ROADS["replacing"]:
        pytest.skip("takes the place of any link")
    for name, to in (("circle", "circle"), ("first", "second"), ("second", "first")):
        (tmp_path / name).symlink_to(to)
    for name in ("circle", "first"):
        with pytest.raises((WriteError, OSError), match="Too many levels of symbolic links"):
            write(tmp_path / name)
    with pytest.raises((WriteError, OSError)):
        write(tmp_path / "circle" / "below")
    assert len(list(tmp_path.iterdir())) == 3
