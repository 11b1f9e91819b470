"""Plots: scores against ratings, and learning curves. PNG or SVG, by the suffix of the file.

Needs matplotlib, which is in the [train] extra and is loaded only when something is drawn. Figures are drawn without pyplot, so
that no window, backend or style of the caller's is touched.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iqa_cli.errors import DataError, ExtraMissing, UsageError
from iqa_cli.evaluation.measure import Pair
from iqa_cli.evaluation.metrics import Floats, Logistic, plcc, srcc
from iqa_cli.files.atomic import open_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = {".png": "png", ".svg": "svg"}
MARKS = {"png": {"Software": "iqa"}, "svg": {"Date": None, "Creator": "iqa"}}
"""What plots say of themselves, by which `files.outputs.is_plot` knows them."""
DPI = 150  # of PNGs, and of what SVGs hold as pixels
MANY = 2000  # points; an SVG holds more as pixels, because each takes a hundred bytes and time to show
TITLE_WIDTH, NOTE_WIDTH = 60, 75  # characters a line

INK, GREY, PALE = "#262626", "#767676", "#ebebeb"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito's, told apart by everyone
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "iqa",  # the same picture is the same file
}


def check_target(path: Path) -> None:
    """Refuse a plot that cannot be drawn.

    Raises UsageError for its suffix, ExtraMissing without matplotlib, DataError where there is no folder.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: plots are {' or '.join(FORMATS)} files")
    if find_spec("matplotlib") is None:
        raise ExtraMissing("train", "drawing plots")
    if not path.absolute().parent.is_dir():
        raise DataError(f"{path}: cannot be drawn: there is no folder {path.parent}")


def plot_scatter(path: Path, pairs: Sequence[Pair], logistic: Logistic, title: str, note: str = "") -> None:
    """Plot scores against MOS, with the fitted curve, the correlations and a note below them.

    Raises UsageError for another suffix, ExtraMissing without matplotlib, DataError where there is nothing to plot or the file
    cannot be written.
    """
    if len(pairs) < 2:
        raise DataError(f"{path}: nothing to plot: {len(pairs)} images with a score")
    scores, mos = np.array([pair.score for pair in pairs]), np.array([pair.mos for pair in pairs])
    with drawing(path, title, (5.2, 5.4)) as figure:
        axes = figure.add_subplot()
        axes.plot((0, 100), (0, 100), color=GREY, linewidth=0.8, dashes=(4, 4), label="score = MOS")
        faint = float(np.clip(400 / len(pairs), 0.12, 0.6))
        axes.scatter(scores, mos, s=14, color=COLOURS[0], alpha=faint, linewidths=0, rasterized=len(pairs) > MANY)
        line = np.linspace(scores.min(), scores.max(), 200)
        axes.plot(line, logistic(line), color=COLOURS[1], linewidth=2, label="fitted curve")
        axes.set(xlim=(0, 100), ylim=(0, 100), aspect="equal", xlabel="score", ylabel="MOS, brought to 0 to 100")
        axes.legend(loc="lower right", frameon=True, edgecolor="none")
        lines = [describe_agreement(scores, mos, logistic), *([textwrap.fill(note, NOTE_WIDTH)] if note else [])]
        axes.set_title("\n".join(lines), fontsize=9, color=GREY, parse_math=False)


def describe_agreement(scores: Floats, mos: Floats, logistic: Logistic) -> str:
    """The correlations and how many images they are of, in a line."""
    raw, fitted = plcc(scores, mos), plcc(logistic(scores), mos)
    return f"SRCC {show(srcc(scores, mos))}   PLCC {show(raw)}, fitted {show(fitted)}   {len(scores)} images"


def plot_learning(path: Path, rows: Sequence[Mapping[str, Any]], title: str = "", shaded: str = "") -> None:
    """Plot learning curves from a run's stats.jsonl: the losses by name and, where there is validation, SRCC and PLCC.

    shaded: the phase whose epochs are shaded, and named. Raises as `plot_scatter` does.
    """
    if not rows:
        raise DataError(f"{path}: nothing to plot: no epoch is done")
    epochs = [row["epoch"] for row in rows]
    validated = any(row["srcc"] is not None for row in rows)
    with drawing(path, title, (6.8, 5.2 if validated else 3.2)) as figure:
        from matplotlib.ticker import MaxNLocator  # is there, or `drawing` would have raised

        panels: list[Axes] = list(figure.subplots(2 if validated else 1, sharex=True, squeeze=False)[:, 0])
        panels[-1].set(xlabel="epoch", xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        shade_phase(panels, rows, shaded)
        if validated:
            draw_validation(panels[0], rows)
        draw_losses(panels[-1], rows)


def shade_phase(panels: Sequence[Axes], rows: Sequence[Mapping[str, Any]], phase: str) -> None:
    """Shade the epochs of a phase, which is named above the first panel."""
    own = [row["epoch"] for row in rows if row["phase"] == phase]
    if not phase or not own:
        return
    for axes in panels:
        axes.axvspan(own[0] - 0.5, own[-1] + 0.5, color=PALE, linewidth=0, zorder=0)
    panels[0].text(own[0] - 0.5, 1.01, phase, transform=panels[0].get_xaxis_transform(), color=GREY, fontsize=8)


def draw_validation(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw SRCC and PLCC an epoch; the best epoch, whose weights are kept, is marked."""
    epochs = [row["epoch"] for row in rows]
    for name, colour in zip(("srcc", "plcc"), COLOURS, strict=False):
        values = [nan if row[name] is None else row[name] for row in rows]
        axes.plot(epochs, values, color=colour, marker=".", label=name.upper())
    known = [row for row in rows if row["srcc"] is not None and not isnan(row["srcc"])]
    if known:
        best = max(known, key=lambda row: float(row["srcc"]))
        label = f"best SRCC {best['srcc']:.3f}\nin epoch {best['epoch']}"
        axes.plot(best["epoch"], best["srcc"], "o", color=COLOURS[0], fillstyle="none", markersize=10, label=label)
    axes.set_ylabel("validation")
    place_legend(axes)


def draw_losses(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw each loss on a logarithmic scale, because they differ by orders of magnitude; a zero leaves a gap."""
    names = dict.fromkeys(name for row in rows for name in row["losses"])
    for i, name in enumerate(names):
        values = np.array([row["losses"].get(name, nan) for row in rows], dtype=np.float64)
        values = np.where(values > 0, values, nan)
        colour, dashes = COLOURS[i % len(COLOURS)], ("-", "--", ":")[i // len(COLOURS) % 3]
        axes.plot([row["epoch"] for row in rows], values, color=colour, linestyle=dashes, marker=".", label=name)
    axes.set_yscale("log")
    axes.set_ylabel("training loss")
    place_legend(axes)


def place_legend(axes: Axes) -> None:
    """Put the legend beside the curves, so that it hides none."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)


def show(value: float) -> str:
    """A correlation in three decimals."""
    return "none" if isnan(value) else f"{value:.3f}"


@contextmanager
def drawing(path: Path, title: str, inches: tuple[float, float]) -> Iterator[Figure]:
    """A figure to draw on, of that width and height; written when the block ends, whole or not at all."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: plots are {' or '.join(FORMATS)} files")
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ExtraMissing("train", "drawing plots") from error
    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a title in letters that the font lacks is still a title
        figure = Figure(figsize=inches, dpi=DPI, layout="constrained")
        yield figure
        lines = textwrap.fill(title.encode("utf-8", "replace").decode(), TITLE_WIDTH)
        figure.suptitle(lines, parse_math=False, fontsize=10)
        picture = BytesIO()
        figure.savefig(picture, format=kind, dpi=DPI, metadata=MARKS[kind])
    with open_target(path) as target:
        target.write(picture.getvalue())
