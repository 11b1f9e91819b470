"""Find the card and the weights of a model, and verify them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.models.card import ModelCard, WeightFile, hash_file, read_card, read_embedded_card
from iqa_cli.models.hub import limit_hub_timeout
from iqa_cli.models.short_card import REQUIRED, is_short_card, name_weights, read_short_card
from iqa_cli.options import FILE_KINDS, BackendChoice

HUB = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>.+))?")


@dataclass(frozen=True)
class FoundModel:
    """A model and the folder of its files.

    backend: what is to run it, never AUTO. source: the file that its card was read from: .json, .toml, or .onnx that holds it.
    """

    card: ModelCard
    folder: Path
    backend: BackendChoice
    source: Path

    def place_card(self, weights: Path) -> Path:
        """Where the card of other weights of it belongs: in its folder that is its own card, elsewhere one of their name."""
        return self.source if weights.parent.resolve() == self.folder.resolve() else weights.with_suffix(".json")


def released_folder() -> Path:
    """The folder of the models that come with the tool: in the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "released"
    return inside if inside.is_dir() else package.parent / "weights"


def find_cards() -> Iterator[ModelCard]:
    """The cards of the models that come with the tool, by name. Raises WeightsError for one that cannot be read."""
    yield from map(read_card, sorted(released_folder().glob("*.json")))


def find_model(reference: str, choice: BackendChoice) -> FoundModel:
    """The model that a reference means: an installed name; a path to a card, a weight file or a folder with one card; or
    hf://owner/name[@revision], whose card and one weight file are then downloaded, unless they have been before.

    Raises WeightsError where there is no such model or it has no file for that backend, UsageError for a contradiction, and for
    an empty reference, which would be the working folder.
    """
    if not reference:
        raise UsageError("the name of a model is empty: is the variable set that it was to come from?")
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
            f"{reference}: no such model. Installed: {names}. Otherwise give the path of a model card (.json or .toml), of"
            " its .onnx or .safetensors file or of their folder, or hf://owner/name"
        )
    if path.suffix in (".onnx", ".safetensors") and not path.is_dir():
        return find_card_of(path, choice)
    source, card = find_only_card(path) if path.is_dir() else (path, read_any_card(path))
    folder = source.parent
    return FoundModel(card, folder, choose_backend(card, choice, folder), source)


def read_any_card(path: Path) -> ModelCard:
    """A card of this tool, or a short one of a model of other origin. Raises WeightsError."""
    return read_short_card(path) if is_short_card(path) else read_card(path)


def choose_backend(card: ModelCard, choice: BackendChoice, folder: Path | None = None) -> BackendChoice:
    """What runs the model. Raises WeightsError where the card has no file for it.

    folder: of the files, where they are on this machine. AUTO passes by one that is not there if PyTorch can run another.
    """
    wanted = list(FILE_KINDS) if choice is BackendChoice.AUTO else [choice]
    if listed := [backend for backend in wanted if FILE_KINDS[backend] in card.files]:
        there = [backend for backend in listed if folder and has_file(card, folder, backend) and can_run(backend)]
        return (there or listed)[0]
    names = " or ".join(f".{FILE_KINDS[backend]}" for backend in wanted)
    kept = ", ".join(file.name for file in card.files.values()) or "none at all"
    raise WeightsError(f"model {card.name} has no {names} file, which --backend {choice} needs; its card lists {kept}")


def has_file(card: ModelCard, folder: Path, backend: BackendChoice) -> bool:
    """Whether the file for a backend is there, intact or not."""
    kind = FILE_KINDS[backend]
    return kind in card.files and (folder / card.files[kind].name).exists()


def can_run(backend: BackendChoice) -> bool:
    """Whether what runs it is installed; ONNX Runtime always is."""
    return backend is not BackendChoice.TORCH or find_spec("torch") is not None


def find_card_of(path: Path, choice: BackendChoice) -> FoundModel:
    """The model whose weights this file is: by the card of the same name beside it, or by the one inside an .onnx file."""
    backend = next(backend for backend, kind in FILE_KINDS.items() if path.suffix == f".{kind}")
    if choice not in (BackendChoice.AUTO, backend):
        raise UsageError(f"{path}: --backend {choice} cannot run this file; {backend} does")
    beside = path.with_suffix(".json")
    short, source = path.with_suffix(".toml"), path
    if short.is_file() and beside.is_file():
        raise WeightsError(f"{path}: has two cards, {beside.name} and {short.name}: name the one you mean")
    if short.is_file() or beside.is_file():
        source = short if short.is_file() else beside
        card = read_any_card(source)
        listed = card.files.get(FILE_KINDS[backend])
        if listed is None or listed.name != path.name:
            raise WeightsError(f"{source}: this card is not about {path.name} but about {listed.name if listed else 'others'}")
    elif (embedded := read_embedded_card(path)) is not None:
        card = replace(embedded, files={FILE_KINDS[backend]: WeightFile.of(path)})  # a file cannot hold its own hash
    else:
        raise WeightsError(
            f"{path}: these weights need their model card, {beside.name}, beside them: it says what they are. For a model of"
            f" other origin five lines do, in {short.name}: {', '.join(REQUIRED)}"
        )
    return FoundModel(card, path.parent, backend, source)


def find_only_card(folder: Path) -> tuple[Path, ModelCard]:
    """The one card in a folder; other JSON may lie around it. Raises WeightsError where there is none, or more than one."""
    cards, problem = {}, ""
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.toml")]):
        try:
            cards[path] = read_any_card(path)
        except WeightsError as error:
            problem = f" ({error})"
    if len(cards) > 1:
        names = ", ".join(path.name for path in cards)
        raise WeightsError(f"{folder}: holds more than one model card, name the one you mean: {names}")
    if not cards:
        raise WeightsError(f"{folder}: holds no model card (.json or .toml){problem}")
    return next(iter(cards.items()))


def fetch_model(reference: str, choice: BackendChoice) -> FoundModel:
    """The model of a repository on the Hugging Face Hub, or of the local cache of it: the card, and the one file needed.

    Raises WeightsError where it cannot be had, within seconds where the Hub does not answer.
    """
    match = HUB.fullmatch(reference)
    if not match:
        raise UsageError(f"{reference}: a model on the Hub is named hf://owner/name or hf://owner/name@revision")
    with limit_hub_timeout() as offline:
        try:
            return download_model(match["repo"], match["revision"], choice)
        except WeightsError as error:
            raise WeightsError(f"{reference}: {error}") from error
        except Exception as error:  # of many kinds, by transport and version; the advice is the same
            reason = offline or (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise WeightsError(
                f"{reference}: cannot be had from the Hugging Face Hub: {reason}. Without a network, download the card and its"
                " weight file elsewhere and give their path: --model FOLDER"
            ) from error


def download_model(repo: str, revision: str | None, choice: BackendChoice) -> FoundModel:
    """The model of a repository, in the local cache of the Hub. A short card is read with its weights beside it."""
    import huggingface_hub  # takes 0.15 s, which only models of the Hub pay

    wanted, nested = ["*.json", "*.toml"], ["*/*"]  # a star of the Hub's stands for slashes, too
    folder = Path(huggingface_hub.snapshot_download(repo, revision=revision, allow_patterns=wanted, ignore_patterns=nested))
    fetch = partial(huggingface_hub.hf_hub_download, repo, revision=folder.name)  # so that all come from one state of it
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.toml")]):
        if (weights := name_weights(path)) is not None:
            fetch(weights)
    source, card = find_only_card(folder)
    backend = choose_backend(card, choice)
    fetch(card.files[FILE_KINDS[backend]].name)
    return FoundModel(card, folder, backend, source)


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
        remedy = suggest_torch(card, folder, backend) if isinstance(error, FileNotFoundError) else ""
        raise WeightsError(f"{path}: cannot read the weights: {error.strerror}{remedy}") from error
    if digest != expected.sha256:
        raise WeightsError(f"{path}: not the file of the card: SHA-256 {expected.sha256} expected, {digest} there")
    return path


def suggest_torch(card: ModelCard, folder: Path, backend: BackendChoice) -> str:
    """What to do where the .onnx file of a card is not there."""
    if backend is not BackendChoice.ONNX or not has_file(card, folder, BackendChoice.TORCH):
        return ""
    extra = "" if can_run(BackendChoice.TORCH) else ", which needs the [train] extra: pip install 'iqa-cli[train]'"
    return f"; {card.files[FILE_KINDS[BackendChoice.TORCH]].name} is there, and runs with --backend torch{extra}"
