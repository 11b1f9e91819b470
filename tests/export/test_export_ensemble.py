"""A blend answers with the weighted mean of its members, whatever they are used to see, in either runtime."""

from __future__ import annotations

from dataclasses import asdict, replace
from math import inf, nan

import numpy as np
import pytest
from conftest import CARD, write_photo
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli.cli.app import app
from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.export.averaging import average_models
from iqa_cli.export.ensemble import About, blend_models
from iqa_cli.export.onnx import export_model
from iqa_cli.images.crops import CropSpec, cut_crops
from iqa_cli.images.decode import decode_image
from iqa_cli.models.card import WeightFile, read_card, write_card
from iqa_cli.models.find import find_model
from iqa_cli.networks.checkpoint import load_network, save_weights
from iqa_cli.networks.network import NetworkConfig, build_network
from iqa_cli.options import BackendChoice
from iqa_cli.scoring.backends import open_backend

CNN = NetworkConfig("test_efficientnet", width=16, heads=2)
VIT = NetworkConfig("test_vit", {"img_size": 64, "depth": 2}, width=16, heads=2, layers=(0, 1))
MEANS = CropSpec(64, "square", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def describe_training(name: str) -> dict[str, object]:
    return {"unlabeled": [{"images": 3, "source": f"photos of {name}"}]}


def write_network(folder, config, crops, seed):
    """A network with random weights, and its card."""
    torch.manual_seed(seed)
    network = build_network(config)
    with torch.no_grad():
        network.decoder.score.weight.mul_(20)  # so that answers differ visibly
    folder.mkdir()
    weights = folder / f"{folder.name}.safetensors"
    save_weights(weights, network, half=True)
    facts = replace(CARD, name=folder.name, network=asdict(config), crops=crops, training=describe_training(folder.name))
    write_card(replace(facts, files={"safetensors": WeightFile.of(weights)}), folder)
    return find_model(str(folder), BackendChoice.TORCH)


def test_attention_over_windows_is_exported(tmp_path):
    config = NetworkConfig(
        "hiera_tiny_224", {"img_size": 64, "embed_dim": 32, "stages": [1, 1], "q_pool": 1}, width=16, heads=2
    )
    model = write_network(tmp_path / "hiera", config, CropSpec(64, "square"), 0)
    path, difference = export_model(model, None, [str(write_photo(tmp_path / "a.png", 0, (80, 70)))])
    assert path.is_file()
    assert difference < 1e-3


def test_a_network_that_fails_on_its_crops_is_named(tmp_path):
    model = write_network(tmp_path / "odd", replace(CNN, heads=3), CropSpec(64), 0)
    backend = open_backend(model.card, model.folder, BackendChoice.TORCH, "cpu")
    with pytest.raises(WeightsError, match=r"odd\.safetensors: fails on crops of shape \(1, 3, 64, 64\)"):
        backend.predict(np.zeros((1, 3, 64, 64), np.float32))


@pytest.mark.parametrize("network", [{}, {"backbone": "no_such"}, {"backbone": "test_vit", "width": -4}, {"members": [{}]}])
def test_a_card_of_no_network_is_named(tmp_path, network):
    model = write_network(tmp_path / "odd", CNN, CropSpec(64), 0)
    with pytest.raises(WeightsError, match=r"odd\.safetensors: .*(the model card's network|the backbone no_such)"):
        load_network(replace(model.card, network=network), tmp_path / "odd" / "odd.safetensors")


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """A convolutional network for views of any shape, and a transformer for squares with other pixel statistics."""
    root = tmp_path_factory.mktemp("members")
    return [write_network(root / "cnn", CNN, CropSpec(64), 0), write_network(root / "vit", VIT, MEANS, 1)]


@pytest.fixture(scope="module")
def blended(members, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blend")
    return find_model(str(blend_models(members, [3.0, 1.0], folder, About("both"))), BackendChoice.TORCH)


def answers(model, path, crops=None):
    backend = open_backend(model.card, model.folder, model.backend, "cpu")
    return float(backend.predict(cut_crops(decode_image(str(path)).rgb, crops or model.card.crops))[0])


def test_a_blend_is_the_weighted_mean_of_what_its_members_say_of_the_photo(members, blended, tmp_path):
    photo = write_photo(tmp_path / "square.png", 3, (64, 64))
    alone = [answers(member, photo) for member in members]
    assert abs(alone[0] - alone[1]) > 0.01
    assert answers(blended, photo) == pytest.approx(0.75 * alone[0] + 0.25 * alone[1], abs=1e-3)


def test_its_card_names_members_and_all_data(blended):
    card = read_card(blended.folder / "both.json")
    assert card.summary == "the weighted mean of 2 networks: 0.75 cnn, 0.25 vit"
    assert [facts.source for facts in card.provenance.unlabeled] == ["photos of cnn", "photos of vit"]
    assert card.crops == CropSpec(64)
    assert [member["size"] for member in card.network["members"]] == [0, 64]


def test_its_limits_are_those_of_all_members_and_what_is_said_besides(members, tmp_path):
    ours = [replace(model, card=replace(model.card, limits=("not for art", f"not for {n}"))) for n, model in enumerate(members)]
    assert read_card(blend_models(ours, [], tmp_path, About("both"))).limits == ("not for art",)
    assert read_card(blend_models(ours, [], tmp_path, About("more", limits=["slow"]))).limits == ("not for art", "slow")


def say_otherwise(model, **said):
    """The model with other words in its card."""
    return replace(model, card=replace(model.card, **said))


def check_terms(card, names):
    """Whether a card says what two models say of themselves, where the second is bound to terms of its own."""
    first, second = names
    assert card.licence == f"{first}: Apache-2.0; {second}: CC-BY-NC-4.0: not for commerce"
    assert card.score_meaning == f"{first}: what people say; {second}: not stated"
    members = [(own["name"], own["licence"]) for own in card.training["members"]]
    assert members == [(first, "Apache-2.0"), (second, "CC-BY-NC-4.0: not for commerce")]


FREE = {"licence": "Apache-2.0", "score_meaning": "what people say"}
BOUND = {"licence": "CC-BY-NC-4.0: not for commerce", "score_meaning": ""}


def test_its_terms_and_its_meaning_are_those_of_each_member(members, tmp_path):
    first, second = members
    pair = [say_otherwise(first, **FREE), say_otherwise(second, **BOUND)]
    check_terms(read_card(blend_models(pair, [], tmp_path, About("both"))), ("cnn", "vit"))
    alike = [say_otherwise(model, **BOUND) for model in members]
    assert read_card(blend_models(alike, [], tmp_path, About("alike"))).licence == BOUND["licence"]


def test_all_that_a_blend_may_hold_is_exported_with_free_height_and_width(tmp_path):
    """The one export of a blend: its own input, a reduced one, and squares for a transformer."""
    short = replace(CNN, stages=2)
    models = [
        write_network(tmp_path / "large", short, CropSpec(192), 0),
        write_network(tmp_path / "small", short, CropSpec(64), 1),
        write_network(tmp_path / "vit", VIT, MEANS, 3),
    ]
    folder = tmp_path / "out"
    blend = find_model(str(blend_models(models, [1.0, 2.0, 3.0], folder, About("all"))), BackendChoice.TORCH)
    photos = [
        str(write_photo(tmp_path / f"{number}.png", number, size)) for number, size in enumerate([(192, 192), (600, 200)])
    ]
    path, difference = export_model(blend, None, photos)
    assert difference < 1e-4
    assert path == folder / "all.onnx"
    assert set(read_card(folder / "all.json").files) == {"safetensors", "onnx"}
    found = find_model(str(path), BackendChoice.ONNX)
    assert abs(answers(found, photos[0]) - answers(found, photos[1])) > 0.01
    for photo in photos:
        assert answers(found, photo) == pytest.approx(answers(blend, photo), abs=1e-4)


def test_what_makes_no_blend_is_refused(members, blended, tmp_path):
    for models, weights in ((members[:1], []), (members, [1.0]), (members, [1.0, 0.0])):
        with pytest.raises(UsageError, match="two models or more"):
            blend_models(models, weights, tmp_path, About("x"))
    with pytest.raises(WeightsError, match="a blend itself"):
        blend_models([blended, members[0]], [], tmp_path, About("x"))
    assert not list(tmp_path.iterdir())
    broken = replace(blended.card, network={"members": [{"weight": 1}]})
    with pytest.raises(WeightsError, match="no blend of networks"):
        load_network(broken, blended.folder / "both.safetensors")


@pytest.mark.parametrize("make", [blend_models, average_models])
def test_weights_without_a_finite_sum_are_refused(members, tmp_path, make):
    for weights, shown in (([inf, 1.0], "inf, 1"), ([1.0, nan], "1, nan"), ([1e308, 1e308], r"1e\+308, 1e\+308")):
        with pytest.raises(UsageError, match=f"have a finite sum, as 0.7 and 0.3 have; not {shown}$"):
            make([members[0]] * 2, weights, tmp_path / "out", About("x"))
    for weights in ([nan, 1.0], [1.0, -inf]):
        with pytest.raises(UsageError, match="each with a weight above zero"):
            make([members[0]] * 2, weights, tmp_path / "out", About("x"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [[], ["--average-weights"]])
def test_the_command_refuses_weights_without_a_finite_sum(iqa, members, tmp_path, kind):
    folders = [member.folder for member in members]
    for weight in ("1e308", "inf", "nan"):
        done = iqa("blend", *folders, "-o", tmp_path / "out", *kind, "--weight", weight, "--weight", "1e308")
        assert done.returncode == 2
        assert (b"have a finite sum" if weight == "1e308" else b"is no finite number") in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_command_writes_a_model_that_scores(members, tmp_path):
    folders = [str(member.folder) for member in members]
    made = CliRunner().invoke(app, ["blend", *folders, "-o", str(tmp_path / "out"), "--name", "mean"])
    assert made.exit_code == 0
    photo = write_photo(tmp_path / "a.png", 3)
    table = tmp_path / "out.csv"
    scored = CliRunner().invoke(
        app, ["score", str(photo), "--model", str(tmp_path / "out"), "--backend", "torch", "--csv", str(table)]
    )
    assert scored.exit_code == 0
    assert np.isfinite(float(table.read_text().splitlines()[1].split(",")[1]))


@pytest.fixture(scope="module")
def scales(tmp_path_factory):
    """One kind of network at two sizes, the larger first, and one at a size between them."""
    root = tmp_path_factory.mktemp("scales")
    sizes = {"large": 192, "small": 64, "middle": 128}
    return [write_network(root / name, CNN, CropSpec(size), seed) for seed, (name, size) in enumerate(sizes.items())]


def test_each_member_has_an_input_of_its_own_size(scales, tmp_path):
    blend = find_model(str(blend_models(scales, [], tmp_path, About("three"))), BackendChoice.TORCH)
    assert [member["reduced"] for member in blend.card.network["members"]] == [[], [64, 192], [128, 192]]
    photos = [write_photo(tmp_path / f"{number}.png", number, size) for number, size in enumerate([(192, 192), (600, 200)])]
    for photo in photos:
        crops = cut_crops(decode_image(str(photo)).rgb, blend.card.crops)
        backends = [open_backend(model.card, model.folder, model.backend, "cpu") for model in scales]
        alone = []
        for backend, size in zip(backends, (192, 64, 128), strict=True):
            sides = [64 + (side - 64) * size // 192 // 32 * 32 for side in crops.shape[2:]]
            seen = torch.nn.functional.interpolate(torch.from_numpy(crops), sides, mode="bicubic", antialias=True)
            alone.append(float(backend.predict(seen.numpy())[0]))
        assert np.ptp(alone) > 0.01
        assert answers(blend, photo) == pytest.approx(np.mean(alone), abs=1e-3)


def test_a_member_with_larger_or_far_smaller_views_than_the_first_is_refused(scales, tmp_path):
    large, small, _ = scales
    with pytest.raises(UsageError, match="large has an input of 192 px, the first model of 64: name the largest first"):
        blend_models([small, large], [], tmp_path / "out", About("x"))
    huge = write_network(tmp_path / "huge", CNN, CropSpec(512), 5)
    with pytest.raises(UsageError, match="less than a quarter"):
        blend_models([huge, small], [], tmp_path / "out", About("x"))
    card = read_card(blend_models([large, small], [], tmp_path / "out", About("x")))
    for sizes in ([64], [16, 192], ["64", "192"], [192, 64]):
        card.network["members"][1]["reduced"] = sizes
        with pytest.raises(WeightsError, match="reduced to a quarter at least"):
            load_network(card, tmp_path / "out" / "x.safetensors")
