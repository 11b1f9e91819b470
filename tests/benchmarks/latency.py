"""How long one image takes a program that has a `Scorer` open: milliseconds, on one core.

Each form in which a program may have a photo is scored again and again, in turn, with this process and the one that decodes
tied to one core: what a web handler with one core to itself waits for. Photos are those of `speed`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from iqa_cli import Scorer, Status
from iqa_cli.errors import DataError

from .common import make_parser, print_table, read_count, run_whole, write_json
from .speed import SIZES, make_photos

FORMS: dict[str, Callable[[str], Any]] = {
    "path": lambda path: path,
    "bytes": lambda path: Path(path).read_bytes(),
    "array": lambda path: np.asarray(Image.open(path)),
    "Pillow image": lambda path: Image.open(path),
}
"""What a program may have of a photo, made from its path; what that takes is not counted."""
SHARES = (50, 95)  # of the calls, that took no longer than the figures say


def tie_to_one_core() -> bool:
    """Have this process, and what it starts, run on one core; False where the system knows no such thing."""
    with suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        return True
    return False


def measure_forms(scorer: Scorer, paths: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """The milliseconds of each call, by form; the forms take turns. Raises DataError where a photo has no score."""
    times: dict[str, list[float]] = {name: [] for name in FORMS}
    for number in range(rounds):
        path = paths[number % len(paths)]
        for name, make in FORMS.items():
            image = make(path)
            begin = time.perf_counter()
            record = scorer.score(image)
            times[name].append(1000 * (time.perf_counter() - begin))
            if record.status is not Status.OK:
                raise DataError(f"{path}: {record.detail}")
    return times


def summarise(times: Sequence[float]) -> dict[str, float]:
    """The percentiles of some times."""
    return {f"p{share}": float(np.percentile(times, share)) for share in SHARES}


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    tied = tie_to_one_core()
    results: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, Scorer(options.model, workers=1) as scorer:
        for title in options.size:
            place = Path(folder, title)
            place.mkdir()
            paths = make_photos(place, SIZES[title], 8)
            measure_forms(scorer, paths, 3)  # to warm up
            results[title] = {name: summarise(own) for name, own in measure_forms(scorer, paths, options.rounds).items()}
            rows = [[f"{title} JPEG, ms", *(f"p{share}" for share in SHARES)]]
            rows += [[name, *(f"{value:.1f}" for value in own.values())] for name, own in results[title].items()]
            print_table(rows)
            sys.stdout.write("\n")
    if options.json:
        write_json(options.json, {"model": options.model, "one_core": tied, "rounds": options.rounds, "ms": results})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    parser = make_parser("latency", __doc__)
    parser.add_argument("--rounds", type=read_count, default=200, metavar="N", help="so many calls of each, default 200")
    parser.add_argument(
        "--size", action="append", choices=SIZES, metavar="SIZE", help=f"default 2 MP; may be repeated: {', '.join(SIZES)}"
    )
    options = parser.parse_args(arguments)
    options.size = options.size or ["2 MP"]
    return run_whole(run, options)


if __name__ == "__main__":
    sys.exit(main())
