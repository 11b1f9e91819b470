import csv
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from conftest import Run, read_rows
from shards import read_files, write_tar

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


def test_captions_of_ones_own_are_never_written_over(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    folder = make_folder(photos, tmp_path / "set")
    own = {"csv": "file_name,caption\n01.jpg,mine\n", "jsonl": '{"file_name": "01.jpg", "text": "mine"}\n'}
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
        assert (done.returncode, done.stdout) == (0, b"")
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
    assert twice.returncode == 0
    assert pq.read_table(tmp_path / "0.scores.parquet").num_rows == 24


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
