"""How fast is `iqa score` beside others, and beside the decoding alone? Whole processes, cold, on the same photos.

    python -m tests.benchmarks.speed                       # photos of 12 and 2 megapixels, made from tests/photos
    python -m tests.benchmarks.speed --photos DIR          # photos of one's own
    python -m tests.benchmarks.speed --peer pyiqa --metric nima --python pyiqa=other/venv/bin/python

Rounds are interleaved, so that whatever else the machine does disturbs all alike; medians are printed. Slow contestants get
fewer photos, as `images` says.

    img/s    of the whole process, from its start to its end
    x        the first line is so many times as fast
    start    seconds for one photo, from the start of the process to its end
    then, x  the same two without the start, which weighs much where images are few: images a second after the first one are
             (images - 1) / (seconds for all - seconds for one)
    CPU ms   the time of all cores per image, start included, which a busy machine distorts less
    MB       the most memory that a process and those it started had at a time (Linux: proportional set size), sampled

Others that are not installed are left out with a line that says how to install them; one that needs other versions of libraries
than this project can be installed elsewhere, and --python says where. piq and the metrics of pyiqa fetch weights from a hub.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event, Thread

import numpy as np
from PIL import Image

from iqa_cli.errors import DataError
from iqa_cli.evaluation.robustness import choose_photos
from iqa_cli.scoring.resources import count_workers

from .common import make_parser, print_table, read_count, run_whole, show, show_figure, write_json

SIZES = {"12 MP": (4000, 3000), "2 MP": (1632, 1224)}  # px
GRAIN = 4.0  # levels of noise on made photos, without which they would decode too fast
PERIOD = 0.1  # seconds between two samples of memory
PAGE_MAP = "smaps_rollup"
SLOW = 0.1  # of the photos are enough for those that take a second each
PEERS = {
    "pyiqa": "pyiqa",
    "brisque": "brisque",
    "piq": "piq",
    "cleanvision": "cleanvision",
    "image-quality-ai": "image_quality_ai",
}
"""Packages, and what they are imported as."""

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
PYIQA = """
import sys, pyiqa
metric = pyiqa.create_metric({name!r}, device="cpu")
for path in sys.argv[1:]: float(metric(path))
"""
FIND = "import sys, importlib.util; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
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

    arguments: of Python; the paths follow. package: what must be installed, empty for nothing.
    share: of the photos that it gets, less than 1 because it is slow. python: that runs it.
    """

    name: str
    arguments: tuple[str, ...]
    package: str = ""
    share: float = 1.0
    python: str = sys.executable


@dataclass(frozen=True)
class Limits:
    """What one process may take: seconds, and bytes of memory."""

    seconds: float = 300.0
    memory: float = 12e9


@dataclass(frozen=True)
class Run:
    """One process. seconds: from start to end; cpu: seconds of all cores; memory: bytes at most; failure: its last words."""

    seconds: float
    cpu: float
    memory: float
    failure: str = ""

    def check(self) -> None:
        """Raise DataError where it failed."""
        if self.failure:
            raise DataError(self.failure)


@dataclass(frozen=True)
class Turn:
    """What a contestant did in a round: with one photo, and with all that it gets."""

    one: Run
    all: Run

    @property
    def failure(self) -> str:
        """The last words of the one that failed."""
        return self.one.failure or self.all.failure


@dataclass(frozen=True)
class Result:
    """A line of the table, as the module's docstring says; None where nothing is known. failure: empty, or why it is not."""

    images: int
    rate: float | None = None
    times: float | None = None
    start_s: float | None = None
    later_rate: float | None = None
    later_times: float | None = None
    cpu_ms: float | None = None
    memory_mb: float | None = None
    failure: str = ""


def list_contestants(options: argparse.Namespace) -> list[Contestant]:
    """All that are asked for, this tool first and the floors last."""
    score = ("-m", "iqa_cli", "score", "--quiet", "--csv", os.devnull, "--model", options.model)
    floors = {f"decoding alone, 1/{scale}": FLOOR.format(scale=scale, workers=count_workers()) for scale in (1, 2, 8)}
    share = options.slow / options.count if options.slow else SLOW
    peers = [peer for peer in list_peers(options.metric, share) if peer.package in options.peer]
    return [
        Contestant(f"iqa ({options.model})", (*score, "--no-cache", "--")),
        Contestant("iqa, again", (*score, "--cache", "--")),
        Contestant("iqa --detail", (*score, "--no-cache", "--detail", "--")),
        *(replace(peer, python=options.python.get(peer.package, sys.executable)) for peer in peers),
        *(Contestant(name, ("-c", code)) for name, code in floors.items()),
    ]


def list_peers(metrics: Sequence[str], slow: float = SLOW) -> list[Contestant]:
    """What others wrote. slow: the share of photos for those that take a second each."""
    together = ("-m", "image_quality_ai", "-q", "--workers", str(count_workers()))
    return [
        *(Contestant(f"pyiqa {name}", ("-c", PYIQA.format(name=name)), "pyiqa", slow) for name in metrics),
        Contestant("piq brisque", ("-c", PIQ), "piq", slow),
        Contestant("brisque", ("-c", BRISQUE), "brisque", slow),
        Contestant("CleanVision", ("-c", CLEANVISION), "cleanvision"),
        Contestant("image-quality-ai", together, "image-quality-ai", 0.5),
    ]


def choose_contestants(everyone: Sequence[Contestant]) -> Iterator[Contestant]:
    """Those that are installed; a line on stderr for each other package."""
    pythons = {contestant.package: contestant.python for contestant in everyone if contestant.package}
    missing = [package for package, python in pythons.items() if not is_installed(PEERS[package], python)]
    for package in missing:
        sys.stderr.write(f"left out: {package} is not installed; to compare with it: pip install {package}\n")
    yield from (contestant for contestant in everyone if contestant.package not in missing)


def is_installed(module: str, python: str) -> bool:
    """Whether a Python has a module."""
    return subprocess.run([python, "-c", FIND, module], check=False).returncode == 0


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


class Watch(Thread):
    """Samples the memory of a process and those it started, and ends them all where they take more than they may."""

    def __init__(self, pid: int, limits: Limits) -> None:
        super().__init__()
        self.pid, self.limits = pid, limits
        self.done, self.peak, self.verdict = Event(), 0, ""

    def run(self) -> None:
        """Until it is done."""
        end = time.monotonic() + self.limits.seconds
        while not self.done.wait(PERIOD):
            self.peak = max(self.peak, sum(map(read_memory, find_family(self.pid))))
            if time.monotonic() > end:
                self.stop(f"over {self.limits.seconds:g} s")
            elif self.peak > self.limits.memory:
                self.stop(f"over {self.limits.memory / 1e9:g} GB")

    def stop(self, verdict: str) -> None:
        """End them, the youngest first."""
        self.verdict = verdict
        for pid in reversed(list(find_family(self.pid))):
            with suppress(OSError):  # it has ended meanwhile
                os.kill(pid, signal.SIGTERM)


def run_once(contestant: Contestant, paths: Sequence[str], cache: str, limits: Limits = Limits()) -> Run:
    """One whole process over some photos."""
    environment = {**os.environ, "IQA_CACHE": cache}
    with tempfile.TemporaryFile() as words:
        before, started = os.times(), time.monotonic()
        command = [contestant.python, *contestant.arguments, *paths]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=words, env=environment)
        watch = Watch(process.pid, limits)
        watch.start()
        try:
            code = process.wait()
        finally:
            seconds, after = time.monotonic() - started, os.times()
            watch.done.set()
            watch.join()
        words.seek(0)
        said = words.read().decode("utf-8", "replace").split("\n")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    if watch.verdict:
        return Run(seconds, cpu, watch.peak, f"{watch.verdict} for {len(paths)} photo{'s' * (len(paths) > 1)}")
    last = next((line for line in reversed(said) if line.strip()), f"exit code {code}")
    return Run(seconds, cpu, watch.peak, f"failed: {last}" if code else "")


def measure(paths: Sequence[str], contestants: Sequence[Contestant], rounds: int, limits: Limits) -> dict[str, list[Turn]]:
    """What every contestant did, by name, the rounds interleaved after one to warm up. Who fails is asked no more."""
    turns: dict[str, list[Turn]] = {contestant.name: [] for contestant in contestants}
    with tempfile.TemporaryDirectory() as cache:
        for number in range(rounds + 1):
            for contestant in contestants:
                done = turns[contestant.name]
                if any(turn.failure for turn in done):
                    continue
                sys.stderr.write(f"{f'round {number} of {rounds}' if number else 'warming up'}: {contestant.name}\n")
                turn = take_turn(contestant, paths, cache, limits, warming=not number)
                if number or turn.failure:
                    done.append(turn)
    return turns


def take_turn(contestant: Contestant, paths: Sequence[str], cache: str, limits: Limits, *, warming: bool) -> Turn:
    """One photo, then all that a contestant gets. To warm up, one is enough for those that are slow."""
    one = run_once(contestant, paths[:1], cache, limits)
    own = take_share(paths, contestant)
    if one.failure or len(own) == 1 or (warming and contestant.share < 1):
        return Turn(one, one)
    return Turn(one, run_once(contestant, own, cache, limits))


def take_share(paths: Sequence[str], contestant: Contestant) -> Sequence[str]:
    """The photos that a contestant gets: of many never only one, so that its start can be told from the rest."""
    return paths[: max(2, round(contestant.share * len(paths)))]


# ---- what comes out ----


def summarise(images: int, turns: Sequence[Turn], first: Result | None = None) -> Result:
    """The medians of what a contestant did with so many photos. first: the line that it is compared with; None for itself."""
    if failure := next((turn.failure for turn in turns if turn.failure), ""):
        return Result(images, failure=failure)
    seconds = statistics.median(turn.all.seconds for turn in turns)
    start = statistics.median(turn.one.seconds for turn in turns)
    own = Result(
        images,
        images / seconds,
        start_s=start,
        later_rate=(images - 1) / (seconds - start) if images > 1 and seconds > start else None,
        cpu_ms=1000 * statistics.median(turn.all.cpu for turn in turns) / images,
        memory_mb=statistics.median(turn.all.memory for turn in turns) / 1e6,
    )
    first = first or own
    return replace(own, times=divide(first.rate, own.rate), later_times=divide(first.later_rate, own.later_rate))


def divide(a: float | None, b: float | None) -> float | None:
    """Their quotient, where both are known."""
    return a / b if a and b else None


def summarise_all(
    paths: Sequence[str], contestants: Sequence[Contestant], turns: Mapping[str, Sequence[Turn]]
) -> dict[str, Result]:
    """A line for each contestant, by name, beside the first of them."""
    results: dict[str, Result] = {}
    for contestant in contestants:
        first = next(iter(results.values()), None)
        results[contestant.name] = summarise(len(take_share(paths, contestant)), turns[contestant.name], first)
    return results


def print_results(title: str, results: Mapping[str, Result]) -> None:
    """A table on stdout, and a line for each that has no figures."""
    rows = [[title, "images", "img/s", "x", "start", "then", "x", "CPU ms", "MB"]]
    for name, own in results.items():
        speeds = (own.rate, 2), (own.times, 1), (own.start_s, 2), (own.later_rate, 2), (own.later_times, 1)
        figures = *speeds, (own.cpu_ms, 0), (own.memory_mb, 0)
        rows.append([name, str(own.images), *(show_figure(figure, decimals) for figure, decimals in figures)])
    print_table(rows)
    for name, own in results.items():
        if own.failure:
            sys.stdout.write(f"{name}: {show(own.failure)}\n")
    sys.stdout.write("\n")
    sys.stdout.flush()


def compare(options: argparse.Namespace) -> None:
    """Measure and print. Raises DataError where there are no photos."""
    contestants = list(choose_contestants(list_contestants(options)))
    limits = Limits(options.limit, 1e9 * options.memory)
    everything = {}
    with tempfile.TemporaryDirectory() as folder:
        for title, paths in gather_photos(options, Path(folder)):
            turns = measure(paths, contestants, options.rounds, limits)
            results = summarise_all(paths, contestants, turns)
            print_results(title, results)
            everything[title] = {name: asdict(result) for name, result in results.items()}
    if options.json:
        write_json(options.json, {"sets": everything, "workers": count_workers(), "rounds": options.rounds})


def gather_photos(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The photos to measure with, by what they are called. Made ones go into the folder. Raises DataError where none are."""
    if options.photos:
        yield "photos", choose_photos(options.photos, limit=options.count)
        return
    for title in options.size:
        place = folder / title
        place.mkdir()
        yield title, make_photos(place, SIZES[title], options.count)


def read_python(text: str) -> tuple[str, str]:
    """PACKAGE=PATH: which Python has a package. Raises ArgumentTypeError."""
    package, _, path = text.partition("=")
    if package not in PEERS:
        raise argparse.ArgumentTypeError(f"{text}: no package of that name; PACKAGE=PATH is needed, of {', '.join(PEERS)}")
    found = shutil.which(path)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text}: no such Python")
    return package, found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    parser = make_parser("speed", __doc__)
    parser.add_argument(
        "--photos", action="append", type=Path, metavar="DIR", help="a folder of photos; may be repeated; default: made ones"
    )
    parser.add_argument("--count", type=read_count, default=40, metavar="N", help="so many photos of each size, default 40")
    parser.add_argument(
        "--slow", type=read_count, metavar="N", help="so many of them for slow peers, default a tenth, at least 2"
    )
    parser.add_argument("--rounds", type=read_count, default=3, metavar="N", help="so many runs of each, default 3")
    parser.add_argument(
        "--size",
        action="append",
        choices=SIZES,
        metavar="SIZE",
        help=f"of made photos, default all; may be repeated: {', '.join(SIZES)}",
    )
    parser.add_argument(
        "--peer", action="append", choices=PEERS, metavar="PACKAGE",
        help=f"to compare with, default all; may be repeated: {', '.join(PEERS)}",
    )  # fmt: skip
    parser.add_argument(
        "--metric", action="append", metavar="NAME", help="of pyiqa, default brisque, niqe, piqe; may be repeated"
    )
    parser.add_argument(
        "--python", action="append", type=read_python, default=[], metavar="PACKAGE=PATH",
        help="the Python that has a package, default this one; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=read_count, default=300, metavar="S", help="a process may take so many seconds, default 300"
    )
    parser.add_argument("--memory", type=read_count, default=12, metavar="GB", help="and so much memory, default 12")
    options = parser.parse_args(arguments)
    options.metric = options.metric or ["brisque", "niqe", "piqe"]
    options.peer, options.size, options.python = options.peer or list(PEERS), options.size or list(SIZES), dict(options.python)
    return run_whole(compare, options)


if __name__ == "__main__":
    sys.exit(main())
