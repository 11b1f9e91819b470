"""What scoring in parts costs beside scoring in one go, what Ray adds, and what a bucket does; and so, what many images take.

    python -m tests.benchmarks.scale --count 400 --rounds 3

JPEGs of 2 megapixels are scored in parts by this process (`iqa score --output`) and by actors of Ray Data on this machine, one
worker each, the rounds interleaved, so that whatever else the machine does disturbs all alike; medians are printed.

    img/s    from the beginning of the first part to the end of the last, without the start of processes and models
    CPU ms   of the processes that score, an image, once they have begun, which a busy machine distorts less; of a run in one
             part with what loading the model takes
    x        CPU ms beside those of this process with as many workers; the time of Ray's own processes stands apart
    MB       the most that one actor has, with the processes that decode for it (proportional set size, sampled)

A bucket is moto's server on loopback: what it tells is how many requests there are, and what they cost on this side. The last
table is what --images of them take by these figures, as iqa_cli/distributed/README.md explains.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, Thread
from time import thread_time
from typing import Any

from iqa_cli.distributed.job import Job, plan_job
from iqa_cli.distributed.outcomes import Outcome
from iqa_cli.distributed.ray_engine import RayOptions, run_on_ray
from iqa_cli.distributed.run import run_job, run_local
from iqa_cli.errors import DataError, UsageError
from iqa_cli.options import ScoreOptions
from iqa_cli.scoring.tally import Tally

from .bucket import BucketCost, measure_bucket
from .common import make_parser, print_table, read_count, run_whole, show_figure, write_json
from .speed import SIZES, find_family, make_photos, read_memory

LEAST_PARTS = 8  # of a run, so that most are scored once all processes have begun
PERIOD = 0.5  # seconds between samples
ACTOR = b"ScoreParts"  # in the command line of a process that scores for Ray
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Road:
    """A way to score. actors: of Ray; None: this process. workers: images at a time, of each; whole: in one part."""

    name: str
    actors: int | None
    workers: int
    whole: bool = False


ROADS = (
    Road("this process, one part, 1 worker", None, 1, whole=True),
    Road("this process, 1 worker", None, 1),
    Road("Ray, 1 actor", 1, 1),
    Road("this process, 2 workers", None, 2),
    Road("Ray, 2 actors", 2, 1),
)
BASES = {"Ray, 1 actor": "this process, 1 worker", "Ray, 2 actors": "this process, 2 workers"}


@dataclass(frozen=True)
class Turn:
    """One run. rate: images a second; cpu_ms: an image; actor_mb: of one actor; ray_cpu_s, ray_mb: of what else Ray runs."""

    rate: float
    cpu_ms: float
    actor_mb: float
    ray_cpu_s: float
    ray_mb: float


@dataclass
class Usage:
    """What processes have used so far: CPU seconds by process, of those that score and of others; most bytes at a time.

    watching: CPU seconds of the samples themselves. earlier: those that this process had before, of other runs.
    """

    scoring: dict[int, float] = field(default_factory=dict)
    other: dict[int, float] = field(default_factory=dict)
    actor_bytes: int = 0
    other_bytes: int = 0
    watching: float = 0.0
    earlier: float = field(default_factory=lambda: read_cpu(os.getpid()))

    @property
    def besides(self) -> float:
        """CPU seconds of what does not score, since this began."""
        return sum(self.other.values()) - (self.earlier if os.getpid() in self.other else 0.0)

    @property
    def scored(self) -> float:
        """CPU seconds of scoring, without those of the samples, which are this process's."""
        return sum(self.scoring.values()) - (self.watching if os.getpid() in self.scoring else 0.0)


def read_cpu(pid: int) -> float:
    """The CPU seconds of a process, of all its threads; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def find_actors(pid: int) -> list[int]:
    """The processes below this one that score for Ray."""
    found = []
    for each in find_family(pid):
        try:
            if ACTOR in Path(f"/proc/{each}/cmdline").read_bytes():
                found.append(each)
        except OSError:
            continue
    return found


def sample(usage: Usage, *, ray: bool) -> None:
    """Note what the processes below this one use."""
    everyone = set(find_family(os.getpid()))
    families = [set(find_family(actor)) for actor in find_actors(os.getpid())] if ray else [everyone]
    scoring = set().union(*families)
    for family in families:
        usage.actor_bytes = max(usage.actor_bytes, sum(map(read_memory, family)))
    others = everyone - scoring
    usage.other_bytes = max(usage.other_bytes, sum(map(read_memory, others)))
    for pids, known in ((scoring, usage.scoring), (others, usage.other)):
        known.update({pid: max(known.get(pid, 0.0), read_cpu(pid)) for pid in pids})


@contextmanager
def sampling(usage: Usage, *, ray: bool) -> Iterator[None]:
    """Sample while the block lasts."""
    done = Event()

    def watch() -> None:
        while not done.wait(PERIOD):
            sample(usage, ray=ray)
            usage.watching = thread_time()

    thread = Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def take_turn(road: Road, folder: Path, out: Path, options: argparse.Namespace) -> Turn:
    """Score the images once. Raises DataError where one of them has no score."""
    size = 10**9 if road.whole else options.part_size
    scoring = ScoreOptions(options.model, workers=road.workers)
    job = plan_job(Job((str(folder),), str(out), scoring, "", "", part_size=size))
    outcomes: list[Outcome] = []
    usage, start = Usage(), list[tuple[float, int]]()
    ray = road.actors is not None

    def engine(job: Job) -> Iterator[Outcome]:
        drawn = run_on_ray(job, RayOptions("local", road.actors)) if ray else run_local(job)
        for outcome in drawn:
            outcomes.extend([outcome] if outcome.part else [])
            if len(outcomes) == (road.actors or 1) and not start:  # by now all have begun
                sample(usage, ray=ray)
                start.append((usage.scored, sum(each.tally.found for each in outcomes)))
            yield outcome
        if not ray:
            sample(usage, ray=ray)

    tally = Tally()
    with sampling(usage, ray=ray):
        run_job(job, engine, tally)
    if tally.exit_code:
        raise DataError(f"{folder}: not every image has a score: {tally.statuses}")
    return make_turn(outcomes, usage, start[0])


def make_turn(outcomes: Sequence[Outcome], usage: Usage, start: tuple[float, int]) -> Turn:
    """The figures of a run. start: CPU seconds and images when all had begun; of a single part there is no later."""
    images = sum(each.tally.found for each in outcomes)
    seconds = max(each.ended for each in outcomes) - min(each.began for each in outcomes)
    before, done = (0.0, 0) if start[1] == images else start
    cpu = usage.scored - before
    return Turn(images / seconds, 1000 * cpu / (images - done), usage.actor_bytes / 1e6, usage.besides, usage.other_bytes / 1e6)


def measure_roads(options: argparse.Namespace, folder: Path) -> dict[str, Turn]:
    """The medians of each road, by name."""
    turns: dict[str, list[Turn]] = {road.name: [] for road in ROADS}
    for number in range(options.rounds):
        for road in ROADS:
            sys.stderr.write(f"round {number + 1} of {options.rounds}: {road.name}\n")
            with tempfile.TemporaryDirectory() as out:
                turns[road.name].append(take_turn(road, folder, Path(out) / "scores", options))
    return {name: find_median(each) for name, each in turns.items()}


def find_median(turns: Sequence[Turn]) -> Turn:
    """The medians of each figure."""
    return Turn(*(statistics.median(values) for values in zip(*(asdict(turn).values() for turn in turns), strict=True)))


# ---- what many images take ----


def size_up(images: int, cpu_ms: float, actor_mb: float, cost: BucketCost, part_size: int) -> dict[str, float]:
    """What so many images take: core hours of scoring and reading, requests of each kind, and memory of 1,000 actors."""
    core_hours = images * (cpu_ms + cost.get_ms) / 3.6e6
    return {
        "images": images,
        "core_hours": core_hours,
        "hours_on_1000_cores": core_hours / 1000,
        "list_requests": images * cost.lists_an_image,
        "get_requests": images * cost.gets_an_image,
        "put_requests": images / part_size,
        "hours_of_listing": images * cost.list_ms / 3.6e6,
        "memory_gb_of_1000_actors": actor_mb,
        "output_gb": images * cost.row_bytes / 1e9,
    }


# ---- the command ----


def scale(options: argparse.Namespace) -> None:
    """Measure and print. Raises UsageError for too few parts, DataError where something fails."""
    if options.count < LEAST_PARTS * options.part_size:
        most = options.count // LEAST_PARTS
        raise UsageError(f"CPU time is counted once all have begun: with {LEAST_PARTS} parts, so --part-size {most} at most")
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        paths = make_photos(photos, SIZES["2 MP"], options.count)
        turns = measure_roads(options, photos)
        print_roads(turns)
        cost = measure_bucket(paths, options.objects)
    print_bucket(cost)
    sized = size_up(options.images, turns["Ray, 1 actor"].cpu_ms, turns["Ray, 1 actor"].actor_mb, cost, options.planned_size)
    print_table([["what", "how much"], *([name.replace("_", " "), f"{value:,.1f}"] for name, value in sized.items())])
    if options.json:
        roads = {name: asdict(turn) for name, turn in turns.items()}
        write_json(options.json, {"roads": roads, "bucket": asdict(cost), "sized": sized, "count": options.count})


def print_roads(turns: dict[str, Turn]) -> None:
    """A table on stdout."""
    rows = [["road", "img/s", "x", "CPU ms", "x", "actor MB", "Ray's own CPU s", "MB"]]
    for name, turn in turns.items():
        base = turns.get(BASES.get(name, ""))
        ratios = (turn.rate / base.rate, turn.cpu_ms / base.cpu_ms) if base else (None, None)
        own = (turn.actor_mb, turn.ray_cpu_s, turn.ray_mb) if name in BASES else (turn.actor_mb, None, None)
        rows.append(
            [
                name,
                *(show_figure(value, 2) for value in (turn.rate, ratios[0], turn.cpu_ms, ratios[1])),
                *(show_figure(value, 0) for value in own),
            ]
        )
    print_table(rows)


def print_bucket(cost: BucketCost) -> None:
    """A table on stdout."""
    decimals: dict[str, int] = {"list_ms": 3, "get_ms": 2, "lists_an_image": 5, "gets_an_image": 2, "row_bytes": 1}
    sys.stdout.write("\n")
    print_table([list(decimals), [show_figure(getattr(cost, name), places) for name, places in decimals.items()]])
    sys.stdout.write("\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    parser = make_parser("scale", __doc__)
    add: Callable[..., Any] = parser.add_argument
    add("--count", type=read_count, default=400, metavar="N", help="so many photos, default 400")
    add("--part-size", type=read_count, default=25, metavar="N", help="images a part of these, default 25")
    add("--rounds", type=read_count, default=3, metavar="N", help="so many runs of each, default 3")
    add("--objects", type=read_count, default=5000, metavar="N", help="so many in the bucket to list, default 5000")
    add("--images", type=read_count, default=50_000_000, metavar="N", help="what is sized up, default 50,000,000")
    add("--planned-size", type=read_count, default=1000, metavar="N", help="images a part of those, default 1000")
    return run_whole(scale, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
