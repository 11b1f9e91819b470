"""Where training computes in bf16: by device and kind of network."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli.networks.network import NetworkConfig, QfmIqm, build_network
from iqa_cli.training.optim import autocast, knows_bf16, wants_bf16
from iqa_cli.training.options import Precision


@pytest.fixture(scope="module")
def convolutional() -> QfmIqm:
    torch.manual_seed(0)
    return build_network(NetworkConfig("test_efficientnet", width=16, heads=2))


@pytest.fixture(scope="module")
def transformer() -> QfmIqm:
    return build_network(NetworkConfig("test_vit", {"img_size": 32}))


def is_reduced(precision: Precision, network: QfmIqm) -> bool:
    wanted = wants_bf16(precision, network)
    with autocast(precision, network):
        reduced = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert reduced == (wanted and knows_bf16("cpu"))
    return wanted


def test_a_cpu_without_bf16_is_not_made_to_imitate_it() -> None:
    info = Path("/proc/cpuinfo")
    if not info.is_file() or "flags" not in info.read_text():
        pytest.skip("needs to be told by Linux what an x86 processor knows")
    assert knows_bf16("cpu") == ("avx512_bf16" in info.read_text())
    assert knows_bf16("cuda")


@pytest.mark.parametrize(("precision", "reduced"), [("auto", False), ("bf16", True), ("fp32", False)])
def test_convolutions_on_a_cpu_are_trained_in_single_precision_unless_told_otherwise(
    convolutional: QfmIqm, precision: Precision, reduced: bool
) -> None:
    assert is_reduced(precision, convolutional) == reduced


def test_a_transformer_is_trained_in_bf16_unless_told_otherwise(transformer: QfmIqm) -> None:
    assert is_reduced("auto", transformer)
    assert not is_reduced("fp32", transformer)
