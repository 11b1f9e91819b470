"""Groups of options: what Typer sees of them, and what the training commands make of theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from iqa_cli.cli.app import COMMANDS, load_command
from iqa_cli.cli.flags.shared import OwnFlags, spread
from iqa_cli.cli.flags.train import (
    NO_SETTINGS,
    TABLES,
    RatedFlags,
    RunFlags,
    SplitChoice,
    SplitFlags,
    describe_flags,
    gather_options,
)
from iqa_cli.cli.train import DISTILLING
from iqa_cli.errors import UsageError
from iqa_cli.options import OwnRatings
from iqa_cli.training.options import LoopOptions, SampleOptions, TrainingOptions


@dataclass(frozen=True)
class Lens:
    focus: Annotated[int, typer.Option("--focus", "-f", help="In mm.")]
    open: Annotated[bool, typer.Option("--open", help="Its aperture.")] = False


seen: list[tuple[str, Lens, list[str] | None]] = []
app = typer.Typer()


@app.command()
@spread
def shoot(
    *, name: Annotated[str, typer.Argument()], lens: Lens, tag: Annotated[list[str] | None, typer.Option("--tag")] = None
) -> None:
    """Take a picture."""
    seen.append((name, lens, tag))


def test_a_group_arrives_whole_with_its_defaults() -> None:
    for given, expected in (
        (["a", "-f", "50"], ("a", Lens(50), None)),
        (["a", "--tag", "x", "--open", "--focus", "35"], ("a", Lens(35, open=True), ["x"])),
    ):
        done = CliRunner().invoke(app, given)
        assert (done.exit_code, done.output, seen.pop()) == (0, "", expected)


def test_help_and_errors_are_those_of_options_declared_one_by_one() -> None:
    text = CliRunner().invoke(app, ["--help"], env={"TERMINAL_WIDTH": "100"}).output
    assert "Take a picture." in text
    assert [text.index(option) for option in ("--focus", "--open", "--tag")] == sorted(
        text.index(option) for option in ("--focus", "--open", "--tag")
    )
    assert "Missing option '--focus'" in CliRunner().invoke(app, ["a"], env={"TERMINAL_WIDTH": "100"}).output


PLACE = re.compile(r"(FILE|DIR|PATH|FOLDER|MODEL|ADDRESS|SCORES|TABLE|GOOD BAD|RUN\.\.\.)")


def list_commands() -> Iterator[Any]:
    for name in COMMANDS:
        command = load_command(name)
        yield from getattr(command, "commands", {name: command}).values()


def test_no_option_takes_nothing_for_the_working_folder_nor_for_its_default() -> None:
    found = set()
    for command in list_commands():
        places = [each for each in command.params if PLACE.fullmatch(each.metavar or "") or each.name == "model"]
        for each in command.params:
            each.required = False
        nothing = [""] * sum(each.param_type_name == "argument" for each in places)
        for each in places:
            found.add((command.name, each.name))
            words = [each.opts[0], *[""] * each.nargs] if each.param_type_name == "option" else [*nothing]
            with pytest.raises(UsageError, match=r" is empty: is the variable set that it was to come from\?"):
                command.make_context(command.name, words)
    assert {("score", "place"), ("gate", "calibrate"), ("watch", "folder"), ("serve", "model")} <= found


def test_every_flag_of_a_training_is_an_option_of_a_recipe() -> None:
    flags = {f.name for group in (RatedFlags, OwnFlags, SplitFlags, RunFlags) for f in fields(group)} - set(NO_SETTINGS)
    assert flags - set(TABLES) <= {f.name for f in fields(TrainingOptions)}
    tables = {"loop": LoopOptions, "samples": SampleOptions, "own": OwnRatings}
    assert all(name in {f.name for f in fields(tables[table])} for name, table in TABLES.items())


def test_what_was_said_is_written_as_a_recipe_says_it() -> None:
    rated = RatedFlags(["livec"], data_root=[Path("a"), Path("b")])
    own = OwnFlags(score_range=(1.0, 5.0), lower_is_better=False)
    run = RunFlags(epochs=0, seed=3, run_dir=Path("r"), settings=["name=x"], quiet=True)
    assert describe_flags(rated, own, SplitFlags(split=SplitChoice.OFFICIAL), run, photos=[], teachers=["t"], size=None) == {
        "dataset": "livec",
        "data_root": ["a", "b"],
        "own": {"score_range": [1.0, 5.0], "lower_is_better": False},
        "split": "official",
        "loop": {"epochs": 0},
        "samples": {"seed": 3},
        "teachers": "t",
    }
    assert describe_flags(RatedFlags(), OwnFlags(), SplitFlags(), RunFlags()) == {}


def test_set_beats_flags_and_flags_beat_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('name = "recipe"\nsize = 64\n[loop]\nepochs = 1\nviews = 5\n')
    run = RunFlags(recipe=tmp_path / "r.toml", name="flag", epochs=2, settings=["loop.epochs=3"])
    options = gather_options(run, describe_flags(run, dataset=["csv", "livec"], repeats=2))
    assert (options.name, options.size, options.loop.epochs, options.loop.views) == ("flag", 64, 3, 5)
    assert options.run_dir == Path("runs", "csv+livec-splits")
    begin = {"size": 96, "loop": {"epochs": 7, "batch_size": 3}}
    assert gather_options(run, {}, begin).loop.batch_size == LoopOptions().batch_size  # a recipe stands in its place
    begun = gather_options(RunFlags(epochs=2), describe_flags(RunFlags(epochs=2), name="flag"), begin)
    assert (begun.name, begun.size, begun.loop.epochs, begun.loop.batch_size) == ("flag", 96, 2, 3)
    with pytest.raises(UsageError, match="the command line: there is no option 'nonsense'"):
        gather_options(run, {"nonsense": 1})


def test_a_run_folder_may_be_named_by_a_recipe_by_its_flag_or_by_set(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('run_dir = "recipe"\n')
    recipe, flag, setting = {"recipe": tmp_path / "r.toml"}, {"run_dir": Path("flag")}, {"settings": ["run_dir=runs"]}
    for given, folder in (({}, "runs/livec"), (recipe, "recipe"), (recipe | flag, "flag"), (recipe | flag | setting, "runs")):
        assert gather_options(RunFlags(**given), {}).run_dir == Path(folder)  # type: ignore[arg-type]


def test_without_a_recipe_a_model_is_distilled_as_one_that_was_measured() -> None:
    released = gather_options(RunFlags(recipe=Path(__file__).parents[2] / "weights" / "recipes" / "fine-lite.toml"), {})
    begun = gather_options(RunFlags(), {"method": "distillation"}, DISTILLING)
    about = ("name", "summary", "backbone_source", "unlabeled_source", "limits")
    told = (*about, "run_dir", "dataset", "heads", "samples", "loop")
    assert begun == replace(released, **{name: getattr(begun, name) for name in told})
    assert (begun.heads, released.heads) == (0, 4)  # 0 is 4 behind tokens of this width, and suits any student
    assert begun.samples == replace(released.samples, held_out=0.0, view_size=0)  # the size is that of its teachers
    assert begun.loop == replace(released.loop, workers=0)  # which hangs on the machine
