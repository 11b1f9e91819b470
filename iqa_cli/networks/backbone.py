"""What of a pretrained backbone can be settled before training: its norms, folded into its convolutions, and its padding.

Fine-tuning sees batches too small to measure statistics on, so a norm keeps those it was pretrained with: a fixed scale and
shift a channel. Folded into the convolution before it, that costs nothing: training on a CPU becomes twice as fast.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

PROBE = (1, 3, 64, 64)  # small enough to be quick, large enough for a stride of 32


def fold_batch_norms(backbone: nn.Module) -> nn.Module:
    """The same function with every BatchNorm2d that directly follows a convolution folded into it; changed in place.

    A backbone where that is not the same function (a convolution whose output also goes elsewhere), or that takes no picture of
    another size than its own, is returned as it was; this depends on its structure alone, so a network rebuilt from its config
    has the same parameters.
    """
    try:
        exact = folding_is_exact(copy.deepcopy(backbone))
    except Exception:  # of any kind: each backbone has its own way to say that it cannot look at the probe
        exact = False
    if exact:
        fold(backbone)
    return backbone


def folding_is_exact(trial: nn.Module) -> bool:
    """Whether folding changes nothing, tried on a copy whose norms are made to do something first."""
    source = torch.Generator().manual_seed(0)
    for norm in trial.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.weight.data, norm.running_var):
                values.copy_(torch.rand(values.shape, generator=source) + 0.5)  # type: ignore[union-attr]
            norm.running_mean.copy_(0.1 * torch.randn(norm.bias.shape, generator=source))  # type: ignore[union-attr]
    expected = run_probe(trial)
    fold(trial)
    return torch.allclose(run_probe(trial), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def fold(backbone: nn.Module) -> None:
    """Fold each pair and put the norm's activation (timm's BatchNormAct2d carries it), or nothing, in its place."""
    pairs = find_pairs(backbone)
    for convolution, norm in pairs:
        fold_pair(convolution, norm)
    folded = {id(norm) for _, norm in pairs}
    for parent in list(backbone.modules()):
        for name, child in list(parent.named_children()):
            if id(child) in folded:
                setattr(parent, name, getattr(child, "act", nn.Identity()))


@torch.no_grad()
def run_probe(backbone: Any) -> Tensor:
    """What the backbone makes of one fixed picture."""
    picture = torch.linspace(-1, 1, 3 * 64 * 64).reshape(PROBE).sin()
    features: Tensor = backbone.eval().forward_features(picture)
    return features


def find_pairs(backbone: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each norm whose input is the very output of a convolution, with that convolution."""
    made_by: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the tensor is kept, so that its id stays its own
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def note_output(module: nn.Module, _: Any, output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            made_by[id(output)] = (module, output)

    def note_input(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.BatchNorm2d) and id(inputs[0]) in made_by:
            pairs.append((made_by[id(inputs[0])][0], module))

    hooks = [m.register_forward_hook(note_output) for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(note_input) for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    run_probe(backbone)
    for hook in hooks:
        hook.remove()
    return pairs


@torch.no_grad()
def fold_pair(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Scale and shift of the norm, moved into the convolution's weight and bias."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # [c]
    old_bias = convolution.bias if convolution.bias is not None else torch.zeros_like(scale)
    convolution.weight.mul_(scale.reshape(-1, 1, 1, 1))
    convolution.bias = nn.Parameter((norm.bias + (old_bias - norm.running_mean) * scale).detach().clone())


class EvenConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding, for height and width that its stride divides.

    There the padding is a constant; timm's `Conv2dSame` computes it from each input, which an exported graph would have to.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[b, c, h, w] -> [b, c', h / stride, w / stride]."""
        edges: list[int] = []
        for size, dilation, stride in zip(self.kernel_size, self.dilation, self.stride, strict=True):
            total = max(0, dilation * (size - 1) + 1 - stride)
            edges = [total // 2, total - total // 2, *edges]  # F.pad counts from the last dimension
        return F.conv2d(F.pad(x, edges), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def fix_padding(backbone: nn.Module) -> nn.Module:
    """Every `Conv2dSame` made an `EvenConv2d` with the same weights, in place: crops are multiples of the stride.

    A backbone where that is not the same function (convolutions without padding before, as in NASNet, make odd sizes of even
    ones) is returned as it was.
    """
    convolutions = [module for module in backbone.modules() if isinstance(module, Conv2dSame)]
    if convolutions:
        expected = run_probe(backbone)
        set_class(convolutions, EvenConv2d)
        try:
            same = torch.allclose(run_probe(backbone), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
        except RuntimeError:  # of maps that are to be added and differ in size
            same = False
        if not same:
            set_class(convolutions, Conv2dSame)
    return backbone


def set_class(modules: Iterable[nn.Module], kind: type[nn.Module]) -> None:
    """Make modules instances of another class with the same weights."""
    for module in modules:
        module.__class__ = kind
