"""What names a store of features, and which crops of it an epoch takes."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from conftest import write_photo

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli.images.crops import CropSpec
from iqa_cli.networks.checkpoint import load_tensors, save_weights
from iqa_cli.networks.network import NetworkConfig, build_network
from iqa_cli.training.decoded import DecodedImages
from iqa_cli.training.distill import describe_question
from iqa_cli.training.feature_cache import CropStore, FeatureStore, name_crops, name_features
from iqa_cli.training.options import LoopOptions, SampleOptions
from iqa_cli.training.samples import Photo, PhotoCrops

CNN = NetworkConfig("mobilenetv2_035", width=16, heads=2)
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
    return PhotoCrops([Photo(path) for path in paths], CropSpec(size), replace(SAMPLES, **options))


def test_a_store_is_named_by_what_features_depend_on_and_by_nothing_else(network, paths):
    name = name_features(network, see(paths))
    assert name == name_features(network, see(paths, held_out=0.5))
    assert name == name_features(network, see(paths, side=64))
    assert name == name_features(network, see(paths, size=96, side=64).seen_by(CropSpec(64)))
    panel = build_network(replace(CNN, width=32))
    panel.encoder.backbone.load_state_dict(network.encoder.backbone.state_dict())
    assert name == name_features(panel, see(paths))
    others = [see(paths, seed=1), see(paths, enlarge=1.5), see(paths, side=96), see(paths, size=96), see(paths, versions=0)]
    assert len({name, *(name_features(network, other) for other in others)}) == 6
    torch.manual_seed(1)
    assert name != name_features(build_network(CNN), see(paths))


def test_what_was_kept_of_pictures_that_were_cut_otherwise_is_not_taken(network, paths, tmp_path, monkeypatch):
    dataset, decoded = see(paths), DecodedImages(tmp_path, 64, 0)
    now = name_features(network, dataset), name_crops(dataset), describe_question([], dataset), decoded.locate(paths[0])
    for module in ("feature_cache", "distill", "decoded"):
        monkeypatch.setattr(f"iqa_cli.training.{module}.CUT", 1)
    before = name_features(network, dataset), name_crops(dataset), describe_question([], dataset), decoded.locate(paths[0])
    assert all(one != other for one, other in zip(now, before, strict=True))


def test_a_network_read_back_from_half_precision_finds_the_features_of_the_one_it_was(network, paths, tmp_path):
    save_weights(tmp_path / "half.safetensors", network, half=True)
    read = build_network(CNN)
    state = load_tensors(tmp_path / "half.safetensors")[0]
    read.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    for value in read.encoder.backbone.state_dict().values():
        value[value == 0] = 0.0  # a zero of the other sign
    assert name_features(read, see(paths)) == name_features(network, see(paths))


@pytest.mark.parametrize(("answered", "views"), [(None, [0, 1, 2, 0]), (2, [0, 1, 0, 1]), (5, [0, 1, 2, 0])])
def test_an_epoch_takes_only_views_that_teachers_were_asked_about(network, paths, tmp_path, answered, views):
    dataset = see(paths)
    store = FeatureStore(tmp_path, network, dataset)
    options = LoopOptions(views=3, batch_size=3)
    for view in range(3):
        counts = [event.done for event in store.fill(network, view, options)]
        assert counts == [3]
    if answered:
        dataset.targets = torch.arange(answered)[:, None, None].expand(answered, 3, 2)
    for epoch, view in enumerate(views):
        batch = next(iter(store.load_epoch(epoch, options)))
        expected = torch.cat([store.load(view, place).features for place in batch.image[::2].tolist()])
        assert torch.equal(batch.features, expected)
        assert answered is None or batch.taught.unique().tolist() == [view]


def test_crops_that_are_kept_are_those_of_the_set(paths, tmp_path):
    dataset = see(paths, damaged=1.0, side=80)
    dataset.targets = torch.tensor([[[0.5, 0.4]], [[0.3, 0.2]]]).expand(2, 3, 2)
    store = CropStore(tmp_path, dataset)
    assert len(store) == len(dataset)
    for _ in range(2):  # cut, and then read
        for epoch in (0, 1, 5):
            for mine, theirs in zip(asdict(store[epoch, 1]).values(), asdict(dataset[epoch, 1]).values(), strict=True):
                assert mine is theirs is None or torch.equal(mine.nan_to_num(-1), theirs.nan_to_num(-1))
    assert len(list(store.folder.iterdir())) == 2  # of two views that teachers have judged
    path = store.locate(0, 1)
    path.unlink()
    assert torch.equal(store[2, 1].crops, dataset[0, 1].crops)
    assert path.exists()


def test_a_store_of_crops_is_named_by_how_they_are_cut_and_drawn(paths):
    name = name_crops(see(paths))
    assert name == name_crops(see(paths, held_out=0.5)) == name_crops(see(paths, side=64))
    others = [see(paths, seed=1), see(paths, enlarge=1.5), see(paths, side=96), see(paths, size=96), see(paths, versions=0)]
    assert len({name, *(name_crops(other) for other in others)}) == 6
