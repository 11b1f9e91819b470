"""Kernel regression: laws of the regression, the command that fits one, and its place in a blend."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_photo

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from test_blending import CNN, answers, write_network
from test_study import choose, launch, ratings  # noqa: F401  a fixture

from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.nn import study
from iqa_cli.nn.blending import blend_models
from iqa_cli.nn.checkpoint import load_network, load_tensors
from iqa_cli.nn.export import export_model
from iqa_cli.nn.kernels import KernelRegression
from iqa_cli.nn.network import NetworkConfig, StageEncoder, build_network
from iqa_cli.nn.training import EpochDone
from iqa_cli.options import BackendChoice
from iqa_cli.parts import check_study
from iqa_cli.recipes import KernelOptions, write_recipe
from iqa_cli.weights import find_model


def draw(count: int, size: int = 6) -> tuple[Any, Any]:
    """Statistics [count, size] and qualities [count] that hang on them in a curve."""
    statistics = torch.randn(count, size, generator=torch.Generator().manual_seed(0))
    return statistics, 0.5 + 0.3 * torch.tanh(statistics[:, 0] * statistics[:, 1])


def test_what_is_remembered_is_recalled_and_the_ridge_says_how_closely() -> None:
    statistics, quality = draw(60)
    missed = []
    for ridge in (1e-4, 0.1, 1e4):
        regression = KernelRegression(6, 60)
        regression.remember(statistics, quality, ridge)
        missed.append(float((regression.recall(statistics) - quality).abs().max()))
    assert missed[0] < 1e-3 < missed[1] < missed[2]
    assert float((regression.recall(statistics) - quality.mean()).abs().max()) < 1e-2  # then nothing but the mean is left


def test_it_learns_a_curve_and_far_from_all_it_knows_it_says_the_mean() -> None:
    statistics, quality = draw(900)
    regression = KernelRegression(6, 600)
    regression.remember(statistics[:600], quality[:600], 0.01)
    predicted = regression.recall(statistics[600:])
    assert np.corrcoef(predicted, quality[600:])[0, 1] > 0.9
    assert float(regression.recall(torch.full((1, 6), 1e6))) == pytest.approx(float(quality[:600].mean()), abs=0.05)


def test_it_is_the_solution_of_the_ridge_equations() -> None:
    statistics, quality = draw(40)
    regression = KernelRegression(6, 40)
    regression.remember(statistics, quality, 0.05)
    known = regression.get_buffer("remembered").double()
    distances = torch.cdist(known, known) ** 2
    kernel = torch.exp(-distances / distances.flatten().median()) + 0.05 * torch.eye(40)
    expected = torch.linalg.solve(kernel, (quality - quality.mean()).double())
    assert torch.allclose(regression.get_buffer("weights").double(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("grid", [(5, 5), (3, 8)])
def test_windows_near_the_middle_weigh_more(grid: tuple[int, int]) -> None:
    rows, columns = grid
    regression = KernelRegression(2, 1)
    features = torch.zeros(rows * columns, 1 + rows * columns, 2)
    features[range(len(features)), range(1, 1 + len(features)), 0] = 1.0  # each crop differs in one window
    means = regression.describe(features, grid)[:, 0].reshape(grid)
    assert float(means.sum()) == pytest.approx(1)
    assert torch.allclose(means, means.flip(0, 1), atol=1e-6)
    assert means[rows // 2, columns // 2] == means.max()
    assert means[0, 0] == means.min() < 0.2 * means.max()
    if rows == columns:
        assert torch.equal(regression.describe(features), regression.describe(features, grid))


def test_of_equal_windows_the_statistics_are_theirs() -> None:
    window = torch.rand(1, 1, 8) + 0.1
    regression = KernelRegression(8, 1)
    assert torch.allclose(regression.describe(window.expand(1, 1 + 12, 8), (3, 4)), window[:, 0], atol=1e-6)


def test_a_transformer_s_last_tokens_are_no_statistics() -> None:
    config = NetworkConfig("deit3_small_patch16_224", {"img_size": 64, "depth": 2}, remembered=4)
    with pytest.raises(WeightsError, match="name layers of deit3_small_patch16_224"):
        build_network(config)
    assert build_network(replace(config, layers=(0, 1)))(torch.randn(2, 3, 64, 64)).shape == (2,)
    assert not isinstance(build_network(replace(config, layers=(0, 1))).encoder, StageEncoder)


@pytest.fixture(scope="module")
def fitted(ratings: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[study.Event]]:  # noqa: F811
    """The run folder of a kernel regression of two folds, and what happened."""
    folder = tmp_path_factory.mktemp("kernel")
    options = choose(ratings, folder, method="kernel", folds=2, size=96)
    return folder, list(study.train(options))


def test_the_command_fits_one_to_rated_photos(fitted: tuple[Path, list[study.Event]], ratings: Path) -> None:  # noqa: F811
    folder, events = fitted
    epochs = [event for event in events if isinstance(event, EpochDone)]
    assert [(epoch.phase, epoch.epochs) for epoch in epochs] == [("kernel", 1)] * 2
    assert all(epoch.losses["quality"] < 0.1 for epoch in epochs)
    with (folder / "fold0" / "test.csv").open(newline="") as file:
        rows = [(float(row["opinion"]), float(row["score"])) for row in csv.DictReader(file)]
    assert len(rows) == 8
    assert np.corrcoef(np.array(rows).T)[0, 1] > 0.5  # noise shows even in features of random weights
    card = find_model(str(folder / "fold0"), BackendChoice.TORCH).card
    assert card.network["remembered"] == 6  # two of the eight are for validation
    assert card.summary.startswith("kernel regression on mobilenetv2_035")
    again = list(study.train(replace(choose(ratings, folder, method="kernel", folds=2, size=96), resume=True)))
    assert not [event for event in again if isinstance(event, EpochDone)]


def test_it_exports_and_shares_a_backbone_with_the_panel_it_is_blended_with(
    fitted: tuple[Path, list[study.Event]], tmp_path: Path
) -> None:
    kernel = find_model(str(fitted[0] / "fold1"), BackendChoice.TORCH)
    trunk = load_network(kernel.card, kernel.folder / "model.safetensors").encoder.backbone.state_dict()
    halved = {name: value.half().float() if value.is_floating_point() else value for name, value in trunk.items()}
    panel = write_network(tmp_path / "panel", CNN, kernel.card.crops, 0, halved)  # as all weights were kept once
    blend = find_model(str(blend_models([panel, kernel], [3.0, 1.0], tmp_path / "out", "both")), BackendChoice.TORCH)
    assert [member["trunk"] for member in blend.card.network["members"]] == [None, 0]
    photos = [write_photo(tmp_path / f"{number}.png", number, size) for number, size in enumerate([(96, 96), (300, 130)])]
    for photo in photos:
        expected = 0.75 * answers(panel, photo) + 0.25 * answers(kernel, photo)
        assert answers(blend, photo) == pytest.approx(expected, abs=1e-5)
    for model in (kernel, blend):
        assert export_model(model, tmp_path / f"{model.card.name}-again.onnx", [str(photo) for photo in photos])[1] < 1e-4


def test_two_processes_share_the_photos_out_and_fit_what_one_fits(ratings: Path, tmp_path: Path) -> None:  # noqa: F811
    pytest.importorskip("accelerate", reason="needs the [distributed] extra")
    (tmp_path / "recipe.toml").write_text(write_recipe(choose(ratings, tmp_path, method="kernel", size=96)))
    found = []
    for processes in (1, 2):
        done = launch(tmp_path / "recipe.toml", tmp_path / str(processes), processes)
        assert done.returncode == 0, done.stderr
        found.append(load_tensors(tmp_path / str(processes) / "best.safetensors")[0])
    one, two = found
    for name in ("mean", "deviation", "remembered", "weights"):
        assert torch.allclose(two[f"decoder.{name}"], one[f"decoder.{name}"], rtol=2e-2, atol=1e-3), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teachers": ("any",)}, "from ratings alone"),
        ({"photos": (Path(),)}, "from ratings alone"),
        ({"dataset": ""}, "from ratings alone"),
        ({"kernel": KernelOptions(ridge=0.0)}, "ridge is more than 0"),
    ],
)
def test_what_it_cannot_learn_from_is_named(ratings: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:  # noqa: F811
    with pytest.raises(UsageError, match=message):
        check_study(choose(ratings, tmp_path, method="kernel", **changes))


def test_its_recipe_is_kept_with_its_card(fitted: tuple[Path, list[study.Event]]) -> None:
    options = json.loads((fitted[0] / "fold0" / "options.json").read_text())
    assert (options["method"], options["kernel"]) == ("kernel", {"ridge": 0.03})
