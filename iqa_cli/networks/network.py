"""The network that runs at inference: an encoder around a backbone, and a head.

The method is "Adaptive Feature Selection for No-Reference Image Quality Assessment by Mitigating Semantic Noise Sensitivity"
(ICML 2024, arXiv 2312.06158). Its student network is the one of DEIQT (AAAI 2023): a vision transformer and an attention-panel
decoder. What stands here is that network, with an extension of ours: an encoder for convolutional backbones, which gives the
same kind of tokens. Nothing of the training method (memory, noise, teacher) exists in it: see `qfm_iqm`.

    crops [b,3,h,w] --encode--> tokens [b,t,d], the first is the content c, the others P --decode--> label [b] in about 0..1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.networks.backbone import fix_padding, fold_batch_norms
from iqa_cli.networks.encoders import StageEncoder, TransformerEncoder
from iqa_cli.networks.heads import AttentionPanel
from iqa_cli.networks.timm_models import build_backbone, check_backbone, first_line

LIMITS = {"width": 4096, "heads": 1024, "queries": 1024, "stages": 64, "cell": 4096}
"""Far more than any network has: a card that asks for more would only take all memory."""
HEAD_WIDTH = 64  # of the width of tokens to a head of attention, unless a number of heads is asked for


@dataclass(frozen=True)
class NetworkConfig:
    """Facts that rebuild a network. Raises ValueError for sizes that are none, and as `check_backbone` does.

    backbone: a timm model name. Transformers of one scale give their own tokens; everything else counts as convolutional.
    backbone_options: passed to timm, e.g. {"img_size": 448} for a transformer's positions.
    width: d, the tokens' size, for a convolutional backbone; a transformer's tokens keep its own.
    heads, queries: of the attention panel (DEIQT: 6 and 6). A network that is built with 0 heads takes as many as suit the
        width of its tokens, and its config then says how many.
    folds_norms: whether the batch norms of a convolutional backbone are folded into its convolutions, for relative rates.
    stages: how many stages of a convolutional backbone are read; the later ones are left out.
    layers: of a transformer, which are read as stages are; none: the tokens after its last norm are taken as they are.
    cell: in px, of the cells in which the features of stages are pooled.
    """

    backbone: str
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    width: int = 256
    heads: int = 4
    queries: int = 6
    stages: int = 5
    layers: tuple[int, ...] = ()
    cell: int = 32
    folds_norms: bool = True

    def __post_init__(self) -> None:
        check_backbone(self.backbone, self.backbone_options)
        for name, most in LIMITS.items():  # a card is foreign bytes
            value, least = getattr(self, name), int(name == "cell")
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"{name} is a whole number from {least} to {most}, not {value!r}")

    @property
    def feature_config(self) -> NetworkConfig:
        """The part of it that the features depend on: all but the head."""
        return replace(self, width=0, heads=0, queries=0)


class QfmIqm(nn.Module):
    """Encoder and head: what is trained, exported and run."""

    def __init__(self, config: NetworkConfig, backbone: nn.Module) -> None:
        super().__init__()
        self.encoder = build_encoder(config, backbone)
        self.config = config if config.heads else replace(config, heads=choose_heads(self.encoder.width))
        self.decoder = AttentionPanel(self.encoder.width, self.config.heads, self.config.queries)

    def encode(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> tokens [b, t, d]."""
        return self.project(self.extract(crops))

    def extract(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> features [b, n, f]: the backbone's part of encoding."""
        return self.encoder.extract(crops)

    def project(self, features: Tensor) -> Tensor:
        """Features [b, n, f] -> tokens [b, t, d]: the rest of it."""
        return self.encoder.project(features)

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens [b, t, d] -> label [b]; labels lie in 0..1, higher is better."""
        label: Tensor = self.decoder(tokens)
        return label

    def predict(self, features: Tensor) -> Tensor:
        """Features [b, n, f] -> label [b]: everything behind the backbone."""
        return self.decode(self.project(features))

    def forward(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> label [b]."""
        return self.predict(self.extract(crops))

    def drop_out(self, features: float, hidden: float) -> None:
        """Let training drop these shares of an encoder's standardized features and of the decoder's hidden units."""
        for module in self.modules():
            if isinstance(module, StageEncoder):
                module.dropout = features
            elif isinstance(module, AttentionPanel):
                module.dropout = hidden

    def train(self, mode: bool = True) -> QfmIqm:
        """As usual, but batch norms (of a backbone, and the standards) keep their statistics: batches are small."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


def choose_heads(width: int) -> int:
    """How many heads of attention suit tokens of that width: the divisor of it closest to one for each 64, as in DEIQT."""
    divisors = [heads for heads in range(1, width + 1) if width % heads == 0]
    return min(divisors, key=lambda heads: abs(heads - width / HEAD_WIDTH))


def build_encoder(config: NetworkConfig, backbone: nn.Module) -> TransformerEncoder | StageEncoder:
    """The encoder that fits the backbone: timm names the reduction of each stage, which is one in a plain transformer."""
    reductions = {info["reduction"] for info in backbone.feature_info}  # type: ignore[union-attr]
    stages: Sequence[int] = config.layers
    if len(reductions) > 1 or not hasattr(backbone, "num_prefix_tokens"):
        stages = range(len(backbone.feature_info))[: config.stages]  # type: ignore[arg-type]
        backbone = fix_padding(fold_batch_norms(backbone) if config.folds_norms else backbone)
    elif not stages:
        return TransformerEncoder(backbone)
    return StageEncoder(backbone, config.width, stages, config.cell)


def build_network(config: NetworkConfig, pretrained: Mapping[str, Tensor] | bool = False, drop_path: float = 0.0) -> QfmIqm:
    """A network with new weights, its backbone's pretrained on demand.

    pretrained: tensors of the backbone under timm's names; or True: from the hub that timm names. drop_path: the share of its
    residual branches that training drops.
    Raises WeightsError where the name is unknown, the weights do not fit or cannot be had.
    """
    regularized = {"drop_path_rate": drop_path} if drop_path else {}
    backbone = build_backbone(config.backbone, {**config.backbone_options, **regularized}, pretrained=pretrained is True)
    try:
        if isinstance(pretrained, Mapping):
            backbone.load_state_dict(pretrained, strict=False)
        return QfmIqm(config, backbone).train()
    except (RuntimeError, ValueError, TypeError, IndexError, ArithmeticError) as error:  # a card's sizes are foreign bytes
        raise WeightsError(f"cannot build a network of these sizes: {first_line(error)}") from error


@torch.no_grad()
def check_input(network: QfmIqm, height: int, width: int) -> None:
    """Run a network on a crop of that many px; it raises what its backbone does, if that is too small, or of another shape.

    Raises UsageError for heads that do not divide its width.
    """
    tokens, heads = network.encoder.width, network.config.heads
    if tokens % heads:
        hint = f"heads={choose_heads(tokens)} do, as does 0"
        raise UsageError(f"heads={heads} do not divide the width of the tokens, {tokens}: {hint}")
    network.eval()(torch.zeros(1, 3, height, width))
