"""Lists of paths as Notepad, PowerShell and programs write them."""

import io
import os
from pathlib import Path

import pytest
from conftest import Run, read_rows

from iqa_cli.errors import DataError
from iqa_cli.images.path_lists import read_list

MARK = "\ufeff".encode()


def read(data: bytes, *, null: bool = False) -> list[str]:
    return list(read_list(io.BytesIO(data), null_separated=null))


def test_a_mark_of_utf_8_is_no_part_of_the_first_path() -> None:
    assert read(MARK + "ä.jpg\r\nb.jpg\r\n".encode()) == ["ä.jpg", "b.jpg"]
    assert read(MARK + b"\na.jpg") == read(MARK + b"a.jpg") == read(b"a.jpg\n") == ["a.jpg"]
    assert read(MARK) == read(b"") == []
    assert read(b"a.jpg\n" + MARK + b"b.jpg\n") == ["a.jpg", "\ufeffb.jpg"]


def test_a_list_with_nuls_is_taken_as_it_is() -> None:
    assert read(MARK + b"a.jpg\0b.jpg\0", null=True) == ["\ufeffa.jpg", "b.jpg"]


def test_bytes_that_are_no_utf_8_stay() -> None:
    assert read(b"\xff.jpg\n\xff\xfe.jpg\n") == ["\udcff.jpg", "\udcff\udcfe.jpg"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_with_what_to_do(encoding: str) -> None:
    with pytest.raises(DataError, match=r"stdin: a list of paths in UTF-16: write it in UTF-8, as does: iconv"):
        read("\ufeffa.jpg\r\nb.jpg\r\n".encode(encoding))


@pytest.mark.parametrize("nulls", [b"a.jpg\0b.jpg\0", b"a.jpg\0", b"a.jpg\0b\nc.jpg\0"])
def test_nuls_where_lines_are_are_refused_with_what_to_do(nulls: bytes) -> None:
    with pytest.raises(DataError, match=r"stdin: a list of paths that end with NULs, .*: add -0"):
        read(nulls)
    assert read(nulls, null=True) == list(filter(None, nulls.decode().split("\0")))


def test_a_nul_further_down_costs_a_line() -> None:
    assert read(b"a.jpg\n\0\nb.jpg\n") == ["a.jpg", "\0", "b.jpg"]


@pytest.mark.parametrize("lines", [b"a.jpg\nb.jpg\n", b"a.jpg\n", b"a.jpg\r\nb.jpg", b"\n"])
def test_lines_where_nuls_are_are_refused_with_what_to_do(lines: bytes) -> None:
    with pytest.raises(DataError, match=r"stdin: a list of paths in lines, without a NUL: leave out -0"):
        read(lines, null=True)
    assert read(lines) == lines.decode().split()


def test_one_path_needs_no_nul(tmp_path: Path) -> None:
    odd = tmp_path / "a\nb.jpg"
    odd.touch()
    for path in (os.fsencode(odd), b"gone.jpg"):
        assert read(path, null=True) == [path.decode()]
    assert read(b"", null=True) == read(b"\0", null=True) == []


def test_a_list_with_nuls_is_read_as_it_comes() -> None:
    source, sink = os.pipe()
    with os.fdopen(source, "rb") as stream, os.fdopen(sink, "wb", buffering=0) as writer:
        writer.write(b"one\0two")
        paths = read_list(stream, null_separated=True)
        assert next(paths) == "one"
        writer.write(b"\0")
        assert next(paths) == "two"


def test_lists_of_the_wrong_kind_on_the_command_line(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    paths = [os.fsencode(photos / name) for name in ("01.jpg", "02.jpg")]
    listing = tmp_path / "list"
    for end, options, advice in ((b"\0", (), b"add -0"), (b"\n", ("-0",), b"leave out -0")):
        listing.write_bytes(b"".join(path + end for path in paths))
        done = iqa("score", *options, "--files-from", listing, "--model", model)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (4, b"", 1)
        assert done.stderr.startswith(b"iqa: error: " + os.fsencode(listing) + b": a list of paths ")
        assert advice in done.stderr


def test_lists_of_windows_on_the_command_line(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    listing, paths = tmp_path / "list.txt", f"{photos / '01.jpg'}\r\n{photos / '02.jpg'}\r\n"
    listing.write_bytes(MARK + paths.encode())
    done = iqa("score", "--files-from", listing, "--model", model)
    assert done.returncode == 0
    assert [row["path"] for row in read_rows(done.stdout)] == paths.split()
    assert iqa("score", "-", "--model", model, input=listing.read_bytes()).stdout == done.stdout
    listing.write_bytes(b"\xff\xfe" + paths.encode("utf-16-le"))
    done = iqa("score", "--files-from", listing, "--model", model)
    assert (done.returncode, done.stdout) == (4, b"")
    assert done.stderr.startswith(b"iqa: error: " + os.fsencode(listing) + b": a list of paths in UTF-16: ")
    assert done.stderr.count(b"\n") == 1
    assert b"stdin: a list of paths in UTF-16" in iqa("score", "-", "--model", model, input=listing.read_bytes()).stderr
