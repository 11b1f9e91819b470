"""Options of the objectives, with their defaults. No PyTorch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NoiseKind = Literal["semantic", "similar", "random", "gaussian", "none"]
Perturbed = Literal["all", "content", "patches"]


@dataclass(frozen=True)
class LossOptions:
    """What both objectives have; see `objective`.

    beta: where SmoothL1 turns from square to linear, in label units.
    correlation_weight: of 1 - PLCC over the batch.
    ranking_weight: of the ranking loss over crops with rising distortion.
    margin: label units by which one level of distortion must lower the label.
    cap_targets: whether teacher predictions for distorted versions are capped so that they fall by that margin, too.
    """

    beta: float = 0.1
    correlation_weight: float = 0.0
    ranking_weight: float = 0.0
    margin: float = 0.02
    cap_targets: bool = False


@dataclass(frozen=True)
class MatchingOptions(LossOptions):
    """The method, `objective.QualityMatching`. The numbers are our reconstruction's, not the paper's.

    noise: "semantic" is the method. Its controls: "similar", of similar quality too, but of the most similar content; "random",
        anything of the memory; "gaussian"; "none". All have the same strength.
    perturbed: the tokens that it is added to, and over which its norm is taken.
    memory: entries; it is used once it is full.
    tolerance: of the label range: what counts as similar quality.
    k: how many matches are averaged.
    strength: the noise's norm, in norms of the tokens that it is added to.
    noisy_weight, sensitivity_weight, teacher_weight: of the terms of the loss.
    """

    noise: NoiseKind = "semantic"
    perturbed: Perturbed = "all"
    memory: int = 1024
    tolerance: float = 0.05
    k: int = 1
    strength: float = 0.5
    noisy_weight: float = 0.5
    sensitivity_weight: float = 0.5
    teacher_weight: float = 0.5


@dataclass(frozen=True)
class DistillationOptions(LossOptions):
    """Learning from teachers, `objective.Distillation`.

    label_weight: of the human labels, beside the teacher predictions, whose weight is 1.
    """

    ranking_weight: float = 0.5
    label_weight: float = 0.5
