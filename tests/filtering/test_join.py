import csv
import io
import json
from pathlib import Path

import pytest
from conftest import Run
from shards import read_files, write_tar

pq = pytest.importorskip("pyarrow.parquet", reason="needs the [parquet] extra")
import pyarrow as pa

ROWS = [("b.jpg", "zwei"), ("a.jpg", "eins"), ("gone.jpg", "drei, \u00e4"), ("a.jpg", "noch einmal")]


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """Two images and one without a score, in all formats that iqa score writes."""
    lines = ["path,score,percentile,uncertainty,status,detail,width,height,model"]
    lines += ["a.jpg,50.25,40.5,12.5,ok,,8,8,toy", "b.jpg,,,,damaged,cut short,,,toy", "c.jpg,60.00,50.0,12.5,ok,,8,8,toy"]
    (tmp_path / "scores.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "scores.csv"


def write_table(path: Path) -> Path:
    if path.suffix == ".csv":
        path.write_text("file,text\n" + "".join(f'{file},"{text}"\n' for file, text in ROWS), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"file": file, "text": text}) + "\n" for file, text in ROWS))
    else:
        files, texts = zip(*ROWS, strict=True)
        pq.write_table(pa.table({"file": files, "text": texts, "size": pa.array([1, 2, 3, 4], pa.int8())}), path)
    return path


def read_table(path: Path) -> list[dict[str, object]]:
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        numbers = ("iqa_score", "iqa_percentile", "iqa_uncertainty")
        return [{name: float(v) if v and name in numbers else v or None for name, v in row.items()} for row in rows]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return pq.read_table(path).to_pylist()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_scores_come_behind_the_columns_of_a_table(iqa: Run, scores: Path, tmp_path: Path, ending: str) -> None:
    table, new = write_table(tmp_path / f"table.{ending}"), tmp_path / f"new.{ending}"
    before = table.read_bytes()
    done = iqa("join", scores, table, "--on", "file", "--output", new)
    assert done.returncode == 0, done.stderr
    rows = read_table(new)
    assert [(row["file"], row["text"]) for row in rows] == ROWS
    assert [row["iqa_score"] for row in rows] == [None, 50.25, None, 50.25]
    assert [row["iqa_status"] for row in rows] == ["damaged", "ok", None, "ok"]
    assert [row["iqa_detail"] for row in rows] == ["cut short", None, None, None]
    assert list(rows[0])[-7:] == [
        f"iqa_{name}" for name in ("score", "percentile", "uncertainty", "status", "detail", "model", "model_sha256")
    ]
    assert done.stderr.decode().splitlines() == [
        "3 of 4 rows have their image in the scores",
        "1 images of the scores are in no row, as c.jpg",
    ]
    assert table.read_bytes() == before
    if ending == "parquet":
        assert pq.read_schema(new).field("size").type == pa.int8()
        assert pq.read_schema(new).field("iqa_score").type == pa.float64()


def test_shards_are_joined_by_webdatasets_key(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    files = read_files(photos)
    write_tar(tmp_path / "0.tar", files)
    iqa("score", "0.tar", "-m", model, "--parquet", "scores.parquet", cwd=tmp_path)
    keys = [name.removesuffix(".jpg") for name, _ in files]
    pq.write_table(pa.table({"__key__": keys[::-1]}), tmp_path / "table.parquet")
    done = iqa("join", "scores.parquet", "table.parquet", "--on", "__key__", "--output", "new.parquet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = {row["key"]: row["score"] for row in pq.read_table(tmp_path / "scores.parquet").to_pylist()}
    rows = pq.read_table(tmp_path / "new.parquet").to_pylist()
    assert [(row["__key__"], row["iqa_score"]) for row in rows] == [(key, expected[key]) for key in keys[::-1]]


def test_two_objects_of_one_key_are_refused(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    for number in range(2):
        write_tar(tmp_path / f"{number}.tar", [("a.jpg", read_files(photos)[number][1])])
    iqa("score", "0.tar", "1.tar", "-m", model, "--parquet", "scores.parquet", cwd=tmp_path)
    (tmp_path / "table.csv").write_text("key\na\n")
    done = iqa("join", "scores.parquet", "table.csv", "--on", "key", "--output", "new.csv", cwd=tmp_path)
    assert done.returncode == 4
    assert b"0.tar::a.jpg and 1.tar::a.jpg have the same key, a: join by another column" in done.stderr
    assert not (tmp_path / "new.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "table", "reason", "code"),
    [
        (["--on", "name"], "file\na.jpg\n", "no column 'name': it has file", 4),
        (["--on", "file", "--by", "key"], "file\na.jpg\n", "row 1: nothing in the column 'key'", 4),
        (["--on", "file"], "file,iqa_score\na.jpg,1\n", "it has a column 'iqa_score' already", 4),
        (["--on", "file"], "file,b\na.jpg\n", "line 2 has fewer cells (1) than the header (2); fill it up", 4),
        (["--on", "file"], '{"file": "a.jpg"}\n{"file"\n', "line 2: no JSON", 4),
        (["--on", "file"], "file,file\na.jpg,b.jpg\n", "table: 2 columns are called file", 4),
        (["--on", "file"], 'file,b\na.jpg,"cut', "table: no CSV: unexpected end of data", 4),
        (["--on", "file"], "PAR1", "cannot be read as Parquet", 4),
        (["--on", "file", "--output", "table"], "file\na.jpg\n", "this is also an input", 2),
    ],
)
def test_what_cannot_be_joined_is_one_line(
    iqa: Run, scores: Path, tmp_path: Path, arguments: list[str], table: str, reason: str, code: int
) -> None:
    (tmp_path / "table").write_text(table)
    done = iqa("join", scores, "table", "--output", "new", *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert reason in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.csv", "table"]
    assert (tmp_path / "table").read_text() == table


def test_ragged_scores_are_refused_with_their_line(iqa: Run, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("path,score,status\na.jpg,81,49,ok\n")
    (tmp_path / "t.csv").write_text("file\na.jpg\n")
    done = iqa("join", "d.csv", "t.csv", "--on", "file", "--output", "-", "-q", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (4, b"")
    assert b"d.csv: line 2 has more cells (4) than the header (3); write decimals with a point" in done.stderr


def test_scores_that_may_have_been_cut_are_said(iqa: Run, tmp_path: Path) -> None:
    (tmp_path / "cut.csv").write_text("path,score\na.jpg,8")
    (tmp_path / "t.csv").write_text("file\na.jpg")
    done = iqa("join", "cut.csv", "t.csv", "--on", "file", "--output", "-", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.decode().splitlines()[1:] == [
        "iqa: warning: cut.csv: its last line has no line end: if the file was cut short there, the last cell is not whole"
    ]


def test_long_cells_stay_whole(iqa: Run, scores: Path, tmp_path: Path) -> None:
    caption = "x" * 300_000
    (tmp_path / "t.csv").write_text(f"file,text\na.jpg,{caption}\n")
    done = iqa("join", scores, "t.csv", "--on", "file", "--output", "-", "-q", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[1].startswith(f"a.jpg,{caption},50.25,".encode())


def test_rows_stay_as_they_are_written(iqa: Run, scores: Path, tmp_path: Path) -> None:
    """Numbers that Python cannot hold, a field that is named twice, half a letter, bytes that are no UTF-8, empty lines."""
    lines = [
        b'{"file":"a.jpg", "n": 12345678901234567890.123456, "m": 1e400}',
        b"",
        b'{"file": "a.jpg", "x": 1, "x": 2, "y": "\\ud800"} ',
        b'{"file": "\xe9.jpg", "in": {"a": [{}]}}',
    ]
    (tmp_path / "t.jsonl").write_bytes(b"\n".join(lines))
    done = iqa("join", scores, "t.jsonl", "--on", "file", "--output", "new.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    new = (tmp_path / "new.jsonl").read_bytes().splitlines()
    assert [line.partition(b', "iqa_score": ')[0] for line in new] == [line.rstrip().removesuffix(b"}") for line in lines]
    assert [json.loads(line.decode(errors="replace"))["iqa_score"] for line in new if line] == [50.25, 50.25, None]
    assert b"2 of 3 rows have their image" in done.stderr


def test_empty_lines_of_a_table_are_passed_on(iqa: Run, scores: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\nfile,n\na.jpg,1\n\nb.jpg,2\n\n")
    done = iqa("join", scores, "t.csv", "--on", "file", "--output", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert [line.split(",")[:3] for line in lines] == [
        [""],
        ["file", "n", "iqa_score"],
        ["a.jpg", "1", "50.25"],
        [""],
        ["b.jpg", "2", ""],
        [""],
    ]
    assert b"2 of 2 rows have their image" in done.stderr


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_texts_of_scores_that_are_no_utf_8_become_some(iqa: Run, tmp_path: Path, ending: str) -> None:
    (tmp_path / "scores.jsonl").write_text('{"path": "a.jpg", "score": 50, "detail": "\\ud800", "model": 5}\n')
    table = write_table(tmp_path / f"table.{ending}")
    done = iqa("join", tmp_path / "scores.jsonl", table, "--on", "file", "--output", tmp_path / f"new.{ending}")
    assert done.returncode == 0, done.stderr
    row = read_table(tmp_path / f"new.{ending}")[1]
    assert (row["iqa_score"], row["iqa_detail"], row["iqa_model"]) == (50, "\ufffd", "5")


def test_scores_may_be_a_folder_of_parts(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    iqa("score", photos, "-m", model, "--output", "parts", "--part-size", "4", cwd=tmp_path)
    expected = {row["path"]: row["score"] for part in (tmp_path / "parts").glob("*.parquet") for row in read_table(part)}
    assert len(expected) == 12
    (tmp_path / "t.csv").write_text("\n".join(["file", *expected]) + "\n")
    done = iqa("join", "parts", "t.csv", "--on", "file", "--output", "new.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {row["file"]: row["iqa_score"] for row in read_table(tmp_path / "new.csv")} == expected


def test_a_joined_table_may_be_called_as_stdout_is(iqa: Run, scores: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv")
    done = iqa("join", scores, table, "--on", "file", "--output", "./-", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"")
    assert (tmp_path / "-").read_text(encoding="utf-8").count("\n") == 5
    for named in (("", table, "./x"), (scores, "", "./x"), (scores, table, "")):
        done = iqa("join", *named[:2], "--on", "file", "--output", named[2], cwd=tmp_path)
        assert (done.returncode, b"a path is empty" in done.stderr) == (2, True)
