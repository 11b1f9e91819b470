"""Checks: facts about this installation, each with whether it is as it should be. None of them sends anything anywhere."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from iqa_cli import __version__
from iqa_cli.doctor.golden import GOLDEN, TOLERANCE, encode_png, make_picture
from iqa_cli.errors import IqaError
from iqa_cli.images.formats import DECODED
from iqa_cli.library import Scorer
from iqa_cli.models.card import ModelCard
from iqa_cli.models.find import find_cards, released_folder, verify_file
from iqa_cli.options import FILE_KINDS
from iqa_cli.records import Status
from iqa_cli.scoring.cache import describe_cache, find_folder
from iqa_cli.scoring.pipeline import find_version
from iqa_cli.scoring.resources import count_cores, count_workers

PACKAGE = "iqa-cli"
LIBRARIES = ("numpy", "pillow", "opencv-python-headless", "onnxruntime", "typer", "rich", "huggingface-hub")
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+).*extra == [\"'](?P<extra>[\w-]+)[\"']")
DEVELOPMENT = "dev"  # the extra of those who work on this tool


@dataclass(frozen=True)
class Check:
    """A fact. good: False where something has to be done; None where it is only told."""

    name: str
    text: str
    good: bool | None = None


def run_checks() -> Iterator[Check]:
    """All checks, the quick ones first."""
    yield Check("iqa", f"{__version__}, {Path(__file__).parents[1]}")
    yield Check("python", f"{platform.python_version()}, {sys.executable}")
    yield Check("system", f"{platform.platform()}, {platform.machine()}")
    yield from check_libraries()
    yield from check_extras()
    yield check_providers()
    yield Check("workers", f"{count_workers()} of {count_cores()} cores, as far as quota and memory allow")
    yield Check("formats", ", ".join(DECODED))
    yield check_cache()
    yield from check_models()


def check_libraries() -> Iterator[Check]:
    """What the base install needs."""
    for library in LIBRARIES:
        version = find_version(library)
        yield Check(library, version or f"not installed: pip install {library}", bool(version))


def check_extras() -> Iterator[Check]:
    """What of the optional parts is installed, as the package itself lists them."""
    try:
        requirements = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        yield Check("extras", f"unknown: {PACKAGE} is not installed, but run from a folder")
        return
    extras: dict[str, list[str]] = {}
    for line in requirements:
        found = REQUIREMENT.match(line)
        if found and found["extra"] != DEVELOPMENT and found["name"] != PACKAGE:
            extras.setdefault(found["extra"], []).append(found["name"])
    for extra, names in extras.items():
        missing = [name for name in names if not find_version(name)]
        hint = f"not installed ({', '.join(missing)}): pip install '{PACKAGE}[{extra}]'"
        yield Check(f"extra {extra}", hint if missing else "installed")


def check_providers() -> Check:
    """What ONNX Runtime can run networks on."""
    try:
        import onnxruntime
    except ImportError as error:
        return Check("providers", f"ONNX Runtime does not load: {error}", good=False)
    names = onnxruntime.get_available_providers()
    return Check("providers", ", ".join(names), "CPUExecutionProvider" in names)


def check_cache() -> Check:
    """Whether scores can be kept, and how many are."""
    try:
        folder = find_folder()
    except IqaError as error:
        return Check("cache", f"none: {error}", good=False)
    try:
        state = describe_cache(folder)
    except (OSError, sqlite3.Error) as error:
        return Check("cache", f"{folder}: cannot be read: {error}", good=False)
    if state.scores is None:
        return Check("cache", f"{state.file}: damaged; iqa cache clear begins a new one", good=False)
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        return Check("cache", f"{folder}: cannot be written, so nothing is kept; IQA_CACHE names another folder", good=False)
    return Check("cache", f"{state.file}: {state.scores:,} scores, {state.bytes / 1e6:.1f} MB", good=True)


def check_models() -> Iterator[Check]:
    """Whether the files of all models are intact, and whether each gives the score that it should."""
    try:
        cards = list(find_cards())
    except IqaError as error:
        yield Check("models", str(error), good=False)
        return
    if not cards:
        yield Check("models", f"{released_folder()}: none are installed there", good=False)
    for card in cards:
        yield from check_files(card)
        yield check_score(card)


def check_files(card: ModelCard) -> Iterator[Check]:
    """Whether each file of a model is what its card says. One that is not there is no fault: another may run."""
    for backend, kind in FILE_KINDS.items():
        if kind in card.files and (released_folder() / card.files[kind].name).exists():
            try:
                path = verify_file(card, released_folder(), backend)
                yield Check(f"model {card.name}", f"{path.name}: intact, SHA-256 {card.files[kind].sha256}", good=True)
            except IqaError as error:
                yield Check(f"model {card.name}", str(error), good=False)


def check_score(card: ModelCard) -> Check:
    """Whether a model gives a computed picture its score, as pixels and as a file that another process decodes."""
    name, rgb = f"self-test {card.name}", make_picture()
    try:
        with Scorer(card.name, workers=1) as scorer:
            records = [scorer.score(rgb), scorer.score(encode_png(rgb), name="computed.png")]
            golden = GOLDEN.get(scorer.sha256)
    except IqaError as error:
        return Check(name, str(error), good=False)
    if failed := next((record for record in records if record.status is not Status.OK), None):
        return Check(name, f"the picture has no score: {failed.status}, {failed.detail}", good=False)
    pixels, file = (round(record.score or 0.0, 2) for record in records)
    if pixels != file:
        return Check(name, f"{pixels:.2f} for pixels, and {file:.2f} for a file of the same ones", good=False)
    if golden is None:
        return Check(name, f"scores {pixels:.2f}; what it should be is not known of these weights")
    off = abs(pixels - golden)
    words = f"scores {pixels:.2f}, and should {golden:.2f}"
    return Check(name, words if off <= TOLERANCE else f"{words}: other libraries or a broken processor", off <= TOLERANCE)
