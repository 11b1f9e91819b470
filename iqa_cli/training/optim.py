"""Precision: where training computes in bf16, and what of a network must not.

On a CPU that knows bf16, convolutions of 1 x 1 are several times as fast in it. Depthwise ones are not, and oneDNN's
gradients of those with a stride are several times slower, so they are kept in single precision. It pays most where a process
has one thread: there PyTorch computes convolutions of 1 x 1 in single precision without oneDNN.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from iqa_cli.networks.torch_backend import choose_device
from iqa_cli.training.options import LoopOptions

if TYPE_CHECKING:
    from iqa_cli.networks.network import QfmIqm


def knows_bf16(device: str | torch.device) -> bool:
    """Whether a device computes in bf16 by itself. A CPU that does not takes up to ten times as long as in single precision."""
    return torch.device(device).type != "cpu" or torch.cpu._is_avx512_bf16_supported()


def wants_bf16(options: LoopOptions, network: QfmIqm, *, warm: bool) -> bool:
    """Whether that is asked for, or helps: matrix products of a transformer, and any network on a GPU."""
    helps = hasattr(network.encoder.backbone, "num_prefix_tokens") or choose_device(options.device).type != "cpu"
    precision = options.precision if warm or options.fine_precision == "same" else options.fine_precision
    return precision == "bf16" or (precision == "auto" and helps)


def precision_of(options: LoopOptions, network: QfmIqm, *, warm: bool) -> AbstractContextManager[object]:
    """Autocast to bf16 where that is wanted and the device knows it."""
    device = choose_device(options.device)
    enabled = wants_bf16(options, network, warm=warm) and knows_bf16(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


class SinglePrecision:
    """Before the class of a module: its forward pass in single precision, whatever stands around it."""

    def forward(self, x: Tensor) -> Tensor:
        """The module's own, in float32."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())  # type: ignore[misc,no-any-return]


def keep_depthwise_single(network: nn.Module) -> None:
    """Have the depthwise convolutions that are trained compute in single precision on a CPU, in place."""
    for module in network.modules():
        if not isinstance(module, nn.Conv2d) or isinstance(module, SinglePrecision) or module.groups == 1:
            continue
        if module.weight.requires_grad and module.weight.device.type == "cpu":
            module.__class__ = type(module.__class__.__name__, (SinglePrecision, module.__class__), {})
