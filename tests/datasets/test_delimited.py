"""CSV files as people and spreadsheets write them: read right, or refused with the row and what to do."""

from pathlib import Path

import pytest
from conftest import Run

from iqa_cli.datasets.delimited import read_table
from iqa_cli.errors import DataError

WANTED = [{"image": "a.jpg", "score": "4.9"}, {"image": "b.jpg", "score": "12"}]


def read(path: Path, content: str | bytes) -> list[dict[str, str]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, ("image",), numbers=("score",))


@pytest.mark.parametrize(
    "content",
    [
        "image,score\na.jpg,4.9\nb.jpg,12\n",
        "image,score\r\na.jpg,4.9\r\nb.jpg,12\r\n",
        "\ufeffimage,score\na.jpg,4.9\nb.jpg,12\n",
        "image;score\na.jpg;4.9\nb.jpg;12\n",
        "image;score\na.jpg;4,9\nb.jpg;12\n",
        "image\tscore\na.jpg\t4,9\nb.jpg\t12\n",
        'image,score\na.jpg,"4,9"\nb.jpg,12\n',
        "image,score\na.jpg,4.9\n\nb.jpg,12\n,\n\n , \n",
        "image;score\na.jpg;4,9\nb.jpg;12\n;\n;\n",
        "image , score\na.jpg, 4.9 \nb.jpg,12\n",
        "image,score\ra.jpg,4.9\rb.jpg,12\r",
        '"image","score"\n"a.jpg","4.9"\n"b.jpg","12"',
        "score;image\n4,9;a.jpg\n12;b.jpg\n",
        'image,"score, 1; to 5",score\na.jpg,1,4.9\nb.jpg,2,12\n',
        ",image,score\n0,a.jpg,4.9\n1,b.jpg,12\n",
        "\n,,,\nimage,score\na.jpg,4.9\nb.jpg,12\n,,,,,\n;;\n",
        "\ufeffimage\tscore\na.jpg\t4.9\nb.jpg\t12\n".encode("utf-16-le"),
    ],
)
def test_a_table_is_read_however_it_is_written(tmp_path: Path, content: str | bytes) -> None:
    rows = read(tmp_path / "mine.csv", content)
    assert [{name: row[name] for name in ("image", "score")} for row in rows] == WANTED


@pytest.mark.parametrize("proof", ["4,25", "0,125", "1234,567", "4,5e1"])
def test_one_cell_proves_that_a_comma_is_a_decimal_one(tmp_path: Path, proof: str) -> None:
    rows = read(tmp_path / "mine.csv", f"image;score\na.jpg;3,125\nb.jpg;{proof}\n")
    assert [row["score"] for row in rows] == ["3.125", proof.replace(",", ".")]


def test_one_column_has_no_delimiter(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("name\na.jpg\nb.jpg\n")
    assert read_table(tmp_path / "names.csv", ("name",)) == [{"name": "a.jpg"}, {"name": "b.jpg"}]


def test_a_column_of_numbers_may_have_empty_cells_or_not_be_there(tmp_path: Path) -> None:
    def read_doubts(content: str) -> list[dict[str, str]]:
        (tmp_path / "mine.csv").write_text(content)
        return read_table(tmp_path / "mine.csv", ("image",), numbers=("score",), extra=("doubt",))

    assert read_doubts("image,score\na.jpg,4.9\nb.jpg,12\n") == WANTED
    rows = read_doubts("image;score;doubt\na.jpg;4,9;\nb.jpg;12; 0,5 \n")
    assert rows == [WANTED[0] | {"doubt": ""}, WANTED[1] | {"doubt": "0.5"}]
    with pytest.raises(DataError, match=r"mine\.csv: row 3, column doubt: some is no number"):
        read_doubts("image,score,doubt\na.jpg,4.9,\nb.jpg,12,some\n")


def test_columns_without_a_name_and_without_content_are_passed_by(tmp_path: Path) -> None:
    assert read(tmp_path / "mine.csv", "image,score,,\na.jpg,4.9,,\nb.jpg,12,,\n") == WANTED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("image,score\na.jpg,4,9\n", "row 2 has more cells (3) than the header (2); write decimals with a point, or put cells"),
        ("image,score\na.jpg,49\nb.jpg,1,234.5\n", "row 3 has more cells (3) than the header (2)"),
        ("image,score,note\na.jpg,49\n", "row 2 has fewer cells (2) than the header (3)"),
        ("image,score,\na.jpg,4,9\n", "row 2 has a cell below no column's name; write decimals with a point"),
        ("image,score,score\na.jpg,4,9\n", "2 columns are called score; rename or remove all but one"),
        ("image;score\na.jpg;4,9\nb.jpg;5.1\n", "column score has decimal commas and points, 4,9 in row 2 and 5.1 in row 3"),
        ("image;score\na.jpg;1,234\n", "row 2, column score: 1,234 may mean 1.234 or 1234; write one of these"),
        ("image;score\na.jpg;1.234,5\n", "row 2, column score: 1.234,5 is no number; write it without thousands separators"),
        ("image;score\na.jpg;1'234\n", "row 2, column score: 1'234 is no number; write it without thousands separators"),
        ("image;score\na.jpg;1\u202f234\n", "row 2, column score: 1\u202f234 is no number; write it without thousands"),
        ("image;score\na.jpg;1,234,567\n", "row 2, column score: 1,234,567 is no number; write it without thousands"),
        ("image;score\na.jpg;1_234\n", "row 2, column score: 1_234 is no number; write it without thousands separators"),
        ("image;score\na.jpg;nan\n", "row 2, column score: nan is no number"),
        ("image,score\na.jpg,4\n\nb.jpg\n", "row 4 has fewer cells (1) than the header (2)"),
        ("image,score\na.jpg;4\n", "row 2 has fewer cells (1) than the header (2)"),
        ("image;score\na;b.jpg;4\n", "row 2 has more cells (3) than the header (2); put cells that hold semicolons in"),
        ("x,image,score,y;image;score;z\n", "the header may be separated by commas or semicolons; put names that hold one in"),
        ('image,score\n"a.jpg,4\nb.jpg,3\n', "not a CSV file in UTF-8: unexpected end of data"),
        ("image;score\na.jpg;12 %\n", "row 2, column score: 12 % is no number"),
        ("image,score\na.jpg,4\nb.jpg,\n", "row 3 has nothing in column score; fill it in, or remove the row"),
        (
            "picture|score\na.jpg|4\n",
            "no column image, score; there are picture|score (separated by commas",
        ),
        ("", "no column image, score; there are none"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path / "mine.csv", content)
    assert str(raised.value).startswith(f"{tmp_path / 'mine.csv'}: {said}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("image,score\na.jpg,4\nä.jpg,5\n".encode("latin-1"), "row 3 is not in UTF-8: save the file as CSV UTF-8"),
        ("image,score\na.jpg,4\n".encode("utf-16")[:-1], "row 2 is not in UTF-16: save the file as CSV UTF-8"),
    ],
)
def test_the_row_that_is_in_another_encoding_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_table(path, ("image",), numbers=("score",))
    assert str(raised.value) == f"{path}: {said}"


def test_the_command_line_names_the_row(tmp_path: Path, photos: Path, iqa: Run) -> None:
    labels = tmp_path / "mine.csv"
    labels.write_text("image,score\n01.jpg,4,1\n02.jpg,4,9\n")
    done = iqa("evaluate", "-d", "csv", "--labels", labels, "--data-root", photos)
    assert (done.returncode, done.stdout) == (4, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"iqa: error: {labels}: row 2 has more cells (3) than the header (2); write decimals with a point")


def test_the_file_that_was_read_wrong_is_refused() -> None:
    case = Path(__file__).parents[3] / "shared" / "cases" / "decimal-comma.csv"
    if not case.is_file():
        pytest.skip("the files that went wrong are not here")
    with pytest.raises(DataError, match="row 2 has more cells"):
        read_table(case, ("image",), numbers=("score",))
