"""Events: what a training tells as it goes. No PyTorch here, so that views can match them by type."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from iqa_cli.evaluation.measure import Measurement
from iqa_cli.training.plan import Trial

HEAD_TRAINING = "head training"
"""The phase in which the backbone is frozen."""


@dataclass(frozen=True)
class BackboneRead:
    """A file of pretrained weights was read. found: what of it is taken, in one line."""

    found: str


@dataclass(frozen=True)
class TrialStarted:
    """Another training begins."""

    number: int
    trials: int
    trial: Trial


@dataclass(frozen=True)
class TrialDone:
    """A training is finished. measurements: of its test images, one a set; none where it has no test."""

    trial: Trial
    card: Path
    measurements: tuple[Measurement, ...] = ()


@dataclass(frozen=True)
class Noted:
    """Something about a training that one should know before it is done, in one line."""

    text: str


@dataclass(frozen=True)
class TeachersPredicted:
    """The teachers have predicted the crops of this many images in one epoch."""

    epoch: int
    done: int
    images: int


@dataclass(frozen=True)
class FeaturesExtracted:
    """The frozen backbone has extracted the features of this many images in one view."""

    view: int
    done: int
    images: int


@dataclass(frozen=True)
class StepDone:
    """One step of the loop."""

    epoch: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class EpochDone:
    """One epoch: what a line of stats.jsonl holds. Correlations are of the validation part, None where there is none."""

    epoch: int
    epochs: int
    phase: str
    losses: dict[str, float]
    rates: dict[str, float]
    srcc: float | None
    plcc: float | None
    images_per_second: float
    seconds: float


@dataclass(frozen=True)
class PhaseStopped:
    """A phase has ended early, after this epoch: the validation SRCC had not risen for a while."""

    epoch: int
    phase: str
    best: int  # the epoch of the best


@dataclass(frozen=True)
class CurvesDrawn:
    """The learning curves lie in the run folder. picture: None where there is no matplotlib to draw it."""

    table: Path
    picture: Path | None


Progress = Noted | TeachersPredicted | FeaturesExtracted | StepDone | EpochDone | PhaseStopped | CurvesDrawn
Event = BackboneRead | TrialStarted | Progress | TrialDone
