"""Encoders: a backbone and what makes tokens of its features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name


class TransformerEncoder(nn.Module):
    """A plain vision transformer: c is its class token (or the mean patch, where it has none), P its patches."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone
        self.width: int = backbone.num_features

    def extract(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> features [b, 1 + N, d], which are the tokens already."""
        out = self.backbone.forward_features(crops)  # [b, prefix + N, d], after the last norm
        if out.ndim > 3:  # a map [b, h, w, d], as some without a class token give
            out = out.flatten(1, 2)
        prefix = self.backbone.num_prefix_tokens
        patches = out[:, prefix:]  # [b, N, d]
        has_class = getattr(self.backbone, "cls_token", None) is not None
        content = out[:, :1] if has_class else patches.mean(1, keepdim=True)
        return torch.cat([content, patches], dim=1)  # [b, 1 + N, d]

    def project(self, features: Tensor) -> Tensor:
        """Features -> tokens, both [b, 1 + N, d]: nothing is left to do."""
        return features


class StageEncoder(nn.Module):
    """Features of the stages of a convolutional backbone, or of layers of a transformer, as tokens. Ours, not the paper's.

    Distortions show in early stages as much as in late ones, and in the spread of features as much as in their mean. So the
    crop is divided into cells of some 32 px, the stride of the last stage of a usual backbone, and the mean and the deviation
    of the features of every stage are taken over each window of two by two cells, and over the whole crop. These give one token
    a window, and one a stage for the whole crop. c is the mean of the last stage: the input of a classifier. Features are
    standardized by those of the training images, fitted once (`standards`), and projected to the width.
    """

    tiny = 1e-4  # under the root of a variance: keeps the gradient of a flat region finite
    dropout = 0.0  # the share of standardized features that training drops

    def __init__(self, backbone: Any, width: int, stages: Sequence[int], cell: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = width
        self.stages = list(stages)
        facts = [backbone.feature_info[stage] for stage in self.stages]
        backbone.prune_intermediate_layers(self.stages, prune_head=True)
        self.reductions = [info["reduction"] for info in facts]
        self.cell = max([cell, *self.reductions])  # a pixel of a stage is not parted
        self.channels = [info.get("num_chs_norm", info["num_chs"]) for info in facts]  # a norm may be a neck, narrower than it
        size = 2 * sum(self.channels)
        self.standards = nn.ModuleList(nn.BatchNorm1d(size, affine=False, momentum=None) for _ in ("whole", "windows"))
        self.to_window = nn.Linear(size, width)
        self.to_stage = nn.ModuleList(nn.Linear(2 * c, width) for c in self.channels)
        self.to_content = nn.Linear(self.channels[-1], width)

    def extract(self, crops: Tensor) -> Tensor:
        """Crops [b, 3, h, w] -> features [b, 1 + N, f]: pooled over the whole crop, then over each of N windows.

        f is twice the channels of all stages together: the means of each stage in turn, then the deviations. The backbone
        alone is in here, so these can be cached while it is frozen.
        """
        maps = self.read_stages(crops)
        cells = [self.pool_cells(m.float(), r) for m, r in zip(maps, self.reductions, strict=True)]
        mean, square = (torch.cat(align_maps(parts), dim=1) for parts in zip(*cells, strict=True))  # each [b, c, h/32, w/32]
        windows = [F.avg_pool2d(m, 2, stride=1).flatten(2) for m in (mean, square)]  # each [b, c, N]
        wholes = [m.mean((2, 3)).unsqueeze(2) for m in (mean, square)]  # each [b, c, 1]
        means, squares = (torch.cat(pair, dim=2) for pair in zip(wholes, windows, strict=True))  # each [b, c, 1 + N]
        deviations = ((squares - means * means).clamp_min(0) + self.tiny).sqrt()
        return torch.cat([means, deviations], dim=1).transpose(1, 2)  # [b, 1 + N, f]

    def read_stages(self, crops: Tensor) -> list[Tensor]:
        """Crops [b, 3, h, w] -> a map [b, c_s, h / reduction, w / reduction] of each stage, normalized where it has a norm."""
        read = partial(
            self.backbone.forward_intermediates,
            crops, indices=self.stages, intermediates_only=True, output_fmt="NCHW",
        )  # fmt: skip
        try:
            return list(read(norm=True))
        except AssertionError:  # so say hierarchical transformers, before they begin, that stages have no norms
            return list(read(norm=False))

    def pool_cells(self, maps: Tensor, reduction: int) -> tuple[Tensor, Tensor]:
        """The mean and the mean square of the features in each cell: [b, c, h, w] -> two of [b, c, h/32, w/32]."""
        side = max(1, self.cell // reduction)
        return F.avg_pool2d(maps, side), F.avg_pool2d(maps * maps, side)

    def project(self, features: Tensor) -> Tensor:
        """Features [b, 1 + N, f] -> tokens [b, 1 + S + N, d]: the content, the S stages, the N windows."""
        pooled = self.standards[0](features[:, 0])  # [b, f]
        windows = self.standards[1](features[:, 1:].transpose(1, 2)).transpose(1, 2)  # [b, N, f]
        whole: Tensor = F.dropout(pooled, self.dropout, self.training)
        windows = F.dropout(windows, self.dropout, self.training)
        parts = torch.split(whole, [*self.channels, *self.channels], dim=1)  # means of each stage, then deviations
        means, deviations = parts[: len(self.channels)], parts[len(self.channels) :]
        layers = zip(self.to_stage, means, deviations, strict=True)
        stages = torch.stack([to_token(torch.cat(pair, dim=1)) for to_token, *pair in layers], dim=1)  # [b, S, d]
        content = self.to_content(means[-1]).unsqueeze(1)  # [b, 1, d]
        return torch.cat([content, stages, self.to_window(windows)], dim=1)  # [b, 1 + S + N, d]


def align_maps(maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Maps [b, c, h, w] of one height and width: where convolutions without padding leave some smaller, all are that small."""
    if any(isinstance(side, torch.SymInt) for m in maps for side in m.shape[2:]):  # a comparison would tie the graph to sizes
        return maps
    smallest = min(m.shape[2] for m in maps), min(m.shape[3] for m in maps)
    return tuple(m if m.shape[2:] == smallest else F.adaptive_avg_pool2d(m, smallest) for m in maps)
