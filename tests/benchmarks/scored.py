"""What the benchmarks share: which photos, decoded and scored on the product's road, in memory; progress and tables."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from iqa_cli.errors import DataError, IqaError, WeightsError
from iqa_cli.images.crops import Crops, CropSpec, Rgb, cut_crops
from iqa_cli.images.find import find_images
from iqa_cli.models.find import find_model
from iqa_cli.models.onnx_backend import Backend
from iqa_cli.options import DEFAULT_MODEL, BackendChoice
from iqa_cli.records import Undecodable
from iqa_cli.scoring.backends import open_backend

Floats = npt.NDArray[np.float64]
Score = Callable[[Sequence[Rgb]], Floats]  # pictures -> scores [n], 0 to 100, higher is better
Keep = Callable[[str], bool]
T = TypeVar("T")

BATCH = 16  # pictures a run of the network, where they have one shape
LINES_APART = 15.0  # seconds between two lines of progress where there is no terminal to draw over


# ---- scoring ----


@dataclass(frozen=True)
class Model:
    """A network that is ready to score. name: as the user named it."""

    name: str
    backend: Backend
    crops: CropSpec

    def score(self, rgbs: Sequence[Rgb]) -> Floats:
        """As `score_arrays`."""
        return score_arrays(self, rgbs)


def open_models(references: Sequence[str]) -> list[Model]:
    """The models of these names or paths, verified and loaded. Raises WeightsError or UsageError."""
    found = [find_model(reference, BackendChoice.AUTO) for reference in references]
    return [
        Model(name, open_backend(model.card, model.folder, model.backend, "auto"), model.card.crops)
        for name, model in zip(references, found, strict=True)
    ]


def score_arrays(model: Model, rgbs: Sequence[Rgb]) -> Floats:
    """The scores [n] of pictures, each uint8 [H, W, 3], as `Scorer` gives them, but 0 to 100 whatever the card's range is.

    Raises WeightsError where a score is no number.
    """
    return score_crops(model, [cut_crops(rgb, model.crops) for rgb in rgbs])


def score_crops(model: Model, crops: Sequence[Crops]) -> Floats:
    """As `score_arrays`, of the crops [count, 3, h, w] of each picture."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, own in enumerate(crops):
        groups.setdefault(own.shape, []).append(place)
    qualities = np.empty(len(crops))
    for places in groups.values():
        for part in (places[start : start + BATCH] for start in range(0, len(places), BATCH)):
            predicted = model.backend.predict(np.concatenate([crops[place] for place in part]))  # [part * count]
            qualities[part] = predicted.reshape(len(part), -1).mean(axis=1, dtype=np.float64)
    if not np.isfinite(qualities).all():
        raise WeightsError(f"model {model.name} gives a score that is no number: its weights are broken")
    return np.asarray(100 * qualities.clip(0, 1))


# ---- photos ----


def find_photos(folders: Sequence[str], prefixes: Sequence[str] = (), keep: Keep = lambda _: True) -> list[str]:
    """The photos in folders, each once, whose file names begin with one of the prefixes (none: all) and are to be kept.

    In an order drawn by their names, so that the first of them are a fair sample, and the same one tomorrow. Raises DataError
    where a folder is missing or nothing is left.
    """
    missing = next((folder for folder in folders if not os.path.isdir(folder)), None)  # noqa: PTH112  as in `finding`
    if missing is not None:
        raise DataError(f"{missing or 'a folder without a name'}: no such folder")
    there = dict.fromkeys(find_images(folders, Counter()))
    begun = [path for path in there if name_file(path).startswith(tuple(prefixes) or "")]
    kept = [path for path in begun if keep(name_file(path))]
    if not kept:
        raise DataError(
            f"{', '.join(folders)}: nothing to measure: of {len(there)} images {len(begun)} have a name asked for, and none"
            " of these is to be kept"
        )
    return sorted(kept, key=lambda path: hash_text(name_file(path)))


def name_file(path: str) -> str:
    """The file's name without its folder."""
    return os.path.basename(path)  # noqa: PTH119  as above


def hash_text(text: str) -> int:
    """64 bits of a text, the same on every machine."""
    return int.from_bytes(hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()[:8], "big")


def work_through(task: Callable[[str], T], paths: Sequence[str], workers: int) -> Iterator[tuple[str, T]]:
    """Each photo with what the task makes of it, in order, with progress on stderr.

    A photo that cannot be decoded is left out with a line on stderr. Raises DataError where that leaves none.
    """

    def attempt(path: str) -> T | Undecodable:
        try:
            return task(path)
        except Undecodable as failure:
            return failure

    progress, decoded = Progress(len(paths)), 0
    pool = ThreadPoolExecutor(workers)
    try:
        for path, outcome in zip(paths, pool.map(attempt, paths), strict=True):
            if isinstance(outcome, Undecodable):
                progress.note(f"left out: {path}: {outcome}")
            else:
                decoded += 1
                yield path, outcome
            progress.advance()
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C waits for no more than what has been begun
    if not decoded:
        raise DataError("no photo could be decoded")


class Progress:
    """How many photos are done, on stderr: one line that is drawn again and again, or in a file a line now and then."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.drawn = self.started = monotonic()
        self.live = sys.stderr.isatty()

    def advance(self) -> None:
        """One more."""
        self.done += 1
        now = monotonic()
        if not self.live and self.done < self.total and now < self.drawn + LINES_APART:
            return
        self.drawn = now
        left = (now - self.started) / self.done * (self.total - self.done)
        end = "\n" if not self.live or self.done == self.total else ""
        sys.stderr.write(f"{self._home()}{self.done} of {self.total} photos, {left:.0f} s left{end}")
        sys.stderr.flush()

    def note(self, text: str) -> None:
        """A line that stays."""
        sys.stderr.write(f"{self._home()}{show(text)}\n")

    def _home(self) -> str:
        return "\r\x1b[K" if self.live else ""


# ---- the command line ----


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("--photos", action="append", required=True, metavar="DIR", help="a folder of photos; may be repeated")
    parser.add_argument("--model", action="append", required=True, metavar="NAME", help="as of iqa score; may be repeated")
    parser.add_argument("--prefix", action="append", default=[], help="how file names begin, default any; may be repeated")
    parser.add_argument("--limit", type=read_count, metavar="N", help="so many photos at most, drawn by their names")
    parser.add_argument("--workers", type=read_count, default=1, metavar="N", help="threads, default 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


def make_cost_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The options of the benchmarks of what scoring with a model costs. The description is shown as it is written."""
    parser = argparse.ArgumentParser(
        prog=f"python -m tests.benchmarks.{name}",
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME", help="as of iqa score")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


def read_count(text: str, least: int = 1) -> int:
    """A whole number from `least`, which is not negative. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"a whole number from {least} is needed, not {text}")
    return int(text)


def read_seed(text: str) -> int:
    """A whole number from 0. Raises ArgumentTypeError."""
    return read_count(text, 0)


def read_share(text: str) -> float:
    """A number from 0 to 1. Raises ArgumentTypeError."""
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"a number from 0 to 1 is needed, not {text}")
    return share


def run_whole(measure: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> int:
    """Run a benchmark; its exit code. Whatever stops it is a line on stderr."""
    try:
        if options.json is not None and not options.json.parent.is_dir():
            raise DataError(f"{options.json}: its folder does not exist")  # better now than in an hour
        measure(options)
    except IqaError as error:
        sys.stderr.write(f"error: {show(str(error))}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\nerror: interrupted\n")
        return 130
    return 0


def show(text: str) -> str:
    """The text in one line, without what would upset a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


# ---- what comes out ----


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Rows of equal length, the first the header, on stdout: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        sys.stdout.write(show("  ".join(cells)).rstrip() + "\n")


def show_figure(value: float | None, decimals: int = 3, *, sign: bool = False) -> str:
    """A figure for a table; "-" where it is undefined."""
    return "-" if value is None else f"{value:{'+' if sign else ''}.{decimals}f}"


def known(value: float) -> float | None:
    """The number, or None where it is none, for which JSON has no word."""
    return float(value) if math.isfinite(value) else None


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write data into a file. Raises DataError where that fails."""
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot write: {error.strerror}") from error
