"""Heads: what predicts a label from an encoder's output. The attention panel takes tokens, the MLP head pooled features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

CENTER, UNIT = 0.5, 0.1
"""Heads output tenths of the label range from its center: labels lie in 0..1 with a deviation of about 0.2."""


def rescale_output(output: Tensor) -> Tensor:
    """A head's raw output [b] on the scale of labels, so that a fresh head, and each step of Adam, moves on that scale."""
    return CENTER + UNIT * output


# ---- the attention panel ----


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
    """Attention-panel decoder of DEIQT: a few queries attend to the tokens, and their outputs are averaged.

    Queries are J + c, with J learnt and c the content token; keys and values are the patches P. One pre-norm layer; the label
    is the mean over the queries of one shared linear function without bias. Ours: that output is scaled by `rescale_output`,
    and training may drop hidden units (`dropout`).
    """

    dropout = 0.0  # the share of hidden units, and of what the output is made of, that training drops

    def __init__(self, width: int, heads: int, queries: int) -> None:
        super().__init__()
        self.judges = nn.Parameter(0.02 * torch.randn(queries, width))  # the queries J, under their name in released weights
        self.norm_self, self.norm_cross, self.norm_feed, self.norm_out = (nn.LayerNorm(width) for _ in range(4))
        self.self_attention = Attention(width, heads)
        self.cross_attention = Attention(width, heads)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [b, t, d] -> label [b]."""
        content, patches = tokens[:, 0].unsqueeze(1), tokens[:, 1:]  # [b, 1, d], [b, t-1, d]
        panel = self.judges + content  # [b, q, d]
        inner = self.norm_self(panel)
        panel = panel + self.self_attention(inner, inner)
        panel = panel + self.cross_attention(self.norm_cross(panel), patches)
        to_hidden, activation, from_hidden = self.feed
        hidden = F.dropout(activation(to_hidden(self.norm_feed(panel))), self.dropout, self.training)
        panel = panel + from_hidden(hidden)
        final = F.dropout(self.norm_out(panel), self.dropout, self.training)  # [b, q, d]
        output: Tensor = self.score(final).mean(dim=(1, 2))  # [b]
        return rescale_output(output)


# ---- the MLP head ----


class MlpHead(nn.Module):
    """One hidden layer on the pooled features of a frozen backbone, standardized by those of the training images.

    An ensemble of MLPs is one whose hidden units are those of all. Ours, not the paper's: from a thousand labeled images the
    means of features teach more than tokens and deviations, to which more can be fitted by chance. See `training.fit_heads`.
    """

    bound = 5.0  # deviations from the mean at which outliers are clipped

    def __init__(self, size: int, units: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))
        self.hidden = nn.Linear(size, units)
        self.out = nn.Linear(units, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Features [b, 1 + N, f] -> label [b]."""
        return self.predict(self.pool(features))

    def pool(self, features: Tensor) -> Tensor:
        """Features [b, 1 + N, f] -> pooled features [b, f / 2]: means over the whole crop, without the deviations."""
        return features[:, 0, : features.shape[2] // 2]

    def predict(self, pooled: Tensor) -> Tensor:
        """Pooled features [n, p] -> label [n]."""
        output: Tensor = self.out(F.gelu(self.hidden(self.standardize(pooled)))).squeeze(1)
        return rescale_output(output)

    def standardize(self, pooled: Tensor) -> Tensor:
        """Pooled features [n, p] in deviations from the mean of the training images."""
        return ((pooled - self.get_buffer("mean")) / self.get_buffer("deviation")).clamp(-self.bound, self.bound)

    def fit_standards(self, pooled: Tensor) -> None:
        """Take the mean and the deviation of these [n, p] to standardize by."""
        self.get_buffer("mean").copy_(pooled.mean(0))
        self.get_buffer("deviation").copy_(pooled.std(0).clamp_min(1e-6))
