"""Kernel regression: laws of the regression, the command that fits one, and its place in a blend."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_photo

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from test_export_ensemble import CNN, answers, write_network
from test_training_run import choose, launch, ratings  # noqa: F401  a fixture

from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.export.ensemble import blend_models
from iqa_cli.export.onnx import export_model
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.card import ModelCard, read_card
from iqa_cli.models.find import find_model
from iqa_cli.networks.checkpoint import load_network, load_tensors
from iqa_cli.networks.kernels import KernelRegression
from iqa_cli.networks.network import NetworkConfig, StageEncoder, build_network
from iqa_cli.options import BackendChoice
from iqa_cli.training import run
from iqa_cli.training.fit_heads import Shown, list_shown, show, tell
from iqa_cli.training.loop import EpochDone
from iqa_cli.training.options import KernelOptions, SampleOptions
from iqa_cli.training.plan import check_study
from iqa_cli.training.recipes import write_recipe
from iqa_cli.training.samples import Photo, PhotoCrops


def draw(count: int, size: int = 6) -> tuple[Any, Any]:
    """Statistics [count, size] and qualities [count] that hang on them in a curve."""
    statistics = torch.randn(count, size, generator=torch.Generator().manual_seed(0))
    return statistics, 0.5 + 0.3 * torch.tanh(statistics[:, 0] * statistics[:, 1])


def test_what_is_remembered_is_recalled_and_the_ridge_says_how_closely() -> None:
    statistics, quality = draw(60)
    missed = []
    for ridge in (1e-4, 0.1, 1e4):
        regression = KernelRegression(6, 60)
        regression.remember(statistics, quality, torch.full((60,), ridge))
        missed.append(float((regression.recall(statistics) - quality).abs().max()))
    assert missed[0] < 5e-3 < missed[1] < missed[2]
    assert float((regression.recall(statistics) - quality.mean()).abs().max()) < 1e-2  # then nothing but the mean is left


def test_it_learns_a_curve_and_far_from_all_it_knows_it_says_the_mean() -> None:
    statistics, quality = draw(900)
    regression = KernelRegression(6, 600)
    regression.remember(statistics[:600], quality[:600], torch.full((600,), 0.01))
    predicted = regression.recall(statistics[600:])
    assert np.corrcoef(predicted, quality[600:])[0, 1] > 0.9
    assert float(regression.recall(torch.full((1, 6), 1e6))) == pytest.approx(float(quality[:600].mean()), abs=0.05)


def test_it_is_the_solution_of_the_ridge_equations() -> None:
    statistics, quality = draw(40)
    ridge = torch.linspace(0.02, 0.5, 40)
    regression = KernelRegression(6, 40)
    regression.remember(statistics, quality, ridge)
    known = regression.get_buffer("remembered").double()
    distances = torch.cdist(known, known) ** 2
    kernel = torch.exp(-distances / (1.4 * distances.flatten().median()))
    constant = (quality / ridge).sum() / (1 / ridge).sum()
    expected = torch.linalg.solve(kernel + torch.diag(ridge), (quality - constant).double())
    assert torch.allclose(kernel @ regression.get_buffer("weights").double(), kernel @ expected, atol=2e-3)


def test_what_counts_little_is_followed_little() -> None:
    statistics, quality = draw(60)
    wrong = quality.clone()
    wrong[::3] += 0.3
    ridge = torch.full((60,), 0.01)
    missed = []
    for doubt in (0.01, 10.0):
        ridge[::3] = doubt
        regression = KernelRegression(6, 60)
        regression.remember(statistics, wrong, ridge)
        missed.append(float((regression.recall(statistics) - quality)[::3].abs().mean()))
    assert missed[1] < 0.5 * missed[0]


def test_few_remembered_crops_can_be_fitted_to_many() -> None:
    statistics, quality = draw(1200)
    missed = []
    for fitted in (150, 1000):
        regression = KernelRegression(6, 150)
        regression.remember(statistics[:fitted], quality[:fitted], torch.full((fitted,), 0.01))
        missed.append(float((regression.recall(statistics[1000:]) - quality[1000:]).abs().mean()))
    assert missed[1] < 0.8 * missed[0]


def test_of_a_crop_it_takes_the_means_of_all_of_it() -> None:
    features = torch.rand(2, 1 + 12, 8)
    assert torch.equal(KernelRegression(4, 1).describe(features), features[:, 0, :4])


def test_a_transformer_s_last_tokens_are_no_statistics() -> None:
    config = NetworkConfig("deit3_small_patch16_224", {"img_size": 64, "depth": 2}, remembered=4)
    with pytest.raises(WeightsError, match="name layers of deit3_small_patch16_224"):
        build_network(config)
    assert build_network(replace(config, layers=(0, 1)))(torch.randn(2, 3, 64, 64)).shape == (2,)
    assert not isinstance(build_network(replace(config, layers=(0, 1))).encoder, StageEncoder)


@pytest.fixture(scope="module")
def fitted(ratings: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[run.Event]]:  # noqa: F811
    """The run folder of a kernel regression of two folds, and what happened."""
    folder = tmp_path_factory.mktemp("kernel")
    options = choose(ratings, folder, method="kernel", folds=2, size=96)
    return folder, list(run.train(options))


def test_the_command_fits_one_to_rated_photos(fitted: tuple[Path, list[run.Event]], ratings: Path) -> None:  # noqa: F811
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
    again = list(run.train(replace(choose(ratings, folder, method="kernel", folds=2, size=96), resume=True)))
    assert not [event for event in again if isinstance(event, EpochDone)]


def test_it_exports_and_shares_a_backbone_with_the_panel_it_is_blended_with(
    fitted: tuple[Path, list[run.Event]], tmp_path: Path
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


def test_a_blend_can_look_twice_through_one_backbone(taught: Path, tmp_path: Path) -> None:
    kernel = find_model(str(taught / "run"), BackendChoice.TORCH)
    whole = replace(kernel.card.crops, middle=0)
    trunk = load_network(kernel.card, kernel.folder / "model.safetensors").encoder.backbone.state_dict()
    photos = [write_photo(tmp_path / f"{number}.png", number, size) for number, size in enumerate([(200, 200), (300, 430)])]
    panels = {
        "whole": write_network(tmp_path / "whole", CNN, whole, 0, trunk),
        "closer": write_network(tmp_path / "closer", replace(CNN, middle=96), replace(whole, middle=96), 0, trunk),
    }
    for look, panel in panels.items():
        blend = find_model(str(blend_models([panel, kernel], [1.0, 1.0], tmp_path / "out", look)), BackendChoice.TORCH)
        assert [member["trunk"] for member in blend.card.network["members"]] == [None, 0]
        assert blend.card.crops == panel.card.crops  # of two middles the larger one
        network = load_network(blend.card, blend.folder / f"{look}.safetensors")
        assert [number for number, _ in network.list_looks()] == [0, 1]
        for photo in photos:
            expected = (answers(panel, photo) + answers(kernel, photo)) / 2
            assert answers(blend, photo) == pytest.approx(expected, abs=2e-3)  # a middle cut alone is rounded otherwise
        assert export_model(blend, tmp_path / f"{look}.onnx", [str(photo) for photo in photos])[1] < 1e-4
    larger = write_network(tmp_path / "larger", CNN, CropSpec(256, multiple=32), 0, trunk)
    blend = find_model(str(blend_models([larger, kernel], [1.0, 1.0], tmp_path / "out", "larger")), BackendChoice.TORCH)
    assert blend.card.crops.middle == 0
    assert export_model(blend, tmp_path / "larger.onnx", [str(photo) for photo in photos])[1] < 1e-4


def test_beside_one_that_looks_at_the_middle_others_see_their_own_size(taught: Path, tmp_path: Path) -> None:
    middle = find_model(str(taught / "run"), BackendChoice.TORCH)
    first = middle.card.crops
    whole = write_network(tmp_path / "whole", CNN, CropSpec(first.size - 32), 0)
    blend = find_model(str(blend_models([middle, whole], [1.0, 1.0], tmp_path / "out", "both")), BackendChoice.TORCH)
    assert blend.card.crops == replace(first, middle=0)
    seen = load_network(blend.card, blend.folder / "both.safetensors").adapt(torch.zeros(1, 3, first.size, first.size), 1)
    assert seen.shape[2:] == (first.size - 32, first.size - 32)


def test_looks_that_the_first_model_s_views_do_not_have_are_named(tmp_path: Path) -> None:
    first = write_network(tmp_path / "first", CNN, CropSpec(320), 0)
    far = write_network(tmp_path / "far", replace(CNN, middle=192), CropSpec(310), 0)
    with pytest.raises(UsageError, match="far looks at more than the crops of the first model show"):
        blend_models([first, far], [], tmp_path, "no")


def test_a_card_whose_crops_lack_what_its_network_looks_at_is_refused(taught: Path) -> None:
    kernel = find_model(str(taught / "run"), BackendChoice.TORCH)
    blend = read_card(blend_models([kernel, kernel], [], taught / "blend", "twice"))
    for middle in (65, -1, "64", 64.0):
        facts = {"middle": middle}
        far = [{**member, "network": {**member["network"], **facts}} for member in blend.network["members"]]
        check_refused(kernel.card, {**kernel.card.network, **facts})
        check_refused(blend, {"members": far})


def check_refused(card: ModelCard, network: dict[str, Any]) -> None:
    """That the card's network cannot be loaded, and why."""
    with pytest.raises(WeightsError, match=r"looks at more than its crops show|middle is a whole number from 0"):
        load_network(replace(card, network=network), Path("none"))


@pytest.fixture(scope="module")
def taught(fitted: tuple[Path, list[run.Event]], ratings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """The run folder of one that also learns from another about photos without ratings, and looks at the middle alone."""
    folder = tmp_path_factory.mktemp("taught")
    (folder / "photos").mkdir()
    for number in range(5):
        write_photo(folder / "photos" / f"{number}.png", 100 + number, (120, 150))
    options = choose(ratings, folder, method="kernel", size=192, middle=64, asked=2)
    teachers = (str(fitted[0] / "fold0"),)
    list(run.train(replace(options, run_dir=folder / "run", teachers=teachers, photos=(folder / "photos",))))
    return folder


def test_it_learns_from_teachers_about_views_of_other_photos(taught: Path, ratings: Path) -> None:  # noqa: F811
    found = find_model(str(taught / "run"), BackendChoice.TORCH)
    network = load_network(found.card, found.folder / "model.safetensors")
    versions = choose(ratings, taught).samples.versions
    rated = found.card.network["remembered"] - 5 * (1 + versions)  # of two views that count one is remembered
    assert rated in range(8, 17)
    assert found.card.crops.middle == found.card.network["middle"] == 64
    answers = load_tensors(next((taught / "run").glob("answers-*")))[0]["answers"]
    assert answers.shape[0] == 2
    regression = network.decoder
    known = regression.get_buffer("remembered")[rated:] * regression.get_buffer("deviation") + regression.get_buffer("mean")
    said = regression.recall(known).view(5, 1 + versions)
    expected = answers[0, -5:].float()
    assert np.corrcoef(said.flatten(), expected.flatten())[0, 1] > 0.5


def test_what_there_is_to_learn_from() -> None:
    photos = [Photo("a", 0.5), Photo("b"), Photo("c")]
    dataset = PhotoCrops(photos, CropSpec(96), SampleOptions())
    assert list_shown(dataset, KernelOptions()) == [Shown(0)]
    dataset.targets = torch.zeros(2, 3, 3)
    views = [(1, 0), (2, 0), (1, 1), (2, 1)]
    expected = [Shown(0), *(Shown(*view) for view in views)]
    assert list_shown(dataset, KernelOptions(shrunk=0.0)) == expected
    assert list_shown(dataset, KernelOptions()) == [*expected, *(Shown(*view, shrunk=True) for view in views)]


def test_a_shrunk_photo_shows_the_same_less_sharply(tmp_path: Path) -> None:
    photo = Photo(str(write_photo(tmp_path / "a.png", 0, (200, 260))))
    dataset = PhotoCrops([photo], CropSpec(96), SampleOptions(versions=1))
    dataset.targets = torch.tensor([[[0.6, 0.8]]])
    options = KernelOptions(taught=0.4, margin=0.02)
    plain, levels = show(dataset, Shown(0, 0), 0.1)
    answers = tell(dataset, Shown(0, 0), levels, options)
    assert len(plain) == len(levels) == 2
    assert answers[0].tolist() == pytest.approx([0.6, 0.4])
    assert float(answers[1, 0]) < 0.6  # capped
    shrunk, undamaged = show(dataset, Shown(0, 0, shrunk=True), 0.1)
    answer = tell(dataset, Shown(0, 0, shrunk=True), undamaged, options)
    assert answer.tolist() == [pytest.approx([0.6, 0.4])]
    assert shrunk.shape == (1, 3, 96, 96)
    difference = float((shrunk - plain[:1]).abs().mean())
    assert 0 < difference < 0.5 * float((plain[:1] - plain[:1].mean()).abs().mean())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teachers": ("any",)}, "if both are named"),
        ({"photos": (Path(),)}, "if both are named"),
        ({"dataset": ""}, "learns from ratings"),
        ({"kernel": KernelOptions(ridge=0.0)}, "more than 0"),
        ({"kernel": KernelOptions(taught=-1.0)}, "more than 0"),
        ({"kernel": KernelOptions(shrunk=1.0)}, "less than 1"),
    ],
)
def test_what_it_cannot_learn_from_is_named(ratings: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:  # noqa: F811
    with pytest.raises(UsageError, match=message):
        check_study(choose(ratings, tmp_path, method="kernel", **changes))


def test_its_recipe_is_kept_with_its_card(fitted: tuple[Path, list[run.Event]]) -> None:
    options = json.loads((fitted[0] / "fold0" / "options.json").read_text())
    assert (options["method"], options["kernel"]) == ("kernel", asdict(KernelOptions()))
