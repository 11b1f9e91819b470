"""ModelCard: metadata of a set of weights, as JSON beside them.

A card is NAME.json beside its weight files, or a text inside an .onnx file. It holds everything needed to use the weights (the
network, the crops, the scale) and everything worth knowing about them (what they were trained on, what was measured, by which
command).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from reprlib import repr as shorten
from sys import float_info
from typing import Any

import numpy as np

from iqa_cli.errors import DataError, WeightsError
from iqa_cli.files.outputs import is_file_name
from iqa_cli.files.replacing import replacing
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.card_parts import check_keys, check_object, make_part
from iqa_cli.models.onnx_metadata import read_metadata
from iqa_cli.models.provenance import Provenance, read_provenance
from iqa_cli.options import FILE_KINDS

SURROGATE = re.compile("[\ud800-\udfff]")  # Python's sign for such a byte
CARD_KEY = "iqa_card"  # the key under which an .onnx file may carry its card, as JSON


@dataclass(frozen=True)
class WeightFile:
    """One file of weights beside its card: the name without folders, the size in bytes, the SHA-256 in hex.

    Raises ValueError for a name that leads elsewhere.
    """

    name: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not is_file_name(self.name):
            raise ValueError(f"{self.name!r} is not the name of a file beside the card")

    @classmethod
    def of(cls, path: Path) -> WeightFile:
        """The entry of a file in its present state."""
        return cls(path.name, path.stat().st_size, hash_file(path))


@dataclass(frozen=True)
class Intervals:
    """How far from a score the mean opinion may lie (`evaluation.intervals`).

    half_widths: 101 numbers, for scores evenly over the score range and on it: so far to both sides of the score lies the mean
        opinion of an image that the network has not seen, nine times in ten.
    coverage: of each fold, the share of its images that was within what the other folds gave. images: of all folds.

    Raises ValueError for widths that are none.
    """

    half_widths: tuple[float, ...]
    coverage: tuple[float, ...]
    images: int

    def __post_init__(self) -> None:
        if len(self.half_widths) != 101 or not all(is_number(width) and width >= 0 for width in self.half_widths):
            raise ValueError("half_widths are 101 numbers that are not negative")


@dataclass(frozen=True)
class OutputScale:
    """What a network of other origin puts out: one number an image, on a scale of its own.

    low, high: the ends of the scale. higher_is_better: its direction. name: of the output; empty: the only one.

    Raises ValueError for a scale that is none.
    """

    low: float
    high: float
    higher_is_better: bool
    name: str = ""

    def __post_init__(self) -> None:
        if not (is_number(self.low) and is_number(self.high) and self.low < self.high):
            raise ValueError(f"the scale of an output has a lower and an upper end, not {self.low!r} and {self.high!r}")


@dataclass(frozen=True)
class ModelCard:
    """What NAME.json says.

    name: that of its files, so a line without slashes that begins with no dot; of a network of other origin any line.
    network: the fields of `networks.network.NetworkConfig`, as plain data.
    crops: how images become its input.
    opinions: 101 numbers, the 0th to 100th percentile of the training opinions on the score scale: what a percentile means;
        none for a network of other origin.
    output: the scale of what a network of other origin puts out (`models.short_card`); None: it puts out quality in 0..1.
    training: what it learned from (`models.provenance`), method, options, command.
    intervals: how certain its scores are; None where that was not measured.
    results: one mapping a measurement: dataset, split, figures, and the command that prints them.
    files: "safetensors" and "onnx" -> the file.

    Raises ValueError for a scale, or a provenance, that is none.
    """

    name: str
    summary: str
    licence: str
    network: Mapping[str, Any]
    crops: CropSpec
    opinions: tuple[float, ...]
    score_range: tuple[float, float] = (0.0, 100.0)
    score_meaning: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    results: tuple[Mapping[str, Any], ...] = ()
    limits: tuple[str, ...] = ()
    intervals: Intervals | None = None
    files: Mapping[str, WeightFile] = field(default_factory=dict)
    output: OutputScale | None = None

    def __post_init__(self) -> None:
        check_opinions(self.opinions, optional=self.output is not None)
        if (
            len(self.score_range) != 2
            or not all(map(is_number, self.score_range))
            or not self.score_range[0] < self.score_range[1]
        ):
            raise ValueError(f"score_range is the least and the greatest score, not {self.score_range}")
        check_name(self.name, foreign=self.output is not None)
        for kind, file in self.files.items():
            if kind in FILE_KINDS.values() and not file.name.endswith(f".{kind}"):
                raise ValueError(f"{file.name} is listed as {kind}")
        read_provenance(self.training)

    def find_uncertainty(self, score: float) -> float | None:
        """The half-width in points of the interval around a score; None where that was not measured."""
        if self.intervals is None:
            return None
        widths = self.intervals.half_widths
        return float(np.interp(score, np.linspace(*self.score_range, len(widths)), widths))

    @property
    def provenance(self) -> Provenance:
        """The images and teachers that it learned from."""
        return read_provenance(self.training)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_number(value: object) -> bool:
    """Whether it is a number one can reckon with."""
    return isinstance(value, int | float) and abs(value) <= float_info.max


def check_name(name: object, *, foreign: bool) -> None:
    """Raises ValueError for a name that is none, or that leads elsewhere and is not that of a foreign network, only shown."""
    if not isinstance(name, str) or not name.isprintable():
        raise ValueError(f"name is a line of text, not {shorten(name)}")
    if not foreign and not is_file_name(name):
        raise ValueError(f"name is that of files, without slashes and with no dot in front, not {shorten(name)}")


def check_opinions(opinions: tuple[float, ...], *, optional: bool) -> None:
    """Raises ValueError for opinions that are none."""
    if optional and not opinions:
        return
    if len(opinions) != 101 or not all(map(is_number, opinions)) or sorted(opinions) != list(opinions):
        raise ValueError("opinions are 101 numbers that never fall")


KINDS: dict[str, tuple[type, str]] = {
    **dict.fromkeys(("summary", "licence", "score_meaning"), (str, "a text")),
    **dict.fromkeys(("network", "crops", "training", "files", "intervals", "output"), (dict, "a JSON object")),
    **dict.fromkeys(("opinions", "score_range"), (list, "a list of numbers")),
    "results": (list, "a list of JSON objects"),
    "limits": (list, "a list of texts"),
}
"""What each field of a card is in JSON. The name, and the numbers in lists, are looked at by `ModelCard`."""
OPTIONAL: dict[str, type] = {"intervals": Intervals, "output": OutputScale}  # which may be null
INSIDE = {"results": dict, "limits": str}


def check_kinds(data: Mapping[str, Any]) -> None:
    """Raises ValueError for a field that is of another kind than it should."""
    for name, (kind, words) in KINDS.items():
        value = data.get(name)
        if name not in data or (value is None and name in OPTIONAL):
            continue
        listed = value if isinstance(value, list) else []
        if not isinstance(value, kind) or not all(isinstance(each, INSIDE.get(name, object)) for each in listed):
            raise ValueError(f"{name} is {words}, not {shorten(value)}")


def parse_card(data: Any) -> ModelCard:
    """A card from what its JSON says. Raises ValueError, which names the field that is missing or wrong."""
    check_object("a card", data)
    check_keys(ModelCard, "it", data)
    check_kinds(data)
    files = {kind: make_part(WeightFile, f"files.{kind}", entry) for kind, entry in data.get("files", {}).items()}
    lists: dict[str, Any] = {key: tuple(data[key]) for key in ("opinions", "score_range", "results", "limits") if key in data}
    parts = {name: None if data.get(name) is None else make_part(kind, name, data[name]) for name, kind in OPTIONAL.items()}
    return ModelCard(**data | lists | parts | {"crops": make_part(CropSpec, "crops", data["crops"]), "files": files})


def read_card(path: Path) -> ModelCard:
    """Parse NAME.json. Raises WeightsError where it is missing, not JSON, or has wrong or unknown keys."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe or a device may never end
            raise WeightsError(f"{path}: not a model card of this tool: not a regular file")
        return parse_card(json.loads(path.read_text(encoding="utf-8-sig")))  # some editors begin it with a mark
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the model card: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path}: not a model card of this tool: {error}") from error


def read_embedded_card(path: Path) -> ModelCard | None:
    """The card inside an .onnx file, or None. Raises WeightsError where it cannot be read."""
    try:
        text = read_metadata(path).get(CARD_KEY) if path.suffix == ".onnx" else None
        return None if text is None else parse_card(json.loads(text))
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path}: the card inside is not one of this tool: {error}") from error


def write_card(card: ModelCard, folder: Path) -> Path:
    """Write NAME.json into the folder, whole or not at all; its path. Raises DataError."""
    return write_facts(asdict(card), folder / f"{card.name}.json")


def write_facts(facts: Mapping[str, Any], path: Path) -> Path:
    """Write what a card says, whole or not at all; its path. Raises DataError.

    A byte of a name that is no UTF-8 is written in words, as \\udcff: a card is text.
    """
    text = json.dumps(drop_nan(facts), indent=2, ensure_ascii=False, allow_nan=False)
    text = SURROGATE.sub(lambda found: f"\\\\u{ord(found[0]):x}", text)
    try:
        with replacing(path) as aside:
            aside.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot write the model card: {error.strerror}") from error
    return path


def drop_nan(value: Any) -> Any:
    """The same for JSON, which has no word for nan and infinity: null takes their place, wherever they are."""
    if isinstance(value, Mapping):
        return {name: drop_nan(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [drop_nan(own) for own in value]
    return None if isinstance(value, float) and not isfinite(value) else value
