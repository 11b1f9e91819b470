"""QFM-IQM whole, from the inside to the outside: decoder, encoders, network.

The method is "Adaptive Feature Selection for No-Reference Image Quality Assessment by Mitigating Semantic Noise Sensitivity"
(ICML 2024, arXiv 2312.06158). Its student network is the one of DEIQT (AAAI 2023): a vision transformer and an attention-panel
decoder. What stands here is that network, with one extension of ours: an encoder for convolutional backbones, which gives the
same kind of tokens. Nothing of the training method (memory, noise, teacher) exists in it: see `objectives`.

    crops [b,3,h,w] --encode--> tokens [b,t,d], the first is the content c, the others P --decode--> quality [b] in about 0..1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

from iqa_cli.errors import WeightsError
from iqa_cli.networks.backbone import fix_padding, fold_batch_norms
from iqa_cli.networks.heads import Perceptrons
from iqa_cli.networks.kernels import KernelRegression
from iqa_cli.networks.regressions import MeansRegression
from iqa_cli.networks.timm_models import build_backbone, first_line

MOST = {
    **{"width": 4096, "heads": 1024, "queries": 1024, "stages": 64, "cell": 4096, "middle": 4096},
    **{"remembered": 1_000_000, "units": 65_536},
}
"""Far more than any network has: a card that asks for more would only take all memory."""
HEAD = 64  # of the width of tokens to a head of attention, unless a number of heads is asked for


@dataclass(frozen=True)
class NetworkConfig:
    """Facts that rebuild a network. Raises ValueError for sizes that are none.

    backbone: a timm model name. Transformers of one scale give their own tokens; everything else counts as convolutional.
    backbone_options: passed to timm, e.g. {"img_size": 448} for a transformer's positions.
    width: d, the tokens' size, for a convolutional backbone; a transformer's tokens keep its own.
    heads, queries: of the attention panel (DEIQT: 6 and 6). A network that is built with 0 heads takes as many as suit the
        width of its tokens, and its config then says how many.
    stages: how many stages of a convolutional backbone are read; the later ones are left out.
    layers: of a transformer, which are read as stages are; none: the tokens after its last norm are taken as they are.
    cell: in px, of the cells in which the statistics of stages are taken.
    middle: the side in px of the square in the middle of a crop that alone is looked at; 0: all of it is.
    remembered: 0, or the number of crops that a kernel regression in the panel's place remembers, see `networks.kernels`.
    units: 0, or the number of hidden units of perceptrons in the panel's place, see `networks.heads`.
    """

    backbone: str
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    width: int = 256
    heads: int = 4
    queries: int = 6
    stages: int = 5
    layers: tuple[int, ...] = ()
    cell: int = 32
    middle: int = 0
    remembered: int = 0
    units: int = 0

    def __post_init__(self) -> None:
        for name, most in MOST.items():  # a card is foreign bytes
            value, least = getattr(self, name), int(name == "cell")
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"{name} is a whole number from {least} to {most}, not {value!r}")

    @property
    def trunk(self) -> NetworkConfig:
        """What of it the features depend on: all but what judges by them."""
        return replace(self, width=0, heads=0, queries=0, remembered=0, units=0)

    def fits(self, narrowest: int) -> bool:
        """Whether there is what it looks at in crops whose sides have that many px at least."""
        return self.middle <= narrowest


class Attention(nn.Module):
    """Multi-head attention of queries [b, q, d] over a context [b, t, d]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        q = self.query(queries).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [b, heads, q, d/heads]
        key_value = self.key_value(context).unflatten(-1, (2, self.heads, -1))  # [b, t, 2, heads, d/heads]
        k, v = key_value.permute(2, 0, 3, 1, 4).unbind(0)  # each [b, heads, t, d/heads]
        mixed = F.scaled_dot_product_attention(q, k, v)  # [b, heads, q, d/heads]
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))  # [b, q, d]
        return out


class AttentionPanel(nn.Module):
    """The decoder (DEIQT, section "attention-panel decoder"): a panel of judges, each a query that looks at the tokens.

    Queries are J + c, with J learnt and c the content token, so that each judge knows what is shown; keys and values are P.
    One pre-norm layer; the quality is the mean over the judges of one shared linear function without bias. Ours: that mean is
    counted in tenths of the label range from its middle, so that a fresh panel, and each step of Adam, moves on the scale
    of labels.
    """

    middle, unit = 0.5, 0.1  # labels lie in 0..1 with a deviation of about 0.2

    def __init__(self, width: int, heads: int, queries: int) -> None:
        super().__init__()
        self.judges = nn.Parameter(0.02 * torch.randn(queries, width))
        self.norm_self, self.norm_cross, self.norm_feed, self.norm_out = (nn.LayerNorm(width) for _ in range(4))
        self.self_attention = Attention(width, heads)
        self.cross_attention = Attention(width, heads)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [b, t, d] -> quality [b]."""
        content, patches = tokens[:, 0].unsqueeze(1), tokens[:, 1:]  # [b, 1, d], [b, t-1, d]
        panel = self.judges + content  # [b, q, d]
        inner = self.norm_self(panel)
        panel = panel + self.self_attention(inner, inner)
        panel = panel + self.cross_attention(self.norm_cross(panel), patches)
        panel = panel + self.feed(self.norm_feed(panel))
        verdict: Tensor = self.score(self.norm_out(panel)).mean(dim=(1, 2))  # [b]
        return self.middle + self.unit * verdict


class Encoder(nn.Module):
    """What has a backbone: one of its own, or one that it borrows."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone
        self.borrowed: list[Any] = []  # in a list, so that its weights do not count as those of the borrower

    @property
    def trunk(self) -> Any:
        """The backbone, whosever it is."""
        return self.borrowed[0] if self.borrowed else self.backbone

    def borrow(self, trunk: nn.Module) -> None:
        """Use another encoder's backbone in the place of its own."""
        self.backbone, self.borrowed = nn.Identity(), [trunk]


class TransformerEncoder(Encoder):
    """A plain vision transformer: c is its class token (or the mean patch, where it has none), P its patches."""

    def __init__(self, backbone: Any) -> None:
        super().__init__(backbone)
        self.width: int = backbone.num_features

    def measure(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> features [b, 1 + N, d], which are the tokens already."""
        out = self.trunk.forward_features(crops)  # [b, prefix + N, d], after the last norm
        prefix = self.trunk.num_prefix_tokens
        patches = out[:, prefix:]  # [b, N, d]
        has_class = getattr(self.trunk, "cls_token", None) is not None
        content = out[:, :1] if has_class else patches.mean(1, keepdim=True)
        return torch.cat([content, patches], dim=1)  # [b, 1 + N, d]

    def project(self, features: Tensor) -> Tensor:
        """Features -> tokens, both [b, 1 + N, d]: nothing is left to do."""
        return features


class StageMeter(Encoder):
    """A convolutional backbone, or some layers of a transformer: the statistics of its stages. Ours, not the paper's.

    Damage shows in the early stages as much as in the late ones, and in how features vary as much as in how strong they are.
    So the picture is laid out in cells of some 32 px, the stride of the last stage of a usual backbone, and in each window of
    two by two the mean and the deviation of the features of every stage are taken, and the same in the whole crop.
    """

    tiny = 1e-4  # under the root of a variance: keeps the gradient of a flat region finite

    def __init__(self, backbone: Any, stages: Sequence[int], cell: int) -> None:
        super().__init__(backbone)
        self.stages = list(stages)
        facts = [backbone.feature_info[stage] for stage in self.stages]
        backbone.prune_intermediate_layers(self.stages, prune_head=True)
        self.reductions = [info["reduction"] for info in facts]
        self.cell = max([cell, *self.reductions])  # a pixel of a stage is not parted
        self.channels = [info["num_chs"] for info in facts]

    def measure(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> features [b, 1 + N, f]: statistics of the whole crop, then of each of N windows.

        f is twice the channels of all stages together: the means of each stage in turn, then the deviations. The backbone
        alone is in here, so these can be cached while it is frozen.
        """
        maps = self.trunk.forward_intermediates(
            crops, indices=self.stages, norm=True, intermediates_only=True, output_fmt="NCHW"
        )  # each [b, c_s, h / reduction, w / reduction]
        cells = [self.pool_cells(m.float(), r) for m, r in zip(maps, self.reductions, strict=True)]
        mean, square = (torch.cat(align_maps(parts), dim=1) for parts in zip(*cells, strict=True))  # each [b, c, h/32, w/32]
        windows = [F.avg_pool2d(m, 2, stride=1).flatten(2) for m in (mean, square)]  # each [b, c, N]
        wholes = [m.mean((2, 3)).unsqueeze(2) for m in (mean, square)]  # each [b, c, 1]
        means, squares = (torch.cat(pair, dim=2) for pair in zip(wholes, windows, strict=True))  # each [b, c, 1 + N]
        deviations = ((squares - means * means).clamp_min(0) + self.tiny).sqrt()
        return torch.cat([means, deviations], dim=1).transpose(1, 2)  # [b, 1 + N, f]

    def pool_cells(self, maps: Tensor, reduction: int) -> tuple[Tensor, Tensor]:
        """The mean and the mean square of the features in each cell: [b, c, h, w] -> two of [b, c, h/32, w/32]."""
        side = max(1, self.cell // reduction)
        return F.avg_pool2d(maps, side), F.avg_pool2d(maps * maps, side)


def align_maps(maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Maps [b, c, h, w] of one height and width: where convolutions without padding leave some smaller, all are that small."""
    if torch.compiler.is_exporting():  # a comparison of sizes would tie the graph to them
        return maps
    smallest = min(m.shape[2] for m in maps), min(m.shape[3] for m in maps)
    return tuple(m if m.shape[2:] == smallest else F.adaptive_avg_pool2d(m, smallest) for m in maps)


class StageEncoder(StageMeter):
    """The statistics of stages as tokens: one a window, and further ones that hold those of the whole crop, one a stage.

    c is the mean of the last stage: what a classifier would see. Statistics are standardised by those of the training images,
    measured once (`standards`), and projected to the width.
    """

    def __init__(self, backbone: Any, width: int, stages: Sequence[int], cell: int) -> None:
        super().__init__(backbone, stages, cell)
        self.width = width
        size = 2 * sum(self.channels)
        self.standards = nn.ModuleList(nn.BatchNorm1d(size, affine=False, momentum=None) for _ in ("whole", "windows"))
        self.to_window = nn.Linear(size, width)
        self.to_stage = nn.ModuleList(nn.Linear(2 * c, width) for c in self.channels)
        self.to_content = nn.Linear(self.channels[-1], width)

    def project(self, features: Tensor) -> Tensor:
        """Features [b, 1 + N, f] -> tokens [b, 1 + S + N, d]: the content, the S stages, the N windows."""
        whole = self.standards[0](features[:, 0])  # [b, f]
        windows = self.standards[1](features[:, 1:].transpose(1, 2)).transpose(1, 2)  # [b, N, f]
        parts = whole.split([*self.channels, *self.channels], dim=1)  # means of each stage, then deviations
        means, deviations = parts[: len(self.channels)], parts[len(self.channels) :]
        layers = zip(self.to_stage, means, deviations, strict=True)
        stages = torch.stack([to_token(torch.cat(pair, dim=1)) for to_token, *pair in layers], dim=1)  # [b, S, d]
        content = self.to_content(means[-1]).unsqueeze(1)  # [b, 1, d]
        return torch.cat([content, stages, self.to_window(windows)], dim=1)  # [b, 1 + S + N, d]


class QfmIqm(nn.Module):
    """The network: what is trained, exported and run."""

    def __init__(self, config: NetworkConfig, backbone: nn.Module) -> None:
        super().__init__()
        self.encoder = build_encoder(config, backbone)
        width = getattr(self.encoder, "width", 0)  # none where statistics of stages are judged as they are
        self.config = config if config.heads or not width else replace(config, heads=choose_heads(width))
        self.decoder = build_decoder(self.config, self.encoder)

    def encode(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> tokens [b, t, d]."""
        return self.project(self.measure(crops))

    def measure(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> features [b, n, f]: the backbone's part of encoding."""
        return self.encoder.measure(self.look(crops))

    def look(self, crops: Tensor) -> Tensor:
        """What the backbone sees of crops [b, 3, h, w]: them, or their middle."""
        side = self.config.middle
        if side:
            top, left = ((whole - side) // 2 for whole in crops.shape[2:])
            crops = crops.narrow(2, top, side).narrow(3, left, side)
        return crops

    def project(self, features: Tensor) -> Tensor:
        """Features [b, n, f] -> tokens [b, t, d]: the rest of it."""
        return cast("TransformerEncoder | StageEncoder", self.encoder).project(features)

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens [b, t, d] -> quality [b]; labels lie in 0..1, higher is better."""
        quality: Tensor = self.decoder(tokens)
        return quality

    def judge(self, features: Tensor) -> Tensor:
        """Features [b, n, f] -> quality [b]: all that comes behind the backbone."""
        if isinstance(self.decoder, MeansRegression):
            return cast("Tensor", self.decoder(features))
        return self.decode(self.project(features))

    def forward(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> quality [b]."""
        return self.judge(self.measure(crops))

    def train(self, mode: bool = True) -> QfmIqm:
        """As usual, but statistics measured before (norms of a backbone, standards) stay as they are: batches are small."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


def choose_heads(width: int) -> int:
    """How many heads of attention suit tokens of that width: of the numbers that divide it, the one closest to one for each 64,
    as in DEIQT.
    """
    divisors = [heads for heads in range(1, width + 1) if width % heads == 0]
    return min(divisors, key=lambda heads: abs(heads - width / HEAD))


def build_encoder(config: NetworkConfig, backbone: nn.Module) -> TransformerEncoder | StageMeter:
    """The encoder that fits the backbone: timm names the reduction of each stage, which is one in a plain transformer."""
    reductions = {info["reduction"] for info in backbone.feature_info}  # type: ignore[union-attr]
    stages: Sequence[int] = config.layers
    if len(reductions) > 1 or not hasattr(backbone, "num_prefix_tokens"):
        stages = range(len(backbone.feature_info))[: config.stages]  # type: ignore[arg-type]
        backbone = fix_padding(fold_batch_norms(backbone))
    elif not stages:
        return TransformerEncoder(backbone)
    if config.remembered or config.units:
        return StageMeter(backbone, stages, config.cell)
    return StageEncoder(backbone, config.width, stages, config.cell)


def build_decoder(config: NetworkConfig, encoder: TransformerEncoder | StageMeter) -> AttentionPanel | MeansRegression:
    """What judges by what the encoder gives. Raises WeightsError for a regression without statistics of stages."""
    if isinstance(encoder, TransformerEncoder | StageEncoder):
        if config.remembered or config.units:
            raise WeightsError(f"a regression goes by statistics of stages: name layers of {config.backbone} for them")
        return AttentionPanel(encoder.width, config.heads, config.queries)
    size = sum(encoder.channels)
    return Perceptrons(size, config.units) if config.units else KernelRegression(size, config.remembered)


def build_network(config: NetworkConfig, pretrained: Mapping[str, Tensor] | bool = False) -> QfmIqm:
    """A network with new weights, its backbone's pretrained on demand.

    pretrained: tensors of the backbone under timm's names; or True: from the hub that timm names.
    Raises WeightsError where the name is unknown, the weights do not fit or cannot be had.
    """
    backbone = build_backbone(config.backbone, config.backbone_options, pretrained=pretrained is True)
    try:
        if isinstance(pretrained, Mapping):
            backbone.load_state_dict(pretrained, strict=False)
        return QfmIqm(config, backbone).train()
    except (RuntimeError, ValueError, TypeError, IndexError, ArithmeticError) as error:  # a card's sizes are foreign bytes
        raise WeightsError(f"cannot build a network of these sizes: {first_line(error)}") from error


def config_as_data(config: NetworkConfig) -> dict[str, Any]:
    """The config as a model card holds it."""
    return asdict(config)
