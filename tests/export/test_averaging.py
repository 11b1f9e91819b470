"""The mean of weights: of one network and what training made of it, in the shares asked for, and of nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from conftest import write_photo
from test_export_ensemble import BOUND, CNN, FREE, check_terms, say_otherwise, write_network
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli.cli.app import app
from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.export.averaging import average_models
from iqa_cli.export.ensemble import About, blend_models
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.card import Intervals, read_card
from iqa_cli.models.find import find_model
from iqa_cli.networks.checkpoint import load_tensors
from iqa_cli.options import BackendChoice


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    return [write_network(folder / name, CNN, CropSpec(64), seed) for seed, name in enumerate(("first", "further"))]


def read(model):
    return load_tensors(model.folder / model.card.files["safetensors"].name)[0]


@pytest.mark.parametrize(("weights", "share"), [([], 0.5), ([3.0, 1.0], 0.75)])
def test_every_weight_is_the_mean_by_the_shares(pair, tmp_path, weights, share):
    average_models(pair, weights, tmp_path, About("between"))
    first, further, between = read(pair[0]), read(pair[1]), read(find_model(str(tmp_path), BackendChoice.TORCH))
    assert between.keys() == first.keys()
    for name, value in between.items():
        wanted = share * first[name].double() + (1 - share) * further[name].double()
        assert torch.allclose(value.double(), wanted, rtol=2e-3, atol=1e-4), name  # kept in half precision


def test_its_card_names_both_and_promises_nothing_that_was_measured_of_one(pair, tmp_path):
    pair = [replace(m, card=replace(m.card, training={**m.card.training, "backbone": "CC0"})) for m in pair]
    certain = replace(pair[0].card, intervals=Intervals((1.0,) * 101, (0.9,), 9), results=({"dataset": "livec"},))
    average_models([replace(pair[0], card=certain), pair[1]], [1.0, 3.0], tmp_path, About("between", limits=["one more"]))
    card = find_model(str(tmp_path), BackendChoice.TORCH).card
    assert card.summary == "one network with the weighted mean of the weights of 0.25 first, 0.75 further"
    assert (card.training["averaged"], card.training["backbone"]) == ([0.25, 0.75], "CC0")
    assert [source.source for source in card.provenance.unlabeled] == ["photos of first", "photos of further"]
    assert (card.intervals, card.results) == (None, ())
    assert card.limits[-1] == "one more"
    assert card.network == pair[0].card.network


def test_its_terms_are_those_of_each(pair, tmp_path):
    said = [say_otherwise(pair[0], **FREE), say_otherwise(pair[1], **BOUND)]
    check_terms(read_card(average_models(said, [], tmp_path, About("between"))), ("first", "further"))


def test_what_has_no_mean_is_refused(pair, tmp_path):
    other = write_network(tmp_path / "wider", replace(CNN, width=32), CropSpec(64), 2)
    square = write_network(tmp_path / "square", CNN, CropSpec(64, "square"), 2)
    for models, weights, said in (
        (pair[:1], [], "two models or more"),
        (pair, [1.0], "each with a weight above zero"),
        ([pair[0], other], [], "wider is another network than first"),
        ([pair[0], square], [], "square is another network than first, or has other crops"),
    ):
        with pytest.raises(UsageError, match=said):
            average_models(models, weights, tmp_path / "out", About("x"))
    blend_models(pair, [], tmp_path / "blend", About("both"))
    blend = find_model(str(tmp_path / "blend"), BackendChoice.TORCH)
    with pytest.raises(WeightsError, match="a blend itself"):
        average_models([blend, blend], [], tmp_path / "out", About("x"))
    assert not (tmp_path / "out").exists()


def test_networks_on_whole_images_of_other_sizes_have_a_mean_that_sees_them_as_the_first(tmp_path):
    crops = CropSpec(64, fit="whole", multiple=32)
    small = write_network(tmp_path / "small", CNN, crops, 0)
    large = write_network(tmp_path / "large", CNN, replace(crops, size=96), 1)
    for pair, size in (([small, large], 64), ([large, small], 96)):
        average_models(pair, [], tmp_path / str(size), About("between"))
        assert find_model(str(tmp_path / str(size)), BackendChoice.TORCH).card.crops == replace(crops, size=size)
    coarse = write_network(tmp_path / "coarse", CNN, replace(crops, multiple=64), 2)
    with pytest.raises(UsageError, match="coarse is another network than small, or has other crops"):
        average_models([small, coarse], [], tmp_path / "out", About("x"))


def test_the_command_writes_a_model_that_scores(pair, tmp_path):
    folders = [str(model.folder) for model in pair]
    made = CliRunner().invoke(app, ["blend", *folders, "--average-weights", "-o", str(tmp_path / "out"), "--name", "mean"])
    assert made.exit_code == 0
    assert "members" not in json.loads((tmp_path / "out" / "mean.json").read_text())["network"]
    photo = write_photo(tmp_path / "a.png", 3)
    given = ["score", str(photo), "--model", str(tmp_path / "out"), "--backend", "torch", "--csv", str(tmp_path / "s.csv")]
    assert CliRunner().invoke(app, given).exit_code == 0
