"""Runs in parts by this process: rows, going on, and what is refused. What Ray adds is tested in test_ray."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from in_process import environment
from servers import serving
from shards import read_files, write_tar

from iqa_cli.cli.flags.score import ChoiceFlags, ModelFlags
from iqa_cli.cli.jobs.score_parts import refuse_others
from iqa_cli.errors import UsageError

pq = pytest.importorskip("pyarrow.parquet", reason="needs the [parquet] extra")


def read_parts(folder: Path) -> list[dict[str, Any]]:
    """The rows of all parts, by their paths."""
    rows = [row for path in folder.glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: str(row["path"]))


def score_whole(iqa: Run, model: Path, tmp_path: Path, *named: object) -> list[dict[str, Any]]:
    """The rows of the same images as one table."""
    iqa("score", *named, "-m", model, "--parquet", tmp_path / "whole.parquet")
    return sorted(pq.read_table(tmp_path / "whole.parquet").to_pylist(), key=lambda row: str(row["path"]))


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}


@pytest.fixture
def images(photos: Path, tmp_path: Path) -> Path:
    """A folder of 36 pictures, a broken one, and what is no picture."""
    folder = tmp_path / "set"
    for number in range(3):
        shutil.copytree(photos, folder / f"{number}")
    (folder / "broken.jpg").write_text("text")
    (folder / "notes.txt").write_text("text")
    return folder


def test_parts_hold_the_rows_of_one_table_bit_for_bit(iqa: Run, model: Path, images: Path, tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "0.tar", read_files(images))
    done = iqa("score", images, shard, "gone.jpg", "-m", model, "--output", tmp_path / "out", "--part-size", "5")
    assert done.returncode == 1
    assert b"scored 72 of 75 images" in done.stderr
    assert b"failed: 2 unsupported, 1 missing" in done.stderr
    assert b"left out: 2 *.txt" in done.stderr
    assert read_parts(tmp_path / "out") == score_whole(iqa, model, tmp_path, images, shard, "gone.jpg")
    parts = [path.name for path in (tmp_path / "out").iterdir()]
    assert sum(name.startswith("0.tar-") for name in parts) == 1
    assert 6 <= len(parts) <= 18


def test_what_is_there_is_not_scored_again_and_a_lost_part_is(iqa: Run, model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("score", images, "-m", model, "--output", out, "--part-size", "4")
    iqa(*command)
    before, rows = times(out), read_parts(out)
    lost, cut, *_ = sorted(before)
    (out / lost).unlink()
    (out / cut).write_bytes((out / cut).read_bytes()[:100])  # as a copy that broke off
    (out / f".{lost}.1234.part").write_text("of a run that was killed")
    done = iqa(*command)
    assert read_parts(out) == rows
    assert {name for name, time in times(out).items() if time != before[name]} == {lost, cut}
    again = sum(pq.read_metadata(out / name).num_rows for name in (lost, cut))
    assert b"of 37 images in" in done.stderr
    assert f"{37 - again} from an earlier run".encode() in done.stderr
    assert done.returncode == 1  # of the broken picture, whose part was there
    assert not list(out.glob(".*"))


@pytest.mark.parametrize(
    "facts",
    ["[]", "5", "null", "[" * 100_000, '{"statuses": []}', '{"statuses": {"ok": "1"}, "left_out": {}, "undecoded": {}}']
    + [f'{{"statuses": {{}}, "left_out": {each}, "undecoded": {{}}}}' for each in ('{"*.txt": "many"}', "[[]]", "7")],
    ids=range(9),
)
@pytest.mark.parametrize("options", [(), ("--retry",)])
def test_a_part_that_says_nothing_of_its_rows_is_scored_again(
    iqa: Run, model: Path, images: Path, tmp_path: Path, facts: str, options: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    command = ("score", images / "0", "-m", model, "--output", out)
    iqa(*command)
    rows, (part,) = read_parts(out), out.glob("*.parquet")
    whole = part.read_bytes()
    pq.write_table(pq.read_table(part).replace_schema_metadata({b"iqa": facts.encode()}), part)
    done = iqa(*command, *options)
    assert done.returncode == 0
    assert b"scored 12 of 12 images" in done.stderr
    assert b"from an earlier run" not in done.stderr
    assert (read_parts(out), part.read_bytes()) == (rows, whole)


def test_new_changed_and_removed_images_change_their_parts_alone(iqa: Run, model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("score", images, "-m", model, "--output", out, "--part-size", "4")
    iqa(*command)
    before = times(out)
    shutil.copy(images / "0" / "01.jpg", images / "1" / "new.jpg")
    shutil.copy(images / "0" / "02.jpg", images / "0" / "04.jpg")
    (images / "2" / "05.jpg").unlink()
    done = iqa(*command)
    assert read_parts(out) == score_whole(iqa, model, tmp_path, images)
    assert b"images have come, changed or gone" in done.stderr
    assert set(times(out).items()) & set(before.items())
    silent = iqa(*command)
    assert b"changed" not in silent.stderr


def test_an_image_whose_reason_may_pass_is_scored_again_on_request(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text(f"{photos}/01.jpg\n{tmp_path}/late.jpg\n")
    command = ("score", "--files-from", listing, "-m", model, "--output", tmp_path / "out", "--part-size", "1")
    assert iqa(*command).returncode == 1
    before = times(tmp_path / "out")
    assert iqa(*command, "--retry").returncode == 1
    changed = [name for name, time in times(tmp_path / "out").items() if time != before[name]]
    assert [name.split("-")[0] for name in changed] == ["late.jpg"]
    shutil.copy(photos / "02.jpg", tmp_path / "late.jpg")
    assert iqa(*command).returncode == 0
    assert [row["status"] for row in read_parts(tmp_path / "out")] == ["ok", "ok"]


def test_an_object_is_read_once_whatever_becomes_of_the_run(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="needs the [remote] extra")
    names = [f"{number:02}.jpg" for number in range(12) if number % 3]
    with serving(photos) as (url, seen):
        (tmp_path / "list").write_text("".join(f"{url}/{name}\n" for name in names))
        command = ("score", "--files-from", tmp_path / "list", "-m", model, "--output", tmp_path / "out", "--part-size", "2")
        assert iqa(*command).returncode == 0
        assert seen == Counter({f"/{name}": 1 for name in names})
        assert iqa(*command).returncode == 0
        assert seen == Counter({f"/{name}": 1 for name in names})


def test_a_path_that_is_named_twice_is_one_row_or_two_as_one_table_has_it(
    iqa: Run, model: Path, photos: Path, tmp_path: Path
) -> None:
    photo = photos / "01.jpg"
    iqa("score", photo, photo, "-m", model, "--output", tmp_path / "out")
    assert [row["path"] for row in read_parts(tmp_path / "out")] == [str(photo)] * 2


def test_detail_is_measured_in_parts_too(iqa: Run, model: Path, tmp_path: Path) -> None:
    photo = Path(__file__).parents[1] / "photos" / "astronaut.jpg"
    assert iqa("score", photo, "-m", model, "--detail", "--output", tmp_path / "out").returncode == 0
    assert read_parts(tmp_path / "out") == score_whole(iqa, model, tmp_path, photo, "--detail")
    assert read_parts(tmp_path / "out")[0]["native_detail"] is not None
    assert b"other settings" in iqa("score", photo, "-m", model, "--output", tmp_path / "out").stderr


# ---- what is refused ----


def test_rows_of_another_model_and_of_other_images_are_kept_out(
    iqa: Run, model: Path, broken_model: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert iqa("score", photos, "-m", model, "--output", out).returncode == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for options, reason in (
        ((photos, "-m", broken_model), "it holds rows of the model toy ("),
        ((photos / "01.jpg", "-m", model), "rows of a run with other inputs"),
        ((photos, "-m", model, "--crops", "2"), "rows of a run with other settings"),
        ((photos, "-m", model, "--part-size", "7"), "rows of a run with other part_size, 1000, not 7"),
    ):
        done = iqa("score", *options, "--output", out, "--force")
        assert done.returncode == 2
        assert reason in done.stderr.decode()
        assert done.stderr.count(b"\n") == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_folder_with_other_files_is_left_alone_unless_forced(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    done = iqa("score", photos, "-m", model, "--output", tmp_path)
    assert done.returncode == 2
    assert b"files of no earlier run, as thesis.tex" in done.stderr
    assert iqa("score", photos, "-m", model, "--output", tmp_path, "--force").returncode == 0
    assert (tmp_path / "thesis.tex").read_text() == "mine"
    assert len(read_parts(tmp_path)) == 12
    (tmp_path / "_iqa.json").write_text("[]")
    assert iqa("score", photos, "-m", model, "--output", tmp_path).returncode == 2


def test_parts_of_another_job_stay_and_are_none_of_this_one(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    """A folder of parts whose file of the job was not copied along, forced: what is called otherwise stays, whatever is run."""
    out = tmp_path / "out"
    other = ("score", ".", "-m", model, "--output", out, "--part-size", "4", "--crops", "2")
    iqa(*other, cwd=photos)  # named alike wherever they are: the names decide where parts are cut
    (out / "_iqa.json").unlink()
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    command = (*other[:-2], "--part-size", "3")
    done = iqa(*command, cwd=photos)
    assert done.returncode == 2
    assert b"there are parts of a run of which no _iqa.json tells, as " in done.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    for options in (("--force",), ()):
        done = iqa(*command, *options, cwd=photos)
        assert done.returncode == 0
        assert b"not removed" in done.stderr
        assert before.keys() <= {path.name for path in out.iterdir()}
    own = {path.name for path in out.glob("*.parquet") if path.read_bytes() != before.get(path.name)}
    assert sum(pq.read_metadata(out / name).num_rows for name in own) == 12, "no row of the other job counts as one of this"


def test_who_has_lost_the_file_of_the_job_goes_on_by_force(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    command = ("score", photos, "-m", model, "--output", tmp_path / "out", "--part-size", "4")
    iqa(*command)
    before = times(tmp_path / "out")
    (tmp_path / "out" / "_iqa.json").unlink()
    assert b"12 from an earlier run" in iqa(*command, "--force").stderr
    assert times(tmp_path / "out") == before


def test_files_of_others_that_are_called_as_parts_are_stay(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    """Hugging Face's push_to_hub gives such names, and Spark to folders."""
    out = tmp_path / "out"
    command = ("score", photos, "-m", model, "--output", out, "--part-size", "4")
    iqa(*command)
    parts, part = {path.name for path in out.iterdir()}, min(out.glob("*.parquet"))
    names = [f"{kind}-00000-of-00001-{'0123456789abcdef'}.parquet" for kind in ("dev", "test", "train", "x")]
    own = [out / name for name in names]
    pq.write_table(pq.read_table(part).replace_schema_metadata(), own[0])
    iqa("score", photos, "-m", model, "--parquet", own[1])
    own[2].write_text("mine")
    own[3].mkdir()
    (out / f"old-{'0' * 16}.parquet").write_bytes(part.read_bytes())
    for _ in range(2):
        done = iqa(*command)
        assert done.returncode == 0
        assert f"not removed: {names[0]} and 3 more".encode() in done.stderr
        assert {path.name for path in out.iterdir()} == {*names, *parts}, "the old part alone is removed"
    assert iqa("score", photos, "-m", model, "--output", tmp_path, "--force").returncode == 0
    shutil.rmtree(out)
    out.mkdir()
    own[2].write_text("mine")
    assert iqa(*command).returncode == 2
    assert iqa(*command, "--force").returncode == 0
    assert own[2].read_text() == "mine"


def test_the_cache_is_refused_and_its_opposite_is_not() -> None:
    refuse_others(ModelFlags("toy"), ModelFlags("toy", cache=False))
    with pytest.raises(UsageError, match="leave out --cache"):
        refuse_others(ModelFlags("toy", cache=True))
    with pytest.raises(UsageError, match="leave out --min"):
        refuse_others(ChoiceFlags(lowest=0.0))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--engine", "ray"], "--engine is about runs in parts: add --output DIR"),
        (["--actors", "2"], "--actors is about runs in parts"),
        (["--output", "out", "--actors", "2"], "--actors is about Ray: add --engine ray"),
        (["--output", "out", "--csv", "a.csv"], "leave out --csv, or --output"),
        (["--output", "out", "--sort", "score"], "leave out --sort"),
        (["--output", "out", "--min", "5"], "leave out --min"),
        (["--output", "out", "--shard-scores"], "leave out --shard-scores"),
        (["--output", "out", "--cache"], "leave out --cache"),
        (["--output", "out", "--write-xmp"], "leave out --write-xmp"),
        (["--output", "out", "-"], "a list on stdin cannot be read twice"),
        (["--output", "out.tar"], "the name of an archive"),
        (["--output", "https://example.org/out/"], "nothing can be written there"),
    ],
)
def test_what_makes_no_sense_is_refused(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, options: list[str], reason: str
) -> None:
    done = iqa("score", photos, "-m", model, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr.decode()
    assert not list(tmp_path.iterdir())


def test_nothing_to_score_is_said_and_no_list_is_too(iqa: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = iqa("score", tmp_path / "empty", "-m", model, "--output", tmp_path / "out")
    assert done.returncode == 4
    assert b"no images found" in done.stderr
    assert not list((tmp_path / "out").iterdir())
    done = iqa("score", "--files-from", tmp_path / "gone", "-m", model, "--output", tmp_path / "other")
    assert done.returncode == 4
    assert b"cannot read the list" in done.stderr


def test_a_run_that_found_nothing_keeps_no_other_one_out(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert iqa("score", photos, "-m", model, "--output", out, "--include", "*.nope").returncode == 4
    shutil.copytree(model.parent, tmp_path / "cut")
    next((tmp_path / "cut").glob("*.onnx")).write_bytes(b"cut short")
    assert iqa("score", photos, "-m", tmp_path / "cut", "--output", out).returncode == 3
    command = ("score", photos, "-m", model, "--output", out)
    assert iqa(*command).returncode == 0
    for part in out.glob("*.parquet"):
        part.unlink()  # as of a run that was killed before its first one
    done = iqa(*command, "--crops", "2")
    assert done.returncode == 2
    assert b"name another folder; no part is there yet: where that run has ended, remove its _iqa.json" in done.stderr
    (out / "_iqa.json").unlink()
    assert iqa(*command, "--crops", "2").returncode == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_one_line(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    done = iqa("score", photos, "-m", model, "--output", tmp_path / "locked" / "out")
    assert done.returncode == 4
    assert done.stderr.count(b"\n") == 1


def test_a_tar_cut_short_keeps_the_rows_before_the_cut(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "0.tar", read_files(photos))
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    assert iqa("score", shard, "-m", model, "--output", tmp_path / "out").returncode == 1
    rows = read_parts(tmp_path / "out")
    assert Counter(row["status"] for row in rows)["damaged"] == 1
    assert len(rows) > 2
    assert rows == score_whole(iqa, model, tmp_path, shard)


def test_relative_paths_stay_as_they_were_named(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    iqa("score", "01.jpg", "more", "-m", model, "--output", tmp_path / "out", cwd=photos)
    assert [row["path"] for row in read_parts(tmp_path / "out")] == [
        "01.jpg",
        *(f"more/{n}.jpg" for n in ("00", "03", "06", "09")),
    ]
    told = json.loads((tmp_path / "out" / "_iqa.json").read_text())
    assert told["inputs"] == ["01.jpg", "more"]


@pytest.mark.parametrize("named", [("set",), ("--files-from", "{top}/list")])
def test_the_same_relative_paths_of_another_folder_are_other_images(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, named: tuple[str, ...]
) -> None:
    for folder in ("a", "b"):
        shutil.copytree(photos, tmp_path / folder / "set")
    (tmp_path / "list").write_text("set/01.jpg\nset/02.jpg\n")
    command = ("score", *(each.format(top=tmp_path) for each in named), "-m", model, "--output", tmp_path / "a" / "out")
    assert iqa(*command, cwd=tmp_path / "a").returncode == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "a" / "out").iterdir()}
    for _ in range(2):
        done = iqa(*command, cwd=tmp_path / "b")
        assert done.returncode == 2
        assert f"rows of paths that begin in {tmp_path}/a, not in {tmp_path}/b".encode() in done.stderr
        assert {path.name: path.read_bytes() for path in (tmp_path / "a" / "out").iterdir()} == before
    assert iqa(*command, cwd=tmp_path / "a").returncode == 0
    (tmp_path / "a").rename(tmp_path / "moved")
    moved = (*command[:-1], tmp_path / "moved" / "out")
    assert b" from an earlier run" in iqa(*moved, cwd=tmp_path / "moved").stderr, "the folder and its output may move together"


def test_absolute_paths_are_the_same_images_from_everywhere(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{photos}/01.jpg\nfile://{photos}/02.jpg\n")
    for number, named in enumerate(((photos,), ("--files-from", tmp_path / "list"))):
        command = ("score", *named, "-m", model, "--output", tmp_path / f"out{number}")
        assert iqa(*command, cwd=tmp_path).returncode == 0
        assert b" from an earlier run" in iqa(*command, cwd=photos).stderr


def test_a_list_that_is_read_otherwise_is_one_of_other_images(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"{photos}/01.jpg")  # which may be read either way
    command = ("score", "--files-from", tmp_path / "list", "-m", model, "--output", tmp_path / "out")
    assert iqa(*command, "-0").returncode == 0
    rows = read_parts(tmp_path / "out")
    done = iqa(*command)
    assert done.returncode == 2
    assert b"other null, true, not false" in done.stderr
    assert read_parts(tmp_path / "out") == rows


def test_a_folder_of_an_earlier_version_goes_on_and_is_then_told_apart(
    iqa: Run, model: Path, photos: Path, tmp_path: Path
) -> None:
    command = ("score", "01.jpg", "-m", model, "--output", tmp_path / "out")
    iqa(*command, cwd=photos)
    card = tmp_path / "out" / "_iqa.json"
    told = json.loads(card.read_text())
    card.write_text(json.dumps({name: value for name, value in told.items() if name not in ("null", "base")}))
    assert b" from an earlier run" in iqa(*command, cwd=photos).stderr
    assert json.loads(card.read_text()) == told


@pytest.mark.process
def test_without_the_extra_one_line_says_how_to_get_it(model: Path, photos: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['ray'] = None; from iqa_cli.cli.entry import main; main()"
    arguments = ("score", photos, "-m", model, "--output", tmp_path / "out", "--engine", "ray")
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, env=environment(), check=False)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"pip install 'iqa-cli[ray]'" in done.stderr
