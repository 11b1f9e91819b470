"""Parts of a model card: JSON objects that become dataclasses, or are refused with the field that is missing or wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from reprlib import repr as shorten
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Part = TypeVar("Part")

WORDS: dict[Any, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def make_part(kind: type[Part], name: str, data: Any) -> Part:
    """A part from its JSON. name: where it stands in the card. Raises ValueError, which says what of it is wrong."""
    check_object(name, data)
    check_keys(kind, name, data)
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    try:
        made, problem = kind(**values), ""
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    except (TypeError, AttributeError, OverflowError) as error:  # which say nothing of the field
        made, problem = None, str(error)
    hints = get_type_hints(kind)
    for key, value in values.items():
        if not fits(value, hints[key]):
            raise ValueError(f"{name}.{key} is {describe(hints[key])}, not {shorten(data[key])}")
    if made is None:
        raise ValueError(f"{name}: {problem}")
    return made


def check_object(name: str, data: Any) -> None:
    """Raises ValueError for what is no JSON object."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{name} is a JSON object, not {shorten(data)}")


def check_keys(kind: Any, name: str, data: Mapping[str, Any]) -> None:
    """Raises ValueError where fields of a dataclass are missing, or there are others."""
    known = fields(kind)
    needed = [f.name for f in known if f.default is MISSING and f.default_factory is MISSING]
    missing = [key for key in needed if key not in data]
    unknown = sorted(data.keys() - {f.name for f in known})
    wrong = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown keys {', '.join(unknown)}"] * bool(unknown)
    if wrong:
        raise ValueError(f"{name} {' and '.join(wrong)}")


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of the kind that its field has, as far as that is a plain one."""
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(fits(each, get_args(hint)[0]) for each in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return hint not in WORDS or isinstance(value, hint)


def describe(hint: Any) -> str:
    """The kind of a field, in words."""
    return "a list of numbers" if get_origin(hint) is tuple else WORDS[hint]
