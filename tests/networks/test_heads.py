"""The attention panel: what its output hangs on."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli.networks.heads import AttentionPanel


def test_the_order_of_patches_does_not_matter_to_the_panel_but_the_content_does() -> None:
    torch.manual_seed(0)
    panel = AttentionPanel(16, 2, 6)
    tokens = torch.randn(1, 9, 16)
    shuffled = torch.cat([tokens[:, :1], tokens[:, 1:].flip(1)], 1)
    assert torch.allclose(panel(tokens), panel(shuffled), atol=1e-6)
    other = torch.cat([-tokens[:, :1], tokens[:, 1:]], 1)
    assert not torch.allclose(panel(tokens), panel(other), atol=1e-4)
