"""Sets are found, read and checked, and every refusal says what is wrong, where, and where the set is to be had."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iqa_cli.datasets import check, find, own
from iqa_cli.datasets import labels as labels_module
from iqa_cli.datasets.catalog import DATASETS, DatasetSpec
from iqa_cli.datasets.readers import Rating
from iqa_cli.datasets.splits import read_folds
from iqa_cli.errors import DataError, UsageError
from iqa_cli.options import OwnRatings

SHARED = Path(__file__).parents[3] / "shared/data"


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path)


def write_kadid(root: Path, scores: dict[str, float]) -> Path:
    rows = [f"{name},{name[:3]}.png,{score},0.5" for name, score in scores.items()]
    root.mkdir(parents=True, exist_ok=True)
    (root / "dmos.csv").write_text("\n".join(["dist_img,ref_img,dmos,var", *rows]))
    for name in scores:
        write_image(root / "images" / name)
    return root


def rate(name: str, *scores: float) -> labels_module.Labels:
    ratings = tuple(Rating(f"{i}.png", score, None, f"{i}.png") for i, score in enumerate(scores))
    return labels_module.Labels(DATASETS[name], Path("set"), ratings)


# ---- the rows ----


def test_the_nine_sets() -> None:
    assert {name: spec.images for name, spec in DATASETS.items()} == {
        "livec": 1162,
        "koniq10k": 10073,
        "spaq": 11125,
        "livefb": 39810,
        "live": 779,
        "csiq": 866,
        "tid2013": 3000,
        "kadid10k": 10125,
        "biq2021": 12000,
    }
    assert all(name == spec.name for name, spec in DATASETS.items())
    assert [name for name, spec in DATASETS.items() if not spec.higher_is_better] == ["live", "csiq"]
    assert [name for name, spec in DATASETS.items() if spec.synthetic] == ["live", "csiq", "tid2013", "kadid10k"]


@pytest.mark.parametrize("spec", DATASETS.values(), ids=DATASETS)
def test_every_row_tells_where_the_set_is_from_and_how_it_lies(spec: DatasetSpec) -> None:
    assert spec.home.startswith("http")
    assert spec.title
    assert spec.licence
    assert spec.paper
    assert spec.layout.startswith(f"{spec.folders[0]}/")
    assert spec.markers
    assert spec.score
    assert spec.reference
    assert spec.customary_input
    assert spec.split_rule


def test_sets_are_called_as_papers_call_them() -> None:
    shorts = [spec.short for spec in DATASETS.values()]
    assert shorts == ["LIVE-C", "KonIQ-10k", "SPAQ", "LIVE-FB", "LIVE", "CSIQ", "TID2013", "KADID-10k", "BIQ2021"]


def test_official_splits_shared_photos_and_contradictions_are_said() -> None:
    assert [name for name, spec in DATASETS.items() if spec.official_split] == ["koniq10k", "livefb", "biq2021"]
    assert DATASETS["live"].shares == ("tid2013",)
    assert DATASETS["tid2013"].shares == ("live",)
    assert "MOS_zscore" in DATASETS["koniq10k"].notes[0]
    assert "5 is best" in DATASETS["kadid10k"].notes[0]
    assert "dmos_realigned.mat" in DATASETS["live"].notes[0]


@pytest.mark.parametrize(
    ("name", "value", "label"),
    [
        ("livec", 92.43, 0.9243),
        ("kadid10k", 1, 0),
        ("kadid10k", 5, 1),  # though the column is called dmos
        ("kadid10k", 4, 0.75),
        ("csiq", 0, 1),
        ("csiq", 1, 0),
        ("live", -3, 1),
        ("live", 112, 0),
        ("tid2013", 4.5, 0.5),
    ],
)
def test_labels_are_0_to_1_and_higher_is_better(name: str, value: float, label: float) -> None:
    assert rate(name, value).label.tolist() == pytest.approx([label])


@pytest.mark.parametrize("extreme", [-2.640015016409613, 111.7746935263145])
def test_the_extremes_of_live_are_on_its_scale(extreme: float) -> None:
    assert 0 < rate("live", extreme).label[0] < 1


def test_scores_off_the_scale_are_an_error_never_clipped() -> None:
    with pytest.raises(DataError, match=r"2 ratings are not in 1 to 5: 1\.png with 5\.1, 2\.png with 0$"):
        rate("kadid10k", 5, 5.1, 0)


def test_no_ratings_are_an_error() -> None:
    with pytest.raises(DataError, match="no ratings of Konstanz"):
        rate("kadid10k")


# ---- finding ----


@pytest.mark.parametrize("inside", ["", "kadid10k", "KADID-10k", "KADID10K", "kadid/kadid10k"])
def test_the_folder_itself_will_do_or_one_that_holds_it(tmp_path: Path, inside: str) -> None:
    root = write_kadid(tmp_path / inside, {"I01_01_01.png": 4.0})
    assert find.find_root("kadid10k", tmp_path) == root


def test_the_environment_says_where_data_is_unless_the_command_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IQA_DATA", raising=False)
    with pytest.raises(UsageError, match="--data-root or the environment variable IQA_DATA"):
        find.find_root("kadid10k", None)
    here = write_kadid(tmp_path / "here", {"I01_01_01.png": 4.0})
    there = write_kadid(tmp_path / "there", {"I01_01_01.png": 4.0})
    monkeypatch.setenv("HOME", str(there.parent))
    monkeypatch.setenv("IQA_DATA", f"~/{there.name}")
    assert find.find_root("kadid10k", None) == there
    assert find.find_root("kadid10k", here) == here


@pytest.mark.parametrize("name", DATASETS)
def test_a_set_that_is_not_there_is_described(tmp_path: Path, name: str) -> None:
    spec = DATASETS[name]
    with pytest.raises(DataError) as raised:
        find.find_root(name, tmp_path)
    said = str(raised.value)
    assert said.startswith(f"{tmp_path}: neither a folder {spec.folders[0]}")
    assert spec.markers[0] in said
    assert spec.home in said
    assert spec.layout in said


def test_a_data_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        find.find_root("livec", tmp_path / "none")


def test_an_unknown_set_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no data set 'ava'; there are livec, koniq10k"):
        find.find_root("ava", tmp_path)
    with pytest.raises(UsageError, match=r"no data set 'LIVEcc' \(did you mean livec\?\); there are livec, koniq10k"):
        find.find_root("LIVEcc", tmp_path)
    with pytest.raises(UsageError, match="no data set 'clive'"):
        labels_module.read_labels("clive", tmp_path)


# ---- reading ----


def test_labels_know_their_images_and_groups(tmp_path: Path) -> None:
    root = write_kadid(tmp_path, {"I01_01_01.png": 4.5, "I02_01_01.png": 1.5})
    labels = labels_module.read_labels("kadid10k", root)
    assert labels.values.tolist() == [4.5, 1.5]
    assert labels.label.tolist() == [0.875, 0.125]
    assert labels.paths == [root / "images/I01_01_01.png", root / "images/I02_01_01.png"]
    assert labels.groups == ["I01.png", "I02.png"]


@pytest.mark.parametrize("name", DATASETS)
def test_an_empty_folder_says_which_file_is_missing_and_where_it_is_from(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="no label file") as raised:
        labels_module.read_labels(name, tmp_path)
    assert str(tmp_path) in str(raised.value)
    assert DATASETS[name].home in str(raised.value)


def test_missing_images_are_counted_and_the_first_named(tmp_path: Path) -> None:
    names = [f"I01_01_0{i}.png" for i in range(1, 6)]
    root = write_kadid(tmp_path, dict.fromkeys(names, 3.0))
    for name in names[1:]:
        (root / "images" / name).unlink()
    first = "images/I01_01_02.png, images/I01_01_03.png, images/I01_01_04.png"
    with pytest.raises(DataError, match=f"4 of 5 images are missing, the first: {first}\\. Konstanz .* is to be had from"):
        labels_module.read_labels("kadid10k", root)
    assert len(labels_module.read_labels("kadid10k", root, allow_missing=True).ratings) == 5


# ---- anyone's own ratings ----


def write_own(folder: Path, content: str) -> Path:
    path = folder / "mine.csv"
    path.write_text(content, encoding="utf-8")
    for name in ("a.jpg", "b.jpg", "sub/c.jpg"):
        write_image(folder / "photos" / name)
    return path


def read(path: Path, root: Path, **facts: object) -> labels_module.Labels:
    return own.read_own_labels(OwnRatings(path, "file", "stars", **facts), root)  # type: ignore[arg-type]


OWN = "\ufefffile,stars,photo\na.jpg,1,x\nb.jpg,2,x\nsub/c.jpg,5,y\n"


def test_own_ratings_take_their_scale_from_the_scores(tmp_path: Path) -> None:
    path = write_own(tmp_path, OWN)
    labels = read(path, tmp_path / "photos")
    assert labels.label.tolist() == [0, 0.25, 1]
    assert labels.groups == ["a.jpg", "b.jpg", "sub/c.jpg"]
    assert (labels.spec.name, labels.spec.images, labels.spec.synthetic) == ("mine", 3, False)
    assert labels.paths[2] == tmp_path / "photos/sub/c.jpg"


def test_own_ratings_on_a_given_scale_with_groups_lower_is_better(tmp_path: Path) -> None:
    path = write_own(tmp_path, OWN)
    labels = read(path, tmp_path / "photos", group_column="photo", score_range=(0, 10), lower_is_better=True)
    assert labels.label.tolist() == pytest.approx([0.9, 0.8, 0.5])
    assert labels.groups == ["x", "x", "y"]
    assert labels.spec.synthetic


@pytest.mark.parametrize(
    ("content", "score_range", "said"),
    [
        ("file,stars\na.jpg,3\nb.jpg,3\n", None, "ratings from 3 to 3 make no scale; give its ends: --score-range"),
        ("file,stars\na.jpg,3\nb.jpg,7\n", (1, 5), r"1 ratings are not in 1 to 5: b\.jpg with 7"),
        ("file,stars\n", None, r"mine\.csv: no ratings of anything below the header"),
        ("file,mos\na.jpg,3\n", None, "no column stars; there are file, mos .*; --image-column, "),
        ("file,stars\na.jpg,3\nnone.jpg,7\n", None, r"1 of 2 images are missing, the first: none\.jpg; looked for"),
        ("file,stars\na.jpg,three\n", None, r"row 2, column stars: three is no number"),
    ],
)
def test_own_ratings_that_are_wrong(tmp_path: Path, content: str, score_range: tuple[float, float] | None, said: str) -> None:
    path = write_own(tmp_path, content)
    with pytest.raises(DataError, match=said):
        read(path, tmp_path / "photos", score_range=score_range)


def test_own_ratings_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: cannot read the labels: No such file"):
        read(tmp_path / "none.csv", tmp_path)


def test_several_rows_of_an_image_are_several_ratings(tmp_path: Path) -> None:
    path = write_own(tmp_path, "file,stars\na.jpg,1\nb.jpg,2\na.jpg,4\nsub/c.jpg,3\na.jpg,4\n")
    labels = read(path, tmp_path / "photos", score_range=(1, 5))
    assert [(r.path, r.value, r.rows) for r in labels.ratings] == [("a.jpg", 3, 3), ("b.jpg", 2, 1), ("sub/c.jpg", 3, 1)]
    assert labels.ratings[0].std == pytest.approx(3**0.5)
    assert labels.spec.notes == (
        "The scale is 1 to 5, higher is better: as given.",
        "More than one row, up to 3, for 1 of 3 images: their means are the ratings.",
    )


def test_a_scale_that_was_not_given_is_said(tmp_path: Path) -> None:
    labels = read(write_own(tmp_path, OWN), tmp_path / "photos", lower_is_better=True)
    (note,) = labels.spec.notes
    assert note.startswith("The scale is 1 to 5, lower is better: its lowest and highest ratings, as none was given")


def test_one_image_and_one_group_however_they_are_spelled(tmp_path: Path) -> None:
    rows = "a.jpg,1,x\n ./a.jpg ,3,x \nsub/../b.jpg,2, x\nsub//c.jpg,5,y\n"
    labels = read(write_own(tmp_path, f"file,stars,photo\n{rows}"), tmp_path / "photos", group_column="photo")
    assert [(r.path, r.value, r.rows) for r in labels.ratings] == [("a.jpg", 2, 2), ("b.jpg", 2, 1), ("sub/c.jpg", 5, 1)]
    assert labels.groups == ["x", "x", "y"]
    alone = read(write_own(tmp_path, f"file,stars,photo\n{rows}"), tmp_path / "photos")
    assert alone.groups == ["a.jpg", "b.jpg", "sub/c.jpg"]


@pytest.mark.parametrize(("file", "name"), [("mine.csv", "mine"), ("livec.csv", "csv-livec"), ("livec", "csv-livec")])
def test_own_ratings_are_never_called_as_a_public_set(tmp_path: Path, file: str, name: str) -> None:
    path = write_own(tmp_path, OWN).rename(tmp_path / file)
    assert read(path, tmp_path / "photos").spec.name == name


def test_own_images_lie_where_most_of_them_are(tmp_path: Path) -> None:
    path = write_own(tmp_path, OWN)
    (tmp_path / "sets").mkdir()
    assert read(path, tmp_path / "photos").root == tmp_path / "photos"
    beside = path.rename(tmp_path / "photos" / "mine.csv")
    assert read(beside, tmp_path / "sets").root == tmp_path / "photos"
    write_image(tmp_path / "sets" / "a.jpg")
    assert read(beside, tmp_path / "sets").root == tmp_path / "photos"
    path.write_text("file,stars\na.jpg,3\nnone.jpg,7\n")
    with pytest.raises(DataError, match=f"{tmp_path / 'sets'}: 1 of 2 images are missing"):
        read(path, tmp_path / "sets")


def test_an_image_cell_that_is_too_long_for_a_name_is_a_missing_image(tmp_path: Path) -> None:
    long = "x" * 5000
    path = write_own(tmp_path, f"file,stars\na.jpg,3\n{long},7\n")
    with pytest.raises(DataError, match="1 of 2 images are missing, the first: xxx"):
        read(path, tmp_path / "photos")
    spoilt = own.read_own_labels(OwnRatings(path, "file", "stars"), tmp_path / "photos", allow_missing=True)
    assert check.check_labels(spoilt).missing == check.Finding(1, (long,))
    with pytest.raises(DataError, match="xxx: no such folder"):
        find.find_root("livec", Path(long))


def test_a_folder_that_may_not_be_looked_into_is_one_line(tmp_path: Path) -> None:
    root = write_kadid(tmp_path / "kadid10k", {"I01_01_01.png": 4.0})
    root.chmod(0)
    try:
        if os.access(root, os.R_OK):
            pytest.skip("whoever runs this may look into any folder")
        for call in (lambda: find.find_root("livec", root), lambda: find.find_roots(root)):
            with pytest.raises(DataError, match="cannot look into this folder: Permission denied"):
                call()
    finally:
        root.chmod(0o755)


def test_an_image_in_two_groups_is_refused(tmp_path: Path) -> None:
    path = write_own(tmp_path, "file,stars,photo\na.jpg,1,x\na.jpg,2,y\nb.jpg,3,y\n")
    with pytest.raises(DataError, match=r"a\.jpg stands in two groups, x and y"):
        read(path, tmp_path / "photos", group_column="photo")


def test_subsets_are_read_and_an_empty_cell_is_of_none(tmp_path: Path) -> None:
    path = write_own(tmp_path, "file,stars,kind\na.jpg,1, night\nb.jpg,2,\na.jpg,4,\nsub/c.jpg,3,day\na.jpg,4,night \n")
    labels = read(path, tmp_path / "photos", subset_column="kind")
    assert labels.subsets == ["night", None, "day"]
    assert labels.groups == ["a.jpg", "b.jpg", "sub/c.jpg"]
    assert labels.spec.notes[-1] == "In no subset, so in the figures of all only: 1 of 3 images."
    assert check.check_labels(labels).subsets == {"night": 1, "day": 1}
    unread = read(path, tmp_path / "photos")
    assert unread.subsets == [None] * 3
    assert len(unread.spec.notes) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("file,stars,kind\na.jpg,1,day\na.jpg,2,night\nb.jpg,3,day\n", r"a\.jpg stands in two subsets, day and night"),
        ("file,stars\na.jpg,1\nb.jpg,2\n", r"mine\.csv: no column kind; there are file, stars \(separated by"),
        ("file;stars,kind\na.jpg;1,day\n", r"mine\.csv: no column (file|stars|kind|, )+; there are"),
    ],
)
def test_subsets_that_are_wrong(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(write_own(tmp_path, content), tmp_path / "photos", subset_column="kind")


# ---- checking ----


@pytest.mark.parametrize("name", DATASETS)
def test_every_set_is_found_read_and_checked_in_its_official_layout(sets: Path, name: str) -> None:
    labels = labels_module.read_labels(name, find.find_root(name, sets))
    report = check.check_labels(labels)
    assert not report.missing.count + report.unreadable.count + report.repeated.count
    assert report.images == len(labels.ratings) >= 15
    low, high = DATASETS[name].score_range
    assert low <= report.lowest < report.highest <= high
    best = labels.ratings[int(np.argmax(labels.label))]
    with Image.open(labels.root / best.path) as picture:
        assert np.asarray(picture, dtype=float).std() < 15  # the least noise: the direction of the scale is right
    assert bool(report.splits) == DATASETS[name].official_split


def test_only_decoding_finds_an_image_that_is_cut_short(tmp_path: Path) -> None:
    labels = read(write_own(tmp_path, OWN), tmp_path / "photos")
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(labels.paths[0])
    whole = labels.paths[0].read_bytes()
    labels.paths[0].write_bytes(whole[: len(whole) - len(whole) // 4])
    assert check.check_labels(labels).intact
    report = check.check_labels(labels, decode=True)
    assert not report.intact
    assert report.unreadable.count == 1
    assert report.unreadable.first[0].startswith("a.jpg (")


def test_a_whole_set_is_intact(tmp_path: Path) -> None:
    path = write_own(tmp_path, OWN)
    report = check.check_labels(read(path, tmp_path / "photos", group_column="photo"))
    assert report.intact
    assert (report.images, report.expected, report.references, report.splits) == (3, 3, 2, {})
    assert (report.lowest, report.highest) == (1, 5)


def test_a_check_counts_and_names_what_is_wrong(tmp_path: Path) -> None:
    names = [f"I01_01_0{i}.png" for i in range(1, 10)]
    root = write_kadid(tmp_path, dict.fromkeys(names, 3.0))
    for name in names[:4]:
        (root / "images" / name).unlink()
    (root / "images" / names[4]).write_bytes(b"not found")
    (root / "images" / names[5]).write_bytes(b"")
    labels = labels_module.read_labels("kadid10k", root, allow_missing=True)
    labels = replace(labels, ratings=(*labels.ratings, replace(labels.ratings[8], split="test")))
    report = check.check_labels(labels)
    assert not report.intact
    assert (report.images, report.expected, report.references) == (10, 10125, 1)
    assert report.missing == check.Finding(4, tuple(f"images/{name}" for name in names[:3]))
    assert report.unreadable == check.Finding(2, (f"images/{names[4]} (not an image)", f"images/{names[5]} (empty file)"))
    assert report.repeated == check.Finding(1, (f"images/{names[8]}",))
    assert report.splits == {"test": 1}


# ---- real data, where there is some ----


def find_livec() -> Path:
    """The folder with real images in the official layout, from IQA_DATA."""
    if "IQA_DATA" not in os.environ:
        pytest.skip("IQA_DATA does not name a folder of data sets")
    try:
        return find.find_root("livec", None)
    except DataError as error:
        pytest.skip(str(error))


def test_real_livec_is_read_whole() -> None:
    pytest.importorskip("scipy.io")
    labels = labels_module.read_labels("livec", find_livec())
    report = check.check_labels(labels)
    assert report.unreadable.count == report.repeated.count == 0
    assert 3 < report.score_low < 10
    assert 90 < report.score_high < 93
    assert not any(rating.reference.startswith("t") for rating in labels.ratings)
    scores = {rating.reference: rating.value for rating in labels.ratings}
    assert scores["100.bmp"] == pytest.approx(32.561075, abs=1e-6)
    assert all(rating.std is not None and 5 < rating.std < 40 for rating in labels.ratings)


def test_published_scores_of_livec_survive_the_official_format(tmp_path: Path) -> None:
    table = SHARED / "livec/labels.csv"
    if not table.is_file():
        pytest.skip("no scores of LIVE-C beside the repository")
    scipy_io = pytest.importorskip("scipy.io")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = np.empty((len(rows), 1), dtype=object)
    names[:, 0] = [row["image"] for row in rows]
    (tmp_path / "Data").mkdir()
    for name, values in {
        "AllImages_release": names,
        "AllMOS_release": np.array([[float(row["mos"]) for row in rows]]),
        "AllStdDev_release": np.array([[float(row["std"]) for row in rows]]),
    }.items():
        scipy_io.savemat(tmp_path / f"Data/{name}.mat", {name: values})
    labels = labels_module.read_labels("livec", tmp_path, allow_missing=True)
    assert [(r.reference, r.value, r.std) for r in labels.ratings] == [
        (row["image"], float(row["mos"]), float(row["std"])) for row in rows
    ]
    assert read_folds(table, labels).tolist() == [int(row["fold"]) for row in rows]
