"""CSV files as people and spreadsheets write them: read right, or refused with the row and what to do."""

from pathlib import Path

import pytest

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
        "\ufeffimage\tscore\na.jpg\t4.9\nb.jpg\t12\n".encode("utf-16-le"),
    ],
)
def test_a_table_is_read_however_it_is_written(tmp_path: Path, content: str | bytes) -> None:
    assert read(tmp_path / "mine.csv", content) == WANTED


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


def test_the_file_that_was_read_wrong_is_refused() -> None:
    case = Path(__file__).parents[3] / "shared" / "cases" / "decimal-comma.csv"
    if not case.is_file():
        pytest.skip("the files that went wrong are not here")
    with pytest.raises(DataError, match="row 2 has more cells"):
        read_table(case, ("image",), numbers=("score",))
