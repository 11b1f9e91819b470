"""Checks: facts about this installation, each with whether it is as it should be. None of them sends anything anywhere.

That a library does not load is a fact as well, and the other checks go on: so what needs one is imported where it is used.
"""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from iqa_cli import __version__
from iqa_cli.errors import IqaError
from iqa_cli.images.formats import DECODED
from iqa_cli.options import FILE_KINDS
from iqa_cli.records import Status
from iqa_cli.scoring.cache import describe_cache, find_folder
from iqa_cli.scoring.resources import count_cores, count_workers

if TYPE_CHECKING:
    from iqa_cli.models.card import ModelCard

PACKAGE = "iqa-cli"
LIBRARIES = {
    "numpy": "numpy",
    "pillow": "PIL.Image",
    "opencv-python-headless": "cv2",
    "onnxruntime": "onnxruntime",
    "typer": "typer",
    "rich": "rich.console",
    "huggingface-hub": "huggingface_hub",
}
"""What the base install needs -> what of it is imported. Another distribution, as onnxruntime-gpu, may have that, too."""
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
    yield check_detail()


def describe(error: Exception) -> str:
    """What failed, in a line; of an error that is none of this tool's own also its kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, IqaError) else f"{type(error).__name__}: {text}"


def check_libraries() -> Iterator[Check]:
    """Whether what the base install needs is there, and loads."""
    for library, module in LIBRARIES.items():
        yield check_library(library, module)


def check_library(library: str, module: str) -> Check:
    """Whether a library loads; its version, and the distribution that it is of, where that has another name."""
    top = module.partition(".")[0]
    name = library if is_installed(library) else next(iter(metadata.packages_distributions().get(top, ())), None)  # slow
    version = metadata.version(name) if name else ""
    try:
        loaded = import_module(module)
        if getattr(loaded, "__file__", None) is None:  # what an uninstallation leaves of a folder
            raise ImportError(f"the package {top} is empty")
    except Exception as error:
        if not name and isinstance(error, ModuleNotFoundError) and error.name == top:
            return Check(library, f"not installed: pip install {library}", good=False)
        remedy = f"pip install --force-reinstall {name or library}"
        return Check(library, f"{version} does not load: {describe(error)}; try: {remedy}".lstrip(), good=False)
    version = version or str(getattr(loaded, "__version__", "of unknown version"))
    return Check(library, version if name == library or not name else f"{version}, of {name}", good=True)


def is_installed(distribution: str) -> bool:
    """Whether a distribution of that name is installed."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


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
        missing = [name for name in names if not is_installed(name)]
        hint = f"not installed ({', '.join(missing)}): pip install '{PACKAGE}[{extra}]'"
        yield Check(f"extra {extra}", hint if missing else "installed")


def check_providers() -> Check:
    """What ONNX Runtime can run networks on."""
    try:
        import onnxruntime

        names = onnxruntime.get_available_providers()
    except Exception as error:
        return Check("providers", f"none: ONNX Runtime does not load: {describe(error)}", good=False)
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
        from iqa_cli.models.find import find_cards, released_folder

        cards = list(find_cards())
    except Exception as error:
        yield Check("models", describe(error), good=False)
        return
    if not cards:
        yield Check("models", f"{released_folder()}: none are installed there", good=False)
    for card in cards:
        yield from check_files(card)
        yield check_score(card)


def check_files(card: ModelCard) -> Iterator[Check]:
    """Whether each file of a model is what its card says. One that is not there is no fault: another may run."""
    from iqa_cli.models.find import released_folder, verify_file

    for backend, kind in FILE_KINDS.items():
        try:
            if kind in card.files and (released_folder() / card.files[kind].name).exists():
                path = verify_file(card, released_folder(), backend)
                yield Check(f"model {card.name}", f"{path.name}: intact, SHA-256 {card.files[kind].sha256}", good=True)
        except (IqaError, OSError) as error:
            yield Check(f"model {card.name}", describe(error), good=False)


def check_score(card: ModelCard) -> Check:
    """Whether a model gives a computed picture its score, as pixels and as a file that another process decodes."""
    name = f"self-test {card.name}"
    try:
        from iqa_cli.doctor.golden import GOLDEN, TOLERANCE, encode_png, make_picture
        from iqa_cli.library import Scorer

        rgb = make_picture()
        with Scorer(card.name, workers=1) as scorer:
            records = [scorer.score(rgb), scorer.score(encode_png(rgb), name="computed.png")]
            golden = GOLDEN.get(scorer.sha256)
    except Exception as error:
        return Check(name, describe(error), good=False)
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


def check_detail() -> Check:
    """Whether the networks for detail are intact, and measure something of a computed picture."""
    try:
        from iqa_cli.detail.model import open_detail
        from iqa_cli.doctor.golden import make_picture

        found = open_detail().measure(make_picture())
    except Exception as error:
        return Check("detail", describe(error), good=False)
    words = f"native_detail {found.detail:.1f}, effective_mp {found.effective_mp:.3f} of the computed picture"
    return Check("detail", f"intact; {words}", isfinite(found.detail) and isfinite(found.effective_mp))
