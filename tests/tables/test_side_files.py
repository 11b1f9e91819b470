import csv
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, read_rows
from shards import read_files, write_tar

from iqa_cli.cli.flags.tables import TableFlags
from iqa_cli.records import Detail, Reason, ScoreRecord, Status
from iqa_cli.scoring.writers import describe_record, encode_json, list_columns, round_record
from iqa_cli.tables.imagefolder import FIELDS

pq = pytest.importorskip("pyarrow.parquet", reason="needs the [parquet] extra")


def make_folder(photos: Path, folder: Path) -> Path:
    shutil.copytree(photos, folder)
    (folder / "broken.jpg").write_text("text")
    return folder


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_metadata_of_an_imagefolder_has_a_row_a_file(iqa: Run, model: Path, photos: Path, tmp_path: Path, ending: str) -> None:
    folder = make_folder(photos, tmp_path / "set")
    path = folder / f"metadata.{ending}"
    rows = read_rows(iqa("score", folder, "-m", model).stdout)
    for _ in range(2):  # the second time over the first
        assert iqa("score", folder, "gone.jpg", "-m", model, "--imagefolder", path).returncode == 1
        if ending == "csv":
            with open(path, newline="") as file:  # noqa: PTH123
                written = list(csv.DictReader(file))
        elif ending == "jsonl":
            written = [json.loads(line) for line in path.read_text().splitlines()]
        else:
            written = pq.read_table(path).to_pylist()
        assert [str(folder / row["file_name"]) for row in written] == [row["path"] for row in rows]
        scores = [None if row["score"] in (None, "") else float(row["score"]) for row in written]
        assert scores == [float(row["score"]) if row["score"] else None for row in rows]
        assert {len(row["model_sha256"]) for row in written} == {64}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_name_that_is_no_utf_8_is_its_bytes_in_csv_and_elsewhere_refused(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, ending: str
) -> None:
    """Another name in its place would be one of no file, which who reads the folder looks for."""
    folder = tmp_path / "set"
    folder.mkdir()
    for name in (b"a.jpg", b"b\xff.jpg"):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes((photos / "01.jpg").read_bytes())
    path = folder / f"metadata.{ending}"
    done = iqa("score", folder, "-m", model, "--imagefolder", path)
    if ending == "csv":
        assert done.returncode == 0
        rows = csv.DictReader(path.read_text(errors="surrogateescape").splitlines())
        assert [row["file_name"] for row in rows] == ["a.jpg", "b\udcff.jpg"]
        return
    assert done.returncode == 4
    assert b"a name that is no UTF-8 cannot stand in --imagefolder" in done.stderr
    rows = pq.read_table(path).to_pylist() if ending == "parquet" else map(json.loads, path.read_text().splitlines())
    assert [row["file_name"] for row in rows] == ["a.jpg"]


def test_captions_of_ones_own_are_never_written_over(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    folder = make_folder(photos, tmp_path / "set")
    own = {"csv": "file_name,caption\n01.jpg,mine\n", "jsonl": '{"file_name": "01.jpg", "text": "mine"}\n'}
    labelled = dict.fromkeys((*FIELDS, "label"), "mine")
    added = {"csv": ",".join(labelled) + "\n", "jsonl": json.dumps(labelled) + "\n"}
    assert_stay(iqa, model, folder, own)
    assert_stay(iqa, model, folder, added)


def assert_stay(iqa: Run, model: Path, folder: Path, own: dict[str, str]) -> None:
    for ending, text in own.items():
        name = f"metadata.{ending}"
        (folder / name).write_text(text)
        assert iqa("score", folder, "-m", model, "--imagefolder", folder / name).returncode == 2
        assert (folder / name).read_text() == text


def test_an_image_of_another_folder_has_no_place_in_metadata(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    folder = make_folder(photos, tmp_path / "set")
    done = iqa("score", folder / "01.jpg", photos / "02.jpg", "-m", model, "--imagefolder", folder / "metadata.csv")
    assert done.returncode == 4
    assert b"02.jpg: not below" in done.stderr
    assert len(read_rows((folder / "metadata.csv").read_bytes())) == 1


@pytest.mark.parametrize("named", ["set", "by link"])
def test_links_in_an_imagefolder_have_the_names_they_have_there(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, named: str
) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "by link").symlink_to("set")
    shutil.copy(photos / "01.jpg", tmp_path / "set" / "x.jpg")
    (tmp_path / "set" / "y.jpg").symlink_to("x.jpg")
    (tmp_path / "set" / "..a.jpg").symlink_to(photos / "02.jpg")
    (tmp_path / "set" / "z").symlink_to(photos / "more")
    names = ["..a.jpg", "x.jpg", "y.jpg", *sorted(f"z/{path.name}" for path in (photos / "more").glob("*.jpg"))]
    assert len(names) > 3
    paths = [f"{named}/{name}" for name in names]
    if named != "set":
        paths = paths[:3]  # what is in a linked folder has one way only
    done = iqa("score", *paths, "-m", model, "--imagefolder", "set/metadata.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row["file_name"] for row in read_rows((tmp_path / "set" / "metadata.csv").read_bytes())] == names[: len(paths)]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_metadata_has_what_other_outputs_have(iqa: Run, model: Path, photos: Path, tmp_path: Path, ending: str) -> None:
    folder = make_folder(photos, tmp_path / "set")
    path, other = folder / f"metadata.{ending}", tmp_path / f"scores.{ending}"
    command = ("score", folder, "-m", model, "--imagefolder", path)
    for options in (("--detail", "--explain", "--group"), ("--explain",)):
        for _ in range(2):  # the second time over the first
            assert iqa(*command, *options, f"--{ending}", other).returncode == 1
        found, expected = read_any(path), read_any(other)
        assert [row["file_name"] for row in found] == [str(Path(row["path"]).relative_to(folder)) for row in expected]
        own, added = {"file_name", "model_sha256"}, {"path", "model_sha256", "shard", "key", "path_base64"}
        assert [{k: v for k, v in row.items() if k not in own} for row in found] == [
            {k: v for k, v in row.items() if k not in added} for row in expected
        ]
        assert "reasons" in found[0]
    assert iqa(*command).returncode == 1  # over what has more columns


def read_any(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    data = path.read_bytes()
    return list(read_rows(data)) if path.suffix == ".csv" else [json.loads(line) for line in data.splitlines()]


def test_each_shard_gets_its_side_file(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    files = read_files(photos)
    write_tar(tmp_path / "00000.tar", files[:5])
    write_tar(tmp_path / "00001.tar", files[5:])
    write_tar(tmp_path / "00002.tar", [])
    expected = read_rows(iqa("score", photos, "-m", model).stdout)
    for _ in range(2):
        done = iqa(
            "score", "00000.tar", "00001.tar", "00002.tar", photos / "01.jpg", "-m", model, "--shard-scores", cwd=tmp_path
        )
        assert (done.returncode, done.stdout) == (4, b"")
        assert b"warning: images in no shard: 1; no output has them" in done.stderr
    first, second = (pq.read_table(tmp_path / f"0000{number}.scores.parquet").to_pylist() for number in range(2))
    assert [row["score"] for row in first + second] == [float(row["score"]) for row in expected]
    assert [row["key"] for row in first] == [name.removesuffix(".jpg") for name, _ in files[:5]]
    assert not (tmp_path / "00002.scores.parquet").exists()


def test_a_side_file_takes_the_place_of_no_other_file(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", read_files(photos))
    (tmp_path / "0.scores.parquet").write_text("mine")
    assert iqa("score", tmp_path / "0.tar", "-m", model, "--shard-scores").returncode == 4
    assert (tmp_path / "0.scores.parquet").read_text() == "mine"
    assert iqa("score", tmp_path / "0.tar", "-m", model, "--shard-scores", "--force").returncode == 0
    twice = iqa("score", tmp_path / "0.tar", photos / "01.jpg", tmp_path / "." / "0.tar", "-m", model, "--shard-scores")
    assert twice.returncode == 4
    assert b"images in no shard: 1" in twice.stderr
    assert pq.read_table(tmp_path / "0.scores.parquet").num_rows == 24


@pytest.mark.parametrize("options", [("--shard-scores",), ("--shard-json", "out")])
def test_without_a_shard_nothing_is_scored(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    for more in ((), ("--csv", "a.csv")):
        done = iqa("score", photos, photos / "01.jpg", "-m", model, *options, *more, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, b"")
        assert f"{options[0]}: no shard is named: name tars".encode() in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [("--shard-scores",), ("--shard-json", "out")])
def test_a_part_of_a_shard_takes_the_place_of_no_whole(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    write_tar(tmp_path / "0.tar", read_files(photos))
    command = ("-m", model, *options, "-q")
    assert iqa("score", "0.tar", *command, cwd=tmp_path).returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    for part in ("0.tar::01.jpg", "0.tar::0*", "zip://01.jpg::0.tar"):
        (tmp_path / "list").write_text(part)
        runs = [
            iqa("score", part, *command, cwd=tmp_path),
            iqa("score", "0.tar", "--files-from", "list", *command, cwd=tmp_path),
            iqa("score", "0.tar", "-", *command, cwd=tmp_path, input=part.encode()),
        ]
        (tmp_path / "list").unlink()
        for done in runs:
            assert (done.returncode, done.stdout) == (2, b"")
            assert f"iqa: error: {options[0]}: ".encode() in done.stderr
            assert b": only a part of a shard, in whose file the rest would be missing: name the whole" in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


@pytest.mark.parametrize("listed", [False, True])
def test_what_cannot_be_written_is_told_before_anything_is_scored(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, *, listed: bool
) -> None:
    names = ["a/0.tar", "b/0.tar", "a/1.tar", "a/1.zip", "a/2.tar", "here/0.tar"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_tar(tmp_path / name, read_files(photos)[:1])
    (tmp_path / "out").mkdir()
    for foreign in ("a/2.scores.parquet", "out/2.tar"):
        (tmp_path / foreign).write_text("mine")
    before = {*tmp_path.rglob("*")}
    for option, shards, said in (
        (("--shard-json", "out"), ("a/0.tar", "b/0.tar"), "out/0.tar: a/0.tar and b/0.tar: two shards"),
        (("--shard-json", "out"), ("a/0.tar", "a/1.tar", "./a/0.tar"), "out/0.tar: a/0.tar and ./a/0.tar: two shards"),
        (("--shard-json", "out"), ("a/0.tar", "a/2.tar"), "out/2.tar: there is a file that is no earlier output"),
        (("--shard-json", "here"), ("a/1.tar", "here/0.tar"), "here/0.tar is the shard itself"),
        (("--shard-scores",), ("a/1.tar", "a/1.zip"), "a/1.scores.parquet: a/1.tar and a/1.zip: two shards"),
        (("--shard-scores",), ("a/0.tar", "a/1.tar", "b/../a/0.tar"), "a/0.tar and b/../a/0.tar: two shards"),
        (("--shard-scores",), ("a/0.tar", "a/2.tar"), "a/2.scores.parquet: there is a file that is no earlier output"),
        (("--shard-scores",), ("a/0.tar", "s3://bucket/0.tar"), "s3://bucket/0.tar: only beside shards on this machine"),
    ):
        named = shards
        if listed:
            (tmp_path / "list").write_text("\n".join(shards))
            named = ("--files-from", "list")
        done = iqa("score", *named, "-m", model, *option, "--csv", "a.csv", cwd=tmp_path)
        (tmp_path / "list").unlink(missing_ok=True)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (4, b"", 1)
        assert done.stderr.startswith(f"iqa: error: {option[0]}".encode())
        assert said in done.stderr.decode()
        assert {*tmp_path.rglob("*")} == before


def test_shards_of_a_list_on_stdin_that_have_one_file_are_refused_as_they_come(
    iqa: Run, model: Path, photos: Path, tmp_path: Path
) -> None:
    """By any of its names: the second would replace the first."""
    write_tar(tmp_path / "0.tar", read_files(photos)[:2])
    (tmp_path / "link").symlink_to(".")
    done = iqa("score", "-", "-m", model, "--shard-scores", cwd=tmp_path, input=b"0.tar\nlink/0.tar\n")
    assert done.returncode == 4
    assert b"0.tar and link/0.tar: two shards" in done.stderr
    assert pq.read_table(tmp_path / "0.scores.parquet")["path"].to_pylist() == [
        f"0.tar::{n}" for n, _ in read_files(photos)[:2]
    ]


@pytest.mark.parametrize("options", [("--shard-scores",), ("--shard-json", "out")])
def test_images_in_no_shard_are_told_even_by_a_silent_run(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    write_tar(tmp_path / "0.tar", read_files(photos))
    lost = iqa("score", "0.tar", photos, "-m", model, *options, "-q", cwd=tmp_path)
    assert (lost.returncode, lost.stdout) == (4, b"")
    assert lost.stderr == b"iqa: warning: images in no shard: 12; no output has them: add --csv or --parquet FILE\n"
    by_list = iqa("score", "-", "-m", model, *options, "-q", cwd=tmp_path, input=f"{photos}\n".encode())
    assert (by_list.returncode, by_list.stderr) == (4, lost.stderr)
    kept = iqa("score", "0.tar", photos, "-m", model, *options, "-q", "--csv", "a.csv", cwd=tmp_path)
    assert kept.returncode == 0
    assert kept.stderr == b"iqa: warning: images in no shard: 12; only the other outputs have them\n"
    assert len(read_rows((tmp_path / "a.csv").read_bytes())) == 24
    least = iqa("score", "0.tar", photos, "-m", model, *options, "-q", "--min", "101", cwd=tmp_path)
    assert (least.returncode, least.stderr) == (0, b"")


def test_no_name_in_a_tar_of_json_leads_out_of_it(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    photo = (photos / "01.jpg").read_bytes()
    write_tar(tmp_path / "0.tar", [("../a.jpg", photo), ("b/../../c.jpg", photo), ("d.jpg", photo)])
    done = iqa("score", "0.tar", "-m", model, "--shard-json", "out", "--csv", "a.csv", "-q", cwd=tmp_path)
    assert done.returncode == 4
    assert b"--shard-json: left out: 2 whose name leads out of the archive" in done.stderr
    assert list(read_json_tar(tmp_path / "out" / "0.tar")) == ["d.iqa.json"]
    assert len(read_rows((tmp_path / "a.csv").read_bytes())) == 3
    assert iqa("score", "0.tar", "-m", model, "--shard-scores", cwd=tmp_path).returncode == 0
    rows = pq.read_table(tmp_path / "0.scores.parquet").to_pylist()
    assert [row["key"] for row in rows] == ["../a", "b/../../c", "d"]


# ---- tars of JSON ----


def read_json_tar(path: Path) -> dict[str, dict[str, object]]:
    with tarfile.open(path) as archive:
        return {info.name: json.loads(archive.extractfile(info).read()) for info in archive}


def test_each_shard_gets_a_tar_of_json_by_its_keys(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    files = [(name.replace("more/", "more."), data) for name, data in read_files(photos)]
    write_tar(tmp_path / "00000.tar", [*files[:5], ("00000.json", b"{}"), ("broken.jpg", b"text")])
    write_tar(tmp_path / "00001.tar", files[5:])
    for _ in range(2):
        done = iqa("score", "*.tar", photos / "01.jpg", "-m", model, "--shard-json", "new/json", "--csv", "a.csv", cwd=tmp_path)
        assert done.returncode == 1
    rows = read_rows((tmp_path / "a.csv").read_bytes())
    for shard in ("00000.tar", "00001.tar"):
        found = read_json_tar(tmp_path / "new" / "json" / shard)
        own = [row for row in rows if row["path"].startswith(shard)]
        assert [each["path"] for each in found.values()] == [row["path"] for row in own]
        assert [each["score"] for each in found.values()] == [float(row["score"]) if row["score"] else None for row in own]
        assert {each["key"] for each in found.values()} == {name.split(".")[0] for name in found}
        assert {each["shard"] for each in found.values()} == {shard}
        assert {len(each["model_sha256"]) for each in found.values()} == {64}
    assert "broken.iqa.json" in read_json_tar(tmp_path / "new" / "json" / "00000.tar")


def test_two_images_of_one_key_are_two_files(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    photo = (photos / "01.jpg").read_bytes()
    names = ["a.jpg", "a.seg.png", "a.jpg", "a.jpg", "b.jpg"]
    write_tar(tmp_path / "0.tar", [(name, photo) for name in names])
    iqa("score", "0.tar", "-m", model, "--shard-json", "out", cwd=tmp_path)
    found = read_json_tar(tmp_path / "out" / "0.tar")
    assert list(found) == ["a.iqa.json", "a.seg.png.iqa.json", "a.jpg.iqa.json", "a.jpg.2.iqa.json", "b.iqa.json"]
    assert [each["path"] for each in found.values()] == [f"0.tar::{name}" for name in names]


def test_no_tar_of_json_takes_the_place_of_a_shard(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "0.tar", read_files(photos))
    before = shard.read_bytes()
    for force in ((), ("--force",)):
        assert iqa("score", "0.tar", "-m", model, "--shard-json", ".", *force, cwd=tmp_path).returncode == 4
    (tmp_path / "b").mkdir()
    other = write_tar(tmp_path / "b" / "0.tar", read_files(photos))
    assert iqa("score", "0.tar", "-m", model, "--shard-json", "b", cwd=tmp_path).returncode == 4
    assert shard.read_bytes() == other.read_bytes() == before
    assert iqa("score", "0.tar", "b/0.tar", "-m", model, "--shard-json", "c", cwd=tmp_path).returncode == 4
    assert iqa("score", "0.tar", "-m", model, "--shard-json", "d", "--sort", "score", cwd=tmp_path).returncode == 2


def test_a_shard_that_is_missing_is_a_row_and_no_file(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_tar(tmp_path / "a" / "0.tar", read_files(photos)[:2])
    command = ("-m", model, "--shard-json", "side", "--shard-scores", "--csv", "a.csv")
    assert iqa("score", "a/0.tar", *command, cwd=tmp_path).returncode == 0
    before = (tmp_path / "side" / "0.tar").read_bytes()
    done = iqa("score", "gone/0.tar", "gone/1.tar", photos / "01.jpg", *command, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert [row["status"] for row in read_rows((tmp_path / "a.csv").read_bytes())] == ["missing", "missing", "ok"]
    assert (tmp_path / "side" / "0.tar").read_bytes() == before
    assert [path.name for path in (tmp_path / "side").iterdir()] == ["0.tar"]
    assert not (tmp_path / "gone").exists()


def test_files_of_shards_have_what_other_outputs_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    columns = list_columns(detail=True, reasons=True)
    native, reason = Detail(71.26, 3.456, 3.0, 4.0), Reason("dark", "luma", 0.123456, 0.2)
    record = ScoreRecord("0.tar::a.jpg", Status.OK, "toy", 50.0, native=native, reasons=(reason,))
    tables = TableFlags(shard_scores=True, shard_json=Path("out"))
    with tables.open_shards(lambda: "ab" * 32, lambda record: True, columns, force=False) as sink:  # noqa: ARG005
        sink.write(record)
    (row,) = pq.read_table("0.scores.parquet").to_pylist()
    found = read_json_tar(tmp_path / "out" / "0.tar")["a.iqa.json"]
    assert {name: row[name] for name in columns} == round_record(record, columns) | {"reasons": ["dark"]}
    expected = json.loads(encode_json(describe_record(record, columns)))
    assert {name: found[name] for name in (*columns, "reason_values")} == expected


# ---- without a row ----


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_metadata_without_a_row_takes_the_place_of_older_one(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, ending: str
) -> None:
    folder = make_folder(photos, tmp_path / "set")
    (folder / "broken.jpg").unlink()
    path = folder / f"metadata.{ending}"
    command = ("score", folder, "-m", model, "--imagefolder", path)
    assert iqa(*command).returncode == 0
    assert iqa(*command, "--min", "100").returncode == 0
    if ending == "parquet":
        assert (pq.read_table(path).num_rows, tuple(pq.read_schema(path).names)) == (0, FIELDS)
    else:
        assert path.read_text() == (",".join(FIELDS) + "\n" if ending == "csv" else "")
    assert iqa(*command).returncode == 0  # over what is empty


def test_a_shard_of_which_no_image_is_chosen_has_files_without_one(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    for number, files in enumerate((read_files(photos)[:3], read_files(photos)[3:])):
        write_tar(tmp_path / f"{number}.tar", [(name.replace("more/", "more."), data) for name, data in files])
    command = ("score", "0.tar", "1.tar", "-m", model, "--shard-scores", "--shard-json", "json")
    assert iqa(*command, cwd=tmp_path).returncode == 0
    rows = [pq.read_table(tmp_path / f"{number}.scores.parquet")["score"].to_pylist() for number in range(2)]
    best = max(map(max, rows))
    for lowest, expected in ((best, [[score for score in own if score == best] for own in rows]), (100, [[], []]), (0, rows)):
        assert iqa(*command, "--min", str(lowest), cwd=tmp_path).returncode == 0
        for number, scores in enumerate(expected):
            assert pq.read_table(tmp_path / f"{number}.scores.parquet")["score"].to_pylist() == scores
            assert [each["score"] for each in read_json_tar(tmp_path / "json" / f"{number}.tar").values()] == scores


def test_a_shard_that_cannot_be_read_leaves_the_older_tar_of_json(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", read_files(photos)[:2])
    command = ("score", "0.tar", "-m", model, "--shard-json", "json")
    assert iqa(*command, cwd=tmp_path).returncode == 0
    before = (tmp_path / "json" / "0.tar").read_bytes()
    (tmp_path / "0.tar").write_text("no tar")
    assert iqa(*command, cwd=tmp_path).returncode == 1
    assert (tmp_path / "json" / "0.tar").read_bytes() == before


def test_a_tar_of_json_with_other_files_in_it_stays(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", read_files(photos)[:2])
    command = ("score", "0.tar", "-m", model, "--shard-json", "json")
    assert iqa(*command, cwd=tmp_path).returncode == 0
    path = tmp_path / "json" / "0.tar"
    with tarfile.open(path, "a") as archive:
        archive.add(photos / "01.jpg", "mine.jpg")
    for own in (path.read_bytes(), bytes(20 * 512) + b"a disk", b"no tar"):
        path.write_bytes(own)
        assert iqa(*command, cwd=tmp_path).returncode == 4
        assert path.read_bytes() == own
