"""Blends of members with center crops: which crops they get, and what they share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import write_photo

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from test_export_ensemble import CNN, answers, write_network

from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.export.ensemble import About, blend_models
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.card import ModelCard, read_card
from iqa_cli.models.find import FoundModel, find_model
from iqa_cli.networks.checkpoint import load_network
from iqa_cli.options import BackendChoice

MLP = replace(CNN, head="mlp", units=8, center_crop=64)
CENTER = CropSpec(192, multiple=32, center_crop=64)


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> FoundModel:
    """An MLP head on the center 64 px of views of 192 px."""
    return write_network(tmp_path_factory.mktemp("center") / "mlp", MLP, CENTER, 0)


def test_members_with_one_backbone_and_two_inputs_share_it(mlp: FoundModel, tmp_path: Path) -> None:
    whole = replace(CENTER, center_crop=0)
    backbone = load_network(mlp.card, mlp.folder / "mlp.safetensors").encoder.backbone.state_dict()
    photos = [write_photo(tmp_path / f"{number}.png", number, size) for number, size in enumerate([(200, 200), (300, 430)])]
    panels = {
        "whole": write_network(tmp_path / "whole", CNN, whole, 0, backbone),
        "closer": write_network(tmp_path / "closer", replace(CNN, center_crop=96), replace(whole, center_crop=96), 0, backbone),
    }
    for name, panel in panels.items():
        blend = find_model(str(blend_models([panel, mlp], [1.0, 1.0], tmp_path / "out", About(name))), BackendChoice.TORCH)
        assert [member["shared_backbone"] for member in blend.card.network["members"]] == [None, 0]
        assert blend.card.crops == panel.card.crops  # of two centers the larger one
        network = load_network(blend.card, blend.folder / f"{name}.safetensors")
        assert [number for number, _ in network.unique_inputs()] == [0, 1]
        for photo in photos:
            expected = (answers(panel, photo) + answers(mlp, photo)) / 2
            assert answers(blend, photo) == pytest.approx(expected, abs=2e-3)  # a center cut alone is rounded otherwise
    larger = write_network(tmp_path / "larger", CNN, CropSpec(256, multiple=32), 0, backbone)
    blend = find_model(str(blend_models([larger, mlp], [1.0, 1.0], tmp_path / "out", About("larger"))), BackendChoice.TORCH)
    assert blend.card.crops.center_crop == 0


def test_beside_a_center_crop_others_get_their_own_size(mlp: FoundModel, tmp_path: Path) -> None:
    whole = write_network(tmp_path / "whole", CNN, CropSpec(CENTER.size - 32), 0)
    blend = find_model(str(blend_models([mlp, whole], [1.0, 1.0], tmp_path / "out", About("both"))), BackendChoice.TORCH)
    assert blend.card.crops == replace(CENTER, center_crop=0)
    network = load_network(blend.card, blend.folder / "both.safetensors")
    assert network.adapt(torch.zeros(1, 3, CENTER.size, CENTER.size), 1).shape[2:] == (CENTER.size - 32, CENTER.size - 32)


def test_a_center_that_the_first_model_s_crops_do_not_have_is_named(tmp_path: Path) -> None:
    first = write_network(tmp_path / "first", CNN, CropSpec(320), 0)
    far = write_network(tmp_path / "far", replace(CNN, center_crop=192), CropSpec(310), 0)
    with pytest.raises(UsageError, match="far needs a larger center than the crops of the first model have"):
        blend_models([first, far], [], tmp_path, About("no"))


def test_a_card_whose_crops_lack_its_network_s_center_is_refused(mlp: FoundModel, tmp_path: Path) -> None:
    blend = read_card(blend_models([mlp, mlp], [], tmp_path / "blend", About("twice")))
    for center in (65, -1, "64", 64.0):
        facts = {"center_crop": center}
        far = [{**member, "network": {**member["network"], **facts}} for member in blend.network["members"]]
        check_refused(mlp.card, {**mlp.card.network, **facts})
        check_refused(blend, {"members": far})


def check_refused(card: ModelCard, network: dict[str, Any]) -> None:
    """That the card's network cannot be loaded, and why."""
    with pytest.raises(WeightsError, match=r"needs a larger center than its crops have|center_crop is a whole number from 0"):
        load_network(replace(card, network=network), Path("none"))
