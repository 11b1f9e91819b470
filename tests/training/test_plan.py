"""What a training is made of: several sets as one, splits and their sides. No PyTorch is needed to plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from unseen import make_unreadable

from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.datasets.labels import Labels
from iqa_cli.datasets.readers import Rating
from iqa_cli.errors import DataError, UsageError, WeightsError
from iqa_cli.options import OwnRatings
from iqa_cli.training.data.labeled import TrainingData, find_unlabeled, join_groups, leave_out_held, read_data
from iqa_cli.training.data.sides import split_indices
from iqa_cli.training.options import LoopOptions, SampleOptions, TrainingOptions
from iqa_cli.training.plan import (
    Plan,
    Trial,
    check_options,
    check_teachers,
    choose_trials,
    choose_view_size,
    describe_doubts,
    describe_plan,
    describe_split,
    make_plan,
    name_teachers,
    plan_trials,
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


def options(data: Path, *sets: str, **changes: object) -> TrainingOptions:
    begin = TrainingOptions(
        run_dir=Path("run"), dataset=sets, data_root=data, validation=0.0, samples=SampleOptions(seed=4),
        own=OwnRatings(None, "photo", "badness", "scene", lower_is_better=True),
    )  # fmt: skip
    if "csv" in sets:
        begin = replace(begin, own=replace(begin.own, labels=data / "own" / "ratings.csv"))
    return replace(begin, **changes)  # type: ignore[arg-type]


def read(data: Path, *sets: str, **changes: object) -> TrainingData:
    found = read_data(options(data, *sets, **changes))
    assert found is not None
    return found


def test_several_sets_are_on_one_scale_and_no_name_means_two_things(data: Path) -> None:
    found = read(data, "koniq10k", "csv", "tid2013")
    assert len(found.names) == len(set(found.names)) == len(found.paths) == len(found.labels) == 40
    assert found.names[:1] + found.names[10:11] == ["koniq10k/512x384/0.jpg", "csv/0.jpg"]
    assert not set(found.groups[:10]) & set(found.groups[10:])
    assert found.labels[:10].tolist() == pytest.approx(np.arange(10) / 10)  # 0 to 100
    assert found.labels[10:20].tolist() == pytest.approx(1 - np.arange(10) / 9)  # the higher the worse, 0 to 9 of itself
    assert found.labels[20] == 0
    assert all(path.is_file() for path in found.paths)


def test_one_set_keeps_its_own_names(data: Path) -> None:
    found = read(data, "koniq10k")
    assert found.names[0] == "512x384/0.jpg"
    assert found.groups == read_data(replace(options(data), dataset="koniq10k")).groups  # type: ignore[union-attr]


def test_a_scale_of_ones_own_can_be_named(data: Path) -> None:
    own = replace(options(data, "csv").own, score_range=(0.0, 18.0))
    assert read(data, "csv", data_root=data / "own", own=own).labels.tolist() == pytest.approx(1 - np.arange(10) / 18)


@pytest.mark.parametrize("sets", [("koniq10k",), ("tid2013",), ("koniq10k", "tid2013", "csv")])
def test_repeats_are_seeded_splits_that_part_no_group(data: Path, sets: tuple[str, ...]) -> None:
    given = options(data, *sets, repeats=3, validation=0.25)
    found = read(data, *sets)
    trials = plan_trials(found, given)
    assert [trial.folder for trial in trials] == [Path("run", f"split{number}") for number in range(3)]
    for trial in trials:
        sides = (trial.train, trial.validation, trial.test)
        assert sorted(place for side in sides for place in side) == list(range(len(found.names)))
        groups = [{found.groups[place] for place in side} for side in sides]
        assert not groups[0] & groups[1]
        assert not groups[2] & (groups[0] | groups[1])
        for name in sets:  # a fifth of each set, counted in its groups
            own = {group for group, origin in zip(found.groups, found.origins, strict=True) if origin == name}
            assert len(groups[2] & own) == max(1, round(0.2 * len(own)))
    assert len({tuple(trial.test) for trial in trials}) == 3
    assert plan_trials(found, given) == trials
    later = plan_trials(found, replace(given, samples=SampleOptions(seed=5)))
    assert [trial.test for trial in later[:2]] == [trial.test for trial in trials[1:]]  # the seeds after the first


def test_the_official_split_is_taken_where_there_is_one(data: Path) -> None:
    trial = plan_trials(read(data, "koniq10k"), options(data, "koniq10k", split="official", validation=0.5))[0]
    assert (trial.train, trial.validation, trial.test) == ([0, 1, 2, 3, 4, 5], [6, 7], [8, 9])
    trials = plan_trials(read(data, "koniq10k"), options(data, "koniq10k", split="official", repeats=2))
    assert [(trial.folder.name, trial.seed, trial.test) for trial in trials] == [("split0", 4, [8, 9]), ("split1", 5, [8, 9])]
    with pytest.raises(UsageError, match=r"TID2013\): no official split"):
        plan_trials(read(data, "tid2013"), options(data, "tid2013", split="official"))


def test_a_set_without_an_official_split_is_trained_on_whole_beside_one_that_has_one(data: Path) -> None:
    both = read(data, "koniq10k", "tid2013")
    (trial,) = plan_trials(both, options(data, "koniq10k", "tid2013", split="official", scale="koniq10k", validation=0.0))
    assert {both.origins[index] for index in trial.test} == {"koniq10k"}
    whole = [index for index, origin in enumerate(both.origins) if origin == "tid2013"]
    assert set(whole) <= set(trial.train)
    assert not set(trial.train) & set(trial.test)


def test_folds_of_several_sets_are_dealt_out_set_by_set(data: Path) -> None:
    found = read(data, "koniq10k", "csv")
    trials = plan_trials(found, options(data, "koniq10k", "csv", folds=5))
    assert sorted(place for trial in trials for place in trial.test) == list(range(20))
    assert [[found.origins[place] for place in trial.test] for trial in trials] == [["koniq10k"] * 2 + ["csv"] * 2] * 5


@pytest.fixture
def shared(data: Path, tmp_path: Path) -> TrainingOptions:
    """KonIQ-10k's ten images, and ratings of one's own: of six of these, two of them by links, and of four others."""
    koniq = data / "koniq10k" / "512x384"
    for number in range(4):
        draw_picture(tmp_path / f"{number}.jpg")
    for number in (4, 5):
        (tmp_path / f"link{number}.jpg").symlink_to(koniq / f"{number}.jpg")
    names = [*(f"{koniq}/{n}.jpg" for n in range(4)), "link4.jpg", "link5.jpg", *(f"{n}.jpg" for n in range(4))]
    rows = "".join(f"{name},{number}\n" for number, name in enumerate(names))
    (tmp_path / "ratings.csv").write_text(f"image,score\n{rows}")
    own = OwnRatings(tmp_path / "ratings.csv")
    return options(data, "koniq10k", "csv", own=own, data_root=(data / "koniq10k", tmp_path))


def test_a_file_that_two_sets_rate_is_one_group_of_both(shared: TrainingOptions) -> None:
    found = read_data(shared)
    assert found is not None
    assert len(set(found.names)) == 20
    assert found.groups[10:16] == found.groups[:6]
    assert len(set(found.groups)) == 14
    assert [found.standing[found.groups[place]] for place in (5, 6, 16)] == [("koniq10k", "csv"), ("koniq10k",), ("csv",)]
    assert len(set(join_groups(["a", "b", "c", "c"], ["1", "2", "1", "2"]))) == 1
    assert join_groups(["a", "b", "a", "c"], ["1", "2", "3", "2"]) == ["a", "b", "a", "b"]


@pytest.mark.parametrize("seed", range(3))
def test_a_file_that_two_sets_rate_is_on_one_side_and_in_one_fold(shared: TrainingOptions, seed: int) -> None:
    found, given = read_data(shared), replace(shared, samples=SampleOptions(seed=seed))
    assert found is not None
    (trial,) = plan_trials(found, replace(given, repeats=1, validation=0.25))
    sides = (trial.train, trial.validation, trial.test)
    assert sorted(place for side in sides for place in side) == list(range(20))
    files = [{found.files[place] for place in side} for side in sides]
    assert not files[0] & files[1]
    assert not files[2] & (files[0] | files[1])
    for side in sides:
        assert {found.origins[place] for place in side} == {"koniq10k", "csv"}
    folds = np.full(20, -1)
    for each in plan_trials(found, replace(given, folds=4)):
        folds[each.test] = each.fold
    assert folds[10:16].tolist() == folds[:6].tolist()
    for part in (folds[:6], folds[:10], folds[10:]):
        assert sorted(np.bincount(part, minlength=4))[::3] == [len(part) // 4, len(part) // 4 + 1]


def rate(*names: str) -> Labels:
    return Labels(DATASETS["livec"], Path("photos"), tuple(Rating(name, 50.0, None, name) for name in names))


@pytest.mark.parametrize("seed", range(4))
def test_of_few_groups_that_sets_share_each_set_is_on_both_sides_or_the_split_is_refused(seed: int) -> None:
    chain = TrainingData({"one": rate("a", "b"), "other": rate("b", "c")})
    for side in split_indices(chain, range(4), seed, 0.2):
        assert {chain.origins[place] for place in side} == {"one", "other"}
    ring = TrainingData({"one": rate("a", "b"), "two": rate("b", "c"), "three": rate("c", "a")})
    with pytest.raises(ValueError, match=r"no split of 2 groups with a test share of 0\.2"):
        split_indices(ring, range(6), seed, 0.2)


def test_a_file_that_a_given_split_puts_on_two_sides_is_named(shared: TrainingOptions, tmp_path: Path) -> None:
    found = read_data(shared)
    assert found is not None
    rows = "".join(f"{name.partition('/')[2]},{int(at >= 10)}\n" for at, name in enumerate(found.names))
    (tmp_path / "folds.csv").write_text(f"image,fold\n{rows}")
    with pytest.raises(UsageError, match=r"^run.fold0: koniq10k/512x384/0\.jpg would be on two sides, train and test, as it"):
        make_plan(replace(shared, fold_file=tmp_path / "folds.csv", only=(0,), scale="csv"))
    official = replace(shared, split="official")
    assert make_plan(official).trials[0].test == [8, 9]
    with (tmp_path / "ratings.csv").open("a") as table:
        table.write(f"{found.paths[9]},9\n")
    with pytest.raises(UsageError, match=r"^run: koniq10k/512x384/9\.jpg would be on two sides, train and test"):
        make_plan(official)


def test_a_file_of_folds_may_keep_images_in_every_training_or_out_of_all(data: Path, tmp_path: Path) -> None:
    found = read(data, "koniq10k", "csv")
    words = ["0", "1"] * 5 + ["train"] * 4 + ["out"] * 6
    rows = "".join(f"{name.partition('/')[2]},{word}\n" for name, word in zip(found.names, words, strict=True))
    (tmp_path / "folds.csv").write_text(f"image,fold\n{rows}")
    trials = plan_trials(found, options(data, "koniq10k", "csv", folds=2, fold_file=tmp_path / "folds.csv"))
    assert [trial.fold for trial in trials] == [0, 1]
    assert [trial.test for trial in trials] == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    assert [trial.train for trial in trials] == [[1, 3, 5, 7, 9, 10, 11, 12, 13], [0, 2, 4, 6, 8, 10, 11, 12, 13]]


def test_a_fold_that_is_a_whole_set_is_left_out_or_scored_on_another_scale(data: Path, tmp_path: Path) -> None:
    """Leaving one set out after another, by a file of folds."""
    found = read(data, "koniq10k", "csv")
    rows = "".join(f"{name.partition('/')[2]},{int(at >= 10)}\n" for at, name in enumerate(found.names))
    (tmp_path / "folds.csv").write_text(f"image,fold\n{rows}")
    given = options(data, "koniq10k", "csv", folds=2, fold_file=tmp_path / "folds.csv", validation=0.2)
    with pytest.raises(UsageError, match=r"fold0: .* scale of koniq10k, .* on no image: .* --only, .* --scale csv"):
        make_plan(given)
    assert [trial.fold for trial in make_plan(replace(given, only=(1,))).chosen] == [1]
    (other,) = make_plan(replace(given, only=(0,), scale="csv")).chosen
    assert {found.origins[index] for index in [*other.train, *other.validation]} == {"csv"}


def test_a_split_is_shown_by_its_counts_and_first_names(data: Path) -> None:
    given = options(data, "koniq10k", split="official")
    assert describe_plan(make_plan(given)) == [
        "run: train 6: 512x384/0.jpg, 512x384/1.jpg, 512x384/2.jpg, ...",
        "run: validation 2: 512x384/6.jpg, 512x384/7.jpg",
        "run: test 2: 512x384/8.jpg, 512x384/9.jpg",
    ]
    assert describe_split(None, plan_trials(None, given)[0]) == {"train": [], "validation": [], "test": []}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": ("koniq10k", "koniq10k")}, "koniq10k is named twice"),
        ({"dataset": "noset"}, "no data set 'noset'"),
        ({"dataset": "csv"}, "needs the file with the ratings: --labels FILE"),
        ({"own": OwnRatings(Path("own.csv"))}, "add --dataset csv"),
        ({"data_root": (Path("a"), Path("b"))}, "2 times --data-root for 1 sets"),
    ],
)
def test_sets_that_make_no_sense_are_named(data: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_data(replace(options(data, "koniq10k"), **changes))  # type: ignore[arg-type]


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
        ({"scale": "livec"}, "--scale livec: none of the sets that are trained on: koniq10k"),
        ({"initial_model": "stage{fold}"}, "{fold} in the name of a model stands for the number of a fold"),
        ({"samples": SampleOptions(partial=1.5)}, "samples.partial is 0 to 1"),
        ({"samples": SampleOptions(subset_weights=("ss01=none",))}, "'ss01=none' is no NAME=WEIGHT"),
        ({"samples": SampleOptions(subset_weights=("ss01=0",))}, "'ss01=0' is no NAME=WEIGHT"),
        (
            {"samples": SampleOptions(subset_weights=("ss01=2",)), "loop": LoopOptions(balanced=True)},
            "samples.subset_weights say what of a larger set is drawn .*, and here is one set",
        ),
        ({"initial_model": "any", "backbone_weights": "any.pth"}, "--initial-model has the weights of the backbone, too"),
        ({"teacher_range": (0.0, 1.0)}, "teacher_range is about scores in a file: add --teacher-scores FILE, or leave it out"),
        ({"teachers": ("any",), "teacher_lower_is_better": True}, "teacher_lower_is_better is about scores in a file"),
        ({"teacher_licence": "MIT"}, "teacher_licence is about scores in a file"),
        ({"loop": LoopOptions(drop_path=1.0)}, "loop.drop_path is a share: 0 or more, less than 1, not 1"),
        ({"validation": 1.0}, "validation"),
        ({"dataset": "", "method": "distillation", "teachers": ("any",), "unlabeled": (Path(),), "repeats": 2}, "no ratings"),
    ],
)
def test_contradictions_are_named(data: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_options(options(data, "koniq10k", **changes))


def test_too_few_groups_are_no_traceback(data: Path) -> None:
    with pytest.raises(UsageError, match="no 11 folds of 10 groups"):
        plan_trials(read(data, "koniq10k"), options(data, "koniq10k", folds=11))


def test_some_folds_or_repeats_may_be_chosen_by_number(data: Path) -> None:
    found = read(data, "koniq10k")
    for changes, unit in (({"folds": 3}, "folds"), ({"repeats": 3}, "splits")):
        given = options(data, "koniq10k", **changes)
        trials = plan_trials(found, given)
        assert choose_trials(trials, given) == trials
        assert choose_trials(trials, replace(given, only=(2, 0, 2))) == [trials[0], trials[2]]
        with pytest.raises(UsageError, match=rf"there are no {unit} \[3, 7\]: only \[0, 1, 2\]"):
            choose_trials(trials, replace(given, only=(7, 1, 3)))
    with pytest.raises(UsageError, match="--only chooses among folds or repeats"):
        check_options(options(data, "koniq10k", only=(1,)))


def test_teachers_are_looked_for_fold_by_fold_before_anything_begins(data: Path) -> None:
    given = options(data, "koniq10k", folds=3, teachers=("hf://some/one", "qfm-iqm", "teacher{fold}"))
    trials = plan_trials(read(data, "koniq10k"), given)
    assert name_teachers(trials[1], given) == ["hf://some/one", "qfm-iqm", "teacher1"]
    with pytest.raises(WeightsError, match="teacher1: no such model"):
        check_teachers(trials[1:], given)
    check_teachers(trials, replace(given, teachers=("qfm-iqm", "hf://some/one")))


def test_a_student_s_views_are_as_large_as_its_teachers_want_them(data: Path) -> None:
    trial = Trial(data, [], [], [], seed=0)
    given = options(data, method="distillation", teachers=("qfm-iqm-lite", "qfm-iqm"), size=288)
    assert choose_view_size(given, trial).samples.view_size == 416
    assert choose_view_size(replace(given, teachers=("qfm-iqm-lite",), size=512), trial).samples.view_size == 512
    assert choose_view_size(replace(given, samples=SampleOptions(crop_size=320), size=416), trial).samples.view_size == 320
    assert (
        choose_view_size(replace(given, samples=SampleOptions(crop_size=224)), trial).samples.view_size == 320
    )  # in proportion
    assert choose_view_size(replace(given, samples=SampleOptions(view_size=400)), trial).samples.view_size == 400
    assert choose_view_size(replace(given, method="qfm-iqm"), trial).samples.view_size == 0
    with pytest.raises(WeightsError, match="nobody: no such model"):
        choose_view_size(replace(given, teachers=("nobody",)), trial)


def test_a_folder_of_images_that_is_not_there_is_named(data: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder of images"):
        find_unlabeled(options(data, unlabeled=(data / "own", Path("nowhere"))))


def test_unlabeled_images_are_found_but_for_those_held_out(data: Path) -> None:
    given = options(data, unlabeled=(data / "own",), samples=SampleOptions(held_out=0.5))
    found = find_unlabeled(given)
    assert 0 < len(leave_out_held(found, given.samples)) < len(found) == 10
    assert find_unlabeled(options(data)) == []


def draw_links(folder: Path, data: Path, *numbers: int) -> Path:
    """A folder of links to images of KonIQ-10k."""
    folder.mkdir()
    for number in numbers:
        (folder / f"{number}.jpg").symlink_to(data / "koniq10k" / "512x384" / f"{number}.jpg")
    return folder


def test_what_a_training_is_measured_on_is_none_of_its_unlabeled_images(data: Path, tmp_path: Path) -> None:
    links = draw_links(tmp_path / "links", data, 5, 6, 7, 8, 9)
    given = options(data, "koniq10k", split="official", unlabeled=(links, data / "own"))
    plan = make_plan(given)
    (trial,) = plan.trials  # validated on 6 and 7, tested on 8 and 9
    assert len(plan.unlabeled) == 15
    assert plan.find_unlabeled(trial) == {0: f"{links}/5.jpg"} | {n: path for n, path in enumerate(plan.unlabeled) if n > 4}
    assert describe_plan(plan)[-2:] == [
        "run: 4 of 15 unlabeled images are left out: it is validated or tested on them",
        "15 unlabeled images in each training",
    ]
    whole = make_plan(replace(given, split="seeded"))
    assert whole.find_unlabeled(whole.trials[0]) == dict(enumerate(plan.unlabeled))
    assert describe_plan(whole)[1:] == ["15 unlabeled images in each training"]


def test_too_few_images_are_counted_without_those_that_it_is_measured_on(data: Path, tmp_path: Path) -> None:
    rows = "".join(f"{n}.jpg,{'train' if n == 9 else 0}\n" for n in range(10))
    (tmp_path / "folds.csv").write_text(f"image,fold\n{rows}")
    tested = draw_links(tmp_path / "tested", data, 0, 1)
    given = options(data, "koniq10k", fold_file=tmp_path / "folds.csv", unlabeled=(tested,))
    with pytest.raises(UsageError, match=r"fold0: too few images to train on \(1 train, 0 validation, 9 test\): 2 at least"):
        make_plan(given)
    assert make_plan(replace(given, unlabeled=(tested, data / "own")))


def test_patience_needs_enough_images_of_one_set_that_are_not_all_rated_alike(data: Path, tmp_path: Path) -> None:
    patient = LoopOptions(patience=2)
    both = options(data, "koniq10k", "csv", validation=0.2, loop=patient)
    told = "too few images for patience .*: an SRCC needs 3 at least of one set to validate on, not all rated alike"
    with pytest.raises(UsageError, match=r"\(16 train, 4 validation, 0 test\): an SRCC needs"):  # two of each
        make_plan(both)
    assert make_plan(replace(both, validation=0.3))
    rows = "".join(f"{number}.jpg,5\n" for number in range(10))
    (tmp_path / "alike.csv").write_text(f"image,score\n{rows}")
    own = OwnRatings(tmp_path / "alike.csv", score_range=(0.0, 9.0))
    alike = options(data, "csv", own=own, data_root=data / "own", validation=0.5, loop=patient)
    with pytest.raises(UsageError, match=told):
        make_plan(alike)
    assert make_plan(replace(alike, loop=LoopOptions()))


def test_options_that_do_nothing_and_photos_of_two_sets_are_told_of(data: Path) -> None:
    koniq, tid = read(data, "koniq10k", "tid2013").sets.values()
    both = TrainingData({"live": replace(koniq, spec=DATASETS["live"]), "tid2013": tid})
    apart = TrainingData({"koniq10k": koniq, "tid2013": tid})
    weighed = options(data, samples=SampleOptions(subset_weights=("ss01=2",)))
    tested, whole = (Trial(Path("run"), [0], [], test, seed=0) for test in ([1], []))
    shared = "LIVE and TID2013 have photos in common: what is tested of one may have been trained on as of the other"
    idle = "samples.subset_weights does nothing: it is for sets that are balanced, by loop.balanced=true"

    def doubt(given: TrainingOptions, sets: TrainingData, trial: Trial) -> list[str]:
        plan = Plan(given, sets, [], [trial], [trial])
        doubts = list(describe_doubts(plan))
        assert describe_plan(plan)[1 + len(trial.test) :] == doubts
        return doubts

    assert doubt(options(data), both, tested) == [shared]
    assert doubt(weighed, both, tested) == [idle, shared]
    assert doubt(replace(weighed, loop=LoopOptions(balanced=True)), both, whole) == []
    assert doubt(options(data), apart, tested) == []


def test_what_the_training_writes_among_the_images_is_none_of_them(data: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for place in ("a.jpg", "runs/b.jpg", "runs/new/learning.png", "kept/features/c.png", "decoded/d.png", "new/e.jpg"):
        draw_picture(photos / place)
    (tmp_path / "link").symlink_to(photos / "runs")
    kept = {"features": photos / "kept", "decoded": photos / "decoded"}
    given = options(data, unlabeled=(photos,), **kept, run_dir=tmp_path / "link" / "new")
    assert find_unlabeled(given) == [f"{photos}/{place}" for place in ("a.jpg", "new/e.jpg", "runs/b.jpg")]
    for around in (photos, tmp_path):
        assert f"{photos}/runs/new/learning.png" in find_unlabeled(replace(given, run_dir=around))


def test_a_folder_of_images_that_cannot_be_wholly_looked_at_is_refused(data: Path, tmp_path: Path) -> None:
    draw_picture(tmp_path / "photos" / "a.jpg")
    draw_picture(tmp_path / "photos" / "deep" / "b.jpg")
    make_unreadable(tmp_path / "photos" / "deep")
    with pytest.raises(DataError, match=r"photos: not all of it can be looked at \(folder that cannot be read: 1\): make that"):
        find_unlabeled(options(data, unlabeled=(data / "own", tmp_path / "photos")))
