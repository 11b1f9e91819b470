"""Plots hold every image and every curve, are the same file every time, and appear whole or not at all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from iqa_cli.errors import DataError, UsageError
from iqa_cli.evaluation import metrics
from iqa_cli.evaluation.measure import Pair
from iqa_cli.evaluation.metrics import Logistic, fit_logistic
from iqa_cli.evaluation.plots import MANY, plot_learning, plot_scatter
from iqa_cli.images.decode import decode_image

matplotlib = pytest.importorskip("matplotlib")
SVG = "{http://www.w3.org/2000/svg}"


def draw_pairs(n: int) -> tuple[list[Pair], Logistic]:
    rng = np.random.default_rng(n)
    ratings = rng.uniform(5, 95, n)
    scores = np.clip(ratings + rng.normal(0, 10, n), 0, 100)
    pairs = [Pair(f"{i}.png", str(i), float(o), float(s)) for i, (o, s) in enumerate(zip(ratings, scores, strict=True))]
    return pairs, fit_logistic(scores, ratings)


def row(epoch: int, srcc: float | None = None, phase: str = "fine-tuning", **losses: float) -> dict[str, object]:
    """A line of stats.jsonl, as far as plots read it."""
    plcc = None if srcc is None else srcc + 0.02
    return {"epoch": epoch, "phase": phase, "losses": losses or {"quality": 0.1 / epoch}, "srcc": srcc, "plcc": plcc}


def read_texts(path: Path) -> list[str]:
    """What an SVG says, in its order."""
    return ["".join(text.itertext()) for text in ElementTree.parse(path).iter(f"{SVG}text")]


def read_path(path: ElementTree.Element) -> np.ndarray:
    """The corners of a path of an SVG [n, 2], in its own unit, y downwards."""
    return np.array(re.findall(r"[ML] (\S+) (\S+)", path.attrib["d"]), dtype=float)


def count_points(path: Path) -> int:
    """The points of the cloud of an SVG."""
    clouds = [g for g in ElementTree.parse(path).iter(f"{SVG}g") if g.get("id", "").startswith("PathCollection")]
    return sum(1 for cloud in clouds for _ in cloud.iter(f"{SVG}use"))


# ---- scores against ratings ----


def test_a_scatter_has_a_point_for_every_image_and_says_what_it_shows(tmp_path: Path) -> None:
    pairs, logistic = draw_pairs(57)
    plot_scatter(tmp_path / "x.svg", pairs, logistic, "toy on LIVE-C")
    assert count_points(tmp_path / "x.svg") == 57
    texts = read_texts(tmp_path / "x.svg")
    for said in ("score", "MOS, brought to 0 to 100", "toy on LIVE-C", "fitted curve", "score = MOS"):
        assert texts.count(said) == 1
    scores, ratings = [pair.score for pair in pairs], [pair.mos for pair in pairs]
    figures = metrics.srcc(scores, ratings), metrics.plcc(scores, ratings), metrics.plcc_fitted(scores, ratings)
    assert "SRCC {:.3f}   PLCC {:.3f}, fitted {:.3f}   57 images".format(*figures) in texts


def test_points_and_curve_lie_where_they_belong(tmp_path: Path) -> None:
    pairs = [Pair("a", "a", 20.0, 10.0), Pair("b", "b", 90.0, 50.0)]
    plot_scatter(tmp_path / "x.svg", pairs, Logistic(70, 70, 30, 1), "")  # a flat curve at 70
    tree = ElementTree.parse(tmp_path / "x.svg")
    frame = read_path(next(g for g in tree.iter(f"{SVG}g") if g.get("id") == "patch_2")[0])  # of the axes
    (left, top), (right, bottom) = frame.min(axis=0), frame.max(axis=0)
    assert right - left == pytest.approx(bottom - top, rel=1e-3)  # both axes have one scale

    def measure(x: float, y: float) -> tuple[float, float]:
        return 100 * (x - left) / (right - left), 100 * (bottom - y) / (bottom - top)

    cloud = next(g for g in tree.iter(f"{SVG}g") if g.get("id", "").startswith("PathCollection"))
    points = [measure(float(use.attrib["x"]), float(use.attrib["y"])) for use in cloud.iter(f"{SVG}use")]
    assert np.array(points) == pytest.approx(np.array([(10, 20), (50, 90)]), abs=0.1)
    curve = next(path for path in tree.iter(f"{SVG}path") if "stroke: #d55e00" in path.get("style", ""))
    ends = [measure(x, y) for x, y in read_path(curve)[[0, -1]]]
    assert np.array(ends) == pytest.approx(np.array([(10, 70), (50, 70)]), abs=0.1)


def test_a_constant_model_has_no_correlation_in_its_plot(tmp_path: Path) -> None:
    pairs = [Pair(str(i), str(i), 20.0 * i, 40.0) for i in range(5)]
    plot_scatter(tmp_path / "x.svg", pairs, fit_logistic([40.0] * 5, [20.0 * i for i in range(5)]), "")
    assert "SRCC none   PLCC none, fitted none   5 images" in read_texts(tmp_path / "x.svg")


def test_an_svg_of_many_points_stays_small(tmp_path: Path) -> None:
    plot_scatter(tmp_path / "x.svg", *draw_pairs(5 * MANY), "")
    assert (tmp_path / "x.svg").stat().st_size < 400_000
    assert count_points(tmp_path / "x.svg") == 0
    assert any(text.endswith(f" {5 * MANY} images") for text in read_texts(tmp_path / "x.svg"))


@pytest.mark.parametrize("title", ["costs $5 and $6", r"\alpha_{", "照片", "a\udcffb", "<&>", "long " * 40])
@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_any_title_will_do(tmp_path: Path, title: str, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"x{suffix}"
    plot_scatter(path, *draw_pairs(10), title)
    assert path.stat().st_size > 5000
    if suffix == ".svg" and title.isascii() and len(title) < 60:
        assert title in read_texts(path)
    assert capfd.readouterr().err == ""


# ---- learning curves ----


def test_learning_curves_name_every_loss_and_the_best_epoch(tmp_path: Path) -> None:
    rows = [row(1, 0.5, "head training", quality=0.3, order=0.1), row(2, 0.8, quality=0.2, noisy=0.1), row(3, 0.7, quality=0.1)]
    plot_learning(tmp_path / "x.svg", rows, "fold 0", "head training")
    texts = read_texts(tmp_path / "x.svg")
    figures = ("SRCC", "PLCC", "best SRCC 0.800", "in epoch 2")
    for said in ("quality", "order", "noisy", *figures, "head training", "epoch", "fold 0"):
        assert texts.count(said) == 1
    assert {"1", "2", "3"} <= set(texts)  # whole epochs
    assert not {"1.5", "2.5"} & set(texts)


def test_without_validation_there_are_only_losses(tmp_path: Path) -> None:
    plot_learning(tmp_path / "x.svg", [row(1), row(2)], shaded="head training")
    texts = read_texts(tmp_path / "x.svg")
    assert "training loss" in texts
    assert not {"validation", "SRCC", "PLCC", "head training"} & set(texts)


@pytest.mark.parametrize(
    "rows",
    [
        [row(1, 0.5)],
        [row(1, float("nan")), row(2, float("nan"))],
        [row(1, None), row(2, 0.4)],
        [row(1, 0.5, quality=0.0, order=0.0), row(2, 0.5, quality=0.0, order=0.0)],
        [row(1, 0.5, quality=float("nan")), row(2, 0.5, quality=float("inf"))],
        [row(i, 0.5, **{f"loss{k}": k / i for k in range(1, 9)}) for i in range(1, 4)],
    ],
    ids=["one epoch", "undefined", "late", "zero", "diverged", "many losses"],
)
def test_odd_runs_are_plotted_without_a_warning(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    plot_learning(tmp_path / "x.png", rows)
    picture = decode_image(str(tmp_path / "x.png"))
    assert (picture.width, picture.height) == (1020, 780)


# ---- files ----


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".svg"])
def test_the_same_plot_is_the_same_file(tmp_path: Path, suffix: str) -> None:
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    for path in (first, second):
        plot_scatter(path, *draw_pairs(30), "title")
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"<?xml" if suffix == ".svg" else b"\x89PNG")


def test_settings_of_the_caller_neither_matter_nor_change(tmp_path: Path) -> None:
    plot_learning(tmp_path / "a.png", [row(1, 0.5)])
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30}):
        before = dict(matplotlib.rcParams)
        plot_learning(tmp_path / "b.png", [row(1, 0.5)])
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("name", ["x", "x.jpg", "x.pdf", ".png"])
def test_other_suffixes_are_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"plots are \.png or \.svg files"):
        plot_learning(tmp_path / name, [row(1)])
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_plot_is_a_data_error(tmp_path: Path) -> None:
    pairs, logistic = draw_pairs(3)
    with pytest.raises(DataError, match="nothing to plot: no epoch is done"):
        plot_learning(tmp_path / "x.png", [])
    with pytest.raises(DataError, match="nothing to plot: 1 images with a score"):
        plot_scatter(tmp_path / "x.png", pairs[:1], logistic, "")
    assert list(tmp_path.iterdir()) == []


def test_a_plot_that_fails_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"old")
    with pytest.raises(KeyError):
        plot_learning(path, [row(1, 0.5), {"epoch": 2}])
    assert path.read_bytes() == b"old"
    plot_learning(path, [row(1, 0.5)])
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot write"):
        plot_learning(tmp_path / "gone" / "x.png", [row(1)])


DRAW = "plots.plot_learning({}, [dict(epoch=1, phase='', losses=dict(quality=1.0), srcc=None, plcc=None)])\n"


def test_without_matplotlib_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import *; sys.modules['matplotlib'] = None  # as if it were not installed\n"
        "from iqa_cli import errors; from iqa_cli.evaluation import plots\n"
        "try:\n"
        f"    {DRAW.format(repr(tmp_path / 'x.png'))}"
        "except errors.ExtraMissing as error:\n"
        "    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("drawing plots needs the [train] extra")
    assert list(tmp_path.iterdir()) == []


def test_importing_plots_loads_no_matplotlib_and_drawing_no_pyplot(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import *; from iqa_cli.evaluation import plots; assert 'matplotlib' not in sys.modules\n"
        f"{DRAW.format(repr(tmp_path / 'x.png'))}"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "x.png").is_file()
