"""SetScales: several sets, each with labels on a scale of its own, behind one output of the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from iqa_cli.networks.heads import CENTER


class SetScales(nn.Module):
    """An affine map for each set from the network's output to the labels of that set, learnt with the network.

    That of the reference set is the identity, so the network answers on its scale. Like the memory it is training's alone.
    teacher: the place of the scale of teacher scores, after those of the sets; None where teachers answer on the network's.
    """

    def __init__(self, sets: int, reference: int = 0, teacher: int | None = None) -> None:
        super().__init__()
        self.reference, self.teacher = reference, teacher
        self.gain = nn.Parameter(torch.ones(sets))
        self.shift = nn.Parameter(torch.zeros(sets))

    def forward(self, predicted: Tensor, source: Tensor | None) -> Tensor:
        """Predictions [b] on the scale of each image's own set [b]; those of unlabeled images, -1, stay as they are."""
        if source is None or len(self.gain) == 1:
            return predicted
        own = source.clamp_min(0)
        mapped = CENTER + self.gain[own] * (predicted - CENTER) + self.shift[own]
        return torch.where((source == self.reference) | (source < 0), predicted, mapped)

    def of_teacher(self, predicted: Tensor) -> Tensor:
        """Predictions [b] on the scale of the teacher."""
        if self.teacher is None:
            return predicted
        return self.forward(predicted, torch.full(predicted.shape, self.teacher, device=predicted.device))
