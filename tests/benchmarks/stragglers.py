"""How large should a part be? Actors, parts and accidents simulated: how much longer than perfect a run takes, by part size.

    python -m tests.benchmarks.stragglers

Actors take parts from one list, as they get free. Images take times that spread (log-normal), actors are of unequal speed, some
of them much slower, and machines are taken away at random: the part in work is scored again from its beginning. Each part costs
some time besides its images (the last images of it keep no other core busy, its file is written).

    longer   than if all actors worked at their speed until the same moment, and nothing was done twice
    waiting  the same if each actor held a second part that waits, as Ray Data's do unless they are told
    tail     share of the run in which not all actors have work
    redone   share of images that were scored again
    parts    files, and so PUT requests
    lost     hours of work of all actors that a killed run loses at most
"""

from __future__ import annotations

import argparse
import heapq
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from .common import make_parser, print_table, read_count, read_seed, run_whole, write_json

SIZES = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000)
SPREAD = 0.6  # sigma of the logarithm of an image's seconds
UNEVEN = 0.1  # standard deviation of an actor's speed
SLOW, SLOWNESS = 0.02, 3.0  # the share of actors that are so many times as slow
START = 20.0  # seconds until a new machine scores


@dataclass(frozen=True)
class World:
    """images: all of them; actors; seconds: an image on average; overhead: seconds a part; losses: an actor and hour."""

    images: int
    actors: int
    seconds: float
    overhead: float
    losses: float


@dataclass(frozen=True)
class Outcome:
    """A line of the table."""

    size: int
    longer: float
    waiting: float
    tail: float
    redone: float
    parts: int
    lost_hours: float


def draw_parts(world: World, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The images and the seconds of work of each part; sizes as those of `cut_parts`: half to twice of what is asked for."""
    counts = []
    rest = world.images
    while rest > 0:
        drawn = size // 2 + np.minimum(rng.geometric(1 / (size - size // 2 + 1), 10_000) - 1, 2 * size - size // 2)
        counts.append(drawn)
        rest -= int(drawn.sum())
    images = np.concatenate(counts)
    images = images[: int(np.searchsorted(np.cumsum(images), world.images)) + 1].astype(float)
    images[-1] -= images.sum() - world.images
    deviation = world.seconds * np.sqrt(np.expm1(SPREAD**2))
    work = np.maximum(rng.normal(images * world.seconds, deviation * np.sqrt(images)), 0.2 * images * world.seconds)
    return images, work + world.overhead


def simulate(world: World, size: int, seed: int) -> Outcome:
    """The same run without parts that wait, and with them."""
    longer, tail, redone, parts = run_actors(world, size, np.random.default_rng(seed), waiting=False)
    waiting = run_actors(world, size, np.random.default_rng(seed), waiting=True)[0]
    return Outcome(size, longer, waiting, tail, redone, parts, world.actors * size * world.seconds / 3600)


def run_actors(world: World, size: int, rng: np.random.Generator, *, waiting: bool) -> tuple[float, float, float, int]:
    """One run: how much longer than perfect it takes, its tail, what was redone, as shares; and how many parts there were."""
    images, work = draw_parts(world, size, rng)
    speed = np.maximum(rng.normal(1.0, UNEVEN, world.actors), 0.3)
    speed[rng.random(world.actors) < SLOW] /= SLOWNESS
    parts = iter(range(len(work)))
    free = [(0.0, actor, next(parts, None) if waiting else None) for actor in range(world.actors)]  # when, who, what it holds
    heapq.heapify(free)
    ends, redone = np.zeros(world.actors), 0.0
    while free:
        now, actor, held = heapq.heappop(free)
        part = held if waiting else next(parts, None)
        if part is None:
            continue
        took, lost = run_part(work[part] / speed[actor], world.losses / 3600, rng)
        redone += lost * images[part]
        ends[actor] = now + took
        heapq.heappush(free, (ends[actor], actor, next(parts, None) if waiting else None))
    perfect, end = world.images * world.seconds / speed.sum(), float(ends.max())
    return end / perfect - 1, (end - float(ends.min())) / end, redone / world.images, len(work)


def run_part(seconds: float, losses: float, rng: np.random.Generator) -> tuple[float, float]:
    """How long a part takes with the machines that are lost meanwhile, and how many times its images were scored in vain."""
    total = lost = 0.0
    while losses:
        until = float(rng.exponential(1 / losses))
        if until >= seconds or lost > 50:
            break
        total += until + START
        lost += until / seconds
    return total + seconds, lost


def compare(options: argparse.Namespace) -> None:
    """Simulate and print."""
    world = World(options.images, options.actors, options.ms / 1000, options.overhead / 1000, options.losses / 1000)
    rows = [simulate(world, size, options.seed) for size in SIZES if size * options.actors < 40 * options.images]
    head = ["images a part", "longer", "waiting", "tail", "redone", "parts", "lost, core hours"]
    shown = []
    for row in rows:
        shares = (row.longer, row.waiting, row.tail, row.redone)
        shown.append([f"{row.size:,}", *(f"{share:.1%}" for share in shares), f"{row.parts:,}", f"{row.lost_hours:,.1f}"])
    print_table([head, *shown])
    if options.json:
        write_json(options.json, {"world": asdict(world), "sizes": [asdict(row) for row in rows]})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    parser = make_parser("stragglers", __doc__)
    parser.add_argument("--images", type=read_count, default=50_000_000, metavar="N", help="default 50,000,000")
    parser.add_argument("--actors", type=read_count, default=1000, metavar="N", help="of one core each, default 1000")
    parser.add_argument("--ms", type=read_count, default=40, metavar="MS", help="of a core, an image, default 40")
    parser.add_argument("--overhead", type=read_count, default=500, metavar="MS", help="a part besides, default 500")
    parser.add_argument(
        "--losses", type=read_seed, default=50, metavar="N", help="of 1,000 actors in an hour, default 50, as of spot machines"
    )
    parser.add_argument("--seed", type=read_seed, default=0, metavar="N", help="of what is random, default 0")
    return run_whole(compare, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
