"""How fast is `iqa score` beside others, and beside the decoding alone? Whole processes, cold, on the same photos.

    python -m tests.benchmarks.speed                       # photos of 12 and 2 megapixels, made from tests/photos
    python -m tests.benchmarks.speed --photos DIR          # photos of one's own

Rounds are interleaved, so that whatever else the machine does disturbs all alike; the median is printed. `img/s` is of the
whole process, from its start to its end; `CPU ms` is the time of all cores per image, which a busy machine distorts less; `MB`
is the most memory that a process and those it started had at a time (Linux: proportional set size), sampled.

Others that are not installed are left out with a line that says how to install them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread

import numpy as np
from PIL import Image

from iqa_cli.options import DEFAULT_MODEL
from iqa_cli.scoring import count_workers
from tests.benchmarks.scored import find_photos, print_table, read_count, run_whole, show, show_figure, write_json

SIZES = {"12 MP": (4000, 3000), "2 MP": (1632, 1224)}  # px
GRAIN = 4.0  # levels of noise on made photos, without which they would decode too fast
PERIOD = 0.1  # seconds between two samples of memory
PAGE_MAP = "smaps_rollup"

FLOOR = """
import sys
from concurrent.futures import ProcessPoolExecutor
from PIL import Image
def decode(path):
    with Image.open(path) as image:
        image.draft(None, (image.width // {scale}, image.height // {scale}))
        image.load()
if __name__ == "__main__":
    with ProcessPoolExecutor({workers}) as pool:
        list(pool.map(decode, sys.argv[1:]))
"""
PYIQA = "import sys, pyiqa; metric = pyiqa.create_metric({name!r}, device='cpu')\nfor path in sys.argv[1:]: float(metric(path))"
BRISQUE = """
import sys, numpy
from PIL import Image
from brisque import BRISQUE
metric = BRISQUE(url=False)
for path in sys.argv[1:]: metric.score(numpy.asarray(Image.open(path).convert("RGB")))
"""
PIQ = """
import sys, numpy, piq, torch
from PIL import Image
for path in sys.argv[1:]:
    pixels = torch.from_numpy(numpy.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)[None] / 255
    float(piq.brisque(pixels, data_range=1.0))
"""
CLEANVISION = "import sys; from cleanvision import Imagelab; Imagelab(filepaths=sys.argv[1:]).find_issues()"


@dataclass(frozen=True)
class Contestant:
    """Something that judges or decodes photos.

    arguments: of Python; the paths follow. module: what must be installed, by which name of a package; empty for nothing.
    share: of the photos that it gets, because it is slow.
    """

    name: str
    arguments: tuple[str, ...]
    module: str = ""
    package: str = ""
    share: float = 1.0


@dataclass(frozen=True)
class Run:
    """One process. seconds: from start to end; cpu: seconds of all cores; memory: bytes at most; failure: its last words."""

    seconds: float
    cpu: float
    memory: int
    failure: str = ""


def list_contestants(model: str, metrics: Sequence[str]) -> list[Contestant]:
    """All of them, this tool first and the floors last."""
    score = ("-m", "iqa_cli", "score", "--quiet", "--csv", os.devnull, "--model", model)
    floors = {f"decoding alone, 1/{scale}": FLOOR.format(scale=scale, workers=count_workers()) for scale in (1, 2, 8)}
    return [
        Contestant(f"iqa ({model})", (*score, "--no-cache", "--")),
        Contestant("iqa, again", (*score, "--cache", "--")),
        *(Contestant(f"pyiqa {name}", ("-c", PYIQA.format(name=name)), "pyiqa", "pyiqa", 0.1) for name in metrics),
        Contestant("brisque", ("-c", BRISQUE), "brisque", "brisque", 0.1),
        Contestant("piq brisque", ("-c", PIQ), "piq", "piq", 0.1),
        Contestant("CleanVision", ("-c", CLEANVISION), "cleanvision", "cleanvision"),
        Contestant(
            "image-quality-ai", ("-m", "image_quality_ai", "-q", "--workers", str(count_workers())), "image_quality_ai",
            "image-quality-ai", 0.5,
        ),
        *(Contestant(name, ("-c", code)) for name, code in floors.items()),
    ]  # fmt: skip


def choose_contestants(everyone: Sequence[Contestant]) -> Iterator[Contestant]:
    """Those that are installed; a line on stderr for each other package."""
    missing = {}
    for contestant in everyone:
        if not contestant.module or find_spec(contestant.module):
            yield contestant
        else:
            missing[contestant.module] = contestant.package
    for module, package in missing.items():
        sys.stderr.write(f"left out: {module} is not installed; to compare with it: pip install {package}\n")


# ---- photos ----


def make_photos(folder: Path, size: tuple[int, int], count: int) -> list[str]:
    """Photos of that size, (width, height) in px, every fourth upright: the sample photos enlarged, with grain."""
    sources = sorted((Path(__file__).parent.parent / "photos").glob("*.jpg"))
    paths = []
    for number in range(count):
        with Image.open(sources[number % len(sources)]) as source:
            large = source.convert("RGB").resize(size[::-1] if number % 4 == 3 else size, Image.Resampling.BICUBIC)
        grain = np.random.default_rng(number).normal(0, GRAIN, (large.height, large.width, 1))
        pixels = np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8)
        paths.append(str(folder / f"{number:04}.jpg"))
        Image.fromarray(pixels).save(paths[-1], quality=90)
    return paths


# ---- runs ----


def find_family(pid: int) -> Iterator[int]:
    """A process and those that it has started, and they, as far as Linux tells."""
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        for task in tasks:
            for child in (task / "children").read_text().split():
                yield from find_family(int(child))
    except OSError:  # it has ended meanwhile, or this is not Linux
        return


def read_memory(pid: int) -> int:
    """The bytes of memory that a process has to itself, and its share of what it shares; 0 where nobody says."""
    try:
        lines = Path(f"/proc/{pid}/{PAGE_MAP}").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def watch_memory(pid: int, done: Event, peak: list[int]) -> None:
    """Keep the most memory that a family of processes has in `peak`, until it is done."""
    while not done.wait(PERIOD):
        peak[0] = max(peak[0], sum(map(read_memory, find_family(pid))))


def run_once(contestant: Contestant, paths: Sequence[str], cache: str) -> Run:
    """One whole process over some photos."""
    environment = {**os.environ, "IQA_CACHE": cache}
    with tempfile.TemporaryFile() as words:
        before, started = os.times(), time.monotonic()
        command = [sys.executable, *contestant.arguments, *paths]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=words, env=environment)
        done, peak = Event(), [0]
        watcher = Thread(target=watch_memory, args=(process.pid, done, peak))
        watcher.start()
        code = process.wait()
        seconds, after = time.monotonic() - started, os.times()
        done.set()
        watcher.join()
        words.seek(0)
        said = words.read().decode("utf-8", "replace").split("\n")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    last = next((line for line in reversed(said) if line.strip()), f"exit code {code}")
    return Run(seconds, cpu, peak[0], last if code else "")


def measure(paths: Sequence[str], contestants: Sequence[Contestant], rounds: int) -> dict[str, list[Run]]:
    """Runs of every contestant, by name, the rounds interleaved after one to warm up. Who fails is asked no more."""
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in contestants}
    with tempfile.TemporaryDirectory() as cache:
        for turn in range(rounds + 1):
            for contestant in contestants:
                if any(run.failure for run in runs[contestant.name]):
                    continue
                sys.stderr.write(f"{'warming up' if not turn else f'round {turn} of {rounds}'}: {contestant.name}\n")
                run = run_once(contestant, take_share(paths, contestant), cache)
                if turn or run.failure:
                    runs[contestant.name].append(run)
    return runs


def take_share(paths: Sequence[str], contestant: Contestant) -> Sequence[str]:
    """The photos that a contestant gets."""
    return paths[: max(1, round(contestant.share * len(paths)))]


def measure_start(path: str, model: str, rounds: int) -> float:
    """The median of seconds for one photo, start and end of the process included."""
    contestant = list_contestants(model, ())[0]
    with tempfile.TemporaryDirectory() as cache:
        return statistics.median(run_once(contestant, [path], cache).seconds for _ in range(rounds + 1))


# ---- what comes out ----


def summarise(paths: Sequence[str], contestant: Contestant, runs: Sequence[Run]) -> dict[str, float | str | None]:
    """The medians of a contestant's runs."""
    if failure := next((run.failure for run in runs if run.failure), ""):
        return {"images": None, "rate": None, "cpu_ms": None, "memory_mb": None, "failure": failure}
    images = len(take_share(paths, contestant))
    return {
        "images": images,
        "rate": images / statistics.median(run.seconds for run in runs),
        "cpu_ms": 1000 * statistics.median(run.cpu for run in runs) / images,
        "memory_mb": statistics.median(run.memory for run in runs) / 1e6,
        "failure": "",
    }


def print_results(title: str, results: dict[str, dict[str, float | str | None]]) -> None:
    """A table on stdout."""
    rows = [[title, "images", "img/s", "CPU ms", "MB"]]
    for name, result in results.items():
        figures = [result[key] for key in ("images", "rate", "cpu_ms", "memory_mb")]
        cells = [show_figure(figure, decimals) for figure, decimals in zip(figures, (0, 1, 0, 0), strict=True)]  # type: ignore[arg-type]
        rows.append([name, *cells])
    print_table(rows)
    for name, result in results.items():
        if result["failure"]:
            sys.stdout.write(f"{name} failed: {show(str(result['failure']))}\n")
    sys.stdout.write("\n")


def compare(options: argparse.Namespace) -> None:
    """Measure and print. Raises DataError where there are no photos."""
    contestants = list(choose_contestants(list_contestants(options.model, options.metric)))
    everything = {}
    with tempfile.TemporaryDirectory() as folder:
        if options.photos:
            sets = {"photos": find_photos(options.photos)[: options.count]}
        else:
            sets = {}
            for title, size in SIZES.items():
                place = Path(folder) / title
                place.mkdir()
                sets[title] = make_photos(place, size, options.count)
        for title, paths in sets.items():
            runs = measure(paths, contestants, options.rounds)
            everything[title] = {c.name: summarise(paths, c, runs[c.name]) for c in contestants}
            print_results(title, everything[title])
        start = measure_start(next(iter(sets.values()))[0], options.model, options.rounds)
    sys.stdout.write(f"one photo, start to end: {start:.2f} s\n")
    if options.json:
        write_json(options.json, {"sets": everything, "start_s": start, "workers": count_workers(), "rounds": options.rounds})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.speed", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--photos", action="append", metavar="DIR", help="a folder of photos; may be repeated; default: made ones"
    )
    parser.add_argument("--count", type=read_count, default=40, metavar="N", help="so many photos of each size, default 40")
    parser.add_argument("--rounds", type=read_count, default=3, metavar="N", help="so many runs of each, default 3")
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME", help="as of iqa score")
    parser.add_argument(
        "--metric", action="append", default=[], metavar="NAME", help="of pyiqa, default brisque, niqe, piqe; may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args(arguments)
    options.metric = options.metric or ["brisque", "niqe", "piqe"]
    return run_whole(compare, options)


if __name__ == "__main__":
    sys.exit(main())
