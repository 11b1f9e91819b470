"""The head: what predicts a label from an encoder's tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

CENTER, UNIT = 0.5, 0.1
"""The head outputs tenths of the label range from its center, so that a fresh head, and each step of Adam, moves on the scale
of labels: they lie in 0..1 with a deviation of about 0.2."""


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
    is the mean over the queries of one shared linear function without bias. Ours: that output counts from CENTER in
    UNITs, and training may drop hidden units (`dropout`).
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
        return CENTER + UNIT * output
