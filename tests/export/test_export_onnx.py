"""How the weights of an ONNX file are stored, and what its card says of the files beside it."""

from __future__ import annotations

from dataclasses import asdict, replace

import onnx
import pytest
from conftest import CARD, Run, write_photo

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli.errors import WeightsError
from iqa_cli.export import onnx as export
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.card import WeightFile, read_card, write_card
from iqa_cli.models.find import find_model
from iqa_cli.networks.checkpoint import save_weights
from iqa_cli.networks.network import NetworkConfig, build_network
from iqa_cli.options import BackendChoice

CNN = NetworkConfig("test_efficientnet", width=16, heads=2, folds_norms=False)


@pytest.fixture
def folder(tmp_path):
    """A model's folder, with a photo in it: its norms scale channels, which the exporter folds into weights."""
    torch.manual_seed(0)
    network = build_network(CNN)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    with torch.no_grad():
        network.decoder.score.weight.mul_(20)  # so that answers differ visibly
    made = tmp_path / "model"
    made.mkdir()
    save_weights(made / "model.safetensors", network, half=True)
    card = replace(CARD, name="model", network=asdict(CNN), crops=CropSpec(64, "square"))
    write_card(replace(card, files={"safetensors": WeightFile.of(made / "model.safetensors")}), made)
    write_photo(made / "photo.png", 0, (80, 70))
    return made


def count_halves(path):
    """How many weights are in half precision."""
    return sum(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in onnx.load(path).graph.initializer)


def test_weights_are_in_half_precision_where_answers_stay_the_same(folder, monkeypatch):
    model, photos = find_model(str(folder), BackendChoice.TORCH), [str(folder / "photo.png")]
    path, rough = export.export_model(model, None, photos)
    assert count_halves(path) > 5
    assert 0 < rough <= export.PARITY
    size = path.stat().st_size
    monkeypatch.setattr(export, "PARITY", rough / 2)
    path, fine = export.export_model(model, None, photos)
    assert count_halves(path) == 0
    assert fine <= rough / 2
    assert path.stat().st_size > size
    monkeypatch.setattr(export, "PARITY", -1.0)
    before = path.read_bytes()
    with pytest.raises(WeightsError, match="not written: ONNX differs"):
        export.export_model(model, None, photos)
    assert path.read_bytes() == before


def test_a_card_keeps_its_other_files_however_its_folder_is_named(iqa: Run, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    command = ("export-onnx", "model", "-o", folder / "model.onnx", "--photo", folder / "photo.png")
    for _ in range(2):
        done = iqa(*command)
        assert done.returncode == 0, done.stderr
        assert set(read_card(folder / "model.json").files) == {"safetensors", "onnx"}
