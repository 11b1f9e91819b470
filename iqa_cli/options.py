"""Every knob and its default: one frozen dataclass a command."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from iqa_cli.errors import UsageError

DEFAULT_MODEL = "qfm-iqm"
MAX_CROPS = 9  # as many places as `crops.PLACES` has


class BackendChoice(StrEnum):
    """What runs the network. AUTO: ONNX Runtime if the model has an .onnx file, else PyTorch."""

    AUTO = "auto"
    ONNX = "onnx"
    TORCH = "torch"


FILE_KINDS = {BackendChoice.ONNX: "onnx", BackendChoice.TORCH: "safetensors"}
"""What runs the network -> which of a card's files it reads, and how the names of such files end. In order of preference."""


@dataclass(frozen=True)
class ScoreOptions:
    """How images are scored. Raises UsageError where a number makes no sense.

    model: an installed name, a path (card, .onnx, .safetensors, or a folder with one card), or hf://owner/name[@revision].
    device: "auto", "cpu", "cuda", "cuda:1", "mps", ...; what the backend knows.
    batch_size: images a task; the CPU gains nothing from more than one, because ONNX Runtime runs it crop by crop there.
    workers: threads that each take images the whole way; None: one a core that this process may use.
    crops: views an image, 1 to 9; None: as many as the model's card says.
    max_pixels: larger images are not decoded but reported; None: the limit of `images`.
    """

    model: str = DEFAULT_MODEL
    backend: BackendChoice = BackendChoice.AUTO
    device: str = "auto"
    batch_size: int = 1
    workers: int | None = None
    crops: int | None = None
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("workers", 1), ("crops", 1), ("max_pixels", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} is at least {least}, not {value}")
        if self.crops is not None and self.crops > MAX_CROPS:
            raise UsageError(f"crops is 1 to {MAX_CROPS}, not {self.crops}")
