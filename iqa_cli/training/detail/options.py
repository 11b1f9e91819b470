"""Options of the training of the network that judges native patches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from iqa_cli.errors import UsageError


@dataclass(frozen=True)
class DetailTraining:
    """How that network is trained. Raises UsageError where a number makes no sense.

    photos: clean ones, files and folders. output: the .onnx file; its card goes beside it, and the network for spectra.
    patches: how many are drawn. steps, batch_size, rate, weight_decay: of the loop. validation: the share of the photos that
    errors are measured on. samples: a file in which the patches are kept, and found by the next training; None: a temporary
    one. views: how many are drawn for the network for spectra. spectrum_only: that one alone is trained, beside an output that
    is there.
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
        for name in ("patches", "steps", "batch_size", "views"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is 1 or more, not {getattr(self, name)}")
        if not 0 <= self.validation <= 0.5:
            raise UsageError(f"validation is a share of the photos up to a half, not {self.validation:g}")
        if self.output.suffix != ".onnx":
            raise UsageError(f"--output {self.output}: an ONNX model is a file that is called NAME.onnx")
