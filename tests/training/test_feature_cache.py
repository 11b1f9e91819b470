"""What names a store of features, and which crops of it an epoch takes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import write_photo

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli.images.crops import CropSpec
from iqa_cli.networks.checkpoint import load_tensors, save_tensors, save_weights
from iqa_cli.networks.ensemble import Blend, Member
from iqa_cli.networks.network import NetworkConfig, build_network
from iqa_cli.training.data.feature_cache import FeatureStore, name_features
from iqa_cli.training.data.pixels import DecodedImages
from iqa_cli.training.data.samples import CropDataset, TrainingImage
from iqa_cli.training.distill import Teacher, UnderWay, describe_question, read_predictions
from iqa_cli.training.options import LoopOptions, SampleOptions

CNN = NetworkConfig("test_efficientnet", width=16, heads=2)
SAMPLES = SampleOptions(versions=1)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network(CNN).eval()


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    return [str(write_photo(folder / f"{seed}.png", seed, (80, 64))) for seed in range(3)]


def see(paths, size=64, **options):
    return CropDataset([TrainingImage(path) for path in paths], CropSpec(size), replace(SAMPLES, **options))


def test_a_store_is_named_by_what_features_depend_on_and_by_nothing_else(network, paths):
    name = name_features(network, see(paths))
    assert name == name_features(network, see(paths, held_out=0.5))
    assert name == name_features(network, see(paths, view_size=64))
    assert name == name_features(network, see(paths, size=96, view_size=64).with_crops(CropSpec(64)))
    assert name == name_features(network, see(paths, size=96, view_size=64, crop_size=64))
    panel = build_network(replace(CNN, width=32))
    panel.encoder.backbone.load_state_dict(network.encoder.backbone.state_dict())
    assert name == name_features(panel, see(paths))
    others = [
        see(paths, seed=1),
        see(paths, max_zoom=1.5),
        see(paths, view_size=96),
        see(paths, size=96),
        see(paths, versions=0),
    ]
    assert len({name, *(name_features(network, other) for other in others)}) == 6
    torch.manual_seed(1)
    assert name != name_features(build_network(CNN), see(paths))


def test_what_was_kept_of_pictures_that_were_cut_otherwise_is_not_taken(network, paths, tmp_path, monkeypatch):
    dataset, decoded = see(paths), DecodedImages(tmp_path, 64, 0)
    now = name_features(network, dataset), describe_question([], dataset, []), decoded.locate(paths[0])
    for module in ("data.feature_cache", "data.pixels", "distill"):
        monkeypatch.setattr(f"iqa_cli.training.{module}.CROP_VERSION", 1)
    before = name_features(network, dataset), describe_question([], dataset, []), decoded.locate(paths[0])
    assert all(one != other for one, other in zip(now, before, strict=True))


def test_what_was_kept_of_another_file_of_the_same_name_is_not_taken(network, paths, tmp_path):
    """As 0001.jpg of two folders, or a photo that was replaced."""
    twins = [str(tmp_path / folder / Path(paths[0]).name) for folder in ("a", "b")]
    for twin in twins:
        Path(twin).parent.mkdir()
        shutil.copy2(paths[0], twin)
    places, questions = [], []
    for path in (*twins, twins[1]):
        dataset = see([path])
        places.append(FeatureStore(tmp_path, network, dataset, LoopOptions()).locate(0, 0))
        questions.append(describe_question([], dataset, []))
        Path(path).write_bytes(Path(path).read_bytes() + b"\0")
    assert len(set(places)) == 3
    assert len({json.dumps(question) for question in questions}) == 3


def test_features_that_are_cut_off_are_extracted_anew(network, paths, tmp_path):
    store = FeatureStore(tmp_path, network, see(paths), LoopOptions())
    assert [event.done for event in store.fill(network, 0)] == [3]
    files = [store.locate(0, index) for index in range(3)]
    whole = [file.read_bytes() for file in files]
    for file, length in zip(files, (0, 100, len(whole[2]) - 1), strict=True):
        file.write_bytes(file.read_bytes()[:length])
    assert [event.done for event in store.fill(network, 0)] == [3]
    assert [file.read_bytes() for file in files] == whole
    assert not list(store.fill(network, 0))


def test_teacher_predictions_that_are_cut_off_count_as_not_there(tmp_path):
    facts, predictions = {"drawn": 1}, torch.rand(2, 3, 1)
    save_tensors(tmp_path / "teacher", {"predictions": predictions}, facts)
    under_way = UnderWay(tmp_path / "begun", facts)
    under_way.write(1, predictions[1], 2)
    assert torch.equal(torch.stack(read_predictions(tmp_path / "teacher", facts)), predictions)
    assert under_way.read(1, (3, 1))[1] == 2
    for length in (0, 20):
        for name in ("teacher", "begun"):
            (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:length])
        assert read_predictions(tmp_path / "teacher", facts) == []
        rest, done = under_way.read(1, (3, 1))
        assert (done, bool(rest.isnan().all())) == (0, True)


def test_features_of_half_and_of_single_precision_are_kept_apart(network, paths, tmp_path, monkeypatch):
    monkeypatch.setattr("iqa_cli.training.data.feature_cache.knows_bf16", lambda _: True)
    stores = [FeatureStore(tmp_path, network, see(paths), LoopOptions(precision=name)) for name in ("auto", "bf16", "fp32")]
    assert stores[0].folder == stores[1].folder != stores[2].folder


def test_a_network_read_back_from_half_precision_finds_the_features_of_the_one_it_was(network, paths, tmp_path):
    save_weights(tmp_path / "half.safetensors", network, half=True)
    read = build_network(CNN)
    state = load_tensors(tmp_path / "half.safetensors")[0]
    read.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    for value in read.encoder.backbone.state_dict().values():
        value[value == 0] = 0.0  # a zero of the other sign
    assert name_features(read, see(paths)) == name_features(network, see(paths))


@pytest.mark.parametrize(("answered", "views"), [(None, [0, 1, 2, 0]), (2, [0, 1, 0, 1]), (5, [0, 1, 2, 0])])
def test_an_epoch_takes_only_views_with_teacher_predictions(network, paths, tmp_path, answered, views):
    dataset = see(paths)
    store = FeatureStore(tmp_path, network, dataset, LoopOptions(views=3, batch_size=3))
    for view in range(3):
        counts = [event.done for event in store.fill(network, view)]
        assert counts == [3]
    if answered:
        store.dataset = dataset.with_targets(torch.arange(answered)[:, None, None].expand(answered, 3, 2))
    assert store.views == max(views) + 1  # no more are extracted
    for epoch, view in enumerate(views):
        batch = next(iter(store.load_epoch(epoch)))
        expected = torch.cat([store.load(view, place).features for place in batch.image[::2].tolist()])
        assert torch.equal(batch.features, expected)
        assert answered is None or batch.teacher.unique().tolist() == [view]


@pytest.mark.parametrize(
    ("size", "crop_size", "sizes"), [(160, 0, [128, 96, 64]), (128, 96, [96, 64, 64]), (160, 120, [96, 64, 64])]
)
def test_members_of_a_blend_see_in_the_cache_what_they_see_in_the_blend(paths, size, crop_size, sizes):
    torch.manual_seed(0)
    grey, dark = (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)
    members = [Member(CNN, 1, 0, grey, grey), Member(CNN, 1, 0, grey, grey, (64, 128)), Member(CNN, 1, 64, grey, dark)]
    crops = CropSpec(128, fit="whole", multiple=32, mean=grey, std=grey)
    blend = Blend(members, crops.multiple).eval()
    dataset = see(paths, size=size, view_size=160, crop_size=crop_size)
    inputs = Teacher(blend, SimpleNamespace(crops=crops), torch.device("cpu")).list_inputs(dataset)
    seen = dataset.with_crops(crops)[0, 0].crops
    for number, (network, own) in enumerate(inputs):
        assert network is blend.list_networks()[number]
        assert float((own[0, 0].crops - blend.adapt(seen, number)).abs().mean()) < 0.1  # resized once, not twice
    assert [own.crops.size for _, own in inputs] == sizes
