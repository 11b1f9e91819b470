"""Where the time goes: milliseconds of one core an image, from the file to the score, a stage at a time.

    python -m tests.benchmarks.stages                      # photos of 12 and 2 megapixels, made from tests/photos
    python -m tests.benchmarks.stages --photos DIR         # photos of one's own

    bits        a JPEG decoded at an eighth, where little more is done than to read its compressed bits, as low as crops reach
    decoding    as the command decodes it, these bits included
    cutting     what the network looks at is cut out, reduced and brought to its scale
    network     alone, in one thread
    all         the last three
    images/s    that all cores could do, had they nothing else to do: no start, no files to find, nothing to hand over or write

Photos take turns, and medians over photos are printed; each stage is measured in the time of all cores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from time import process_time
from typing import TypeVar

from PIL import Image

from iqa_cli.images.crops import CropSpec, cut_views, normalise
from iqa_cli.images.decode import decode_image
from iqa_cli.images.jpeg import shorten_jpeg
from iqa_cli.images.orientation import lay, read_orientation, swap_sides
from iqa_cli.scoring.scorer import count_workers

from .scored import Model, make_cost_parser, open_models, print_table, read_count, run_whole, show_figure, write_json
from .speed import SIZES, gather_photos

EIGHTH = 8
Made = TypeVar("Made")


@dataclass(frozen=True)
class Stages:
    """CPU milliseconds of an image."""

    bits: float
    decoding: float
    cutting: float
    network: float

    @property
    def all(self) -> float:
        """From the file to the score."""
        return self.decoding + self.cutting + self.network


def take(work: Callable[[], Made]) -> tuple[Made, float]:
    """What some work makes, and the milliseconds of all cores that it takes."""
    before = process_time()
    made = work()
    return made, 1000 * (process_time() - before)


def read_bits(path: str, crops: CropSpec) -> None:
    """Decode a JPEG at an eighth, as low as crops reach."""
    with Path(path).open("rb") as file, Image.open(file) as picture:
        orientation = read_orientation(picture)
        width, height = swap_sides(picture.size, orientation)
        *_, bottom = lay(crops.window(height, width), picture.size, orientation)
        picture.draft(None, (picture.width // EIGHTH, picture.height // EIGHTH))
        shorten_jpeg(file, picture, ceil(bottom / EIGHTH), EIGHTH).load()


def walk(model: Model, path: str) -> Stages:
    """One photo from the file to the score. Raises Undecodable, WeightsError."""
    _, bits = take(lambda: read_bits(path, model.crops))
    decoded, decoding = take(lambda: decode_image(path, crops=model.crops))
    crops, cutting = take(lambda: normalise(cut_views(decoded.piece, model.crops), model.crops))
    _, network = take(lambda: model.backend.predict(crops))
    return Stages(bits, decoding, cutting, network)


def measure(model: Model, paths: Sequence[str], rounds: int) -> Stages:
    """The medians over photos and rounds, after a photo to warm up."""
    walk(model, paths[0])
    walked = [walk(model, path) for _ in range(rounds) for path in paths]
    columns = zip(*((own.bits, own.decoding, own.cutting, own.network) for own in walked), strict=True)
    return Stages(*map(statistics.median, columns))


def make_rows(stages: Sequence[tuple[str, Stages]], cores: int) -> list[list[str]]:
    """The table as text, header first."""
    rows = [["", "bits", "decoding", "cutting", "network", "all", "images/s"]]
    for title, own in stages:
        figures = own.bits, own.decoding, own.cutting, own.network, own.all, 1000 * cores / own.all
        rows.append([title, *(show_figure(figure, 1) for figure in figures)])
    return rows


def run(options: argparse.Namespace) -> None:
    """Measure, print, write. Raises IqaError."""
    (model,) = open_models([options.model])
    options.size = list(SIZES)
    with tempfile.TemporaryDirectory() as folder:
        stages = [(title, measure(model, paths, options.rounds)) for title, paths in gather_photos(options, Path(folder))]
    print_table(make_rows(stages, count_workers()))
    if options.json is not None:
        write_json(options.json, {"cores": count_workers(), "sets": {title: asdict(own) for title, own in stages}})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = make_cost_parser("stages", __doc__)
    parser.add_argument(
        "--photos", action="append", metavar="DIR", help="a folder of photos; may be repeated; default: made ones"
    )
    parser.add_argument("--count", type=read_count, default=20, metavar="N", help="so many photos of each size, default 20")
    parser.add_argument("--rounds", type=read_count, default=3, metavar="N", help="so many times each, default 3")
    return run_whole(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
