"""Flags: options of the command line that belong together, declared once, as the fields of a dataclass.

A command takes a whole group of them by one parameter:

    @dataclass(frozen=True)
    class OutputFlags:
        csv: Annotated[Path | None, typer.Option(help="Write CSV.")] = None
        quiet: Annotated[bool, typer.Option("--quiet", "-q")] = False

    @spread
    def score(*, images: Annotated[list[str], typer.Argument()], output: OutputFlags) -> None: ...

Typer reads a command's options from its signature; `spread` shows it one in which the fields stand where the group stood.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter
from typing import Any, get_type_hints


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command as one that takes the fields of its groups; they are put together again when it is called."""
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    groups = {p.name: p.annotation for p in parameters if is_dataclass(p.annotation)}

    @functools.wraps(command)
    def told(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{f.name: values.pop(f.name) for f in fields(group)})  # type: ignore[operator]
        command(**values)

    shown = [part for p in parameters for part in (list_fields(p.annotation) if p.name in groups else [p])]
    told.__signature__ = inspect.Signature([p.replace(kind=Parameter.KEYWORD_ONLY) for p in shown])  # type: ignore[attr-defined]
    told.__annotations__ = {p.name: p.annotation for p in shown}
    return told


def list_fields(group: Any) -> Iterator[Parameter]:
    """The fields of a group as parameters of a function."""
    kinds = get_type_hints(group, include_extras=True)
    for f in fields(group):
        default = Parameter.empty if f.default is MISSING else f.default
        yield Parameter(f.name, Parameter.KEYWORD_ONLY, default=default, annotation=kinds[f.name])
