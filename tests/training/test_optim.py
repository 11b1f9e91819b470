"""Where training computes in bf16: by phase, device and kind of network, and never in depthwise convolutions on a CPU."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli.networks.network import NetworkConfig, QfmIqm, build_network
from iqa_cli.training.loop import build_optimizer
from iqa_cli.training.optim import SinglePrecision, keep_depthwise_single, knows_bf16, precision_of, wants_bf16
from iqa_cli.training.options import FinePrecision, LoopOptions, Precision


@pytest.fixture(scope="module")
def convolutional() -> QfmIqm:
    torch.manual_seed(0)
    return build_network(NetworkConfig("mobilenetv2_035", width=16, heads=2))


@pytest.fixture(scope="module")
def transformer() -> QfmIqm:
    return build_network(NetworkConfig("vit_tiny_patch16_224", {"img_size": 32}))


def is_reduced(options: LoopOptions, network: QfmIqm, *, warm: bool) -> bool:
    wanted = wants_bf16(options, network, warm=warm)
    with precision_of(options, network, warm=warm):
        reduced = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert reduced == (wanted and knows_bf16("cpu"))
    return wanted


def test_a_cpu_without_bf16_is_not_made_to_imitate_it() -> None:
    info = Path("/proc/cpuinfo")
    if not info.is_file() or "flags" not in info.read_text():
        pytest.skip("needs to be told by Linux what an x86 processor knows")
    assert knows_bf16("cpu") == ("avx512_bf16" in info.read_text())
    assert knows_bf16("cuda")


@pytest.mark.parametrize(
    ("precision", "fine", "warmed", "tuned"),
    [
        ("auto", "same", False, False),
        ("auto", "bf16", False, True),
        ("bf16", "same", True, True),
        ("bf16", "fp32", True, False),
        ("fp32", "auto", False, False),
    ],
)
def test_each_phase_has_its_precision(
    convolutional: QfmIqm, precision: Precision, fine: FinePrecision, warmed: bool, tuned: bool
) -> None:
    options = LoopOptions(precision=precision, fine_precision=fine)
    assert (is_reduced(options, convolutional, warm=True), is_reduced(options, convolutional, warm=False)) == (warmed, tuned)


def test_a_transformer_is_trained_in_bf16_unless_told_otherwise(transformer: QfmIqm) -> None:
    assert is_reduced(LoopOptions(), transformer, warm=False)
    assert not is_reduced(LoopOptions(fine_precision="fp32"), transformer, warm=False)
    assert is_reduced(LoopOptions(fine_precision="fp32"), transformer, warm=True)


def compute_gradients(network: QfmIqm, crops: torch.Tensor, *, reduced: bool) -> dict[str, torch.Tensor]:
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
        loss = network(crops).float().square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def test_depthwise_convolutions_that_are_trained_stay_in_single_precision(convolutional: QfmIqm) -> None:
    network = copy.deepcopy(convolutional)
    build_optimizer(network, LoopOptions(frozen=0.3), warm=False)
    crops = torch.rand(4, 3, 64, 64)
    expected = compute_gradients(network, crops, reduced=False)
    names = list(network.state_dict())
    for _ in range(2):  # the second time changes nothing
        keep_depthwise_single(network)
    assert list(network.state_dict()) == names
    kinds: dict[tuple[bool, bool], set[torch.dtype]] = {}
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            assert isinstance(module, SinglePrecision) == (module.groups > 1 and module.weight.requires_grad)
            key = (module.groups > 1, module.weight.requires_grad)
            module.register_forward_hook(lambda _, __, out, key=key: kinds.setdefault(key, set()).add(out.dtype) or None)
    found = compute_gradients(network, crops, reduced=True)
    assert kinds[True, True] == {torch.float32}
    assert kinds[True, False] == kinds[False, True] == kinds[False, False] == {torch.bfloat16}
    assert found.keys() == expected.keys()
    ours, theirs = (torch.cat([g.flatten() for g in gradients.values()]) for gradients in (found, expected))
    assert float(torch.cosine_similarity(ours, theirs, dim=0)) > 0.9
    twin = copy.deepcopy(network).eval()
    assert torch.equal(twin(crops), convolutional.eval()(crops))
