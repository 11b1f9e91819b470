"""No option takes nan or inf: no range keeps nan out, and nothing that is compared with it is ever true."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import Run

from iqa_cli.cli.app import COMMANDS, load_command


def list_commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in COMMANDS:
        try:
            command = load_command(name)
        except ModuleNotFoundError:  # of an extra
            continue
        if hasattr(command, "commands"):
            yield from (((name, sub), each) for sub, each in command.commands.items())
        else:
            yield (name,), command


def takes_floats(parameter: Any) -> bool:
    kinds = getattr(parameter.type, "types", [parameter.type])
    return any("float" in type(kind).__name__.lower() for kind in kinds)


def fill_in(parameter: Any) -> list[str]:
    """What a parameter that must be given may be given as."""
    if not parameter.required or takes_floats(parameter):
        return []
    return ["x"] if parameter.param_type_name == "argument" else [parameter.opts[0], "x"]


FLOATS = [
    (name, command, parameter) for name, command in list_commands() for parameter in command.params if takes_floats(parameter)
]


def test_there_are_such_options() -> None:
    assert {("score", "--min"), ("watch", "--settle")} <= {(name[0], parameter.opts[0]) for name, _, parameter in FLOATS}


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "NaN"])
@pytest.mark.parametrize(
    ("command", "parameter"),
    [each[1:] for each in FLOATS],
    ids=[" ".join((*name, parameter.opts[0])) for name, _, parameter in FLOATS],
)
def test_numbers_are_finite(command: Any, parameter: Any, value: str) -> None:
    others = [text for other in command.params for text in fill_in(other)]
    with pytest.raises(typer.BadParameter) as caught:
        command.make_context("iqa", [*others, parameter.opts[0], *["0.5"] * (parameter.nargs - 1), value])
    assert caught.value.param is parameter
    assert caught.value.message.startswith(value.lower())


@pytest.mark.parametrize(
    "args",
    [["serve", "--max-body", "nan"], ["serve", "--max-body", "1e308"], ["watch", ".", "--jsonl", "-", "--settle", "nan"]],
)
def test_they_are_refused_as_usage(iqa: Run, tmp_path: Path, args: list[str]) -> None:
    done = iqa(*args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert args[-2].encode() in done.stderr
    assert b"Traceback" not in done.stderr
