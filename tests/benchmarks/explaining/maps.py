"""Maps: does damage that is put into one quarter of a photo lie in the worst quarter of its map?

Of each clean photo three copies are made, damaged in one quarter, drawn by its name: blurred, noisy, in blocks, as strongly as
level 4 of 5. They are saved at quality 95 and explained as `iqa explain` does.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from iqa_cli import Scorer
from iqa_cli.errors import DataError
from iqa_cli.images.distortions import distort
from iqa_cli.images.masks import confine, select_quarter
from tests.benchmarks.common import make_parser, print_table, read_count, run_whole, write_json
from tests.benchmarks.explaining.reasons import find_photos, hash_name, read_photo

KINDS = ("gaussian_blur", "white_noise", "jpeg")
LEVEL = 4


def find_worst(points: npt.NDArray[np.float32]) -> int:
    """The quarter of a map with the lowest mean, numbered as those of `masks.select_quarter`."""
    shape = points.shape[0], points.shape[1]
    return min(range(4), key=lambda number: float(points[select_quarter(shape, number)].mean()))


def measure(options: argparse.Namespace) -> None:
    """Damage the photos, explain them, and print how often the quarter is found. Raises DataError where there are none."""
    photos = find_photos(options.photos)[: options.count]
    if not photos:
        raise DataError(f"{options.photos}: no photos there")
    found = dict.fromkeys(KINDS, 0)
    with Scorer(options.model) as scorer:
        for path in photos:
            rgb = read_photo(path)
            quarter = hash_name(path) // 7 % 4
            mask = select_quarter((rgb.shape[0], rgb.shape[1]), quarter)
            for kind in KINDS:
                damaged = confine(distort(rgb, kind, LEVEL, np.random.default_rng(hash_name(path))), rgb, mask)
                file = io.BytesIO()
                Image.fromarray(damaged).save(file, "JPEG", quality=95)
                points = scorer.explain(file).map
                found[kind] += points is not None and find_worst(points) == quarter
    rows = [(kind, str(hits), str(len(photos)), f"{100 * hits / len(photos):.0f} %") for kind, hits in found.items()]
    total, trials = sum(found.values()), len(photos) * len(KINDS)
    rows.append(("all", str(total), str(trials), f"{100 * total / trials:.0f} %"))
    print_table([("damage in a quarter", "found", "of", "share"), *rows])
    if options.json:
        write_json(options.json, {"photos": len(photos), "found": found})


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit code."""
    parser = make_parser("explaining.maps", __doc__)
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="clean photos")
    parser.add_argument("--count", type=read_count, default=40, metavar="N", help="how many of them")
    return run_whole(measure, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
