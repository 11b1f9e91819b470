"""CSV is read alike everywhere: what could be read wrong is refused with its line, however long its cells are."""

import csv
from pathlib import Path

import pytest

from iqa_cli.errors import DataError
from iqa_cli.files.csv_rows import LONGEST, breaks_off, check_shape, name_columns, read_rows, split_rows


def test_rows_have_the_number_of_their_last_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffpath,note\nä.jpg,"two\nlines"\n\nb.jpg,\n'.encode())
    assert list(read_rows(path)) == [(1, ["path", "note"]), (3, ["ä.jpg", "two\nlines"]), (4, []), (5, ["b.jpg", ""])]
    path.write_bytes("\ufeffpath,note\r\nä.jpg,x\r\n".encode("utf-16-le"))
    assert list(read_rows(path)) == [(1, ["path", "note"]), (2, ["ä.jpg", "x"])]
    path.write_bytes(b"br\xe9ken.jpg\n")
    assert list(read_rows(path)) == [(1, ["br\udce9ken.jpg"])]


def test_cells_may_be_long_and_not_endless() -> None:
    long = "x" * 1_000_000
    assert next(split_rows([f"a,{long}\n"])) == (1, ["a", long])
    with pytest.raises(csv.Error, match="field larger"):
        list(split_rows(["x" * (LONGEST + 1)]))


@pytest.mark.parametrize("text", ['path,note\na.jpg,"cut', 'path,note\na.jpg,"oops\nb.jpg,fine\n', 'path\n"a"b\n'])
def test_quotation_marks_that_do_not_match_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=r"a\.csv: no CSV: "):
        list(read_rows(tmp_path / "a.csv"))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv: cannot be read: No such file"):
        list(read_rows(tmp_path / "gone.csv"))
    (tmp_path / "half.csv").write_bytes("\ufeffab".encode("utf-16-le")[:-1])
    with pytest.raises(DataError, match=r"half\.csv: no CSV: "):
        list(read_rows(tmp_path / "half.csv"))


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["1"], r"line 2 has fewer cells \(1\) than the header \(2\); fill it up"),
        (["1", "2", "3"], r"line 2 has more cells \(3\) than the header \(2\); write decimals with a point"),
    ],
)
def test_a_row_of_another_width_is_refused(cells: list[str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        check_shape(Path("a.csv"), "line 2", cells, ["a", "b"])


def test_a_cell_below_no_name_is_refused_unless_it_is_on_the_left() -> None:
    check_shape(Path("a.csv"), "line 2", ["7", "1", " "], ["", "a", ""])
    with pytest.raises(DataError, match="line 2 has a cell below no column's name; write decimals with a point"):
        check_shape(Path("a.csv"), "line 2", ["7", "81", "49"], ["", "a", ""])


def test_columns_have_names_of_their_own() -> None:
    assert name_columns(Path("a.csv"), [" a", "", ""]) == ["a", "", ""]
    assert name_columns(Path("a.csv"), []) == []
    with pytest.raises(DataError, match="2 columns are called a"):
        name_columns(Path("a.csv"), ["a", "b", "a "])


@pytest.mark.parametrize(
    ("data", "off"),
    [(b"", False), (b"\n", False), (b"a", True), (b"a\n", False), (b"a\r", False), (b"a\n\0", False), (b"8\0", True)],
)
def test_a_file_without_a_line_end_may_have_been_cut(tmp_path: Path, data: bytes, off: bool) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    assert breaks_off(tmp_path / "a.csv") is off
    assert not breaks_off(tmp_path)
