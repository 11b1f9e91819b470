"""Options of the training of the network that judges native patches."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from pathlib import Path

from iqa_cli.errors import UsageError

COUNTS = ("patches", "steps", "batch_size", "views")
MOST = 100_000_000  # of each of them
SEEDS = 2**63  # so many, from 0: what PyTorch and NumPy both take
OF_PATCHES = ("patches", "steps", "batch_size", "rate", "weight_decay")
"""What the network for patches is trained by, and the one for spectra is not."""


@dataclass(frozen=True)
class DetailTraining:
    """How that network is trained. Raises UsageError where a number makes no sense, or would have no effect.

    photos: clean ones, files and folders. output: the .onnx file; its card goes beside it, and the network for spectra.
    patches: how many are drawn. steps, batch_size, rate, weight_decay: of the loop. validation: the share of the photos that
    errors are measured on. samples: a file in which the patches are kept, and found by the next training; None: a temporary
    one. views: how many are drawn for the network for spectra, which has rates and steps of its own. spectrum_only: that one
    alone is trained, beside an output that is there; what the other is trained by is then not to be given.
    """

    photos: tuple[str, ...]
    output: Path
    patches: int = 16_000
    steps: int = 4_000
    batch_size: int = 48
    rate: float = 3e-3
    weight_decay: float = 1e-4
    validation: float = 0.08
    seed: int = 0
    samples: Path | None = None
    views: int = 8_000
    spectrum_only: bool = False

    def __post_init__(self) -> None:
        for name in COUNTS:
            if not 1 <= getattr(self, name) <= MOST:
                raise UsageError(f"{name} is from 1 to {MOST:,}, not {getattr(self, name)}")
        if not 0 < self.rate < inf:
            raise UsageError(f"rate is a number above 0, not {self.rate:g}")
        if not 0 <= self.weight_decay < inf:
            raise UsageError(f"weight_decay is 0 or a number above it, not {self.weight_decay:g}")
        if not 0 <= self.seed < SEEDS:
            raise UsageError(f"seed is from 0 to {SEEDS - 1}, not {self.seed}")
        if not 0 <= self.validation <= 0.5:
            raise UsageError(f"validation is a share of the photos up to a half, not {self.validation:g}")
        if self.output.suffix != ".onnx":
            raise UsageError(f"--output {self.output}: an ONNX model is a file that is called NAME.onnx")
        idle = [name for name in (*OF_PATCHES, "samples") if getattr(self, name) != getattr(DetailTraining, name)]
        if self.spectrum_only and idle:
            raise UsageError(f"{', '.join(idle)}: no effect with spectrum_only, which trains on spectra alone: leave them out")
