"""The network: what any backbone gives, and laws of what stands behind it."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

import timm

from iqa_cli.errors import WeightsError
from iqa_cli.networks.backbone import EvenConv2d, fix_padding, fold_batch_norms, run_probe
from iqa_cli.networks.network import NetworkConfig, StageEncoder, TransformerEncoder, build_network

CONVOLUTIONAL = ["mobilenetv2_035", "resnet10t", "convnext_atto"]


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Each test draws its weights and crops alike every time."""
    torch.manual_seed(0)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_convolutional_backbone_gives_content_stages_and_windows(name):
    network = build_network(NetworkConfig(name, width=16, heads=2))
    assert isinstance(network.encoder, StageEncoder)
    stages = len(network.encoder.channels)
    assert network.encode(torch.randn(2, 3, 96, 160)).shape == (2, 1 + stages + 2 * 4, 16)
    assert network(torch.randn(2, 3, 64, 64)).shape == (2,)


def test_a_transformer_gives_its_class_token_and_its_patches():
    network = build_network(NetworkConfig("deit3_small_patch16_224", {"img_size": 64, "depth": 2}, heads=6)).eval()
    assert isinstance(network.encoder, TransformerEncoder)
    crops = torch.randn(2, 3, 64, 64)
    assert torch.equal(network.encode(crops), network.encoder.backbone.forward_features(crops))
    assert network.encode(crops).shape == (2, 1 + 16, 384)


@pytest.mark.parametrize("name", ["qwen3_vit_88m", "qwen3_vit_88m_enc", "deepseek_vit_412m"])
def test_a_transformer_that_gives_a_map_gives_its_patches_and_their_mean(name):
    network = build_network(NetworkConfig(name, {"depth": 1}, heads=4)).eval()
    crops = torch.randn(2, 3, 112, 224)
    patches = network.encoder.backbone.forward_features(crops)  # [b, h, w, d]
    tokens = network.encode(crops)
    assert tokens.shape == (2, 1 + patches.shape[1] * patches.shape[2], patches.shape[3])
    assert torch.equal(tokens[:, 1:].unflatten(1, patches.shape[1:3]), patches)
    assert torch.allclose(tokens[:, 0], patches.mean((1, 2)), atol=1e-5)


@pytest.mark.parametrize("name", ["hiera_tiny_224", "hieradet_small"])
def test_stages_without_norms_are_read_as_they_are(name):
    network = build_network(
        NetworkConfig(name, {"img_size": 128} if name == "hiera_tiny_224" else {}, width=16, heads=2)
    ).eval()
    crops = torch.randn(2, 3, 128, 128)
    maps = network.encoder.backbone.forward_intermediates(crops, indices=[0, 1, 2, 3], intermediates_only=True)
    assert [m.shape[2] for m in maps] == [32, 16, 8, 4]
    assert torch.allclose(network.extract(crops)[:, 0, :1440], torch.cat([m.mean((2, 3)) for m in maps], 1), atol=1e-4)


def test_layers_of_a_transformer_are_read_as_stages_are():
    config = NetworkConfig("deit3_small_patch16_224", {"img_size": 96, "depth": 4}, width=16, heads=2, layers=(0, 2), cell=32)
    network = build_network(config).eval()
    assert isinstance(network.encoder, StageEncoder)
    assert len(network.encoder.backbone.blocks) == 3  # what lies behind the last layer that is read is left out
    crops = torch.randn(2, 3, 96, 96)
    assert network.extract(crops).shape == (2, 1 + 4, 2 * 2 * 384)  # cells of two patches, windows of two cells
    assert network.encode(crops).shape == (2, 1 + 2 + 4, 16)
    maps = network.encoder.backbone.forward_intermediates(crops, indices=[0, 2], norm=True, intermediates_only=True)
    assert torch.allclose(network.extract(crops)[:, 0, :768], torch.cat(maps, 1).mean((2, 3)), atol=1e-5)


def test_deiqt_has_its_size():
    network = build_network(NetworkConfig("deit3_small_patch16_224", heads=6))
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(24.0e6, rel=0.01)


def test_window_statistics_are_the_means_and_deviations_of_the_features():
    network = build_network(NetworkConfig("mobilenetv2_035", width=16, heads=2, stages=3)).eval()
    crops = torch.randn(1, 3, 64, 96)
    maps = network.encoder.backbone.forward_intermediates(crops, indices=[0, 1, 2], intermediates_only=True)
    features = network.extract(crops)
    channels = sum(m.shape[1] for m in maps)
    assert features.shape == (1, 1 + 2, 2 * channels)
    for row, (left, right) in enumerate([(0, 96), (0, 64), (32, 96)]):
        parts = [m[..., left * m.shape[-1] // 96 : right * m.shape[-1] // 96] for m in maps]
        mean = torch.cat([p.mean((2, 3)) for p in parts], 1)
        deviation = torch.cat([(p.var((2, 3), correction=0) + 1e-4).sqrt() for p in parts], 1)
        assert torch.allclose(features[:, row], torch.cat([mean, deviation], 1), atol=2e-3)


@pytest.mark.parametrize(
    "sizes",
    [{"queries": -3}, {"width": "16"}, {"cell": "32"}, {"cell": 0}, {"width": 10**9}, {"heads": 2.0}, {"stages": True}],
)
def test_sizes_that_are_none_are_refused(sizes):
    with pytest.raises(ValueError, match="is a whole number from"):
        NetworkConfig("mobilenetv2_035", **sizes)


@pytest.mark.parametrize(
    ("backbone", "options", "said"),
    [
        ("hf-hub:owner/name", {}, "backbone is the name of a network of timm, not 'hf-hub:owner/name'"),
        ("hf_hub:owner/name", {}, "backbone is the name"),
        ("local-dir:folder", {}, "backbone is the name"),
        ("", {}, "backbone is the name"),
        (7, {}, "backbone is the name"),
        ("test_vit", {"checkpoint_path": "a.pth"}, "backbone_options has 'checkpoint_path'; there are img_size, "),
        ("test_vit", {"pretrained_cfg": {"url": "http://localhost"}}, "backbone_options has 'pretrained_cfg'"),
        ("test_vit", {"pretrained_cfg_overlay": {}}, "backbone_options has"),
        ("test_vit", {"cache_dir": "a"}, "backbone_options has"),
        ("test_vit", {"features_only": True}, "backbone_options has"),
        ("test_vit", {"img_size": "a.pth"}, "img_size is a whole number from 1 to 4096"),
        ("test_vit", {"depth": 10**9}, "depth is a whole number"),
        ("test_vit", {"depth": True}, "depth is a whole number"),
        ("test_vit", {"stages": [1, {}]}, "stages is a whole number"),
        ("test_vit", [], "backbone_options is a JSON object"),
    ],
)
def test_nothing_but_a_network_of_timm_and_its_sizes_is_asked_for(backbone, options, said):
    with pytest.raises(ValueError, match=said):
        NetworkConfig(backbone, options)


def test_every_network_of_timm_may_be_named():
    for name in (*timm.list_models(), *timm.list_models(pretrained=True)):
        NetworkConfig(name)


def test_sizes_that_make_no_network_are_refused():
    with pytest.raises(WeightsError, match="cannot build a network of these sizes"):
        build_network(NetworkConfig("deit3_small_patch16_224", {"depth": 4}, layers=(7,)))


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, "densenet121", "resnetv2_50"])
def test_folding_norms_keeps_the_function(name):
    torch.manual_seed(0)
    backbone = timm.create_model(name, num_classes=0).eval()
    for norm in backbone.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
    expected = run_probe(backbone)
    folded = run_probe(fold_batch_norms(backbone))
    assert torch.allclose(folded, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize(("name", "even"), [("tf_efficientnet_lite0", True), ("nasnetalarge", False)])
def test_padding_is_fixed_where_that_is_the_same_function(name, even):
    """NASNet begins with a convolution without padding, so that its sizes are odd."""
    backbone = timm.create_model(name, num_classes=0).eval()
    expected = run_probe(backbone)
    fixed = fix_padding(backbone)
    assert torch.equal(run_probe(fixed), expected)
    assert any(isinstance(module, EvenConv2d) for module in fixed.modules()) == even


def test_all_norms_of_an_efficientnet_are_folded_and_training_mode_changes_nothing():
    network = build_network(NetworkConfig("tf_efficientnet_lite0", width=16, heads=2)).eval()
    assert not [m for m in network.encoder.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    crops = torch.randn(2, 3, 64, 64)
    expected = network(crops)
    assert torch.allclose(network.train()(crops), expected, atol=1e-5)


def test_a_rebuilt_network_has_the_same_parameters():
    config = NetworkConfig("mobilenetv2_035", width=16, heads=2)
    backbone = {k: torch.rand_like(v.float()).to(v.dtype) for k, v in timm.create_model("mobilenetv2_035").state_dict().items()}
    trained, rebuilt = build_network(config, backbone), build_network(config)
    rebuilt.load_state_dict(trained.state_dict(), strict=True)
    crops = torch.randn(1, 3, 64, 64)
    assert torch.equal(trained.eval()(crops), rebuilt.eval()(crops))


def test_unknown_backbones_and_weights_that_do_not_fit_are_refused():
    with pytest.raises(WeightsError, match="cannot build the backbone no_such_net"):
        build_network(NetworkConfig("no_such_net"))
    with pytest.raises(WeightsError, match=r"cannot build a network of these sizes: .*EfficientNet"):
        build_network(NetworkConfig("mobilenetv2_035"), {"conv_stem.weight": torch.zeros(1)})


def test_dropout_is_training_s_alone_and_has_no_weights():
    torch.manual_seed(0)
    network = build_network(NetworkConfig("test_efficientnet", width=16, heads=2))
    names = set(network.state_dict())
    features = network.eval().extract(torch.randn(2, 3, 64, 64))
    network.project(features)
    before = network.predict(features)
    network.drop_out(0.3, 0.5)
    assert torch.equal(network.predict(features), before)
    assert set(network.state_dict()) == names
    network.train()
    assert not torch.equal(network.predict(features), network.predict(features))
    network.drop_out(0.0, 0.0)
    assert torch.equal(network.predict(features), network.predict(features))
