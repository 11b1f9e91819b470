"""Groups: are made bursts, brackets, focus stacks and panoramas found whole, and is the best frame of a burst picked?

From clean photos of at least 1,000 px it makes JPEGs of 12 megapixels, 30 bursts of 3 to 8 frames and 10 of each other series,
with single photos between them, and runs `iqa score --group` on them. A burst has one clean frame; the others are shaken, out
of focus or noisy, and every one is framed anew by some px and up to 4 % brighter or darker.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from iqa_cli.errors import DataError
from tests.benchmarks.common import make_parser, read_count, read_seed, run_whole
from tests.series import MAKERS, START, write_series

KINDS = {"burst": "burst", "bracket": "bracket", "stack": "focus-stack", "panorama": "panorama", "single": ""}
LEAST = 1000  # px of the longer side of a photo that is enlarged
Series = tuple[str, list[str], list[float]]
"""Kind, names of the files, and their faults, of which the best frame of a burst has none."""


def find_photos(folder: Path) -> list[Path]:
    """The photos that are large enough."""
    found = []
    for path in sorted(folder.iterdir()):
        try:
            with Image.open(path) as picture:
                found += [path] * (max(picture.size) >= LEAST)
        except OSError:
            continue
    return found


def write_all(photos: Path, folder: Path, counts: dict[str, int], seed: int, megapixels: float) -> list[Series]:
    """Write all series, one soon after the other, in an order drawn by the seed. Raises DataError for too few photos."""
    generator = np.random.default_rng(seed)
    sources = find_photos(photos)
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    if len(sources) < len(kinds):
        raise DataError(f"{photos}: {len(kinds)} photos of at least {LEAST} px are needed, and {len(sources)} are there")
    generator.shuffle(sources)
    moment, written = START, []
    for number, place in enumerate(generator.permutation(len(kinds))):
        photo = np.asarray(Image.open(sources[number]).convert("RGB"))
        frames = MAKERS[kinds[place]](photo, generator, megapixels * 1e6)
        digits = 2 if generator.random() < 0.7 else 0
        start = moment + timedelta(seconds=float(generator.uniform(1, 8)))
        paths, faults, moment = write_series(folder, f"IMG_{number:03}_{kinds[place]}", frames, start, digits=digits)
        written.append((kinds[place], [path.name for path in paths], faults))
    return written


def judge(series: Sequence[Series], rows: Sequence[dict[str, str]]) -> dict[str, dict[str, int]]:
    """Kind -> how many were made, are one group of that kind, and, of bursts, have the clean frame as their best."""
    places = {Path(row["path"]).name: row for row in rows}
    sizes = Counter(row["group"] for row in rows if row["group"])
    figures: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(("made", "right", "best"), 0))
    for kind, names, faults in series:
        groups = {(places[name]["group"], places[name]["group_kind"]) for name in names}
        group, found = next(iter(groups))
        whole = len(groups) == 1 and (kind == "single" or sizes[group] == len(names))
        figures[kind]["made"] += 1
        figures[kind]["right"] += whole and found == KINDS[kind]
        figures[kind]["best"] += places[names[faults.index(0.0)]]["best_of_group"] == "true"
    return dict(figures)


def measure(options: argparse.Namespace) -> None:
    """Make the series, run the command on them, and print what is right."""
    counts = {"burst": options.bursts, **dict.fromkeys(("bracket", "stack", "panorama"), options.series)}
    counts["single"] = options.series
    with tempfile.TemporaryDirectory(prefix="iqa-groups-") as name:
        series = write_all(options.photos, Path(name), counts, options.seed, options.megapixels)
        command = [sys.executable, "-m", "iqa_cli", "score", name, "--group", "--no-cache", "-q", "-m", options.model]
        done = subprocess.run([*command, "--format", "csv"], stdout=subprocess.PIPE, check=True, text=True)
    figures = judge(series, list(csv.DictReader(done.stdout.splitlines())))
    for kind, figure in figures.items():
        best = f", clean frame best in {figure['best']}" if kind == "burst" else ""
        sys.stdout.write(f"{kind:10} {figure['right']} of {figure['made']} right{best}\n")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit code."""
    parser = make_parser("groups", __doc__)
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="clean photos")
    parser.add_argument("--bursts", type=read_count, default=30, metavar="N")
    parser.add_argument("--series", type=read_count, default=10, metavar="N", help="of each other kind")
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--seed", type=read_seed, default=0)
    return run_whole(measure, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
