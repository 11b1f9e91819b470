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
