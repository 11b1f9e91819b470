"""MLP heads: laws of fitting, the training that fits one, and what its card says."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_photo

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from test_export_ensemble import answers
from test_training_run import choose, ratings, train  # noqa: F401  a fixture

from iqa_cli.errors import UsageError
from iqa_cli.export.ensemble import About, blend_models
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.find import find_model
from iqa_cli.networks.checkpoint import load_network, load_tensors
from iqa_cli.networks.heads import MlpHead
from iqa_cli.networks.network import StageEncoder
from iqa_cli.options import BackendChoice
from iqa_cli.training import initial_network
from iqa_cli.training.data.samples import CropDataset, TrainingImage
from iqa_cli.training.events import EpochDone, Event, FeaturesExtracted
from iqa_cli.training.fit_heads import Examples, HeadView, fit_mlp, list_views, load_crops, make_targets
from iqa_cli.training.options import MlpOptions, SampleOptions
from iqa_cli.training.plan import check_options

SMALL = MlpOptions(count=2, units=32, epochs=40, dropout=0.0, hidden_dropout=0.1)


def draw(count: int, size: int = 6) -> tuple[Any, Any]:
    """Pooled features [count, size] and labels [count] that hang on them in a curve."""
    pooled = torch.randn(count, size, generator=torch.Generator().manual_seed(0))
    return pooled, 0.5 + 0.3 * torch.tanh(pooled[:, 0] * pooled[:, 1])


def learn(count: int = 700, options: MlpOptions = SMALL, counts: Any = None, seed: int = 0) -> tuple[MlpHead, Any]:
    """An MLP head that has learnt from so many crops, and the correlation with what others are."""
    statistics, quality = draw(count + 200)
    network = MlpHead(statistics.shape[1], options.count * options.units)
    weights = torch.ones(count) if counts is None else counts
    fit_mlp(network, Examples(statistics[:count], quality[:count], weights), options, seed)
    with torch.no_grad():
        said = network.predict(statistics[count:])
    return network, np.corrcoef(said, quality[count:])[0, 1]


def test_it_learns_a_curve() -> None:
    _, correlation = learn()
    assert correlation > 0.8


def test_the_same_seed_gives_the_same_network_and_another_seed_another() -> None:
    first, again, other = (learn(100, replace(SMALL, epochs=2), seed=seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["hidden.weight"], other["hidden.weight"])


def test_learning_leaves_the_common_generator_alone() -> None:
    statistics, quality = draw(64)
    network = MlpHead(6, 64)
    before = torch.get_rng_state()
    fit_mlp(network, Examples(statistics, quality, torch.ones(64)), replace(SMALL, epochs=1), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_several_are_one_with_the_mean_of_their_answers() -> None:
    statistics, quality = draw(80)
    options = replace(SMALL, epochs=1, count=3)
    network = MlpHead(6, 96)
    fit_mlp(network, Examples(statistics, quality, torch.ones(80)), options, 0)
    known = network.standardize(statistics)
    hidden = torch.nn.functional.gelu(known @ network.hidden.weight.T + network.hidden.bias)
    each = [hidden[:, k : k + 32] @ (3 * network.out.weight[0, k : k + 32]) + network.out.bias for k in (0, 32, 64)]
    assert torch.allclose(network.predict(statistics), 0.5 + 0.1 * torch.stack(each).mean(0), atol=1e-5)


def test_what_counts_little_is_followed_little() -> None:
    statistics, _ = draw(400)
    quality = 0.5 + 0.2 * torch.tanh(statistics[:, 0])
    wrong = quality.clone()
    wrong[::2] = 1 - wrong[::2]
    missed = []
    for share in (1.0, 0.01):
        counts = torch.ones(400)
        counts[::2] = share
        network = MlpHead(6, 64)
        fit_mlp(network, Examples(statistics, wrong, counts), SMALL, 0)
        missed.append(float((network.predict(statistics) - quality).abs().mean().detach()))
    assert missed[1] < 0.6 * missed[0]


def test_fewer_crops_than_a_batch_are_learnt_from_all_the_same() -> None:
    network, _ = learn(5, replace(SMALL, epochs=3))
    assert float(network.out.bias.detach().abs()) > 0


@pytest.fixture(scope="module")
def fitted(ratings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """The folder of a study of two folds."""
    folder = tmp_path_factory.mktemp("mlp")
    options = choose(ratings, folder, method="mlp", folds=2, mlp=replace(SMALL, epochs=3), features=folder / "F")
    list(train(options))
    return folder


def test_a_fold_is_fitted_and_scores(fitted: Path, tmp_path: Path) -> None:
    model = find_model(str(fitted / "fold0"), BackendChoice.TORCH)
    assert model.card.network["units"] == 64
    assert model.card.summary.startswith("an MLP head on test_efficientnet")
    assert not isinstance(load_network(model.card, model.folder / "model.safetensors").encoder, StageEncoder)
    photo = write_photo(tmp_path / "photo.png", 1, (90, 140))
    assert 0 < answers(model, photo) < 1
    options = json.loads((fitted / "fold0" / "options.json").read_text())
    assert (options["method"], options["mlp"]) == ("mlp", asdict(replace(SMALL, epochs=3)))


def test_what_was_measured_is_kept_for_other_folds(fitted: Path) -> None:
    (folder,) = (fitted / "F").glob("pooled-*")
    assert len(list(folder.iterdir())) == 12  # of two folds: each of the photos that one of them learns from, once


@pytest.mark.parametrize("changes", [{"method": "mlp", "mlp": replace(SMALL, epochs=3)}, {}])
def test_a_run_that_was_stopped_goes_on_within_its_features(ratings: Path, tmp_path: Path, changes: dict[str, Any]) -> None:  # noqa: F811
    whole, halves = (choose(ratings, tmp_path / name, **changes) for name in ("whole", "halves"))
    whole, halves = (replace(options, loop=replace(options.loop, epochs=0)) for options in (whole, halves))
    list(train(whole))
    for event in train(halves):
        if isinstance(event, FeaturesExtracted) and event.done >= 3:
            break
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "halves" / "features").rglob("*.safetensors")}
    assert len(kept) >= 3
    for event in train(replace(halves, resume=True)):
        if isinstance(event, FeaturesExtracted):
            assert {path: path.stat().st_mtime_ns for path in kept} == kept  # not extracted once more
    one, two = (load_tensors(tmp_path / name / "last.safetensors")[0] for name in ("whole", "halves"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert not changes or not (tmp_path / "halves" / "features").exists()


def test_it_joins_a_blend_and_shares_the_backbone(fitted: Path, tmp_path: Path) -> None:
    models = [find_model(str(fitted / f"fold{number}"), BackendChoice.TORCH) for number in (0, 1)]
    blend = find_model(str(blend_models(models, [1.0, 3.0], tmp_path / "out", About("both"))), BackendChoice.TORCH)
    assert [member["shared_backbone"] for member in blend.card.network["members"]] == [None, 0]
    photo = write_photo(tmp_path / "photo.png", 1, (96, 96))
    expected = 0.25 * answers(models[0], photo) + 0.75 * answers(models[1], photo)
    assert answers(blend, photo) == pytest.approx(expected, abs=1e-5)


def test_center_crops_are_enlarged_less_so_that_they_differ(ratings: Path, tmp_path: Path) -> None:  # noqa: F811
    whole = choose(ratings, tmp_path, method="mlp", size=128)
    center = replace(whole, center_crop=64)
    assert initial_network.create_network(center)[1].zoom < initial_network.create_network(whole)[1].zoom


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": 0}, "units is more than 0"),
        ({"teacher_weight": 0.0}, "teacher_weight is more than 0"),
        ({"dropout": 1.0}, "dropout is a share"),
        ({"hidden_dropout": -0.1}, "hidden_dropout is a share"),
        ({"rescale": 1.0}, "mlp.rescale is a share"),
    ],
)
def test_what_makes_no_sense_is_named(ratings: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:  # noqa: F811
    with pytest.raises(UsageError, match=message):
        check_options(choose(ratings, tmp_path, method="mlp", mlp=MlpOptions(**changes)))


@pytest.fixture(scope="module")
def taught(fitted: Path, ratings: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:  # noqa: F811
    """A run that also learns from a teacher about photos without ratings, and looks at the middle alone; and its events."""
    folder = tmp_path_factory.mktemp("taught")
    (folder / "photos").mkdir()
    for number in range(5):
        write_photo(folder / "photos" / f"{number}.png", 100 + number, (120, 150))
    options = choose(
        ratings, folder / "run", method="mlp", size=192, center_crop=64, teacher_epochs=2,
        mlp=replace(SMALL, teacher_weight=1.0), teachers=(str(fitted / "fold0"),), unlabeled=(folder / "photos",),
    )  # fmt: skip
    return folder / "run", list(train(options))


def test_it_learns_from_teachers_about_views_of_other_photos(taught: tuple[Path, list[Event]]) -> None:
    folder, events = taught
    found = find_model(str(folder), BackendChoice.TORCH)
    assert found.card.crops.center_crop == found.card.network["center_crop"] == 64
    answers = load_tensors(next(folder.glob("teacher-*")))[0]["predictions"]
    assert answers.shape[0] == 2
    epochs = [event for event in events if isinstance(event, EpochDone)]
    assert epochs[0].losses["label"] < 0.1


def test_what_there_is_to_learn_from() -> None:
    images = [TrainingImage("a", 0.5), TrainingImage("b"), TrainingImage("c")]
    dataset = CropDataset(images, CropSpec(96), SampleOptions())
    assert list_views(dataset, 0.1) == [HeadView(0)]
    predicted = dataset.with_targets(torch.zeros(2, 3, 3))
    views = [(1, 0), (2, 0), (1, 1), (2, 1)]
    expected = [HeadView(0), *(HeadView(*view) for view in views)]
    assert list_views(predicted, 0.0) == expected
    assert list_views(predicted, 0.1) == [*expected, *(HeadView(*view, rescaled=True) for view in views)]


def test_a_rescaled_image_has_the_same_target_and_shows_the_same_less_sharply(tmp_path: Path) -> None:
    image = TrainingImage(str(write_photo(tmp_path / "a.png", 0, (200, 260))))
    dataset = CropDataset([image], CropSpec(96), SampleOptions(versions=1)).with_targets(torch.tensor([[[0.6, 0.8]]]))
    options = MlpOptions(teacher_weight=0.4, margin=0.02)
    plain, levels = load_crops(dataset, HeadView(0, 0), 0.1)
    targets, weights = make_targets(dataset, HeadView(0, 0), levels, options)
    assert len(plain) == len(levels) == 2
    assert (float(targets[0]), *weights.tolist()) == pytest.approx((0.6, 0.4, 0.4))
    assert float(targets[1]) < 0.6  # capped
    reduced = HeadView(0, 0, rescaled=True)
    crops, undistorted = load_crops(dataset, reduced, 0.1)
    target, weight = make_targets(dataset, reduced, undistorted, options)
    assert (target.tolist(), weight.tolist()) == (pytest.approx([0.6]), pytest.approx([0.4]))
    assert crops.shape == (1, 3, 96, 96)
    difference = float((crops - plain[:1]).abs().mean())
    assert 0 < difference < 0.5 * float((plain[:1] - plain[:1].mean()).abs().mean())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teachers": ("any",)}, "if both are named"),
        ({"unlabeled": (Path(),)}, "if both are named"),
        ({"dataset": ""}, "learns from ratings"),
    ],
)
def test_what_it_cannot_learn_from_is_named(ratings: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:  # noqa: F811
    with pytest.raises(UsageError, match=message):
        check_options(choose(ratings, tmp_path, method="mlp", **changes))
