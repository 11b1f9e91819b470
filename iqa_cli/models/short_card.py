"""Short cards: five lines that let any no-reference model in ONNX join, `NAME.toml` or `NAME.json` beside `NAME.onnx`.

README.md in this folder says what stands in one.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from reprlib import repr as shorten
from typing import Any

from iqa_cli.errors import WeightsError
from iqa_cli.images.crops import MAX_SIDE, CropSpec
from iqa_cli.models.card import ModelCard, OutputScale, WeightFile, is_number

REQUIRED = ("size", "mean", "std", "higher_is_better", "range")
OPTIONAL = ("name", "summary", "licence", "file", "output", "multiple", "max_side", "crops")
TEXTS = ("name", "summary", "licence", "file", "output")
NUMBERS = {"multiple": 1, "max_side": MAX_SIDE, "crops": 1}  # and what they are where they are left out
FREE = "free"

MEANINGS = {
    "size": f'the px of its input, as 224 or [height, width], or "{FREE}"',
    "mean": "three numbers, of pixels in 0..1, by channel",
    "std": "three numbers above 0, of pixels in 0..1, by channel",
    "higher_is_better": "true or false",
    "range": "the lower and the upper end of what it puts out, as [0, 100]",
    **dict.fromkeys(TEXTS, "a text"),
    **dict.fromkeys(NUMBERS, "a whole number, 1 or more"),
}


def is_short_card(path: Path) -> bool:
    """Whether a file is a short card, whole or not: any TOML, and JSON with one of the keys that it must have."""
    if path.suffix == ".toml":
        return True
    try:
        data = parse_text(path) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(data, dict) and any(key in data for key in REQUIRED)


def read_short_card(path: Path) -> ModelCard:
    """The card of a model of other origin; its weights lie beside it. Raises WeightsError."""
    try:
        data = parse_text(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the model card: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: not a model card: {error}") from error
    for key in REQUIRED:
        if key not in data:
            near = get_close_matches(key, data.keys() - {*REQUIRED, *OPTIONAL}, n=1)
            hint = f" (it has {near[0]}; did you mean {key}?)" if near else ""
            raise WeightsError(f"{path}: the card lacks {key}{hint}: {MEANINGS[key]}")
    for key, value in data.items():
        check_value(path, key, value)
    weights = find_weights(path, data)
    try:
        return make_card(path, data, weights)
    except (ValueError, OverflowError) as error:
        raise WeightsError(f"{path}: {error}") from error


def parse_text(path: Path) -> Mapping[str, Any]:
    """What a short card says. Raises OSError and ValueError."""
    if path.exists() and not path.is_file():  # reading a pipe or a device may never end
        raise ValueError("not a regular file")
    text = path.read_text(encoding="utf-8-sig")  # some editors begin it with a mark
    data: Mapping[str, Any] = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    return data


def check_value(path: Path, key: str, value: Any) -> None:
    """Raises WeightsError for a key that nobody reads, or a value of another kind than it has."""
    if key not in MEANINGS:
        near = get_close_matches(key, MEANINGS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(MEANINGS)}"
        raise WeightsError(f"{path}: the card has an unknown key {key}; {hint}")
    fits = {
        "size": value == FREE or is_whole(value) or (is_list(value, 2) and all(map(is_whole, value))),
        "mean": is_list(value, 3),
        "std": is_list(value, 3) and min(value) > 0,
        "range": is_list(value, 2) and value[0] < value[1],
        "higher_is_better": isinstance(value, bool),
        **dict.fromkeys(TEXTS, isinstance(value, str) and value.isprintable()),
        **dict.fromkeys(NUMBERS, is_whole(value)),
    }
    if not fits[key]:
        raise WeightsError(f"{path}: {key} is {MEANINGS[key]}, not {shorten(value)}")


def is_whole(value: object) -> bool:
    """Whether it is a whole number of 1 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_list(value: object, length: int) -> bool:
    """Whether it is a list of so many numbers."""
    return (
        isinstance(value, Sequence)
        and len(value) == length
        and all(is_number(each) and not isinstance(each, bool) for each in value)
    )


def locate_weights(path: Path, data: Mapping[str, Any]) -> Path:
    """Where the weights of a short card lie: beside it. Raises WeightsError for what is no name of such a file."""
    named = data.get("file", f"{path.stem}.onnx")
    weights = path.with_name(Path(named).name) if isinstance(named, str) and Path(named).name else path
    if weights.name != named or weights.suffix != ".onnx":
        raise WeightsError(f"{path}: file is the name of an .onnx file beside the card, not {named}")
    return weights


def name_weights(path: Path) -> str | None:
    """The name of the weights of a whole short card, wherever they are; None for other JSON and TOML, which may share keys."""
    try:
        data = parse_text(path)
        return locate_weights(path, data).name if all(key in data for key in REQUIRED) else None
    except (OSError, ValueError, RecursionError, TypeError, WeightsError):  # whoever reads it as a card says so
        return None


def find_weights(path: Path, data: Mapping[str, Any]) -> WeightFile:
    """The weights beside a short card. Raises WeightsError where they are not there."""
    weights = locate_weights(path, data)
    try:
        return WeightFile.of(weights)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: its weights, {weights.name}, are not beside it; file = says which they are") from error
    except OSError as error:
        raise WeightsError(f"{weights}: cannot read the weights: {error.strerror}") from error


def make_card(path: Path, data: Mapping[str, Any], weights: WeightFile) -> ModelCard:
    """The card that a short card means: scores on 0..100, higher is better. Raises ValueError."""
    low, high = data["range"]
    direction = "higher" if data["higher_is_better"] else "lower"
    return ModelCard(
        name=data.get("name", path.stem),
        summary=data.get("summary", "a model of other origin"),
        licence=data.get("licence", "not stated by its card"),
        network={},
        crops=make_crops(data),
        opinions=(),
        score_meaning=f"its output, {low:g} to {high:g}, {direction} is better, brought to that scale",
        files={"onnx": weights},
        output=OutputScale(low, high, data["higher_is_better"], data.get("output", "")),
    )


def make_crops(data: Mapping[str, Any]) -> CropSpec:
    """How images become its input. Raises ValueError."""
    size, numbers = data["size"], {name: data.get(name, default) for name, default in NUMBERS.items()}
    common = {"mean": tuple(data["mean"]), "std": tuple(data["std"]), "count": numbers["crops"]}
    if size == FREE:
        return CropSpec(numbers["max_side"], "native", numbers["multiple"], **common)
    for name in ("multiple", "max_side"):
        if name in data:
            raise ValueError(f'{name} is about an input of any size: leave it out, or write size = "{FREE}"')
    height, width = size if isinstance(size, list) else (size, size)
    return CropSpec(height, "square", 1, width=0 if width == height else width, **common)
