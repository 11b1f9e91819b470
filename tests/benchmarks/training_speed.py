"""How fast a recipe trains, and where the time goes.

    python -m tests.benchmarks.training_speed --recipe weights/recipes/lite-one.toml --data-root DIR --backbone-weights FILE

Some steps of each phase are taken as `iqa train` takes them, on as many photos as these need, in a folder that is deleted at
the end. Of a step, "loading" is how long it waited for its batch, "forward" runs to the losses, "backward" to the gradients,
and "step" is the optimizer's, with the moving average of the weights. The last line says how fast the loader is where nothing
else is done, with as many processes; where that is not well above the training, raise loop.workers or keep decoded images
(--decoded). The first steps of a phase are not counted: files are opened and memory is asked for.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from iqa_cli.errors import DataError
from iqa_cli.networks.network import QfmIqm
from iqa_cli.networks.torch_backend import choose_device
from iqa_cli.qfm_iqm.batch import Batch
from iqa_cli.qfm_iqm.objective import Objective, Outcome
from iqa_cli.training import initial_network
from iqa_cli.training import run as training_run
from iqa_cli.training.data.batches import draw_epoch, load_epoch
from iqa_cli.training.data.labeled import read_data
from iqa_cli.training.data.samples import CropDataset, TrainingImage, list_images
from iqa_cli.training.events import StepDone
from iqa_cli.training.loop import fit
from iqa_cli.training.options import TrainingOptions
from iqa_cli.training.recipes import apply_settings, parse_settings, read_recipe
from iqa_cli.training.run_folder import RunFolder
from iqa_cli.training.state import Run

from .common import print_table, read_seed, run_whole, show_figure, write_json

LEFT_OUT = 3  # steps at the beginning of a phase
PARTS = ("loading", "forward", "backward", "step")


@dataclass
class Stopwatch:
    """When each part of a step ended. device: of which all that was asked for is waited for, so that times are its own."""

    device: torch.device
    rows: list[dict[str, float]] = field(default_factory=list)
    crops: list[int] = field(default_factory=list)
    last: float = 0.0

    def begin(self) -> float:
        """Nothing before now counts."""
        self.last = self.now()
        return self.last

    def now(self) -> float:
        """Seconds, once the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return perf_counter()

    def lap(self, part: str) -> None:
        """What was done since the last lap was this part."""
        now = self.now()
        self.rows[-1][part] = self.rows[-1].get(part, 0.0) + now - self.last
        self.last = now


@dataclass(frozen=True)
class Timed:
    """An objective that tells a stopwatch when it begins and ends; loading is what came before."""

    objective: Objective
    watch: Stopwatch

    def __call__(self, network: QfmIqm, batch: Batch) -> Outcome:
        self.watch.rows.append({})
        self.watch.crops.append(len(batch))
        self.watch.lap("loading")
        outcome = self.objective(network, batch)
        self.watch.lap("forward")
        return outcome

    def describe_idle(self, crops: int, /) -> str:
        """The objective's."""
        return self.objective.describe_idle(crops)

    def parameters(self) -> list[torch.nn.Parameter]:
        """The objective's."""
        return self.objective.parameters()

    def to(self, device: torch.device) -> None:
        """The objective's."""
        self.objective.to(device)

    def state(self) -> dict[str, torch.Tensor]:
        """The objective's."""
        return self.objective.state()

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """The objective's."""
        self.objective.restore(state)


@contextmanager
def hooked(watch: Stopwatch) -> Iterator[None]:
    """While it lasts, every optimizer tells the stopwatch where the backward pass ends."""
    handle = register_optimizer_step_pre_hook(lambda *_: watch.lap("backward"))
    try:
        yield
    finally:
        handle.remove()


@dataclass(frozen=True)
class Phase:
    """What was measured of one phase: crops a second, and seconds of each part of a step, the median over the steps."""

    phase: str
    steps: int
    crops_per_second: float
    seconds: dict[str, float]


@dataclass(frozen=True)
class Loading:
    """Crops a second that the loader gives where nothing else is done, and the share of a step spent on waiting for it."""

    workers: int
    crops_per_second: float
    waited: float


def time_phase(
    options: TrainingOptions, photos: Sequence[TrainingImage], steps: int, *, head_only: bool
) -> tuple[Phase, float | None]:
    """Some steps of one phase, and how many photos a second its features were measured of; None where it has none."""
    loop = replace(options.loop, head_epochs=int(head_only), epochs=int(not head_only), views=1, crops_per_epoch=1)
    network, dataset = begin(options, photos)
    watch = Stopwatch(choose_device(loop.device))
    measured = None
    with tempfile.TemporaryDirectory() as folder, hooked(watch):
        objective = Timed(training_run.choose_objective(options), watch)
        events = fit(Run(network, dataset, [], loop, RunFolder(Path(folder))), objective)
        began = watch.begin()
        for event in events:
            if isinstance(event, StepDone):
                watch.lap("step")
                if event.step == steps:
                    break
            else:
                measured = len(photos) / (watch.begin() - began)
    return sum_up("head training" if head_only else "fine-tuning", watch), measured if head_only else None


def begin(options: TrainingOptions, photos: Sequence[TrainingImage]) -> tuple[QfmIqm, CropDataset]:
    """The network and the samples of a training."""
    network, crops = initial_network.create_network(options)
    return network, CropDataset(photos, crops, options.samples, training_run.open_pixels(options))


def sum_up(phase: str, watch: Stopwatch) -> Phase:
    """The steps but for the first ones. Raises DataError where none is left."""
    rows, crops = watch.rows[LEFT_OUT:], watch.crops[LEFT_OUT:]
    if not rows:
        raise DataError(f"{phase}: too few steps to measure: {len(watch.rows)}")
    seconds = {part: float(np.median([row.get(part, 0.0) for row in rows])) for part in PARTS}
    return Phase(phase, len(rows), sum(crops) / sum(sum(row.values()) for row in rows), seconds)


def time_loader(options: TrainingOptions, photos: Sequence[TrainingImage], steps: int, trained: Phase) -> Loading:
    """The batches of fine-tuning, drawn and thrown away."""
    _, dataset = begin(options, photos)
    order = draw_epoch(dataset, options.loop, 0)
    order.batches = order.batches[: steps + LEFT_OUT]
    counts, times = [], []
    for batch in load_epoch(dataset, order, options.loop.workers):
        counts.append(len(batch))
        times.append(perf_counter())
    speed = sum(counts[LEFT_OUT:]) / (times[-1] - times[LEFT_OUT - 1])
    return Loading(options.loop.workers, speed, trained.seconds["loading"] / sum(trained.seconds.values()))


def gather_photos(options: TrainingOptions, count: int) -> list[TrainingImage]:
    """So many photos of the set, over and over where it has fewer. Raises DataError where there are none."""
    photos = list_images(read_data(options), options.samples)
    if not photos:
        raise DataError("a recipe without a set of rated images cannot be timed: say which with -s dataset=NAME")
    return [replace(photos[i % len(photos)], number=i) for i in range(count)]


def make_rows(phases: Sequence[Phase]) -> list[list[str]]:
    """The table as text, header first."""
    table = [["phase", "steps", "crops/s", *(f"{part} ms" for part in PARTS)]]
    for phase in phases:
        parts = [show_figure(1000 * phase.seconds[part], 1) for part in PARTS]
        table.append([phase.phase, str(phase.steps), show_figure(phase.crops_per_second, 1), *parts])
    return table


def describe_loading(loading: Loading, trained: Phase) -> str:
    """Whether the loader is the limit, in a line."""
    verdict = "not the limit" if loading.waited < 0.1 else "the limit" if loading.waited > 0.5 else "part of the limit"
    return (
        f"the loader alone, {loading.workers} workers: {loading.crops_per_second:.1f} crops/s, "
        f"{loading.crops_per_second / trained.crops_per_second:.1f} times what fine-tuning takes; "
        f"{loading.waited:.0%} of a step is waiting for it: it is {verdict}"
    )


def run(given: argparse.Namespace) -> None:
    """Measure, print, write. Raises IqaError."""
    options = TrainingOptions(run_dir=Path("unused"))
    options = apply_settings(options, read_recipe(given.recipe), str(given.recipe))
    flags = {"data_root": given.data_root, "backbone_weights": given.backbone_weights, "decoded": given.decoded}
    options = apply_settings(options, {name: value for name, value in flags.items() if value is not None}, "the command line")
    options = apply_settings(options, parse_settings(given.settings), "--set")
    steps = given.steps + LEFT_OUT
    photos = gather_photos(options, steps * options.loop.batch_size)
    (head, measured), (fine, _) = (time_phase(options, photos, steps, head_only=only) for only in (True, False))
    loading = time_loader(options, photos, given.steps, fine)
    print_table(make_rows([head, fine]))
    sys.stdout.write(f"features for head training: {show_figure(measured, 1)} photos/s, extracted once a view\n")
    sys.stdout.write(describe_loading(loading, fine) + "\n")
    if given.json is not None:
        data = {"phases": [asdict(head), asdict(fine)], "features_per_second": measured, "loader": asdict(loading)}
        write_json(given.json, data)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(description="How fast a recipe trains, and where the time goes.", allow_abbrev=False)
    parser.add_argument("--recipe", type=Path, required=True, metavar="FILE", help="the recipe to time, or paper/NAME")
    parser.add_argument("--data-root", metavar="DIR", help="the folder of the set; else $IQA_DATA")
    parser.add_argument("--backbone-weights", metavar="FILE", help="pretrained weights; none: random; else from the hub")
    parser.add_argument("--decoded", metavar="DIR", help="keeps decoded images, as that of iqa train")
    parser.add_argument("--steps", type=read_seed, default=20, metavar="N", help="of each phase, default 20")
    parser.add_argument("--set", "-s", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="of the recipe")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return run_whole(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
