"""How the weights of an ONNX file are stored, and what its card says of the files beside it."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import onnx
import pytest
from conftest import CARD, Run, write_photo

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from tracing import trace_once

from iqa_cli.detail.outputs import OFFSETS
from iqa_cli.errors import DataError, WeightsError
from iqa_cli.export import detail
from iqa_cli.export import onnx as export
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.card import WeightFile, read_card, read_embedded_card, write_card
from iqa_cli.models.find import find_model
from iqa_cli.networks.checkpoint import save_weights
from iqa_cli.networks.detail import DetailNetwork
from iqa_cli.networks.network import NetworkConfig, build_network
from iqa_cli.options import BackendChoice

CNN = NetworkConfig("test_efficientnet", width=16, heads=2, folds_norms=False)


@pytest.fixture(autouse=True)
def traced(monkeypatch):
    """Tests are of files and cards: for all of them one network is traced, and that once."""
    monkeypatch.setattr(export, "trace", trace_once)


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


def test_a_file_of_another_name_is_listed_by_the_one_card_of_its_folder(iqa: Run, folder):
    done = iqa("export-onnx", folder, "-o", folder / "small.onnx", "--photo", folder / "photo.png")
    assert done.returncode == 0, done.stderr
    found = find_model(str(folder), BackendChoice.ONNX)  # a second card would have to be chosen from
    assert {kind: file.name for kind, file in found.card.files.items()} == {
        "safetensors": "model.safetensors",
        "onnx": "small.onnx",
    }
    assert read_embedded_card(folder / "small.onnx").name == found.card.name == "model"
    before = (folder / "model.json").read_bytes()
    again = iqa("export-onnx", folder, "-o", folder / "third.onnx", "--photo", folder / "photo.png")
    assert again.returncode == 2
    assert b"lists one ONNX model, and that is small.onnx" in again.stderr
    assert (folder / "model.json").read_bytes() == before


def test_a_card_of_another_file_name_than_its_own_is_the_one_that_is_written(iqa: Run, folder):
    (folder / "model.json").rename(folder / "mine.json")
    done = iqa("export-onnx", folder, "--photo", folder / "photo.png")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["mine.json", "mine.onnx", "model.safetensors", "photo.png"]
    assert find_model(str(folder / "mine.onnx"), BackendChoice.ONNX).card == read_card(folder / "mine.json")


def test_a_file_elsewhere_carries_a_card_of_its_name(iqa: Run, folder, tmp_path):
    done = iqa("export-onnx", folder, "-o", tmp_path / "other.onnx", "--photo", folder / "photo.png")
    assert done.returncode == 0, done.stderr
    assert read_embedded_card(tmp_path / "other.onnx").name == "other"
    card = read_card(tmp_path / "other.json")
    assert (card.name, set(card.files)) == ("other", {"onnx"})


def test_a_network_that_gives_no_number_is_not_exported(folder):
    network = build_network(CNN)
    with torch.no_grad():
        network.decoder.score.weight.fill_(torch.nan)
    save_weights(folder / "model.safetensors", network)
    facts = WeightFile.of(folder / "model.safetensors")
    write_card(replace(read_card(folder / "model.json"), files={"safetensors": facts}), folder)
    with pytest.raises(WeightsError, match=r"photo\.png: the network gives no number for this image"):
        export.export_model(find_model(str(folder), BackendChoice.TORCH), None, [str(folder / "photo.png")])
    assert not list(folder.glob("*.onnx"))


def test_no_number_differs_from_every_number():
    one, none = np.array([0.5, 0.25], np.float32), np.array([0.5, np.nan], np.float32)
    assert export.find_difference(one, one) == 0
    assert export.find_difference(none, one) == export.find_difference(one, none) == np.inf


def test_a_network_for_detail_that_gives_no_number_is_not_exported(tmp_path):
    network = DetailNetwork(len(OFFSETS), (4, 4))
    with torch.no_grad():
        network.head[-1].bias.fill_(torch.nan)
    with pytest.raises(WeightsError, match="the network gives no number for a patch"):
        detail.write_network(network, tmp_path / "detail.onnx")
    assert not list(tmp_path.iterdir())


def test_a_card_for_which_there_is_no_place_is_said(folder):
    (folder / "model.onnx").mkdir()
    with pytest.raises(DataError, match=r"model\.onnx: cannot write: "):
        export.export_model(find_model(str(folder), BackendChoice.TORCH), None, [str(folder / "photo.png")])
    (folder / "model.onnx").rmdir()
    model = find_model(str(folder), BackendChoice.TORCH)
    (folder / "model.json").unlink()
    (folder / "model.json").mkdir()
    with pytest.raises(DataError, match=r"model\.json: cannot write the model card: "):
        export.export_model(model, None, [str(folder / "photo.png")])


def test_the_folder_of_a_file_is_made(iqa: Run, folder, tmp_path):
    done = iqa("export-onnx", folder, "-o", tmp_path / "new" / "er" / "other.onnx", "--photo", folder / "photo.png")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "new" / "er").iterdir()) == ["other.json", "other.onnx"]


def test_a_file_that_cannot_be_written_is_said_before_anything_is_exported(iqa: Run, folder, monkeypatch):
    monkeypatch.setattr(export, "export_model", lambda *_: pytest.fail("exported"))
    done = iqa("export-onnx", folder, "-o", folder / "photo.png" / "other.onnx", "--photo", folder / "photo.png")
    assert (done.returncode, done.stderr.startswith(b"iqa: error: ")) == (4, True), done.stderr
