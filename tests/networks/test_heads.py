"""Heads: what they take, and what they need of an encoder."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli.errors import WeightsError
from iqa_cli.networks.heads import AttentionPanel, MlpHead
from iqa_cli.networks.network import NetworkConfig, StageEncoder, build_network


def test_the_order_of_patches_does_not_matter_to_the_panel_but_the_content_does() -> None:
    torch.manual_seed(0)
    panel = AttentionPanel(16, 2, 6)
    tokens = torch.randn(1, 9, 16)
    shuffled = torch.cat([tokens[:, :1], tokens[:, 1:].flip(1)], 1)
    assert torch.allclose(panel(tokens), panel(shuffled), atol=1e-6)
    other = torch.cat([-tokens[:, :1], tokens[:, 1:]], 1)
    assert not torch.allclose(panel(tokens), panel(other), atol=1e-4)


def test_an_mlp_head_takes_the_means_of_the_whole_crop() -> None:
    head = MlpHead(4, 8)
    features = torch.rand(2, 1 + 12, 8)
    assert torch.equal(head.pool(features), features[:, 0, :4])
    assert torch.equal(head(features), head.predict(features[:, 0, :4]))


def test_an_mlp_head_needs_pooled_features_of_stages() -> None:
    config = NetworkConfig("test_vit", {"img_size": 64, "depth": 2}, head="mlp", units=8)
    with pytest.raises(WeightsError, match="name layers of test_vit"):
        build_network(config)
    network = build_network(replace(config, layers=(0, 1)))
    assert network(torch.randn(2, 3, 64, 64)).shape == (2,)
    assert not isinstance(network.encoder, StageEncoder)


@pytest.mark.parametrize(
    ("facts", "message"),
    [({"head": "kernel"}, "head is one of panel, mlp, not 'kernel'"), ({"head": "mlp"}, "one hidden unit at least")],
)
def test_a_head_that_is_none_is_refused(facts: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkConfig("test_efficientnet", **facts)  # type: ignore[arg-type]
