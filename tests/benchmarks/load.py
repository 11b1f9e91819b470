"""What `iqa serve` bears: clients on loopback that ask as fast as they get answers.

Every client posts JPEGs of 2 megapixels over a connection that it keeps, for so many seconds; some of its bodies are hostile.
What came back is counted: a request without an answer is lost, and so is one whose score is not that of its photo. Memory is
that of the server and its decoders, sampled all the time: of the second third of the run and of the last.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import numpy as np

from iqa_cli import Scorer
from iqa_cli.errors import DataError

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the tests keep their server
from serving import Server, serving

from .common import make_parser, print_table, read_count, run_whole, show_figure, write_json
from .speed import SIZES, find_family, make_photos, read_memory

PERIOD = 0.5  # seconds between samples of memory
HOSTILE = {b"no image": 422, b"\xff\xd8\xff" + bytes(100): 422, b"GIF89a\xff\xff\xff\xff\0\0\0": 422}
"""Bodies that nobody can score, and the status that they get."""
EVERY = 20  # of so many requests of a client, one is hostile


@dataclass
class Tally:
    """What clients saw. times: seconds of each answer; statuses; lost: requests without an answer, or with a wrong one."""

    times: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0


class Client(Thread):
    """Asks again and again until it is told to stop."""

    def __init__(self, port: int, photos: Sequence[tuple[bytes, float]], done: Event) -> None:
        super().__init__()
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.photos, self.done, self.tally = photos, done, Tally()

    def run(self) -> None:
        """All of its requests."""
        number = 0
        while not self.done.is_set():
            number += 1
            if number % EVERY == 0:
                body, status = list(HOSTILE.items())[number // EVERY % len(HOSTILE)]
                self._ask(body, status, None)
            else:
                body, score = self.photos[number % len(self.photos)]
                self._ask(body, 200, score)
        self.connection.close()

    def _ask(self, body: bytes, expected: int, score: float | None) -> None:
        began = time.monotonic()
        try:
            self.connection.request("POST", "/score", body)
            response = self.connection.getresponse()
            data = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.connection.close()
            self.tally.lost += 1
            return
        self.tally.times.append(time.monotonic() - began)
        self.tally.statuses[response.status] += 1
        if response.status != 429:
            right = response.status == expected and (score is None or data["results"][0]["score"] == score)
            self.tally.lost += not right


def sample_memory(server: Server, done: Event, samples: list[int]) -> None:
    """Bytes of the server and of those it has started, until it is done."""
    while not done.wait(PERIOD):
        samples.append(sum(map(read_memory, find_family(server.process.pid))))


def load(options: argparse.Namespace) -> None:
    """Measure and print. Raises DataError where something was lost."""
    with tempfile.TemporaryDirectory() as folder:
        paths = make_photos(Path(folder), SIZES["2 MP"], 12)
        with Scorer(options.model) as scorer:
            photos = [(Path(path).read_bytes(), round(scorer.score(path).score or -1, 2)) for path in paths]
    done, samples = Event(), list[int]()
    with serving("-m", options.model, "--queue", str(options.queue), "--max-images", "1") as server:
        clients = [Client(server.port, photos, done) for _ in range(options.clients)]
        watch = Thread(target=sample_memory, args=(server, done, samples))
        for thread in (watch, *clients):
            thread.start()
        time.sleep(options.seconds)
        done.set()
        for thread in (*clients, watch):
            thread.join()
        code = server.stop()
    figures = summarise([client.tally for client in clients], samples, options.seconds)
    print_figures(figures)
    if options.json:
        write_json(options.json, {"clients": options.clients, "seconds": options.seconds, **figures})
    if code or figures["lost"] or server.said:
        raise DataError(f"{figures['lost']} requests were lost; exit code {code}; {' '.join(server.said)}")


def summarise(tallies: Sequence[Tally], samples: Sequence[int], seconds: float) -> dict[str, float | None]:
    """Figures of a run."""
    times = [1000 * one for tally in tallies for one in tally.times]
    statuses = sum((tally.statuses for tally in tallies), Counter())
    third = len(samples) // 3
    parts = (samples[third : 2 * third], samples[2 * third :])
    second, last = (statistics.median(part) / 1e6 if part else None for part in parts)
    return {
        "answers": len(times),
        "answers_a_second": len(times) / seconds,
        "refused": statuses[429],
        "lost": sum(tally.lost for tally in tallies),
        "p50_ms": float(np.percentile(times, 50)),
        "p95_ms": float(np.percentile(times, 95)),
        "memory_then_mb": second,
        "memory_mb": last,
    }


def print_figures(figures: dict[str, float | None]) -> None:
    """A line on stdout."""
    names = {
        "answers": ("answers", 0),
        "answers_a_second": ("a second", 1),
        "refused": ("refused", 0),
        "lost": ("lost", 0),
        "p50_ms": ("p50, ms", 0),
        "p95_ms": ("p95, ms", 0),
        "memory_then_mb": ("MB, second third", 0),
        "memory_mb": ("MB, last third", 0),
    }
    print_table([[words for words, _ in names.values()], [show_figure(figures[name], d) for name, (_, d) in names.items()]])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    parser = make_parser("load", __doc__)
    parser.add_argument("--clients", type=read_count, default=8, metavar="N", help="so many at a time, default 8")
    parser.add_argument("--seconds", type=read_count, default=60, metavar="S", help="for so long, default 60")
    parser.add_argument("--queue", type=read_count, default=32, metavar="N", help="as of iqa serve, default 32")
    return run_whole(load, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
