"""How a training went, epoch by epoch: a table and a picture in the run folder, and events for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from iqa_cli.errors import ExtraMissing
from iqa_cli.evaluation.plots import plot_learning
from iqa_cli.training.loop import EpochDone
from iqa_cli.training.run_folder import RunFolder

PLAIN = ("epoch", "phase", "srcc", "plcc", "images_per_second", "seconds")


@dataclass(frozen=True)
class CurvesDrawn:
    """The learning curves lie in the run folder. picture: None where there is no matplotlib to draw it."""

    table: Path
    picture: Path | None


def write_table(run: RunFolder) -> Path:
    """learning.csv: a line an epoch; losses and rates that an epoch had not are empty."""
    rows = run.read_stats()
    named = [(kind, name) for kind in ("losses", "rates") for name in dict.fromkeys(n for row in rows for n in row[kind])]
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*PLAIN, *(f"loss_{name}" if kind == "losses" else name for kind, name in named)])
    table.writerows([row[key] for key in PLAIN] + [row[kind].get(name) for kind, name in named] for row in rows)
    path = run.path / "learning.csv"
    run.write_text(path, text.getvalue())
    return path


def draw_curves(run: RunFolder, title: str) -> CurvesDrawn:
    """learning.csv and, where matplotlib is installed, learning.png."""
    table, picture = write_table(run), run.path / "learning.png"
    try:
        plot_learning(picture, run.read_stats(), title)
    except ExtraMissing:
        return CurvesDrawn(table, None)
    return CurvesDrawn(table, picture)


class Board:
    """Event files for TensorBoard, below the run folder. Raises ExtraMissing where it is not installed."""

    def __init__(self, run: RunFolder) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise ExtraMissing("tensorboard", "--tensorboard") from error
        self.writer: Any = SummaryWriter(run.path / "tensorboard", purge_step=len(run.read_stats()) + 1)

    def add(self, epoch: EpochDone) -> None:
        """The figures of one epoch."""
        self.add_all("loss", epoch.losses, epoch.epoch)
        self.add_all("rate", epoch.rates, epoch.epoch)
        if epoch.srcc is not None and epoch.plcc is not None:
            self.add_all("validation", {"srcc": epoch.srcc, "plcc": epoch.plcc}, epoch.epoch)
        self.add_all("speed", {"images_per_second": epoch.images_per_second}, epoch.epoch)
        self.writer.flush()

    def add_all(self, kind: str, figures: Mapping[str, float], epoch: int) -> None:
        """Some figures of one kind."""
        for name, value in figures.items():
            self.writer.add_scalar(f"{kind}/{name}", value, epoch)

    def close(self) -> None:
        """No more epochs come."""
        self.writer.close()


def title_curves(name: str, sets: Sequence[str]) -> str:
    """What stands above the picture."""
    return f"{name} on {' and '.join(sets)}" if sets else name
