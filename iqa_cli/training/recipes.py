"""Recipes: the options of a training as a TOML file, and single settings, as --set has them. No PyTorch here.

The fields of `TrainingOptions` stand at the top, [matching], [distillation], [samples], [loop] and [own] below.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from iqa_cli.errors import UsageError
from iqa_cli.training.options import TrainingOptions

Options = TypeVar("Options")

PAPER = Path(__file__).parent / "papers" / "paper.toml"

DEEP = "too many brackets inside each other: no option is like that"

NO_EFFECT = (
    *("run_dir", "resume", "only", "repeats", "decoded", "decoded_gb", "tensorboard", "features", "measured", "measured_by"),
    *("summary", "backbone_source", "unlabeled_source", "teacher_licence", "limits", "loop.workers", "loop.threads"),
)
"""Options that weights do not depend on, but for the order in which threads sum up. A dot parts a table from its field."""


def read_recipe(path: Path) -> dict[str, Any]:
    """A recipe file as nested data; paper/SET is one that comes along, unless there is a file of that name.

    Raises UsageError where it cannot be read or is not TOML.
    """
    if str(path.parent) == "paper" and not path.exists():
        return read_paper(path.name)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the recipe: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: not a TOML file: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{path}: {DEEP}") from error


def read_paper(name: str) -> dict[str, Any]:
    """The paper's recipe for one set: what all have, and the set's row. Raises UsageError for a set without a row."""
    data = tomllib.loads(PAPER.read_text(encoding="utf-8"))
    rows = data.pop("sets")
    if name not in rows:
        raise UsageError(f"no recipe paper/{name}; there are {', '.join(f'paper/{row}' for row in rows)}")
    title = {"name": f"{name}-paper", "summary": f"QFM-IQM (our reconstruction) by the recipe paper/{name}"}
    return {**title, "dataset": name, **rows[name], **data}


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """["loop.rate=1e-4", ...] as nested data; a value that is not TOML is a string, and of one key the last one counts.

    Raises UsageError without a "=", for brackets in brackets without end, and where a key is a value and a table of others.
    """
    data: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: write it as KEY=VALUE, as in loop.rate=1e-4")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except ValueError:  # not TOML, or thousands of digits
            value = text
        except RecursionError as error:
            raise UsageError(f"--set {key}: {DEEP}") from error
        table, _, name = key.strip().rpartition(".")
        put_setting(data, table or name, {name: value} if table else value)
    return data


def put_setting(data: dict[str, Any], key: str, value: Any) -> None:
    """Add a value, or to a table some of its fields. Raises UsageError where the key is both."""
    before = data.get(key, value)
    if isinstance(before, dict) != isinstance(value, dict):
        raise UsageError(f"--set {key}: set as a table, as {key}.NAME=VALUE, and as a value, too: leave one of these out")
    data[key] = before | value if isinstance(before, dict) else value


def apply_settings(options: Options, data: Mapping[str, Any], source: str) -> Options:
    """Options with some fields set from nested data.

    Raises UsageError, naming the source, for unknown fields and values of the wrong kind.
    """
    kinds, changes = get_type_hints(type(options)), {}
    for key, value in data.items():
        if key not in kinds:
            refuse_key(key, options, source)
        before = getattr(options, key)
        if is_dataclass(before) and not isinstance(value, Mapping):
            raise UsageError(f"{source}: {key} is a table of options, as {key}.{fields(before)[0].name}, not {value!r}")
        if is_dataclass(before):
            changes[key] = apply_settings(before, value, f"{source} [{key}]")
        else:
            changes[key] = convert(value, kinds[key], f"{source}: {key}")
    return replace(options, **changes)  # type: ignore[type-var]


def refuse_key(key: str, options: Any, source: str) -> NoReturn:
    """Raises UsageError for a key that is no option, naming what was probably meant: a name like it, here or in a table."""
    here = [f.name for f in fields(options)]
    tables = {f.name: getattr(options, f.name) for f in fields(options) if is_dataclass(getattr(options, f.name))}
    known = here + [f"{name}.{f.name}" for name, table in tables.items() for f in fields(table)]
    near = get_close_matches(key, {name.rpartition(".")[2] for name in known}, 1, 0.7)
    if near:
        meant = [near[0]] if near[0] in here else [name for name in known if name.rpartition(".")[2] == near[0]]
        raise UsageError(f"{source}: there is no option {key!r}; did you mean {' or '.join(meant)}?")
    raise UsageError(f"{source}: there is no option {key!r}; there are {', '.join(here)}")


def convert(value: Any, kind: Any, where: str) -> Any:
    """A value from TOML as the kind that a field is annotated with; one value will do where several may stand.

    Raises UsageError where it is of another kind.
    """
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise UsageError(f"{where} is one of {', '.join(get_args(kind))}, not {value!r}")
        return value
    kinds = [each for each in (get_args(kind) if isinstance(kind, UnionType) else (kind,)) if each is not type(None)]
    several = next((get_args(each)[0] for each in kinds if get_origin(each) is tuple), None)
    plain = [each for each in kinds if get_origin(each) is None]
    if several is not None and (isinstance(value, list) or not plain):
        return tuple(convert(each, several, where) for each in (value if isinstance(value, list) else [value]))
    for each in plain:
        if each is Path and isinstance(value, str):
            return Path(value)
        if each is float and type(value) is int:
            return float(str(value))  # of more than 300 digits it is inf, which is in no range
        if type(value) is each:
            return value
    raise UsageError(f"{where} is {' or '.join(each.__name__ for each in plain)}, not {value!r}")


def write_recipe(options: TrainingOptions) -> str:
    """The options as a recipe file, each below its meaning; where the run is kept is left out."""
    tables = {f.name: getattr(options, f.name) for f in fields(options) if is_dataclass(getattr(options, f.name))}
    lines = write_fields(options, {*tables, "run_dir", "resume"})
    for name, table in tables.items():
        lines += ["", f"[{name}]", *write_fields(table, set())]
    return "\n".join(lines) + "\n"


def write_fields(options: Any, without: set[str]) -> list[str]:
    """For each field its meaning, a comment, and a line of TOML; one that is not set is a comment, too."""
    lines = []
    for name, meaning in read_meanings(type(options)).items():
        if name not in without:
            value = getattr(options, name)
            lines += [f"# {meaning}", f"# {name} =" if value is None else f"{name} = {write_value(value)}"]
    return lines


def read_meanings(kind: type) -> dict[str, str]:
    """What each option of a kind means, as it stands beside its declaration, and its choices; tables of options have none."""
    hints = get_type_hints(kind, include_extras=True)
    known = {f.name: hints[f.name] for f in fields(kind) if get_origin(hints[f.name]) is Annotated}
    return {name: hint.__metadata__[0] + list_choices(hint.__origin__) for name, hint in known.items()}


def list_choices(kind: Any) -> str:
    """What a text may be, in brackets; nothing for other kinds."""
    return f" ({', '.join(get_args(kind))})" if get_origin(kind) is Literal else ""


def write_value(value: Any) -> str:
    """A text, a path, a number, a truth or several of them as TOML; JSON writes all but paths the same way."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(write_value, value))}]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


# ---- what a run folder keeps ----


def describe_options(options: TrainingOptions) -> dict[str, Any]:
    """The options as options.json holds them: those that the weights depend on.

    Of the device its kind matters, which decides on precision, not its number.
    """
    decoded_side = options.decoded_side if options.decoded else 0
    data = json.loads(json.dumps(asdict(replace(options, decoded_side=decoded_side)), default=str))
    settings = leave_out(data, NO_EFFECT)
    settings["loop"]["device"] = settings["loop"]["device"].partition(":")[0]
    return settings


def leave_out(data: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Nested data without some of its fields; "table.field" names one of a table."""
    inner = {table: {name.removeprefix(f"{table}.") for name in names if name.startswith(f"{table}.")} for table in data}
    return {
        name: leave_out(value, inner[name]) if isinstance(value, Mapping) else value
        for name, value in data.items()
        if name not in names
    }
