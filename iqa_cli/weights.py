"""ModelCard: the facts about a set of weights; and where weights are found, and whether they are intact.

A card is NAME.json beside its weight files. It holds everything needed to use the weights (the network, the crops, the
scale) and everything worth knowing about them (what they were trained on, what was measured, by which command).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any

from iqa_cli.crops import CropSpec
from iqa_cli.embedded import read_metadata
from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.options import FILE_KINDS, BackendChoice

EMBEDDED = "iqa_card"  # the key under which an .onnx file may carry its card, as JSON
HUB = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>.+))?")


@dataclass(frozen=True)
class WeightFile:
    """One file of weights beside its card: the name without folders, the size in bytes, the SHA-256 in hex.

    Raises ValueError for a name that leads elsewhere.
    """

    name: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[^./\\][^/\\]*", self.name) or not self.name.isprintable():
            raise ValueError(f"{self.name!r} is not the name of a file beside the card")

    @classmethod
    def of(cls, path: Path) -> WeightFile:
        """The facts of a file as it now is."""
        return cls(path.name, path.stat().st_size, hash_file(path))


@dataclass(frozen=True)
class ModelCard:
    """What NAME.json says.

    network: the fields of `nn.network.NetworkConfig`, as plain data.
    crops: how images become its input.
    opinions: 101 numbers, the 0th to 100th percentile of the training opinions on the score scale: what a percentile means.
    training: data with their terms, method, options, command.
    results: one mapping a measurement: dataset, split, figures, and the command that prints them.
    files: "safetensors" and "onnx" -> the file.

    Raises ValueError for a scale that is none.
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
    files: Mapping[str, WeightFile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.opinions) != 101 or not all(map(is_number, self.opinions)) or sorted(self.opinions) != list(self.opinions):
            raise ValueError("opinions are 101 numbers that never fall")
        if (
            len(self.score_range) != 2
            or not all(map(is_number, self.score_range))
            or not self.score_range[0] < self.score_range[1]
        ):
            raise ValueError(f"score_range is the least and the greatest score, not {self.score_range}")
        if not isinstance(self.name, str) or not self.name.isprintable():
            raise ValueError(f"name is a line of text, not {self.name!r}")
        for kind, file in self.files.items():
            if kind in FILE_KINDS.values() and not file.name.endswith(f".{kind}"):
                raise ValueError(f"{file.name} is listed as {kind}")


@dataclass(frozen=True)
class FoundModel:
    """A model and where it lies. backend: what is to run it, never AUTO."""

    card: ModelCard
    folder: Path
    backend: BackendChoice


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_number(value: object) -> bool:
    """Whether it is a number one can reckon with."""
    return isinstance(value, int | float) and isfinite(value)


def parse_card(data: dict[str, Any]) -> ModelCard:
    """A card from what its JSON says. Raises ValueError, TypeError, KeyError or AttributeError where that is no card."""
    crops: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data["crops"].items()}
    files = {kind: WeightFile(**facts) for kind, facts in data.get("files", {}).items()}
    lists: dict[str, Any] = {key: tuple(data[key]) for key in ("opinions", "score_range", "results", "limits") if key in data}
    unknown = data.keys() - {f.name for f in fields(ModelCard)}
    if unknown:
        raise ValueError(f"unknown keys {', '.join(sorted(unknown))}")
    return ModelCard(**data | {"crops": CropSpec(**crops), "files": files} | lists)


def read_card(path: Path) -> ModelCard:
    """Parse NAME.json. Raises WeightsError where it is missing, not JSON, or has wrong or unknown keys."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe or a device may never end
            raise WeightsError(f"{path}: not a model card of this tool: not a regular file")
        return parse_card(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the model card: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path}: not a model card of this tool: {error}") from error


def write_card(card: ModelCard, folder: Path) -> Path:
    """Write NAME.json into the folder, whole or not at all."""
    path = folder / f"{card.name}.json"
    aside = path.with_suffix(".json.part")
    aside.write_text(json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(path)
    return path


def released_folder() -> Path:
    """Where the models lie that come with the tool: in the package, or beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "released"
    return inside if inside.is_dir() else package.parent / "weights"


def find_cards() -> Iterator[ModelCard]:
    """The cards of the models that come with the tool, by name. Raises WeightsError for one that cannot be read."""
    yield from map(read_card, sorted(released_folder().glob("*.json")))


def find_model(reference: str, choice: BackendChoice) -> FoundModel:
    """The model that a reference means: an installed name; a path to a card, a weight file or a folder with one card; or
    hf://owner/name[@revision], whose card and one weight file are then downloaded, unless they have been before.

    Raises WeightsError where there is no such model or it has no file for that backend, UsageError for a contradiction.
    """
    if reference.startswith("hf://"):
        return fetch_model(reference, choice)
    try:
        return find_local_model(reference, choice)
    except (OSError, ValueError) as error:  # a name that is too long, a folder that may not be entered
        raise WeightsError(f"{reference}: cannot be looked for: {getattr(error, 'strerror', None) or error}") from error


def find_local_model(reference: str, choice: BackendChoice) -> FoundModel:
    """The model of an installed name or a path. Raises as `find_model` does, and OSError and ValueError."""
    installed = released_folder() / f"{reference}.json"
    path = Path(reference)
    if path.name == reference and installed.is_file():
        path = installed
    elif not path.exists():
        names = ", ".join(card.stem for card in sorted(released_folder().glob("*.json"))) or "none"
        raise WeightsError(
            f"{reference}: no such model. Installed: {names}. Otherwise give the path of a model card (.json), of its .onnx or"
            " .safetensors file or of their folder, or hf://owner/name"
        )
    if path.suffix in (".onnx", ".safetensors") and not path.is_dir():
        return find_card_of(path, choice)
    card = read_only_card(path) if path.is_dir() else read_card(path)
    return FoundModel(card, path if path.is_dir() else path.parent, choose_backend(card, choice))


def choose_backend(card: ModelCard, choice: BackendChoice) -> BackendChoice:
    """What runs the model. Raises WeightsError where the card has no file for it."""
    wanted = list(FILE_KINDS) if choice is BackendChoice.AUTO else [choice]
    for backend in wanted:
        if FILE_KINDS[backend] in card.files:
            return backend
    names = " or ".join(f".{FILE_KINDS[backend]}" for backend in wanted)
    there = ", ".join(file.name for file in card.files.values()) or "none at all"
    raise WeightsError(f"model {card.name} has no {names} file, which --backend {choice} needs; its card lists {there}")


def find_card_of(path: Path, choice: BackendChoice) -> FoundModel:
    """The model whose weights this file is: by the card of the same name beside it, or by the one inside an .onnx file."""
    backend = next(backend for backend, kind in FILE_KINDS.items() if path.suffix == f".{kind}")
    if choice not in (BackendChoice.AUTO, backend):
        raise UsageError(f"{path}: --backend {choice} cannot run this file; {backend} does")
    beside = path.with_suffix(".json")
    if beside.is_file():
        card = read_card(beside)
        listed = card.files.get(FILE_KINDS[backend])
        if listed is None or listed.name != path.name:
            raise WeightsError(f"{beside}: this card is not about {path.name} but about {listed.name if listed else 'others'}")
    elif (embedded := read_embedded_card(path)) is not None:
        card = replace(embedded, files={FILE_KINDS[backend]: WeightFile.of(path)})  # a file cannot hold its own hash
    else:
        raise WeightsError(f"{path}: these weights need their model card, {beside.name}, beside them: it says what they are")
    return FoundModel(card, path.parent, backend)


def read_embedded_card(path: Path) -> ModelCard | None:
    """The card inside an .onnx file, or None. Raises WeightsError where it cannot be read."""
    try:
        text = read_metadata(path).get(EMBEDDED) if path.suffix == ".onnx" else None
        return None if text is None else parse_card(json.loads(text))
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path}: the card inside is not one of this tool: {error}") from error


def read_only_card(folder: Path) -> ModelCard:
    """The one card in a folder; other JSON may lie around it. Raises WeightsError where there is none, or more than one."""
    cards, problem = {}, ""
    for path in sorted(folder.glob("*.json")):
        try:
            cards[path.name] = read_card(path)
        except WeightsError as error:
            problem = f" ({error})"
    if len(cards) > 1:
        raise WeightsError(f"{folder}: holds more than one model card, name the one you mean: {', '.join(cards)}")
    if not cards:
        raise WeightsError(f"{folder}: holds no model card (.json){problem}")
    return next(iter(cards.values()))


def fetch_model(reference: str, choice: BackendChoice) -> FoundModel:
    """The model of a repository on the Hugging Face Hub, or of the local cache of it: the card, and the one file needed.

    Raises WeightsError where it cannot be had.
    """
    import huggingface_hub  # takes 0.15 s, which only this road pays

    match = HUB.fullmatch(reference)
    if not match:
        raise UsageError(f"{reference}: a model on the Hub is named hf://owner/name or hf://owner/name@revision")
    repo = match["repo"]
    try:
        folder = Path(huggingface_hub.snapshot_download(repo, revision=match["revision"], allow_patterns=["*.json"]))
        card = read_only_card(folder)
        backend = choose_backend(card, choice)
        commit = folder.name  # so that both come from one state of the repository
        huggingface_hub.hf_hub_download(repo, card.files[FILE_KINDS[backend]].name, revision=commit)
    except WeightsError as error:
        raise WeightsError(f"{reference}: {error}") from error
    except Exception as error:  # of many kinds, by transport and version; the advice is the same
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise WeightsError(
            f"{reference}: cannot be had from the Hugging Face Hub ({reason}). Without a network, download the card and its"
            " weight file elsewhere and give their path: --model FOLDER"
        ) from error
    return FoundModel(card, folder, backend)


def verify_file(card: ModelCard, folder: Path, backend: BackendChoice) -> Path:
    """The weight file for that backend, after its size and SHA-256 have been checked. Raises WeightsError."""
    expected = card.files[FILE_KINDS[backend]]
    path = folder / expected.name
    try:
        if path.exists() and not path.is_file():
            raise WeightsError(f"{path}: not the file of the card: not a regular file")
        actual = path.stat().st_size
        if actual != expected.bytes:
            raise WeightsError(f"{path}: not the file of the card: {expected.bytes} bytes expected, {actual} there")
        digest = hash_file(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights: {error.strerror}") from error
    if digest != expected.sha256:
        raise WeightsError(f"{path}: not the file of the card: SHA-256 {expected.sha256} expected, {digest} there")
    return path
