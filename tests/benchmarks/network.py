"""What the network alone costs: milliseconds of one core an image, once it is decoded and cut.

    python -m tests.benchmarks.network --model qfm-iqm --model qfm-iqm-lite

Each model looks at noise in the shape of each photo, again and again, models and shapes in turn, so that whatever else the
machine does disturbs all alike; medians are printed. "ms" is time on the clock, "CPU ms" that of all cores: on a busy machine
the first is longer. ONNX Runtime has one thread here, as in `iqa score`, where as many images as there are cores are under way.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from iqa_cli.images.crops import Crops

from .scored import Model, open_models, print_table, read_count, run_whole, show_figure, write_json

PHOTOS = {"3:2": (2000, 3000), "1:1": (2000, 2000)}  # height and width in px; what counts is the aspect ratio


@dataclass
class Trial:
    """A model and its input for one shape of photo [count, 3, h, w]; seconds of each round, on the clock and of all cores."""

    model: Model
    photo: str
    crops: Crops
    clock: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)

    def run(self) -> None:
        """A round."""
        clock, cores = perf_counter(), process_time()
        self.model.backend.predict(self.crops)
        self.clock.append(perf_counter() - clock)
        self.cores.append(process_time() - cores)


@dataclass(frozen=True)
class Cost:
    """What one image of a shape costs a model: milliseconds, medians. crops: how many, their height and width in px."""

    model: str
    photo: str
    crops: tuple[int, int, int]
    ms: float
    cpu_ms: float


def prepare_trials(models: Sequence[Model]) -> Iterator[Trial]:
    """Each model with each shape of photo."""
    for model, (photo, sides) in product(models, PHOTOS.items()):
        shape = (model.crops.count, 3, *model.crops.crop_shape(*sides))
        yield Trial(model, photo, np.random.default_rng(0).normal(0, 1, shape).astype(np.float32))


def measure(models: Sequence[Model], rounds: int) -> list[Cost]:
    """The costs, after a round to warm up. Raises WeightsError where a network does not run."""
    trials = list(prepare_trials(models))
    for _ in range(rounds + 1):
        for trial in trials:
            trial.run()
    return [sum_up(trial) for trial in trials]


def sum_up(trial: Trial) -> Cost:
    """The medians without the first round."""
    clock, cores = (1000 * statistics.median(times[1:]) for times in (trial.clock, trial.cores))
    count, _, height, width = trial.crops.shape
    return Cost(trial.model.name, trial.photo, (count, height, width), clock, cores)


def make_rows(costs: Sequence[Cost]) -> list[list[str]]:
    """The table as text, header first."""
    rows = [["model", "photo", "input", "ms", "CPU ms"]]
    for own in costs:
        count, height, width = own.crops
        size = f"{f'{count} x ' if count > 1 else ''}{width} x {height} px"
        rows.append([own.model, own.photo, size, show_figure(own.ms, 1), show_figure(own.cpu_ms, 1)])
    return rows


def run(options: argparse.Namespace) -> None:
    """Measure, print, write. Raises IqaError."""
    costs = measure(open_models(options.model), options.rounds)
    print_table(make_rows(costs))
    if options.json is not None:
        write_json(options.json, {"rounds": options.rounds, "costs": [asdict(cost) for cost in costs]})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(description="What the network alone costs an image.", allow_abbrev=False)
    parser.add_argument("--model", action="append", required=True, metavar="NAME", help="as of iqa score; may be repeated")
    parser.add_argument("--rounds", type=read_count, default=21, metavar="N", help="so many of each, default 21")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return run_whole(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
