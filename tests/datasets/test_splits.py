"""No group on two sides, the same split everywhere, and folds that a file fixes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from iqa_cli.datasets import splits
from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.datasets.labels import Labels, read_labels
from iqa_cli.datasets.readers import Rating
from iqa_cli.errors import DataError

GROUPS = [f"photo{i % 10}" for i in range(57)]


def label(*paths: str) -> Labels:
    return Labels(DATASETS["livec"], Path("set"), tuple(Rating(path, 50.0, None, path) for path in paths))


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_on_both_sides(seed: int) -> None:
    training, test = splits.split_groups(GROUPS, seed=seed)
    assert sorted(training + test) == list(range(57))
    assert training == sorted(training)
    assert test == sorted(test)
    assert {GROUPS[i] for i in training}.isdisjoint(GROUPS[i] for i in test)
    assert len({GROUPS[i] for i in test}) == 2


def test_splits_are_the_same_on_every_machine() -> None:
    assert splits.split_groups(list("abcdefghij"), seed=0)[1] == [4, 6]
    assert splits.fold_groups(list("abcdefghij"), 3, seed=0).tolist() == [1, 0, 2, 1, 0, 2, 1, 0, 2, 0]


def test_splits_follow_the_groups_not_their_order() -> None:
    backwards = GROUPS[::-1]
    first, second = splits.split_groups(GROUPS, seed=3)[1], splits.split_groups(backwards, seed=3)[1]
    assert {GROUPS[i] for i in first} == {backwards[i] for i in second}
    assert splits.split_groups(GROUPS, seed=3) != splits.split_groups(GROUPS, seed=4)


def test_single_images_split_as_the_papers_do() -> None:
    training, test = splits.split_groups([f"{i}.bmp" for i in range(1162)], seed=1)
    assert (len(training), len(test)) == (930, 232)


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_neither_side_is_ever_empty(share: float) -> None:
    assert all(splits.split_groups(["a", "a", "b"], seed=0, test_share=share))


@pytest.mark.parametrize(("groups", "share"), [(["a", "a"], 0.2), ([], 0.2), (["a", "b"], 0.0), (["a", "b"], 1.0)])
def test_impossible_splits_are_refused(groups: list[str], share: float) -> None:
    with pytest.raises(ValueError, match="no split"):
        splits.split_groups(groups, seed=0, test_share=share)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_folds_are_even_and_hold_whole_groups(count: int) -> None:
    folds = splits.fold_groups(GROUPS, count, seed=5)
    of_group = {(group, fold) for group, fold in zip(GROUPS, folds.tolist(), strict=True)}
    assert len(of_group) == 10
    sizes = np.bincount([fold for _, fold in of_group], minlength=count)
    assert sizes.max() - sizes.min() <= 1
    assert len(sizes) == count


@pytest.mark.parametrize("count", [0, 1, 11])
def test_impossible_folds_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"no {count} folds of 10 groups"):
        splits.fold_groups(GROUPS, count, seed=0)


@pytest.mark.parametrize("seed", range(3))
def test_folds_are_dealt_out_in_turn_and_may_begin_with_some_groups(seed: int) -> None:
    order = splits.shuffle_groups(GROUPS, seed)
    assert splits.fold_groups(GROUPS, 3, seed).tolist() == [order.index(group) % 3 for group in GROUPS]
    first = {f"photo{i}" for i in range(5)}
    folds = dict(zip(GROUPS, splits.fold_groups(GROUPS, 3, seed, first=first).tolist(), strict=True))
    assert sorted(Counter(folds[group] for group in first).values()) == [1, 2, 2]
    assert sorted(Counter(folds.values()).values()) == [3, 3, 4]


@pytest.mark.parametrize("seed", range(3))
def test_groups_that_have_a_fold_keep_it_and_others_make_up_for_them(seed: int) -> None:
    placed = {"photo0": 2, "photo1": 2, "photo2": 2, "photo3": 0}
    folds = dict(zip(GROUPS, splits.fold_groups(GROUPS, 3, seed, placed | {"elsewhere": 1}).tolist(), strict=True))
    assert {group: folds[group] for group in placed} == placed
    assert sorted(Counter(folds.values()).values()) == [3, 3, 4]


def test_a_photo_is_held_out_by_its_name_alone() -> None:
    names = [f"photo_{i:04}.avif" for i in range(10_000)]
    held = [name for name in names if splits.is_held_out(name, 0.2)]
    assert held[:5] == ["photo_0011.avif", "photo_0018.avif", "photo_0023.avif", "photo_0039.avif", "photo_0050.avif"]
    assert len(held) == pytest.approx(2000, abs=120)  # three standard deviations of a fair draw
    assert [name for name in names if splits.is_held_out(f"some/where/{name}", 0.2)] == held
    assert all(splits.is_held_out(name, 0.3) for name in held)


def test_no_photo_is_held_out_of_none_and_every_one_of_all() -> None:
    names = ["", "a", "photo.jpg", "Überraschung.png", "\udcff.jpg", *map(str, range(1000))]
    assert not any(splits.is_held_out(name, 0) for name in names)
    assert all(splits.is_held_out(name, 1) for name in names)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="a share of photos is 0 to 1, not"):
        splits.is_held_out("photo.jpg", share)


def test_folds_of_a_file_go_by_path_or_by_name(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    path.write_text("image,file,mos,fold\nb.bmp,b.avif,1,4\nImages/a.bmp,a.avif,1,0\nelsewhere.bmp,e.avif,1,2\n")
    folds = splits.read_folds(path, label("Images/a.bmp", "Images/b.bmp"))
    assert folds.tolist() == [0, 4]
    assert folds.dtype == np.int64


def test_an_image_may_be_in_every_training_or_in_none(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    path.write_text("image,fold\na.bmp,train\nb.bmp,out\nc.bmp,0\n")
    assert splits.read_folds(path, label("a.bmp", "b.bmp", "c.bmp")).tolist() == [splits.ALWAYS, splits.OUT, 0]


def test_rows_of_several_models_and_of_other_sets_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    rows = ["livec,m1,a.bmp,1", "livec,m2,a.bmp,1", "livec,m1,b.bmp,train", "other,m1,a.bmp,0", "other,m1,b.bmp,out"]
    path.write_text("\n".join(["dataset,model,image,fold", *rows]))
    labels = label("a.bmp", "b.bmp")
    assert splits.read_folds(path, replace(labels, spec=DATASETS["livec"])).tolist() == [1, splits.ALWAYS]
    assert [splits.name_fold(fold) for fold in (3, splits.ALWAYS, splits.OUT)] == ["3", "train", "out"]


def test_rows_of_other_sets_alone_are_no_split(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    path.write_text("dataset,image,fold\nspaq,a.bmp,0\nspaq,b.bmp,1\n")
    labels = label("a.bmp", "b.bmp")
    own = replace(labels, spec=replace(DATASETS["livec"], name="mine", home=""))
    said = r"folds\.csv: no rows of (livec|mine) in column dataset, but of spaq; name the set so, or remove it"
    for each in (labels, own):
        with pytest.raises(DataError, match=said):
            splits.read_folds(path, each)
    path.write_text("dataset,image,fold\nrenamed,a.bmp,0\nrenamed,b.bmp,1\n")
    assert splits.read_folds(path, own).tolist() == [0, 1]
    with pytest.raises(DataError, match="no rows of livec in column dataset, but of renamed"):
        splits.read_folds(path, labels)
    path.write_text("dataset,image,fold\none,a.bmp,0\ntwo,b.bmp,1\n")
    with pytest.raises(DataError, match="no rows of mine in column dataset, but of one, two"):
        splits.read_folds(path, own)
    path.write_text("dataset,image,fold\n,a.bmp,0\n livec ,b.bmp,1\n")
    assert splits.read_folds(path, labels).tolist() == [0, 1]


def test_an_image_has_its_fold_however_it_is_spelled(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    path.write_text("image,fold\n./one/a.bmp, 0\ntwo//a.bmp ,train \n")
    assert splits.read_folds(path, label("one/a.bmp", "two/a.bmp")).tolist() == [0, splits.ALWAYS]


@pytest.mark.parametrize("fold", ["-1", "-2", "-7", "0_1", "99999999999999999999", "1.0", "+1", "Train", "\u0661"])
def test_a_fold_is_a_number_or_a_word(tmp_path: Path, fold: str) -> None:
    path = tmp_path / "folds.csv"
    path.write_text(f"image,fold\na.bmp,0\nb.bmp,{fold}\n", encoding="utf-8")
    with pytest.raises(DataError) as raised:
        splits.read_folds(path, label("a.bmp", "b.bmp"))
    assert str(raised.value) == f"{path}: a fold is a whole number, train or out: b.bmp has {fold}"


def test_a_name_that_two_images_share_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    path.write_text("image,fold\nimg1.bmp,1\nwn/img1.bmp,2\n")
    with pytest.raises(DataError, match=r"no fold for 1 of 2 images: jpeg/img1\.bmp"):
        splits.read_folds(path, label("jpeg/img1.bmp", "wn/img1.bmp"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("image,fold\na.bmp,0\n", "no fold for 4 of 5 images: b.bmp, c.bmp, d.bmp"),
        ("image,fold\na.bmp,0\nb.bmp,1\na.bmp,1\n", "a.bmp stands there 2 times, in different folds"),
        ("image,part\na.bmp,0\n", "no column fold; there are image, part"),
        ("image,fold\na.bmp,0,1\n", "row 2 has more cells (3) than the header (2); "),
        ("image;fold\na.bmp;0\nb.bmp\n", "row 3 has fewer cells (1) than the header (2); "),
        ("image,fold,fold\na.bmp,0,1\n", "2 columns are called fold; "),
        ("image,fold\na.bmp,0\nb.bmp,1\nc.bmp,first\nd.bmp,1\ne.bmp,1\n", "a fold is a whole number, train or out: "),
    ],
)
def test_wrong_folds_are_refused_in_words(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "folds.csv"
    path.write_text(content)
    with pytest.raises(DataError) as raised:
        splits.read_folds(path, label(*(f"{name}.bmp" for name in "abcde")))
    assert str(raised.value).startswith(f"{path}: {said}")


def test_one_reference_is_one_group() -> None:
    labels = label("a", "b", "c", "d")
    paired = replace(labels, ratings=tuple(replace(r, reference=f"I{i // 2}") for i, r in enumerate(labels.ratings)))
    training, test = splits.split_groups(paired.groups, seed=0)
    assert sorted([training, test]) == [[0, 1], [2, 3]]


# ---- the nine sets ----


@pytest.mark.parametrize("name", DATASETS)
def test_no_image_and_no_reference_of_any_set_is_on_two_sides(sets: Path, name: str) -> None:
    labels = read_labels(name, sets / name)
    for seed in range(5):
        training, test = splits.split_groups(labels.groups, seed=seed)
        sides = labels.take(training), labels.take(test)
        assert {r.path for r in sides[0].ratings}.isdisjoint(r.path for r in sides[1].ratings)
        assert set(sides[0].groups).isdisjoint(sides[1].groups)
        assert len(sides[0].ratings) + len(sides[1].ratings) == len(labels.ratings)
        assert len(set(sides[1].groups)) == round(0.2 * len(set(labels.groups)))
        folds = splits.fold_groups(labels.groups, 3, seed)
        assert all(
            len({int(fold) for group, fold in zip(labels.groups, folds, strict=True) if group == g}) == 1 for g in labels.groups
        )
    paths = [rating.path for rating in labels.ratings]
    assert len(set(paths)) == len(paths)
    if not DATASETS[name].synthetic:
        assert len(set(labels.groups)) == len(paths)


@pytest.mark.parametrize("name", ["koniq10k", "livefb", "biq2021"])
def test_no_image_is_on_two_sides_of_an_official_split(sets: Path, name: str) -> None:
    labels = read_labels(name, sets / name)
    sides = {side: {r.path for r in labels.ratings if r.split == side} for side in ("training", "validation", "test")}
    assert sum(map(len, sides.values())) == len(labels.ratings) == len(set.union(*sides.values()))
    test = splits.take_test(labels, seed=0)
    assert {rating.path for rating in test.ratings} == sides["test"]
    assert test == splits.take_test(labels, seed=1)


@pytest.mark.parametrize("name", ["livec", "spaq", "live", "csiq", "tid2013", "kadid10k"])
def test_other_sets_are_tested_on_a_fifth_that_the_seed_draws(sets: Path, name: str) -> None:
    labels = read_labels(name, sets / name)
    first, second = splits.take_test(labels, seed=0), splits.take_test(labels, seed=1)
    assert first != second
    assert first == splits.take_test(labels, seed=0)
    assert len(set(first.groups)) == round(0.2 * len(set(labels.groups)))


def test_an_official_split_that_is_not_there_says_what_is_missing(sets: Path) -> None:
    labels = read_labels("koniq10k", sets / "koniq10k")
    bare = replace(labels, ratings=tuple(replace(rating, split=None) for rating in labels.ratings))
    with pytest.raises(
        DataError, match=r"nothing says which images are the official test part.*koniq10k_distributions_sets\.csv"
    ):
        splits.take_test(bare, seed=0)
