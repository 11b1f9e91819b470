from __future__ import annotations

import re
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.errors import UsageError
from iqa_cli.training.options import LoopOptions, TrainingOptions
from iqa_cli.training.plan import check_options
from iqa_cli.training.recipes import PAPER, apply_settings, parse_settings, read_meanings, read_recipe, write_recipe

OPTIONS = TrainingOptions(run_dir=Path("run"))
SETS = [name for name in DATASETS if name != "biq2021"]  # which the paper does not have


def test_a_recipe_sets_fields_at_the_top_and_in_tables(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(
        'backbone = "resnet18"\nsize = 320\nunlabeled = ["a", "b"]\n'
        '[loop]\nrate = 1\nepochs = 3\n[matching]\nnoise = "random"\n'
    )
    options = apply_settings(OPTIONS, read_recipe(path), str(path))
    assert (options.backbone, options.size, options.unlabeled) == ("resnet18", 320, (Path("a"), Path("b")))
    assert (options.loop.rate, options.loop.epochs, options.matching.noise) == (1.0, 3, "random")
    assert options.samples == OPTIONS.samples


def test_settings_on_the_command_line_are_toml_values_or_strings():
    data = parse_settings(["loop.rate=1e-4", "size=96", "matching.noise=none", "backbone=resnet18", "only=[1, 2]"])
    options = apply_settings(OPTIONS, data, "--set")
    assert (options.loop.rate, options.size, options.matching.noise, options.backbone) == (1e-4, 96, "none", "resnet18")
    assert options.only == (1, 2)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("loop.speed=3", r"--set \[loop\]: there is no option 'speed'; there are epochs, head_epochs"),
        ("loop.epoch=3", r"--set \[loop\]: there is no option 'epoch'; did you mean epochs\?$"),
        ("backbon=resnet18", r"--set: there is no option 'backbon'; did you mean backbone\?$"),
        ("lop.rate=3", r"--set: there is no option 'lop'; did you mean loop\?$"),
        ("epochs=3", r"--set: there is no option 'epochs'; did you mean loop.epochs\?$"),
        ("margins=3", r"there is no option 'margins'; did you mean matching.margin or distillation.margin\?$"),
        ("backbone_rat=3", r"there is no option 'backbone_rat'; did you mean loop.backbone_rate\?$"),
        ("head_epoch=3", r"there is no option 'head_epoch'; did you mean loop.head_epochs\?$"),
        ("nonsense=3", "there is no option 'nonsense'"),
        ("matching.noise=loud", "noise is one of semantic, similar, random, gaussian, none, not 'loud'"),
        ("size=big", "size is int, not 'big'"),
        ("size=1.5", "size is int, not 1.5"),
        ("size=[1]", r"size is int, not \[1\]"),
        ("dataset=3", "dataset is str, not 3"),
        ('only=["a"]', "only is int, not 'a'"),
        ("loop=3", "loop is a table of options, as loop.epochs, not 3"),
        ("data_root=3", "data_root is Path, not 3"),
        ('samples.distortions=["jpeg", "rust"]', "distortions is one of gaussian_blur, .*, denoise, not 'rust'"),
        ("samples.distortions=webp", "not 'webp'"),  # kept out, to measure on
        ("size", "write it as KEY=VALUE"),
    ],
)
def test_what_makes_no_sense_is_named(setting, message):
    with pytest.raises(UsageError, match=message):
        apply_settings(OPTIONS, parse_settings([setting]), "--set")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["loop=3", "loop.rate=1"],
            "--set loop: set as a table, as loop.NAME=VALUE, and as a value, too: leave one of these out",
        ),
        (
            ["loop.rate=1", "loop=3"],
            "--set loop: set as a table, as loop.NAME=VALUE, and as a value, too: leave one of these out",
        ),
        (
            ["size=64", "size.x=3"],
            "--set size: set as a table, as size.NAME=VALUE, and as a value, too: leave one of these out",
        ),
        (["size.x=3"], r"--set: size is int, not {'x': 3}"),
        (["matching=none"], "--set: matching is a table of options, as matching.beta, not 'none'"),
        ([f"size={'1' * 5000}"], f"--set: size is int, not '{'1' * 5000}'"),
    ],
)
def test_what_is_a_table_and_a_value_is_named(settings, message):
    with pytest.raises(UsageError) as caught:
        apply_settings(OPTIONS, parse_settings(settings), "--set")
    assert str(caught.value) == message


def test_of_settings_of_one_option_the_last_one_counts_and_tables_are_joined():
    assert parse_settings(["size=3", "size=4"]) == {"size": 4}
    joined = {"loop": {"rate": 2, "epochs": 3, "clip": 1}}
    assert parse_settings(["loop={rate=1, epochs=3}", "loop.rate=2", "loop={clip=1}"]) == joined


def test_recipes_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(UsageError, match="not a TOML file"):
        read_recipe(tmp_path / "bad.toml")
    (tmp_path / "deep.toml").write_text(f"layers = {'[' * 5000}")
    with pytest.raises(UsageError, match=r"deep\.toml: too many brackets inside each other"):
        read_recipe(tmp_path / "deep.toml")
    with pytest.raises(UsageError, match=r"^--set layers: too many brackets inside each other: no option is like that$"):
        parse_settings([f"layers={'[' * 5000}"])


def test_one_or_several_values_may_stand_where_several_may():
    data = parse_settings(["only=3", "unlabeled=a", 'dataset=["livec", "koniq10k"]'])
    options = apply_settings(OPTIONS, data, "--set")
    assert (options.only, options.unlabeled, options.sets) == ((3,), (Path("a"),), ("livec", "koniq10k"))
    assert (OPTIONS.sets, apply_settings(OPTIONS, {"dataset": ""}, "a").sets) == (("livec",), ())
    roots = [apply_settings(OPTIONS, {"data_root": value}, "a").roots for value in ("a", ["a", "b"])]
    assert roots == [(Path("a"),), (Path("a"), Path("b"))]


def test_a_recipe_that_is_written_is_read_as_it_was(tmp_path):
    options = TrainingOptions(
        Path("run"), data_root=(Path("a b"), Path('c"d')), summary="Überall\tgleich\n", only=(1, 2), loop=LoopOptions(rate=1e-7)
    )
    (tmp_path / "r.toml").write_text(write_recipe(options), encoding="utf-8")
    assert apply_settings(OPTIONS, read_recipe(tmp_path / "r.toml"), "r.toml") == options


def list_options(options):
    """Each option by its name in a recipe, with its table."""
    for option in fields(options):
        value = getattr(options, option.name)
        if is_dataclass(value):
            yield from ((f"{option.name}.{name}", kind) for name, kind in list_options(value))
        else:
            yield option.name, type(options)


def test_each_option_has_its_meaning_in_one_line_in_a_printed_recipe():
    meanings, table, above = {}, "", ""
    for line in write_recipe(OPTIONS).splitlines():
        if line.startswith("["):
            table = f"{line.strip('[]')}."
        found = re.match(r"(?:# )?(\w+) =( |$)", line)
        if found and above.startswith("# "):
            meanings[table + found[1]] = above
        above = line
    expected = {name: kind for name, kind in list_options(OPTIONS) if name not in ("run_dir", "resume")}
    assert set(meanings) == set(expected)
    for name, kind in list_options(OPTIONS):
        meaning = read_meanings(kind)[name.rpartition(".")[2]]
        assert 2 < len(meaning) < 130, name
        assert meaning == meaning.strip(), name
        assert "\n" not in meaning, name


@pytest.mark.parametrize("name", SETS)
def test_each_set_of_the_paper_has_its_recipe(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = read_recipe(Path("paper", name))
    options = apply_settings(OPTIONS, data, name)
    check_options(options)
    assert (options.dataset, options.repeats, options.split, options.test_share) == (name, 10, "seeded", 0.2)
    assert (options.backbone, options.size, options.heads) == ("deit3_small_patch16_224.fb_in1k", 224, 6)
    assert options.matching.noise == "semantic"
    loop = options.loop
    assert (loop.epochs, loop.crops_per_epoch, loop.rate, loop.backbone_rate, loop.schedule) == (9, 10, 2e-4, 2e-4, "thirds")
    assert (options.name, name in options.summary) == (f"{name}-paper", True)
    assert options.decoded_side == {"koniq10k": 384, "spaq": 512}.get(name, 640)


def test_there_is_a_recipe_of_the_paper_for_each_set_which_says_what_is_the_paper_s():
    text = PAPER.read_text(encoding="utf-8")
    assert list(tomllib.loads(text)["sets"]) == SETS
    assert all(mark in text for mark in ("[paper]", "[deiqt]", "[ours]"))


def test_a_recipe_that_does_not_come_along_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no recipe paper/ava; there are paper/livec, paper/koniq10k"):
        read_recipe(Path("paper/ava"))
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "ava").write_text("size = 96")
    assert read_recipe(Path("paper/ava")) == {"size": 96}
