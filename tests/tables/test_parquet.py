import base64
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run, read_rows, wait_until
from idle import wait_until_idle
from in_process import environment
from shards import read_files, write_tar

from iqa_cli.files.outputs import may_replace
from iqa_cli.records import ScoreRecord, Status
from iqa_cli.tables.parquet import GROUP, list_parquet, open_parquet

pq = pytest.importorskip("pyarrow.parquet", reason="needs the [parquet] extra")

SHA = "ab" * 32
PHOTOS = Path(__file__).parents[1] / "photos"


def read_sha256(model: Path) -> str:
    return str(json.loads(model.read_text())["files"]["onnx"]["sha256"])


def test_rows_are_those_of_the_csv_with_types_and_the_model(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_text("text")
    table, csv = tmp_path / "scores.parquet", tmp_path / "scores.csv"
    done = iqa("score", photos, tmp_path / "broken.jpg", "gone.jpg", "-m", model, "--parquet", table, "--csv", csv)
    assert (done.returncode, done.stdout) == (1, b"")
    rows, expected = pq.read_table(table).to_pylist(), read_rows(csv.read_bytes())
    assert len(rows) == len(expected) == 14
    for row, line in zip(rows, expected, strict=True):
        assert {name: line[name] for name in ("path", "status", "detail", "model")} == {
            name: row[name] for name in ("path", "status", "detail", "model")
        }
        assert [row[name] for name in ("score", "percentile")] == [
            float(line[name]) if line[name] else None for name in ("score", "percentile")
        ]
        assert [row[name] for name in ("width", "height")] == [
            int(line[name]) if line[name] else None for name in ("width", "height")
        ]
        assert row["model_sha256"] == read_sha256(model)
        assert row["shard"] is row["key"] is row["path_base64"] is None
    types = {field.name: str(field.type) for field in pq.read_schema(table)}
    assert types == {
        **dict.fromkeys(("path", "status", "detail", "model", "model_sha256", "shard", "key", "path_base64"), "string"),
        **dict.fromkeys(("score", "percentile", "uncertainty"), "double"),
        **dict.fromkeys(("width", "height"), "int32"),
    }


def test_groups_are_columns_of_their_own(iqa: Run, model: Path, tmp_path: Path) -> None:
    table, csv = tmp_path / "scores.parquet", tmp_path / "scores.csv"
    named = [PHOTOS / "astronaut.jpg", PHOTOS / "astronaut-jpeg.jpg", PHOTOS / "rocket.jpg"]
    assert iqa("score", *named, "-m", model, "--group", "--parquet", table, "--csv", csv).returncode == 0
    rows, expected = pq.read_table(table).to_pylist(), read_rows(csv.read_bytes())
    names = ("group", "group_kind", "rank_in_group", "best_of_group")
    texts = [[str("" if row[name] is None else row[name]).lower() for name in names] for row in rows]
    assert texts == [[line[name].lower() for name in names] for line in expected]
    assert any(line["group"] for line in expected)
    types = {field.name: str(field.type) for field in pq.read_schema(table)}
    assert [types[name] for name in names] == ["string", "string", "int32", "bool"]


def test_shards_keep_their_name_and_their_keys(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    photo = read_files(photos)[0][1]
    write_tar(tmp_path / "00000.tar", [("000000001.jpg", photo), ("a/b.seg.png", photo)])
    iqa("score", "00000.tar", "-m", model, "--parquet", "scores.parquet", cwd=tmp_path)
    rows = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    assert [(row["shard"], row["key"]) for row in rows] == [("00000.tar", "000000001"), ("00000.tar", "a/b")]


def test_a_path_that_is_no_utf_8_keeps_its_bytes(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    name = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    shutil.copy(photos / "01.jpg", name)
    iqa("score", name, "-m", model, "--parquet", tmp_path / "scores.parquet")
    (row,) = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    assert row["path"].endswith("caf\ufffd.jpg")
    assert base64.b64decode(row["path_base64"]) == os.fsencode(name)


def test_rows_are_written_in_groups(tmp_path: Path) -> None:
    count = 2 * GROUP + 5
    with open_parquet(tmp_path / "a.parquet", SHA) as sink:
        for number in range(count):
            sink.write(ScoreRecord(f"{number}.jpg", Status.OK, "toy", 50.126, 40.0, width=1, height=2))
    facts = pq.ParquetFile(tmp_path / "a.parquet").metadata
    assert [facts.row_group(place).num_rows for place in range(facts.num_row_groups)] == [GROUP, GROUP, 5]
    column = pq.read_table(tmp_path / "a.parquet")["score"].to_pylist()
    assert set(column) == {50.13}
    assert len(column) == count


def write_interrupted(path: Path, *, at_once: bool = False) -> None:
    with open_parquet(path, SHA) as sink:
        if not at_once:
            sink.write(ScoreRecord("a.jpg", Status.OK, "toy", 50.0, 40.0))
        raise KeyboardInterrupt


def test_what_is_done_is_kept_when_a_run_ends_early_and_nothing_is_left_beside(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(KeyboardInterrupt):
        write_interrupted(path)
    assert pq.read_table(path)["path"].to_pylist() == ["a.jpg"]
    for name in ("none.parquet", "a.parquet"):
        with pytest.raises(KeyboardInterrupt):
            write_interrupted(tmp_path / name, at_once=True)
    assert pq.read_table(path)["path"].to_pylist() == ["a.jpg"]
    assert [each.name for each in tmp_path.iterdir()] == ["a.parquet"]


def test_a_table_of_no_rows_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with open_parquet(path, SHA) as sink:
        sink.write(ScoreRecord("a.jpg", Status.OK, "toy", 50.0, 40.0))
    schema = pq.read_schema(path)
    for each in (path, tmp_path / "new.parquet"):
        with open_parquet(each, SHA):
            pass
        assert pq.read_table(each).num_rows == 0
        assert pq.read_schema(each) == schema
        assert may_replace(list_parquet(each))


@pytest.mark.process
def test_a_disk_that_is_full_leaves_no_half_a_table(model: Path, photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with open_parquet(path, SHA) as sink:
        sink.write(ScoreRecord("earlier.jpg", Status.OK, "toy", 50.0, 40.0))
    before = path.read_bytes()

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

    command = [sys.executable, "-m", "iqa_cli", "score", str(photos), "-m", str(model), "--no-cache", "--parquet", str(path)]
    done = subprocess.run(command, capture_output=True, env=environment(), preexec_fn=limit, check=False)
    assert done.returncode == 4
    assert b"cannot write the results" in done.stderr
    assert b"Traceback" not in done.stderr
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.parquet"]


@pytest.mark.process
def test_ctrl_c_completes_the_table(model: Path, photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    command = [
        sys.executable,
        "-m",
        "iqa_cli",
        "score",
        "-",
        "-m",
        str(model),
        "--parquet",
        str(path),
        "--csv",
        str(tmp_path / "a.csv"),
    ]
    run = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    assert run.stdin is not None
    run.stdin.write(f"{photos}/01.jpg\n".encode())
    run.stdin.flush()
    wait_until(lambda: any(b"01.jpg" in part.read_bytes() for part in tmp_path.glob(".a.csv.*")))
    wait_until_idle(run.pid)  # a row of the one table is there before that of the other
    run.send_signal(signal.SIGINT)
    run.wait(60)
    run.communicate()
    assert run.returncode == 130
    assert pq.read_table(path)["path"].to_pylist() == [f"{photos}/01.jpg"]


def test_parquet_goes_to_a_pipe(iqa: Run, model: Path, photos: Path) -> None:
    done = iqa("score", photos, "-m", model, "--parquet", "-")
    assert pq.read_table(io.BytesIO(done.stdout)).num_rows == 12


def test_only_an_earlier_table_is_written_over(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    import pyarrow as pa

    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"caption": ["mine"]}), path)
    mine = path.read_bytes()
    assert iqa("score", photos, "-m", model, "--parquet", path).returncode == 2
    path.write_bytes(b"PAR1 but no more")
    assert iqa("score", photos, "-m", model, "--parquet", path).returncode == 2
    for options in ((), ("--detail", "--explain")):
        assert iqa("score", photos / "01.jpg", "-m", model, "--parquet", path, "--force", *options).returncode == 0
        assert iqa("score", photos / "01.jpg", "-m", model, "--parquet", path).returncode == 0
    table = pq.read_table(path)
    pq.write_table(table.append_column("label", pa.array(["mine"])), path)
    labelled = path.read_bytes()
    assert iqa("score", photos, "-m", model, "--parquet", path).returncode == 2
    assert path.read_bytes() == labelled
    path.write_bytes(mine)
    assert iqa("score", photos, "-m", model, "--parquet", path, "--force").returncode == 0
    assert iqa("score", photos / "01.jpg", "-m", model, "--parquet", path).returncode == 0
    assert pq.read_table(path).num_rows == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--parquet", "a.parquet", "--append"], "a Parquet file has its end"),
        (["--parquet", "a.parquet", "--format", "json"], "--format is about stdout"),
        (["--parquet", "-", "--csv", "-"], "only one of the outputs can be stdout"),
        (["--parquet", "a.parquet", "--csv", "a.parquet"], "one file"),
        (["--shard-scores", "--sort", "score"], "--shard-scores goes from shard to shard"),
        (["--imagefolder", "scores.csv"], "metadata.csv"),
    ],
)
def test_what_makes_no_sense_is_refused(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, options: list[str], reason: str
) -> None:
    done = iqa("score", photos, "-m", model, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert reason.encode() in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.process
def test_without_the_extra_one_line_says_how_to_get_it(model: Path, photos: Path, tmp_path: Path) -> None:
    program = (
        "import sys, importlib.util as util; find = util.find_spec;"
        "util.find_spec = lambda name, *rest: None if name == 'pyarrow' else find(name, *rest);"
        "from iqa_cli.cli.entry import main; main()"
    )
    command = [sys.executable, "-c", program, "score", str(photos), "-m", str(model), "--parquet", str(tmp_path / "a.parquet")]
    done = subprocess.run(command, capture_output=True, env=environment(), check=False)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"pip install 'iqa-cli[parquet]'" in done.stderr
