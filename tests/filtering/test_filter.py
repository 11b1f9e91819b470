import gzip
import io
import json
import os
import tarfile
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from conftest import Run, read_rows
from shards import make_sparse, read_files, write_tar

from iqa_cli.errors import DataError, UsageError
from iqa_cli.filtering.choice import Limits, Outcome, choose, find_bounds
from iqa_cli.filtering.scores import Scored, read_scores
from iqa_cli.filtering.shards import Copied, write_shards


def made(*scores: float | None, folder: str = "a") -> list[Scored]:
    rows = [(f"{folder}/{number}.jpg", score) for number, score in enumerate(scores)]
    return [make(path, score, folder) for path, score in rows]


def make(path: str, score: float | None, folder: str) -> Scored:
    return Scored(path, score, score, "damaged" if score is None else "ok", {"path": path, "kind": folder})


def kept(images: list[Scored], limits: Limits) -> list[str]:
    outcome = Outcome()
    stays = [image.path for image, stays in choose(images, limits, find_bounds(images, limits), outcome) if stays]
    assert outcome.total == len(images)
    assert outcome.kept == len(stays)
    return stays


def test_limits_keep_what_is_at_them_or_above() -> None:
    images = made(10.0, 30.0, None, 29.99, 80.0)
    assert kept(images, Limits()) == ["a/0.jpg", "a/1.jpg", "a/3.jpg", "a/4.jpg"]
    assert kept(images, Limits(lowest=30)) == ["a/1.jpg", "a/4.jpg"]
    assert kept(images, Limits(percentile=80)) == ["a/4.jpg"]
    assert kept(images, Limits(lowest=20, percentile=29.99)) == ["a/1.jpg", "a/3.jpg", "a/4.jpg"]


def test_a_fraction_keeps_the_best_and_of_equals_the_first() -> None:
    images = made(50.0, 70.0, 50.0, None, 50.0, 90.0)
    assert kept(images, Limits(fraction=0.6)) == ["a/0.jpg", "a/1.jpg", "a/5.jpg"]
    assert kept(images, Limits(fraction=1)) == ["a/0.jpg", "a/1.jpg", "a/2.jpg", "a/4.jpg", "a/5.jpg"]
    assert kept(images, Limits(fraction=0.6, lowest=60)) == ["a/1.jpg", "a/5.jpg"]
    assert kept(images, Limits(fraction=0.001)) == ["a/5.jpg"]


def test_scores_that_changed_while_they_were_read_are_told() -> None:
    limits = Limits(fraction=0.5, per_class=True)
    bounds = find_bounds(made(50.0, 70.0), limits)
    with pytest.raises(DataError, match=r"^b/0.jpg: it was not among the scores when they were first read"):
        list(choose(made(60.0, folder="b"), limits, bounds, Outcome()))


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.8, 1.0])
def test_each_class_keeps_its_fraction_and_none_is_lost(fraction: float) -> None:
    sizes = {"a": 1, "b": 2, "c": 10, "d": 101}
    images = [image for name, size in sizes.items() for image in made(*range(size), folder=name)]
    for limits in (Limits(fraction=fraction, per_class=True), Limits(fraction=fraction, column="kind")):
        counts = Counter(path[0] for path in kept(images, limits))
        assert counts == {name: max(1, int(fraction * size + 0.5)) for name, size in sizes.items()}


def test_the_class_of_an_image_in_a_shard_is_its_folder_there() -> None:
    images = [Scored(f"{shard}.tar::{name}", 50.0, 50.0, "ok", {}) for shard in "12" for name in ("cat/1.jpg", "dog/1.jpg")]
    assert [Limits(fraction=0.5, per_class=True).find_class(image) for image in images] == ["cat", "dog", "cat", "dog"]


@pytest.mark.parametrize(
    "limits",
    [
        {"lowest": float("inf")},
        {"lowest": float("nan")},
        {"percentile": 101},
        {"percentile": -1},
        {"percentile": float("nan")},
        {"fraction": 0},
        {"fraction": 80},
        {"per_class": True},
        {"fraction": 0.5, "per_class": True, "column": "kind"},
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Limits(**limits)


def test_limits_are_on_the_scale_of_the_scores() -> None:
    images = made(-3.0, 0.25, 786.0)
    assert kept(images, Limits(lowest=500)) == ["a/2.jpg"]
    assert kept(images, Limits(lowest=-3)) == [image.path for image in images]
    assert kept(images, Limits(lowest=0.25)) == ["a/1.jpg", "a/2.jpg"]


def count_bins(*scores: float) -> tuple[int, dict[tuple[float, float], tuple[int, int]]]:
    """How many bins there are, and the ends and counts of those with scores in them; what is below the first score goes."""
    outcome = Outcome()
    for image in made(*scores):
        outcome.add(image, "too low" if image.score is not None and image.score < scores[0] else None)
    bins = list(outcome.scores.list_bins())
    return len(bins), {(low, high): (count, stays) for low, high, count, stays in bins if count}


def test_bins_fit_the_scale_of_the_scores() -> None:
    assert count_bins(50, 0, 49.99, 54, 55, 99, 100) == (
        20,
        {(0, 5): (1, 0), (45, 50): (1, 0), (50, 55): (2, 2), (55, 60): (1, 1), (95, 100): (2, 2)},
    )
    assert count_bins(0.5, 0.07, 1) == (20, {(0.05, 0.1): (1, 0), (0.5, 0.55): (1, 1), (0.95, 1): (1, 1)})
    assert count_bins(4.2, 1, 5) == (20, {(1, 1.5): (1, 0), (4, 4.5): (1, 1), (5, 5.5): (1, 1)})
    assert count_bins(1, 10, 72, 786) == (20, {(0, 50): (2, 2), (50, 100): (1, 1), (750, 800): (1, 1)})
    assert count_bins(0, -0.3, -8, 40) == (22, {(-10, -5): (1, 0), (-5, 0): (1, 0), (0, 5): (1, 1), (40, 45): (1, 1)})
    assert count_bins() == (20, {})


# ---- files of scores ----


def test_all_formats_say_the_same(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the [parquet] extra")
    broken = tmp_path / os.fsdecode(b"br\xe9ken.jpg")
    broken.write_text("text")
    good = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    good.write_bytes((photos / "01.jpg").read_bytes())
    files = [tmp_path / name for name in ("a.csv", "a.jsonl", "a.parquet")]
    iqa("score", photos, broken, good, "-m", model, "--csv", files[0], "--jsonl", files[1], "--parquet", files[2])
    images = [[(each.path, each.score, each.percentile, each.status) for each in read_scores(file)] for file in files]
    assert images[0] == images[1] == images[2]
    assert len(images[0]) == 14
    assert images[0][-1][0] == str(good)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("path,score\na.jpg,high\n", "row 1: score is 'high', which is no number"),
        ("path,score\na.jpg,nan\n", "no number"),
        ("name,value\na.jpg,1\n", "no row of scores"),
        ("[\n{}, 1\n]\n", "this is a JSON array, .*: write JSON Lines, as --jsonl does"),
        ('[{"path": "a.jpg", "score": 1}]', "this is a JSON array"),
        ("[]\n", "this is a JSON array"),
        ('{"path": "\\ud800", "score": 1}\n', r"row 1: path is '\\ud800', which is no name of a file"),
        ('{"path": "a\\u0000b", "score": 1}\n', "row 1: path is .*, which is no name of a file"),
        ('{"path": ["a.jpg"], "score": 1}\n', r"row 1: path is \['a.jpg'\], which is no name of a file"),
        ('{"path": "a.jpg", "score": true}\n', "row 1: score is True, which is no number"),
        (
            "path,score,status\na.jpg,81,49,ok\n",
            r"line 2 has more cells \(4\) than the header \(3\); write decimals with a point",
        ),
        ("path,score\na.jpg,81,49\n", r"line 2 has more cells \(3\)"),
        ("path,score,\n\na.jpg,81,49\n", "line 3 has a cell below no column's name"),
        ("path,score,status\na.jpg,81.49,ok\nb.jpg,8", r"line 3 has fewer cells \(2\) than the header \(3\)"),
        ('path,score,note\na.jpg,50,"oops\nb.jpg,60,fine\n', "no CSV: unexpected end"),
        ("path,score,score\na.jpg,50,60\n", "2 columns are called score"),
        ('{"path": "a.jpg"}\n', "no row of scores"),
        ('{"path": "a.jpg", "score": 1}\n{"path":\n', "line 2: no JSON"),
        ('{"path": "a.jpg", "score": 1}\n{"path": ' + "[" * 100_000 + "\n", "line 2: no JSON"),
        ('{"path": "a.jpg", "score": 1' + "0" * 400 + "}\n", "row 1: score is .* which is no number"),
        ("path,score,path_base64\na.jpg,1,Y\n", "row 1: path_base64 is 'Y', which is no Base64"),
        ("path,score,path_base64\na.jpg,1,ä\n", "row 1: path_base64 is 'ä', which is no Base64"),
        ("PAR1 and no more", "cannot be read as Parquet"),
    ],
)
def test_what_is_no_file_of_scores_is_said_with_its_row(tmp_path: Path, content: str, reason: str) -> None:
    if "PAR1" in content:
        pytest.importorskip("pyarrow", reason="needs the [parquet] extra")
    path = tmp_path / "scores"
    path.write_text(content)
    with pytest.raises(DataError, match=reason):
        list(read_scores(path))


def test_empty_lines_and_row_numbers_are_passed_by(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("\n,path,score\n0,a.jpg,81.49\n\n1,b.jpg,12\n\n")
    assert [(image.path, image.score) for image in read_scores(path)] == [("a.jpg", 81.49), ("b.jpg", 12.0)]


def test_a_folder_of_parts_is_read_as_one_file(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the [parquet] extra")
    iqa("score", photos, "-m", model, "--output", tmp_path / "parts", "--part-size", "4")
    iqa("score", photos, "-m", model, "--csv", tmp_path / "all.csv")
    assert len(list((tmp_path / "parts").glob("*.parquet"))) > 1
    whole, parts = ({each.path: each.score for each in read_scores(tmp_path / name)} for name in ("all.csv", "parts"))
    assert whole == parts
    done = iqa("filter", "parts", "--keep-fraction", ".5", cwd=tmp_path)
    assert (done.returncode, set(done.stdout.decode().splitlines())) == (0, set(best(tmp_path / "all.csv", 6)))
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="other: no Parquet in this folder"):
        list(read_scores(tmp_path / "other"))


# ---- the command ----


def test_a_table_that_may_have_been_cut_is_read_and_said(iqa: Run, tmp_path: Path) -> None:
    (tmp_path / "cut.csv").write_text("path,score\nx.jpg,12.55\na.jpg,8")
    done = iqa("filter", "cut.csv", "--min", "10", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"x.jpg\n")
    assert done.stderr.decode().splitlines()[2:] == [
        "iqa: warning: cut.csv: its last line has no line end: if the file was cut short there, the last cell is not whole"
    ]
    assert iqa("filter", "cut.csv", "--min", "10", "-q", cwd=tmp_path).stderr == b""
    (tmp_path / "whole.jsonl").write_text('{"path": "a.jpg", "score": 8}')
    assert b"warning" not in iqa("filter", "whole.jsonl", cwd=tmp_path).stderr


def test_percentiles_that_are_not_there_are_said(iqa: Run, tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("path,score,status\na.jpg,80,ok\nb.jpg,20,ok\n")
    (tmp_path / "empty.csv").write_text("path,score,percentile,status\na.jpg,80,,ok\nb.jpg,20,,ok\nc.jpg,,,damaged\n")
    for name, reason in (
        ("none.csv", "--percentile 20: the scores have no such column; they have: path, score, status"),
        ("empty.csv", "empty.csv: the column percentile is empty"),
    ):
        done = iqa("filter", name, "--percentile", "20", "--list", "keep.txt", cwd=tmp_path)
        assert done.returncode == 4
        assert done.stderr.decode().startswith(f"iqa: error: {reason}")
        assert not (tmp_path / "keep.txt").exists()
    (tmp_path / "some.csv").write_text("path,score,percentile\na.jpg,80,90\nb.jpg,20,\n")
    done = iqa("filter", "some.csv", "--percentile", "20", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"a.jpg\n")
    assert b"1 go: without a percentile" in done.stderr


def test_a_decimal_comma_drops_no_image_without_a_word(iqa: Run, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("path,score,status\na.jpg,81,49,ok\n")
    done = iqa("filter", "d.csv", "--min", "81.2", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (4, b"")
    assert done.stderr.startswith(b"iqa: error: d.csv: line 2 has more cells (4) than the header (3); ")


@pytest.fixture
def scores(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> Path:
    path = tmp_path / "scores.csv"
    (tmp_path / "broken.jpg").write_text("text")
    iqa("score", photos, tmp_path / "broken.jpg", "-m", model, "--csv", path)
    return path


def best(scores: Path, count: int) -> list[str]:
    """The paths of the best, in the order of the file."""
    rows = [row for row in read_rows(scores.read_bytes()) if row["score"]]
    bound = sorted((float(row["score"]) for row in rows), reverse=True)[count - 1]
    return [row["path"] for row in rows if float(row["score"]) >= bound]


def test_the_paths_of_what_stays_go_to_stdout_and_the_reasons_to_stderr(iqa: Run, scores: Path) -> None:
    done = iqa("filter", scores, "--keep-fraction", ".5")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == best(scores, 6)
    lines = done.stderr.decode().splitlines()
    assert lines == ["6 of 13 images stay", "6 go: not among the best 0.5", "1 go: without a score: unsupported"]
    assert iqa("filter", scores, "--keep-fraction", ".5", "-0", "-q").stdout.split(b"\0")[:-1] == list(
        map(os.fsencode, best(scores, 6))
    )


def test_a_dry_run_shows_the_histogram_and_writes_nothing(iqa: Run, scores: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    done = iqa("filter", scores, "--keep-fraction", ".5", "--dry-run", "--list", tmp_path / "l", "--links", tmp_path / "d")
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 20
    counts = [tuple(map(int, (line.split()[-3], line.split()[-1]))) for line in lines]
    assert tuple(map(sum, zip(*counts, strict=True))) == (6, 12)
    assert sorted(tmp_path.iterdir()) == before


def test_links_keep_the_folders_of_the_images(iqa: Run, scores: Path, photos: Path, tmp_path: Path) -> None:
    scores.write_text("\n".join(scores.read_text().splitlines()[:-1]))  # without the broken one
    links = tmp_path / "links"
    assert iqa("filter", scores, "--keep-fraction", ".5", "--links", links).returncode == 0
    made = {str(link.relative_to(links)): str(link.readlink()) for link in links.rglob("*") if link.is_symlink()}
    assert made == {str(Path(path).relative_to(photos)): path for path in best(scores, 6)}
    again = iqa("filter", scores, "--links", links)
    assert again.returncode == 2
    assert b"not an empty folder" in again.stderr


def test_links_are_all_there_or_none(iqa: Run, tmp_path: Path) -> None:
    rows = "".join(f"{number}.jpg,50\n" for number in range(3))
    (tmp_path / "scores.csv").write_text(f"path,score\n{rows}")
    for number in range(2):
        (tmp_path / f"{number}.jpg").touch()
    before = sorted(path.name for path in tmp_path.iterdir())
    for _ in range(2):
        done = iqa("filter", "scores.csv", "--links", "links", cwd=tmp_path)
        assert (done.returncode, b"2.jpg: no such file" in done.stderr) == (4, True)
    assert iqa("filter", "scores.csv", "--links", "links", "--shards", "shards", cwd=tmp_path).returncode == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    (tmp_path / "2.jpg").touch()
    assert iqa("filter", "scores.csv", "--links", "links", cwd=tmp_path).returncode == 0
    assert sorted(path.name for path in (tmp_path / "links").iterdir()) == ["0.jpg", "1.jpg", "2.jpg"]


@pytest.mark.parametrize(
    "named",
    [
        ("--links", "a", "--shards", "a"),
        ("--links", "a", "--shards", "./a/b"),
        ("--links", "link/a/b", "--shards", "a"),
        ("--shards", "a", "--list", "a/list.txt"),
        ("--links", "a", "--list", "a"),
    ],
)
def test_no_output_is_in_another_one(iqa: Run, tmp_path: Path, named: tuple[str, ...]) -> None:
    (tmp_path / "scores.csv").write_text("path,score\nscores.csv,50\n")
    (tmp_path / "link").symlink_to(tmp_path)
    done = iqa("filter", "scores.csv", *named, cwd=tmp_path)
    assert (done.returncode, b"or the same: name a place outside of it" in done.stderr) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "scores.csv"]


@pytest.mark.parametrize("option", ["--links", "--shards", "--list"])
def test_an_empty_path_is_not_the_working_folder(iqa: Run, tmp_path: Path, option: str) -> None:
    (tmp_path / "scores.csv").write_text("path,score\n0.tar::a.jpg,50\n")
    (tmp_path / "here").mkdir()
    done = iqa("filter", "../scores.csv", option, "", cwd=tmp_path / "here")
    assert (done.returncode, b"a path is empty" in done.stderr) == (2, True)
    assert iqa("filter", "", cwd=tmp_path / "here").returncode == 2
    if option != "--list":
        done = iqa("filter", "../scores.csv", option, ".", cwd=tmp_path / "here")
        assert (done.returncode, b"this is the working folder" in done.stderr) == (2, True)
    assert not list((tmp_path / "here").iterdir())


def test_no_list_takes_the_place_of_another_file(iqa: Run, scores: Path, tmp_path: Path) -> None:
    before = scores.read_bytes()
    assert iqa("filter", scores, "--list", scores).returncode == 2
    (tmp_path / "mine.txt").write_text("mine")
    assert iqa("filter", scores, "--list", tmp_path / "mine.txt").returncode == 2
    assert (scores.read_bytes(), (tmp_path / "mine.txt").read_text()) == (before, "mine")
    assert iqa("filter", scores, "--list", tmp_path / "mine.txt", "--force", "--min", "0").returncode == 0


def test_a_list_is_whole_or_not_there(iqa: Run, tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("path,score\na.jpg,50\nb.jpg,high\n")
    done = iqa("filter", tmp_path / "scores.csv", "--list", tmp_path / "list")
    assert done.returncode == 4
    assert [each.name for each in tmp_path.iterdir()] == ["scores.csv"]


def test_new_shards_have_the_samples_that_stay_whole_and_byte_for_byte(
    iqa: Run, model: Path, photos: Path, tmp_path: Path
) -> None:
    files = read_files(photos)
    for number in range(3):
        samples = []
        for place, (_, data) in enumerate(files[4 * number : 4 * number + 4]):
            key = f"{number:05}{place:04}"
            meta = json.dumps({"key": key, "caption": "ä"}).encode()
            samples += [(f"{key}.jpg", data), (f"{key}.json", meta), (f"{key}.txt", b"a caption")]
        write_tar(tmp_path / f"{number:05}.tar", samples)
    iqa("score", "*.tar", "-m", model, "--csv", "scores.csv", cwd=tmp_path)
    done = iqa("filter", "scores.csv", "--keep-fraction", ".5", "--shards", "new/set", cwd=tmp_path)
    assert done.returncode == 0
    wanted = best(tmp_path / "scores.csv", 6)
    assert b"wrote 6 samples in" in done.stderr
    found = {}
    for shard in sorted((tmp_path / "new" / "set").iterdir()):
        with tarfile.open(shard) as new, tarfile.open(tmp_path / shard.name) as old:
            for info in new:
                found[f"{shard.name}::{info.name}"] = new.extractfile(info).read()
                assert found[f"{shard.name}::{info.name}"] == old.extractfile(info.name).read()
    assert [name for name in found if name.endswith(".jpg")] == wanted
    assert len(found) == 18
    again = iqa("score", "*.tar", "-m", model, cwd=tmp_path / "new" / "set")
    old = {row["path"]: row["score"] for row in read_rows((tmp_path / "scores.csv").read_bytes())}
    assert {row["path"]: row["score"] for row in read_rows(again.stdout)} == {path: old[path] for path in wanted}


def test_samples_behind_a_cut_are_said(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "0.tar", read_files(photos))
    iqa("score", "0.tar", "-m", model, "--csv", "scores.csv", cwd=tmp_path)
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    done = iqa("filter", "scores.csv", "--shards", "new", cwd=tmp_path)
    assert done.returncode == 0
    assert b"behind a cut" in done.stderr
    with tarfile.open(tmp_path / "new" / "0.tar") as new:
        names = new.getnames()
    assert names == [name for name, _ in read_files(photos)][: len(names)]
    assert 0 < len(names) < 12


PAIRS = [(f"{key}.{ending}", key.encode() * 700) for key in "abc" for ending in ("jpg", "txt")]


def filter_cut(iqa: Run, shard: Path, data: bytes) -> tuple[list[str], str]:
    """The names in the copy of a shard whose samples a, b and c all stay, and what was said of it."""
    shard.write_bytes(data)
    scores = shard.with_name("scores.csv")
    scores.write_text("path,score\n" + "".join(f"{shard.name}::{key}.jpg,50\n" for key in "abc"))
    done = iqa("filter", scores.name, "--shards", "new", cwd=shard.parent)
    assert done.returncode == 0
    with tarfile.open(shard.parent / "new" / "0.tar") as new:
        return new.getnames(), done.stderr.decode()


@pytest.mark.parametrize("packing", ["0.tar", "0.tar.gz"])
def test_a_sample_that_a_shard_breaks_off_in_is_left_out_and_said(iqa: Run, tmp_path: Path, packing: str) -> None:
    whole = write_tar(tmp_path / "whole.tar", PAIRS)
    with tarfile.open(whole) as archive:
        caption = archive.getmember("b.txt")
    cuts = (caption.offset + 100, caption.offset_data + 10, caption.offset_data + caption.size + 1)
    for number, place in enumerate(cuts):
        folder = tmp_path / str(number)
        folder.mkdir()
        data = whole.read_bytes()[:place]
        names, said = filter_cut(iqa, folder / packing, gzip.compress(data) if "gz" in packing else data)
        assert names == ["a.jpg", "a.txt"]
        assert f"warning: {packing}: its last sample, b, is left out: the shard is cut short in it\n" in said
        assert f"{packing}: 1 samples that were scored are not in it any more, or behind a cut" in said
        assert "wrote 1 sample in 1 shard" in said


def test_packed_data_that_end_early_cut_a_shard(iqa: Run, tmp_path: Path) -> None:
    noise = [(name, os.urandom(50_000)) for name, _ in PAIRS]
    packed = gzip.compress(write_tar(tmp_path / "whole.tar", noise).read_bytes())
    names, said = filter_cut(iqa, tmp_path / "0.tar.gz", packed[: len(packed) * 55 // 100])
    assert names == ["a.jpg", "a.txt"]
    assert "its last sample, b, is left out" in said


def test_a_shard_without_its_end_mark_alone_is_copied_and_that_is_said(iqa: Run, tmp_path: Path) -> None:
    data = write_tar(tmp_path / "whole.tar", PAIRS, end=False).read_bytes()
    names, said = filter_cut(iqa, tmp_path / "0.tar", data)
    assert names == [name for name, _ in PAIRS]
    assert "warning: 0.tar: its last sample, c, may lack files: the shard has no end mark\n" in said


def test_shards_are_called_as_they_were_but_for_how_they_are_packed(iqa: Run, tmp_path: Path) -> None:
    names = ["my.target-001.tar", "my.target-002.tar", "A.TAR", "b.tgz", "c.tar.gz", "d.tar.v2.tar"]
    for name in names:
        write_tar(tmp_path / name, [("a.jpg", b"")], "w:gz" if name.endswith("gz") else "w")
    (tmp_path / "scores.csv").write_text("path,score\n" + "".join(f"{name}::a.jpg,50\n" for name in names))
    assert iqa("filter", "scores.csv", "--shards", "new", cwd=tmp_path).returncode == 0
    made = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert made == ["A.tar", "b.tar", "c.tar", "d.tar.v2.tar", "my.target-001.tar", "my.target-002.tar"]


def read_members(path: Path) -> dict[str, bytes]:
    """What is in the regular files of a tar."""
    with tarfile.open(path) as archive:
        return {info.name: archive.extractfile(info).read() for info in archive if info.type == tarfile.REGTYPE}


def add_link(archive: tarfile.TarFile, name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    archive.addfile(info)


@pytest.mark.parametrize("name", ["0.tar", "0.tar.gz"])
def test_links_of_a_sample_become_the_files_they_lead_to(iqa: Run, tmp_path: Path, name: str) -> None:
    """Also those of a sample that goes, those behind the link, and by way of other links."""
    with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
        for file, data in (("t/a.jpg", b"A"), ("t/a.txt", b"of a"), ("./t/b.jpg", b"B")):
            info = tarfile.TarInfo(file)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        add_link(archive, "t/b.txt", "./t/a.txt", tarfile.LNKTYPE)
        add_link(archive, "t/b.later", "../u/c.txt")
        add_link(archive, "t/b.twice", "b.later")
        add_link(archive, "t/b.gone", "nowhere.txt")
        add_link(archive, "t/b.circle", "b.circle")
        add_link(archive, "t/b.out", "/etc/passwd")
        add_link(archive, "t/b.pipe", "", tarfile.FIFOTYPE)
        for file, data in (("u/c.txt", b"of c"), ("t/a.txt", b"a new one")):
            info = tarfile.TarInfo(file)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    (tmp_path / "scores.csv").write_text(f"path,score\n{name}::t/a.jpg,10\n{name}::./t/b.jpg,50\n{name}::t/b.jpg,50\n")
    done = iqa("filter", "scores.csv", "--min", "50", "--shards", "new", cwd=tmp_path)
    assert done.returncode == 0
    assert read_members(tmp_path / "new" / "0.tar") == {
        "./t/b.jpg": b"B",
        "t/b.txt": b"of a",
        "t/b.later": b"of c",
        "t/b.twice": b"of c",
    }
    what = "4 files are left out, as t/b.gone: links that lead to no file in it, or devices"
    assert f"warning: {name}: {what}\n" in done.stderr.decode()


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_with_holes_are_whole_in_new_shards(iqa: Run, tmp_path: Path, form: int) -> None:
    size, data, place = 1 << 20, b"X" * 700, 300_000
    first = write_tar(tmp_path / "first", [("a.jpg", b"A")], end=False).read_bytes()
    last = write_tar(tmp_path / "last", [("a.txt", b"a caption")]).read_bytes()
    (tmp_path / "0.tar").write_bytes(first + make_sparse("a.npy", data, place, size, form) + last)
    (tmp_path / "scores.csv").write_text("path,score\n0.tar::a.jpg,50\n")
    assert iqa("filter", "scores.csv", "--shards", "new", cwd=tmp_path).returncode == 0
    holes = bytes(place) + data + bytes(size - place - len(data))
    assert read_members(tmp_path / "new" / "0.tar") == {"a.jpg": b"A", "a.npy": holes, "a.txt": b"a caption"}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_large_files_of_a_sample_are_not_held(tmp_path: Path, mode: str) -> None:
    size = 32 << 20
    shard = write_tar(tmp_path / "0.tar", [("a.jpg", b""), ("a.mp4", bytes(size))], mode)
    copied = Copied()
    tracemalloc.start()
    write_shards([(Scored(f"{shard}::a.jpg", 50.0, 50.0, "ok", {}), True)], tmp_path / "new", copied)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (copied.samples, copied.notes) == (1, [])
    assert peak < size // 4
    assert len(read_members(tmp_path / "new" / "0.tar")["a.mp4"]) == size


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        (["a.jpg"], "not in a tar on this machine"),
        (["s3://bucket/0.tar::a.jpg"], "not in a tar on this machine"),
        (["0.zip::a.jpg"], "not in a tar on this machine"),
        (["a/0.tar::a.jpg", "b/0.tar::a.jpg"], "would be one file"),
        (["0.tar::a.jpg", "1.tar::a.jpg", "0.tar::b.jpg"], "do not stand together"),
    ],
)
def test_shards_that_cannot_be_made_are_refused(iqa: Run, tmp_path: Path, paths: list[str], reason: str) -> None:
    for name in ("0.tar", "1.tar", "a/0.tar", "b/0.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_tar(tmp_path / name, [("a.jpg", b""), ("b.jpg", b"")])
    (tmp_path / "scores.csv").write_text("path,score\n" + "".join(f"{path},50\n" for path in paths))
    done = iqa("filter", "scores.csv", "--shards", "new", cwd=tmp_path)
    assert done.returncode == 4
    assert reason.encode() in done.stderr
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".*"))


def test_shards_of_a_run_that_fails_midway_are_not_there(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    for number in range(3):
        write_tar(tmp_path / f"{number}.tar", read_files(photos))
    iqa("score", "*.tar", "-m", model, "--csv", "scores.csv", cwd=tmp_path)
    (tmp_path / "2.tar").unlink()
    (tmp_path / "new").mkdir()
    left = tmp_path / ".new.1.part"  # of a run that was killed
    left.mkdir()
    (left / ".claim").touch()
    (left / "0.tar").touch()
    assert iqa("filter", "scores.csv", "--shards", "new", cwd=tmp_path).returncode == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.tar", "1.tar", "new", "scores.csv"]
    assert not list((tmp_path / "new").iterdir())
    write_tar(tmp_path / "2.tar", read_files(photos))
    assert iqa("filter", "scores.csv", "--shards", "new", cwd=tmp_path).returncode == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["0.tar", "1.tar", "2.tar"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize(
    "command",
    [("filter", "pipe"), ("join", "pipe", "plain.csv", "--on", "path"), ("join", "plain.csv", "pipe", "--on", "path")],
)
def test_a_pipe_which_can_be_read_but_once_is_refused(iqa: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    """As <(...) of a shell is: it would be waited for without end, or be empty."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain.csv").write_text("path,score\na.jpg,50\n")
    done = iqa(*command, *(["--output", "o.csv"] if command[0] == "join" else []), cwd=tmp_path)
    assert done.returncode == 4
    assert b"pipe: no regular file" in done.stderr
