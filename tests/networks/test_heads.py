"""Perceptrons: laws of the ensemble, the command that fits one, and what its card says."""

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
from test_kernels import draw
from test_training_run import choose, ratings  # noqa: F401  a fixture

from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.export.ensemble import blend_models
from iqa_cli.export.onnx import export_model
from iqa_cli.models.find import find_model
from iqa_cli.networks.checkpoint import load_network, load_tensors
from iqa_cli.networks.heads import Perceptrons
from iqa_cli.networks.network import NetworkConfig, StageEncoder, build_network
from iqa_cli.options import BackendChoice
from iqa_cli.training import run
from iqa_cli.training.feature_cache import ViewMeasured
from iqa_cli.training.options import PerceptronOptions
from iqa_cli.training.plan import check_study

SMALL = PerceptronOptions(count=2, units=32, epochs=40, dropout=0.0, hidden_dropout=0.1)


def learn(count: int = 700, options: PerceptronOptions = SMALL, counts: Any = None, seed: int = 0) -> tuple[Perceptrons, Any]:
    """Perceptrons that have learnt from so many crops, and the correlation with what others are."""
    statistics, quality = draw(count + 200)
    network = Perceptrons(statistics.shape[1], options.count * options.units)
    network.learn(statistics[:count], quality[:count], torch.ones(count) if counts is None else counts, options, seed)
    with torch.no_grad():
        said = network.recall(statistics[count:])
    return network, np.corrcoef(said, quality[count:])[0, 1]


def test_it_learns_a_curve() -> None:
    network, correlation = learn()
    assert correlation > 0.8
    statistics, _ = draw(10)
    features = torch.cat([statistics, torch.randn(10, 6)], dim=1)[:, None].expand(10, 5, 12)
    assert torch.equal(network(features), network.recall(statistics))  # the means of the whole crop, and nothing else


def test_the_same_seed_gives_the_same_network_and_another_seed_another() -> None:
    first, again, other = (learn(100, replace(SMALL, epochs=2), seed=seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["hidden.weight"], other["hidden.weight"])


def test_learning_leaves_the_common_generator_alone() -> None:
    statistics, quality = draw(64)
    network = Perceptrons(6, 64)
    before = torch.get_rng_state()
    network.learn(statistics, quality, torch.ones(64), replace(SMALL, epochs=1), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_several_are_one_with_the_mean_of_their_answers() -> None:
    statistics, quality = draw(80)
    options = replace(SMALL, epochs=1, count=3)
    network = Perceptrons(6, 96)
    network.learn(statistics, quality, torch.ones(80), options, 0)
    known = network.standardise(statistics)
    hidden = torch.nn.functional.gelu(known @ network.hidden.weight.T + network.hidden.bias)
    each = [hidden[:, k : k + 32] @ (3 * network.out.weight[0, k : k + 32]) + network.out.bias for k in (0, 32, 64)]
    assert torch.allclose(network.recall(statistics), 0.5 + 0.1 * torch.stack(each).mean(0), atol=1e-5)


def test_what_counts_little_is_followed_little() -> None:
    statistics, _ = draw(400)
    quality = 0.5 + 0.2 * torch.tanh(statistics[:, 0])
    wrong = quality.clone()
    wrong[::2] = 1 - wrong[::2]
    missed = []
    for share in (1.0, 0.01):
        counts = torch.ones(400)
        counts[::2] = share
        network = Perceptrons(6, 64)
        network.learn(statistics, wrong, counts, SMALL, 0)
        missed.append(float((network.recall(statistics) - quality).abs().mean().detach()))
    assert missed[1] < 0.6 * missed[0]


def test_fewer_crops_than_a_batch_are_learnt_from_all_the_same() -> None:
    network, _ = learn(5, replace(SMALL, epochs=3))
    assert float(network.out.bias.detach().abs()) > 0


def test_it_wants_statistics_of_stages() -> None:
    with pytest.raises(WeightsError, match="name layers of deit3_small_patch16_224"):
        build_network(NetworkConfig("deit3_small_patch16_224", {"img_size": 64, "depth": 2}, units=8))


@pytest.fixture(scope="module")
def fitted(ratings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """The folder of a study of two folds."""
    folder = tmp_path_factory.mktemp("perceptrons")
    options = choose(
        ratings, folder, method="perceptrons", folds=2, perceptrons=replace(SMALL, epochs=3), features=folder / "F"
    )
    list(run.train(options))
    return folder


def test_a_fold_is_fitted_scored_and_exported(fitted: Path, tmp_path: Path) -> None:
    model = find_model(str(fitted / "fold0"), BackendChoice.TORCH)
    assert model.card.network["units"] == 64
    assert model.card.summary.startswith("perceptrons on mobilenetv2_035")
    assert not isinstance(load_network(model.card, model.folder / "model.safetensors").encoder, StageEncoder)
    photo = write_photo(tmp_path / "photo.png", 1, (90, 140))
    assert export_model(model, tmp_path / "model.onnx", [str(photo)])[1] < 1e-4
    options = json.loads((fitted / "fold0" / "options.json").read_text())
    assert (options["method"], options["perceptrons"]) == ("perceptrons", asdict(replace(SMALL, epochs=3)))


def test_what_was_measured_is_kept_for_other_folds(fitted: Path) -> None:
    (folder,) = (fitted / "F").glob("statistics-*")
    assert len(list(folder.iterdir())) == 12  # of two folds: each of the photos that one of them learns from, once


@pytest.mark.parametrize("changes", [{"method": "perceptrons", "perceptrons": replace(SMALL, epochs=3)}, {}])
def test_a_run_that_was_stopped_goes_on_within_its_features(ratings: Path, tmp_path: Path, changes: dict[str, Any]) -> None:  # noqa: F811
    whole, halves = (choose(ratings, tmp_path / name, **changes) for name in ("whole", "halves"))
    whole, halves = (replace(options, loop=replace(options.loop, epochs=0)) for options in (whole, halves))
    list(run.train(whole))
    for event in run.train(halves):
        if isinstance(event, ViewMeasured) and event.done >= 3:
            break
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "halves" / "features").rglob("*.safetensors")}
    assert len(kept) >= 3
    for event in run.train(replace(halves, resume=True)):
        if isinstance(event, ViewMeasured):
            assert {path: path.stat().st_mtime_ns for path in kept} == kept  # not extracted once more
    one, two = (load_tensors(tmp_path / name / "last.safetensors")[0] for name in ("whole", "halves"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert not changes or not (tmp_path / "halves" / "features").exists()


def test_it_joins_a_blend_and_shares_the_backbone(fitted: Path, tmp_path: Path) -> None:
    models = [find_model(str(fitted / f"fold{number}"), BackendChoice.TORCH) for number in (0, 1)]
    blend = find_model(str(blend_models(models, [1.0, 3.0], tmp_path / "out", "both")), BackendChoice.TORCH)
    assert [member["trunk"] for member in blend.card.network["members"]] == [None, 0]
    photo = write_photo(tmp_path / "photo.png", 1, (96, 96))
    expected = 0.25 * answers(models[0], photo) + 0.75 * answers(models[1], photo)
    assert answers(blend, photo) == pytest.approx(expected, abs=1e-5)


def test_what_looks_at_the_middle_alone_has_crops_that_differ_less(ratings: Path, tmp_path: Path) -> None:  # noqa: F811
    whole = choose(ratings, tmp_path, method="perceptrons", size=128)
    middle = replace(whole, middle=64)
    assert run.begin_network(middle)[1].zoom < run.begin_network(whole)[1].zoom


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": 0}, "units is more than 0"),
        ({"taught": 0.0}, "taught is more than 0"),
        ({"dropout": 1.0}, "dropout is a share"),
        ({"hidden_dropout": -0.1}, "hidden_dropout is a share"),
        ({"shrunk": 1.0}, "perceptrons.shrunk is a share"),
    ],
)
def test_what_makes_no_sense_is_named(ratings: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:  # noqa: F811
    with pytest.raises(UsageError, match=message):
        check_study(choose(ratings, tmp_path, method="perceptrons", perceptrons=PerceptronOptions(**changes)))
