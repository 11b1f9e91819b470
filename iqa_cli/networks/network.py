"""The network that runs at inference: an encoder around a backbone, and a head.

The method is "Adaptive Feature Selection for No-Reference Image Quality Assessment by Mitigating Semantic Noise Sensitivity"
(ICML 2024, arXiv 2312.06158). Its student network is the one of DEIQT (AAAI 2023): a vision transformer and an attention-panel
decoder. What stands here is that network, with two extensions of ours: an encoder for convolutional backbones, which gives the
same kind of tokens, and an MLP head on pooled features. Nothing of the training method (memory, noise, teacher) exists in it:
see `qfm_iqm`.

    crops [b,3,h,w] --encode--> tokens [b,t,d], the first is the content c, the others P --decode--> label [b] in about 0..1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast, get_args

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

from iqa_cli.errors import WeightsError
from iqa_cli.networks.backbone import fix_padding, fold_batch_norms
from iqa_cli.networks.heads import AttentionPanel, MlpHead

HeadKind = Literal["panel", "mlp"]
LIMITS = {
    "width": 4096, "heads": 1024, "queries": 1024, "stages": 64, "cell": 4096, "center_crop": 4096, "units": 65_536,
}  # fmt: skip
"""Far more than any network has: a card that asks for more would only take all memory."""


@dataclass(frozen=True)
class NetworkConfig:
    """Facts that rebuild a network. Raises ValueError for sizes that are none.

    backbone: a timm model name. Transformers of one scale give their own tokens; everything else counts as convolutional.
    backbone_options: passed to timm, e.g. {"img_size": 448} for a transformer's positions.
    width: d, the tokens' size, for a convolutional backbone; a transformer's tokens keep its own.
    head: "panel", the attention-panel decoder on tokens, or "mlp", an MLP on pooled features; see `networks.heads`.
    heads, queries: of the attention panel (DEIQT: 6 and 6).
    units: hidden units of the MLP head.
    stages: how many stages of a convolutional backbone are read; the later ones are left out.
    layers: of a transformer, which are read as stages are; none: the tokens after its last norm are taken as they are.
    cell: in px, of the cells in which the features of stages are pooled.
    center_crop: the side in px of the center square of a crop that alone is the backbone's input; 0: the whole crop.
    """

    backbone: str
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    width: int = 256
    heads: int = 4
    queries: int = 6
    stages: int = 5
    layers: tuple[int, ...] = ()
    cell: int = 32
    center_crop: int = 0
    head: HeadKind = "panel"
    units: int = 0

    def __post_init__(self) -> None:
        if self.head not in get_args(HeadKind):
            raise ValueError(f"head is one of {', '.join(get_args(HeadKind))}, not {self.head!r}")
        for name, most in LIMITS.items():  # a card is foreign bytes
            value, least = getattr(self, name), int(name == "cell")
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"{name} is a whole number from {least} to {most}, not {value!r}")
        if self.head == "mlp" and not self.units:
            raise ValueError("an MLP head has one hidden unit at least: units is 0")

    @property
    def feature_config(self) -> NetworkConfig:
        """The part of it that the features depend on: all but the head."""
        return replace(self, width=0, heads=0, queries=0, head="panel", units=0)

    def fits(self, min_side: int) -> bool:
        """Whether crops with sides of that many px at least contain its center crop."""
        return self.center_crop <= min_side


class Encoder(nn.Module):
    """Encoder with its own backbone, or a shared one."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone
        self.shared: list[Any] = []  # in a list, so that its weights are not among this encoder's

    @property
    def active_backbone(self) -> Any:
        """The backbone that is run: the shared one, if there is one."""
        return self.shared[0] if self.shared else self.backbone

    def share_backbone(self, backbone: nn.Module) -> None:
        """Use another encoder's backbone in place of its own."""
        self.backbone, self.shared = nn.Identity(), [backbone]


class TransformerEncoder(Encoder):
    """A plain vision transformer: c is its class token (or the mean patch, where it has none), P its patches."""

    def __init__(self, backbone: Any) -> None:
        super().__init__(backbone)
        self.width: int = backbone.num_features

    def extract(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> features [b, 1 + N, d], which are the tokens already."""
        out = self.active_backbone.forward_features(crops)  # [b, prefix + N, d], after the last norm
        prefix = self.active_backbone.num_prefix_tokens
        patches = out[:, prefix:]  # [b, N, d]
        content = out[:, :1] if self.active_backbone.cls_token is not None else patches.mean(1, keepdim=True)
        return torch.cat([content, patches], dim=1)  # [b, 1 + N, d]

    def project(self, features: Tensor) -> Tensor:
        """Features -> tokens, both [b, 1 + N, d]: nothing is left to do."""
        return features


class StagePooling(Encoder):
    """Features pooled from the stages of a convolutional backbone, or from layers of a transformer. Ours, not the paper's.

    Distortions show in early stages as much as in late ones, and in the spread of features as much as in their mean. So the
    crop is divided into cells of some 32 px, the stride of the last stage of a usual backbone, and the mean and the deviation
    of the features of every stage are taken over each window of two by two cells, and over the whole crop.
    """

    tiny = 1e-4  # under the root of a variance: keeps the gradient of a flat region finite

    def __init__(self, backbone: Any, stages: Sequence[int], cell: int) -> None:
        super().__init__(backbone)
        self.cell = cell
        self.stages = list(stages)
        facts = [backbone.feature_info[stage] for stage in self.stages]
        backbone.prune_intermediate_layers(self.stages, prune_head=True)
        self.reductions = [info["reduction"] for info in facts]
        self.channels = [info["num_chs"] for info in facts]

    def extract(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> features [b, 1 + N, f]: pooled over the whole crop, then over each of N windows.

        f is twice the channels of all stages together: the means of each stage in turn, then the deviations. The backbone
        alone is in here, so these can be cached while it is frozen.
        """
        maps = self.active_backbone.forward_intermediates(
            crops, indices=self.stages, norm=True, intermediates_only=True, output_fmt="NCHW"
        )  # each [b, c_s, h / reduction, w / reduction]
        cells = [self.pool_cells(m.float(), r) for m, r in zip(maps, self.reductions, strict=True)]
        mean, square = (torch.cat(parts, dim=1) for parts in zip(*cells, strict=True))  # each [b, c, h/32, w/32]
        windows = [F.avg_pool2d(m, 2, stride=1).flatten(2) for m in (mean, square)]  # each [b, c, N]
        wholes = [m.mean((2, 3)).unsqueeze(2) for m in (mean, square)]  # each [b, c, 1]
        means, squares = (torch.cat(pair, dim=2) for pair in zip(wholes, windows, strict=True))  # each [b, c, 1 + N]
        deviations = ((squares - means * means).clamp_min(0) + self.tiny).sqrt()
        return torch.cat([means, deviations], dim=1).transpose(1, 2)  # [b, 1 + N, f]

    def pool_cells(self, maps: Tensor, reduction: int) -> tuple[Tensor, Tensor]:
        """The mean and the mean square of the features in each cell: [b, c, h, w] -> two of [b, c, h/32, w/32]."""
        side = max(1, self.cell // reduction)
        return F.avg_pool2d(maps, side), F.avg_pool2d(maps * maps, side)


class StageEncoder(StagePooling):
    """Pooled features of stages as tokens: one a window, and one a stage for the whole crop.

    c is the mean of the last stage: the input of a classifier. Features are standardized by those of the training images,
    fitted once (`standards`), and projected to the width.
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
    """Encoder and head: what is trained, exported and run."""

    def __init__(self, config: NetworkConfig, backbone: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config, backbone)
        self.decoder = build_head(config, self.encoder)

    def encode(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> tokens [b, t, d]."""
        return self.project(self.extract(crops))

    def extract(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> features [b, n, f]: the backbone's part of encoding."""
        return self.encoder.extract(self.crop_view(crops))

    def crop_view(self, crops: Tensor) -> Tensor:
        """The backbone's input: crops [b, 3, h, w], or their center."""
        side = self.config.center_crop
        if side:
            top, left = ((whole - side) // 2 for whole in crops.shape[2:])
            crops = crops.narrow(2, top, side).narrow(3, left, side)
        return crops

    def project(self, features: Tensor) -> Tensor:
        """Features [b, n, f] -> tokens [b, t, d]: the rest of it."""
        return cast("TransformerEncoder | StageEncoder", self.encoder).project(features)

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens [b, t, d] -> label [b]; labels lie in 0..1, higher is better."""
        label: Tensor = self.decoder(tokens)
        return label

    def predict(self, features: Tensor) -> Tensor:
        """Features [b, n, f] -> label [b]: everything behind the backbone."""
        if isinstance(self.decoder, MlpHead):
            return cast("Tensor", self.decoder(features))
        return self.decode(self.project(features))

    def forward(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> label [b]."""
        return self.predict(self.extract(crops))

    def train(self, mode: bool = True) -> QfmIqm:
        """As usual, but batch norms (of a backbone, and the standards) keep their statistics: batches are small."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


def build_encoder(config: NetworkConfig, backbone: nn.Module) -> TransformerEncoder | StagePooling:
    """The encoder that fits the backbone: timm names the reduction of each stage, which is one in a plain transformer."""
    reductions = {info["reduction"] for info in backbone.feature_info}  # type: ignore[union-attr]
    stages: Sequence[int] = config.layers
    if len(reductions) > 1 or not hasattr(backbone, "num_prefix_tokens"):
        stages = range(len(backbone.feature_info))[: config.stages]  # type: ignore[arg-type]
        backbone = fix_padding(fold_batch_norms(backbone))
    elif not stages:
        return TransformerEncoder(backbone)
    if config.head == "mlp":
        return StagePooling(backbone, stages, config.cell)
    return StageEncoder(backbone, config.width, stages, config.cell)


def build_head(config: NetworkConfig, encoder: TransformerEncoder | StagePooling) -> AttentionPanel | MlpHead:
    """The head that the config names. Raises WeightsError for an MLP head without pooled features of stages."""
    if isinstance(encoder, TransformerEncoder | StageEncoder):
        if config.head == "mlp":
            raise WeightsError(f"an MLP head needs pooled features of stages: name layers of {config.backbone} for them")
        return AttentionPanel(encoder.width, config.heads, config.queries)
    return MlpHead(sum(encoder.channels), config.units)


def build_network(config: NetworkConfig, pretrained: Mapping[str, Tensor] | bool = False) -> QfmIqm:
    """A network with new weights, its backbone's pretrained on demand.

    pretrained: timm's weights for that name, as a state dict; or True: from the hub that timm names.
    Raises WeightsError where the name is unknown, the weights do not fit or cannot be had.
    """
    options: dict[str, Any] = {"num_classes": 0, **config.backbone_options}
    if isinstance(pretrained, Mapping):
        options["pretrained_cfg_overlay"] = {"state_dict": dict(pretrained)}
    try:
        backbone = timm.create_model(config.backbone, pretrained=bool(pretrained), **options)
    except Exception as error:  # timm raises many kinds: unknown names, missing keys, no network
        raise WeightsError(f"cannot build the backbone {config.backbone}: {str(error).splitlines()[0]}") from error
    try:
        return QfmIqm(config, backbone).train()
    except (RuntimeError, ValueError, TypeError, IndexError, ArithmeticError) as error:  # a card's sizes are foreign bytes
        raise WeightsError(f"cannot build a network of these sizes: {str(error).splitlines()[0]}") from error
