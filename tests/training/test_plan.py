"""What a study is made of: several sets as one, splits and their sides. No PyTorch is needed to plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iqa_cli.errors import DataError, UsageError, WeightsError
from iqa_cli.training.data import Corpus, find_photos, read_corpus
from iqa_cli.training.options import SampleOptions, StudyOptions
from iqa_cli.training.plan import (
    Part,
    check_study,
    check_teachers,
    choose_parts,
    choose_side,
    describe_split,
    name_teachers,
    plan_parts,
    show_parts,
)

SPLIT = ["training"] * 6 + ["validation"] * 2 + ["test"] * 2


def draw_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ten images of KonIQ-10k, two references of TID2013 (of LIVE's kind of name) and a CSV of one's own."""
    root = tmp_path_factory.mktemp("data")
    koniq = [f"{number}.jpg" for number in range(10)]
    for name in koniq:
        draw_picture(root / "koniq10k" / "512x384" / name)
    rows = "".join(f"{name},{10 * n}\n" for n, name in enumerate(koniq))
    (root / "koniq10k" / "koniq10k_scores_and_distributions.csv").write_text(f"image_name,MOS_zscore\n{rows}")
    rows = "".join(f"{name},{split}\n" for name, split in zip(koniq, SPLIT, strict=True))
    (root / "koniq10k" / "koniq10k_distributions_sets.csv").write_text(f"image_name,set\n{rows}")
    tid = [f"i{reference:02}_01_{level}.bmp" for reference in range(1, 11) for level in range(1, 3)]
    for name in tid:
        draw_picture(root / "tid2013" / "distorted_images" / name)
    (root / "tid2013" / "mos_with_names.txt").write_text("".join(f"{n % 10 * 0.9:.2f} {name}\n" for n, name in enumerate(tid)))
    (root / "tid2013" / "mos_std.txt").write_text("0.1\n" * 20)
    for number in range(10):
        draw_picture(root / "own" / f"{number}.jpg")
    rows = "".join(f"{number}.jpg,{number},g{number // 2}\n" for number in range(10))
    (root / "own" / "ratings.csv").write_text(f"photo,badness,scene\n{rows}")
    return root


def options(data: Path, *sets: str, **changes: object) -> StudyOptions:
    begin = StudyOptions(
        run_dir=Path("run"), dataset=sets, data_root=data, validation=0.0, image_column="photo", score_column="badness",
        group_column="scene", lower_is_better=True, samples=SampleOptions(seed=4),
    )  # fmt: skip
    if "csv" in sets:
        begin = replace(begin, labels=data / "own" / "ratings.csv")
    return replace(begin, **changes)  # type: ignore[arg-type]


def read(data: Path, *sets: str, **changes: object) -> Corpus:
    corpus = read_corpus(options(data, *sets, **changes))
    assert corpus is not None
    return corpus


def test_several_sets_are_on_one_scale_and_no_name_means_two_things(data: Path) -> None:
    corpus = read(data, "koniq10k", "csv", "tid2013")
    assert len(corpus.names) == len(set(corpus.names)) == len(corpus.paths) == len(corpus.quality) == 40
    assert corpus.names[:1] + corpus.names[10:11] == ["koniq10k/512x384/0.jpg", "csv/0.jpg"]
    assert not set(corpus.groups[:10]) & set(corpus.groups[10:])
    assert corpus.quality[:10].tolist() == pytest.approx(np.arange(10) / 10)  # 0 to 100
    assert corpus.quality[10:20].tolist() == pytest.approx(1 - np.arange(10) / 9)  # the higher the worse, 0 to 9 of itself
    assert corpus.quality[20] == 0
    assert all(path.is_file() for path in corpus.paths)


def test_one_set_keeps_its_own_names(data: Path) -> None:
    corpus = read(data, "koniq10k")
    assert corpus.names[0] == "512x384/0.jpg"
    assert corpus.groups == read_corpus(replace(options(data), dataset="koniq10k")).groups  # type: ignore[union-attr]


def test_a_scale_of_ones_own_can_be_named(data: Path) -> None:
    assert read(data, "csv", data_root=data / "own", score_range=(0.0, 18.0)).quality.tolist() == pytest.approx(
        1 - np.arange(10) / 18
    )


@pytest.mark.parametrize("sets", [("koniq10k",), ("tid2013",), ("koniq10k", "tid2013", "csv")])
def test_repeats_are_seeded_splits_that_part_no_group(data: Path, sets: tuple[str, ...]) -> None:
    given = options(data, *sets, repeats=3, validation=0.25)
    corpus = read(data, *sets)
    parts = plan_parts(corpus, given)
    assert [part.folder for part in parts] == [Path("run", f"split{number}") for number in range(3)]
    for part in parts:
        sides = (part.train, part.validation, part.test)
        assert sorted(place for side in sides for place in side) == list(range(len(corpus.names)))
        groups = [{corpus.groups[place] for place in side} for side in sides]
        assert not groups[0] & groups[1]
        assert not groups[2] & (groups[0] | groups[1])
        for name in sets:  # a fifth of each set, counted in its groups
            own = {group for group, origin in zip(corpus.groups, corpus.origins, strict=True) if origin == name}
            assert len(groups[2] & own) == max(1, round(0.2 * len(own)))
    assert len({tuple(part.test) for part in parts}) == 3
    assert plan_parts(corpus, given) == parts
    later = plan_parts(corpus, replace(given, samples=SampleOptions(seed=5)))
    assert [part.test for part in later[:2]] == [part.test for part in parts[1:]]  # the seeds after the first


def test_the_official_split_is_taken_where_there_is_one(data: Path) -> None:
    part = plan_parts(read(data, "koniq10k"), options(data, "koniq10k", split="official", validation=0.5))[0]
    assert (part.train, part.validation, part.test) == ([0, 1, 2, 3, 4, 5], [6, 7], [8, 9])
    parts = plan_parts(read(data, "koniq10k"), options(data, "koniq10k", split="official", repeats=2))
    assert [(part.folder.name, part.seed, part.test) for part in parts] == [("split0", 4, [8, 9]), ("split1", 5, [8, 9])]
    with pytest.raises(UsageError, match=r"TID2013\) has no official split"):
        plan_parts(read(data, "koniq10k", "tid2013"), options(data, "koniq10k", "tid2013", split="official"))


def test_folds_of_several_sets_are_dealt_out_set_by_set(data: Path) -> None:
    corpus = read(data, "koniq10k", "csv")
    parts = plan_parts(corpus, options(data, "koniq10k", "csv", folds=5))
    assert sorted(place for part in parts for place in part.test) == list(range(20))
    assert [[corpus.origins[place] for place in part.test] for part in parts] == [["koniq10k"] * 2 + ["csv"] * 2] * 5


def test_a_split_is_shown_by_its_counts_and_first_names(data: Path) -> None:
    given = options(data, "koniq10k", split="official")
    corpus = read(data, "koniq10k")
    assert show_parts(corpus, plan_parts(corpus, given)) == [
        "run: train 6: 512x384/0.jpg, 512x384/1.jpg, 512x384/2.jpg, ...",
        "run: validation 2: 512x384/6.jpg, 512x384/7.jpg",
        "run: test 2: 512x384/8.jpg, 512x384/9.jpg",
    ]
    assert describe_split(None, plan_parts(None, given)[0]) == {"train": [], "validation": [], "test": []}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": ("koniq10k", "koniq10k")}, "koniq10k is named twice"),
        ({"dataset": "noset"}, "no data set 'noset'"),
        ({"dataset": "csv"}, "needs the file with the ratings: --labels FILE"),
        ({"labels": Path("own.csv")}, "add --dataset csv"),
        ({"data_root": (Path("a"), Path("b"))}, "2 times --data-root for 1 sets"),
    ],
)
def test_sets_that_make_no_sense_are_named(data: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_corpus(replace(options(data, "koniq10k"), **changes))  # type: ignore[arg-type]


def test_each_set_may_have_a_folder_of_its_own(data: Path) -> None:
    roots = (data / "koniq10k", data / "tid2013")
    assert len(read(data, "koniq10k", "tid2013", data_root=roots).names) == 30
    with pytest.raises(DataError, match="KonIQ-10k is to be had from"):
        read(data, "koniq10k", "tid2013", data_root=roots[::-1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 2, "repeats": 2}, "leave out --repeats"),
        ({"folds": 2, "split": "official"}, "leave out --repeats and --split"),
        ({"test_share": 0.0}, "test_share"),
        ({"validation": 1.0}, "validation"),
        ({"dataset": "", "method": "distillation", "teachers": ("any",), "photos": (Path(),), "repeats": 2}, "no opinions"),
    ],
)
def test_contradictions_are_named(data: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_study(options(data, "koniq10k", **changes))


def test_too_few_groups_are_no_traceback(data: Path) -> None:
    with pytest.raises(UsageError, match="no 11 folds of 10 groups"):
        plan_parts(read(data, "koniq10k"), options(data, "koniq10k", folds=11))


def test_some_folds_or_repeats_may_be_chosen_by_number(data: Path) -> None:
    corpus = read(data, "koniq10k")
    for changes, unit in (({"folds": 3}, "folds"), ({"repeats": 3}, "splits")):
        given = options(data, "koniq10k", **changes)
        parts = plan_parts(corpus, given)
        assert choose_parts(parts, given) == parts
        assert choose_parts(parts, replace(given, only=(2, 0, 2))) == [parts[0], parts[2]]
        with pytest.raises(UsageError, match=rf"there are no {unit} \[3, 7\]: only \[0, 1, 2\]"):
            choose_parts(parts, replace(given, only=(7, 1, 3)))
    with pytest.raises(UsageError, match="--only chooses among folds or repeats"):
        check_study(options(data, "koniq10k", only=(1,)))


def test_teachers_are_looked_for_fold_by_fold_before_anything_begins(data: Path) -> None:
    given = options(data, "koniq10k", folds=3, teachers=("hf://some/one", "qfm-iqm", "teacher{fold}"))
    parts = plan_parts(read(data, "koniq10k"), given)
    assert name_teachers(parts[1], given) == ["hf://some/one", "qfm-iqm", "teacher1"]
    with pytest.raises(WeightsError, match="teacher1: no such model"):
        check_teachers(parts[1:], given)
    check_teachers(parts, replace(given, teachers=("qfm-iqm", "hf://some/one")))


def test_a_student_s_views_are_as_large_as_its_teachers_want_them(data: Path) -> None:
    part = Part(data, [], [], [], seed=0)
    given = options(data, method="distillation", teachers=("qfm-iqm-lite", "qfm-iqm"), size=288)
    assert choose_side(given, part).samples.side == 480
    assert choose_side(replace(given, teachers=("qfm-iqm-lite",), size=512), part).samples.side == 512
    assert choose_side(replace(given, samples=SampleOptions(side=400)), part).samples.side == 400
    assert choose_side(replace(given, method="matching"), part).samples.side == 0
    with pytest.raises(WeightsError, match="nobody: no such model"):
        choose_side(replace(given, teachers=("nobody",)), part)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unlabelled": -0.1}, "0 to 1"),
        ({"unlabelled": 1.5}, "0 to 1"),
        ({"fine_batch_size": -1}, "0 or more"),
        ({"unlabelled": 0.0}, "nothing to train on"),
        ({"vary": -0.1}, "0 or more, less than 1"),
        ({"vary": 1.0}, "0 or more, less than 1"),
    ],
)
def test_shares_and_batches_that_are_none_are_named(data: Path, changes: dict[str, float], message: str) -> None:
    given = options(data, dataset="", method="distillation", teachers=("qfm-iqm",), photos=(data / "own",))
    check_study(given)
    with pytest.raises(UsageError, match=message):
        check_study(replace(given, loop=replace(given.loop, **changes)))  # type: ignore[arg-type]


def test_a_folder_of_photos_that_is_not_there_is_named(data: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder of photos"):
        find_photos(options(data, photos=(data / "own", Path("nowhere"))))


def test_photos_without_ratings_are_found_but_for_those_held_out(data: Path) -> None:
    given = options(data, photos=(data / "own",), samples=SampleOptions(held_out=0.5))
    some, all_ = find_photos(given), find_photos(replace(given, samples=SampleOptions()))
    assert 0 < len(some) < len(all_) == 10
    assert find_photos(options(data)) == []
