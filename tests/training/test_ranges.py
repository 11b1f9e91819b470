"""Which numbers options may have. Every option that is a number has a range, and none of the ranges is for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from math import inf, nan
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from iqa_cli.errors import UsageError
from iqa_cli.options import OwnRatings
from iqa_cli.training.options import TrainingOptions, check_options, parse_weights
from iqa_cli.training.ranges import MOST, RANGES, check_ranges
from iqa_cli.training.recipes import apply_settings, parse_settings, read_recipe

OPTIONS = TrainingOptions(run_dir=Path("run"))
RECIPES = sorted((Path(__file__).parents[2] / "weights" / "recipes").glob("*.toml"))


def list_kinds(hint: Any) -> set[Any]:
    """What a type is made of, as {tuple[int, ...], int, None} of an optional tuple."""
    return {hint}.union(*(list_kinds(each) for each in get_args(hint)))


def list_numbers(kind: type, table: str = "") -> Iterator[str]:
    """The options of a kind that are numbers, or several, by their names in a recipe."""
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint):
            yield from list_numbers(hint, f"{name}.")  # type: ignore[arg-type]
        elif {int, float} & list_kinds(hint):
            yield table + name


def put(options: Any, name: str, value: Any) -> Any:
    """Options with one changed: where several numbers stand, the value is the last of two."""
    first, _, rest = name.partition(".")
    if rest:
        return replace(options, **{first: put(getattr(options, first), rest, value)})
    several = any(getattr(kind, "__origin__", None) is tuple for kind in list_kinds(get_type_hints(type(options))[name]))
    return replace(options, **{name: (0, value) if several else value})


def list_outside(name: str) -> Iterator[float]:
    """Numbers that are none for an option."""
    allowed = RANGES[name]
    yield inf
    if name != "own.score_range":  # whose order is looked at first
        yield from (nan, -inf)
    if allowed.least > -inf:
        yield from (allowed.least - 1, -1 if allowed.above or allowed.or_zero else allowed.least - 1e-9)
        yield from [allowed.least] if allowed.above else []
    if allowed.most < inf:
        yield allowed.most if allowed.below else allowed.most + 1


def list_inside(name: str) -> Iterator[float]:
    """The ends of what an option may be."""
    allowed = RANGES[name]
    if allowed.least > -inf:
        yield allowed.least + 1e-9 if allowed.above else allowed.least
    if allowed.most < inf:
        yield allowed.most - 1e-9 if allowed.below else allowed.most
    if allowed.or_zero:
        yield 0


NUMBERS = list(list_numbers(TrainingOptions))


def test_every_number_has_its_range() -> None:
    assert {"repeats", "teacher_range", "own.score_range", "matching.k", "samples.seed", "loop.rate"} <= set(NUMBERS)
    assert not {"resume", "loop.balanced", "backbone", "samples.subset_weights"} & set(NUMBERS)
    assert sorted(RANGES) == sorted(NUMBERS)
    tables = {f.name for f in fields(OPTIONS) if is_dataclass(getattr(OPTIONS, f.name))}
    assert {name.partition(".")[0] for name in NUMBERS if "." in name} == tables


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_out_of_its_range_is_one_line_with_name_value_and_range(name: str) -> None:
    for value in list_outside(name):
        with pytest.raises(UsageError) as caught:
            check_options(put(OPTIONS, name, value))
        message = str(caught.value)
        shown = str(value) if isinstance(value, int) else f"{value:.15g}"
        assert message.startswith(f"{name} is {RANGES[name]}, not {shown}")
        assert "\n" not in message


@pytest.mark.parametrize("name", NUMBERS)
def test_the_ends_of_a_range_and_the_default_are_in_it(name: str) -> None:
    check_ranges(OPTIONS)
    for value in list_inside(name):
        check_ranges(put(OPTIONS, name, value))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("matching.k=1025", "matching.k is 1 to matching.memory, which is 1024, not 1025"),
        ("matching.memory=0", "matching.memory is 1 or more, not 0, but for matching.noise=none: semantic noise comes from it"),
        ("matching.memory=1000000000000", "matching.memory is 0 to 1048576, not 1000000000000"),
        ("decoded_gb=1e300", "decoded_gb is 0 to 1000000000, not 1e+300"),
        ("samples.versions=-1", "samples.versions is 0 or more, not -1"),
        ("samples.max_zoom=0.5", "samples.max_zoom is 1 or more, not 0.5"),
        ("samples.view_size=-3", "samples.view_size is 0 to 4096, not -3"),
        ("samples.crop_size=16", "samples.crop_size is 0, or 32 to 4096, not 16"),
        ("samples.held_out=2", "samples.held_out is 0 to 1, not 2"),
        ("decoded_side=0", "decoded_side is 1 or more, not 0 (one above the side of all images, as 99999, reduces none)"),
        ("teacher_epochs=0", "teacher_epochs is 1 or more, not 0 (without --teacher there are none)"),
        ("teacher_range=[0, inf]", "teacher_range is finite, not inf"),
        ("test_share=1", "test_share is a share: more than 0, less than 1, not 1"),
        ("validation=nan", "validation is a share: 0 or more, less than 1, not nan"),
        ("loop.threads=-1", "loop.threads is 0 to 1024, not -1"),
        ("loop.clip=-1", "loop.clip is more than 0, not -1 (a large one, as 1e9, clips nothing)"),
        ("loop.averaging=1.0000001", "loop.averaging is 0 to 1, not 1.0000001"),
        (f"loop.rate=1{'0' * 400}", "loop.rate is 0 or more, not inf"),
        ("repeats=-1", "repeats is 0 or more, not -1"),
        ("only=[0, -2]", "only is 0 or more, not -2"),
    ],
)
def test_what_is_typed_out_of_range_is_named_with_what_to_type(setting: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_options(apply_settings(OPTIONS, parse_settings([setting]), "--set"))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "settings",
    [
        ["matching.noise=none", "matching.memory=0"],
        ["matching.noise=random", "matching.k=3", "matching.memory=2"],  # drawn with repetition
        ["matching.noise=gaussian", "matching.k=3", "matching.memory=2"],  # which has no matches
        ["matching.k=2", "matching.memory=2"],
        ["method=distillation", "teachers=any", "matching.memory=0"],  # which has no memory
        ["folds=1", "fold_file=folds.csv"],  # the first of those that are there
        ["layers=[-1]"],
        ["loop.clip=1e30"],
        ["loop.averaging=1"],
        ["initial_model=any", "backbone_weights=none"],
        ["samples.subset_weights=a=2", "loop.balanced=true", 'dataset=["livec", "biq2021"]'],
        ["samples.subset_weights=a=2", "loop.balanced=true", "unlabeled=photos"],
        ["samples.subset_weights=a=2"],
        ["teacher_scores=scores.csv", "teacher_range=[0, 1]", "teacher_lower_is_better=true", "teacher_licence=MIT"],
    ],
)
def test_what_makes_sense_is_allowed(settings: list[str]) -> None:
    check_options(apply_settings(OPTIONS, parse_settings(settings), "--set"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_are_in_range(recipe: Path) -> None:
    check_ranges(apply_settings(OPTIONS, read_recipe(recipe), str(recipe)))


@pytest.mark.parametrize("weight", ["nan", "inf", "1e-7", "1e7", "-1"])
def test_a_weight_of_a_subset_is_a_number_that_can_be_drawn_by(weight: str) -> None:
    assert parse_weights(["a=0.5", "b=1e6"]) == {"a": 0.5, "b": 1e6}
    with pytest.raises(UsageError, match=f"'a={weight}' is no NAME=WEIGHT with a weight of 1e-06 to 1000000, as ss01=1.5"):
        parse_weights([f"a={weight}"])


def test_sizes_are_bounded_as_those_of_a_card_are() -> None:
    limits = pytest.importorskip("iqa_cli.networks.network", reason="needs the [train] extra").LIMITS
    assert {name: limits[name] for name in MOST} == MOST


def test_a_training_at_the_ends_of_its_ranges_comes_to_an_end(tmp_path: Path) -> None:
    run = pytest.importorskip("iqa_cli.training.run", reason="needs the [train] extra")
    from conftest import write_photo

    from iqa_cli.training.plan import make_plan

    rows = [f"{write_photo(tmp_path / f'{n}.png', n, (40, 48)).name},{n}\n" for n in range(6)]
    (tmp_path / "ratings.csv").write_text("image,score\n" + "".join(rows))
    begin = TrainingOptions(
        tmp_path / "run", dataset="csv", own=OwnRatings(tmp_path / "ratings.csv"), backbone="test_efficientnet",
        backbone_weights="none", decoded=tmp_path / "decoded",
    )  # fmt: skip
    settings = [
        *("size=64", "width=1", "heads=0", "stages=1", "cell=1", "validation=0", "decoded_side=1", "decoded_gb=0"),
        *("samples.max_zoom=1e9", "samples.distorted=1", "samples.versions=1", "samples.clean_label=0", "samples.partial=1"),
        *("samples.harmless=1", "samples.crop_size=32", "samples.view_size=1", "samples.seed=9223372036854775807"),
        *("matching.beta=0", "matching.margin=0", "matching.memory=2", "matching.k=2", "matching.tolerance=1"),
        *("matching.strength=0", "matching.ranking_weight=1", "loop.epochs=1", "loop.head_epochs=1", "loop.views=0"),
        *("loop.batch_size=1", "loop.rate=0", "loop.layer_decay=0", "loop.feature_dropout=0.999", "loop.hidden_dropout=0.999"),
        *("loop.drop_path=0.999", "loop.frozen=1", "loop.clip=1e-9", "loop.averaging=1"),
    ]
    events = list(run.train(make_plan(apply_settings(begin, parse_settings(settings), "--set"))))
    assert type(events[-1]).__name__ == "TrialDone"
