"""What whole files promise about what killed runs leave behind: it goes, and nothing else does. Bytes are in test_writers."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from in_process import environment

from iqa_cli.errors import WriteError
from iqa_cli.files import atomic
from iqa_cli.files.appended import AppendedFile
from iqa_cli.files.atomic import SealedFile, WholeFile, is_stream, open_target
from iqa_cli.files.replacing import name_aside
from iqa_cli.images.find import UNFINISHED


def write_whole(path: Path) -> None:
    with open_target(path) as target:
        target.write(b"whole")


def test_what_killed_runs_left_goes_and_nothing_else(tmp_path: Path) -> None:
    leftovers = [f".out.csv.{number}.part" for number in (1, os.getpid(), 4_000_000_000)]
    others = [
        ".out.csv.part",
        ".out.csv.1x.part",
        ".outXcsv.1.part",
        ".other.csv.1.part",
        "out.csv.1.part",
        ".out.csv.1.part.gz",
    ]
    for name in leftovers + others:
        (tmp_path / name).write_text("left over")
    (tmp_path / ".out.csv.2.part").symlink_to("others")
    (tmp_path / ".out.csv.3.part").mkdir()
    os.mkfifo(tmp_path / ".out.csv.4.part")
    write_whole(tmp_path / "out.csv")
    kept = {"out.csv", *others, ".out.csv.2.part", ".out.csv.3.part", ".out.csv.4.part"}
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_names_that_look_like_patterns_are_names(tmp_path: Path) -> None:
    for name in (".a[1]+(b.csv.1.part", ".a1+(b.csv.1.part"):
        (tmp_path / name).touch()
    write_whole(tmp_path / "a[1]+(b.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"a[1]+(b.csv", ".a1+(b.csv.1.part"}


def test_the_leftovers_of_a_linked_output_are_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / ".out.csv.1.part").touch()
    (tmp_path / "link.csv").symlink_to(tmp_path / "real" / "out.csv")
    write_whole(tmp_path / "link.csv")
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["out.csv"]


def test_long_names_that_begin_alike_have_leftovers_of_their_own(tmp_path: Path) -> None:
    first, second = (tmp_path / ("写" * 80 + ending) for ending in ("a.csv", "b.csv"))
    left = [name_aside(path, 4_000_000_000) for path in (first, second)]
    for path in left:
        path.touch()
        assert UNFINISHED.fullmatch(path.name)
    write_whole(first)
    assert {*tmp_path.iterdir()} == {first, left[1]}


@pytest.mark.parametrize("make", [WholeFile, SealedFile, AppendedFile])
def test_a_file_that_cannot_be_begun_leaves_nothing(
    tmp_path: Path, make: Callable[[Path], WholeFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "inherit", fail)
    with pytest.raises(WriteError, match="No space left on device"):
        make(tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do anything")
def test_a_folder_that_may_not_be_listed_takes_outputs(tmp_path: Path) -> None:
    tmp_path.chmod(0o300)
    try:
        write_whole(tmp_path / "out.csv")
        assert (tmp_path / "out.csv").read_bytes() == b"whole"
    finally:
        tmp_path.chmod(0o700)


RIVAL = """
import sys
from pathlib import Path
from iqa_cli.files.atomic import open_target
for count in range(60):
    with open_target(Path(sys.argv[1])) as target:
        target.write(sys.argv[2].encode() * 1000)
"""


def test_rivals_take_nothing_from_each_other(tmp_path: Path) -> None:
    """Each looks for leftovers while the others make, claim and rename theirs."""
    commands = [[sys.executable, "-c", RIVAL, tmp_path / "out.csv", letter] for letter in "abc"]
    rivals = [subprocess.Popen(command, stderr=subprocess.PIPE, env=environment()) for command in commands]
    assert [rival.communicate(timeout=300)[1] for rival in rivals] == [b""] * 3
    assert (tmp_path / "out.csv").read_bytes() in (letter * 1000 for letter in (b"a", b"b", b"c"))
    assert list(tmp_path.iterdir()) == [tmp_path / "out.csv"]


# ---- what is a file, and what is a stream ----


def fail_at_once(path: Path) -> None:
    with open_target(path):
        raise ZeroDivisionError


def test_a_file_below_dev_is_a_file(shared: Path) -> None:
    path = shared / "out.csv"
    assert not is_stream(path)
    write_whole(path)
    assert not is_stream(path)
    with pytest.raises(ZeroDivisionError):
        fail_at_once(path)
    assert path.read_bytes() == b"whole"
    assert list(shared.iterdir()) == [path]


def test_devices_pipes_and_sockets_are_streams_and_files_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "stdout").symlink_to("/dev/stdout")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    with socket.socket(socket.AF_UNIX) as bound:
        with chdir(tmp_path):  # the path of a socket has 107 bytes at most
            bound.bind("socket")
        for name in ("fifo", "null", "stdout", "socket", "/dev/null", "/dev/full", "/dev/stdout", "/dev/fd/1"):
            assert is_stream(tmp_path / name), name
        for name in ("file", "link", "circle", "new", ".", "no/such/folder", "file/below", "nul\0", "/dev/new"):
            assert not is_stream(tmp_path / name), name


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "/proc/thread-self/fd/{}"])
def test_an_open_file_is_written_where_it_stands_and_not_replaced(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out"
    with path.open("wb", buffering=0) as file:
        file.write(b"before\n")
        state = path.stat()
        opened = Path(name.format(file.fileno()))
        if not opened.parent.exists():
            pytest.skip("not of this system")
        (tmp_path / "link").symlink_to(opened)
        for named in (opened, tmp_path / "link"):
            assert is_stream(named)
            write_whole(named)
        file.write(b"\nafter\n")
    assert path.read_bytes() == b"before\nwholewhole\nafter\n"
    assert path.stat().st_ino == state.st_ino
    with pytest.raises(WriteError):
        write_whole(opened)  # which is closed by now


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}"])
def test_an_open_pipe_is_written_to(name: str) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader:
        write_whole(Path(name.format(writing)))
        os.close(writing)
        assert reader.read() == b"whole"


def test_a_write_of_nothing_makes_an_empty_file_and_none_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write_whole(path)
    with open_target(path):
        pass
    assert path.read_bytes() == b"whole"
    with open_target(path, SealedFile) as target:
        target.write(b"half")
    assert path.read_bytes() == b"whole"
    with open_target(path) as target:
        target.write(b"")
    assert path.read_bytes() == b""
    write_whole(path)
    with open_target(path, SealedFile) as target:
        assert isinstance(target, SealedFile)
        target.seal()
    assert path.read_bytes() == b""
    assert list(tmp_path.iterdir()) == [path]
