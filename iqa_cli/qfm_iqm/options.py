"""Options of the objectives, each with its meaning and its default. No PyTorch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

NoiseKind = Literal["semantic", "similar", "random", "gaussian", "none"]
Perturbed = Literal["all", "content", "patches"]


@dataclass(frozen=True)
class LossOptions:
    """What both objectives have; see `objective`."""

    beta: Annotated[float, "where SmoothL1 turns from square to linear, in label units"] = 0.1
    correlation_weight: Annotated[float, "of 1 - PLCC over the batch; 0: none"] = 0.0
    ranking_weight: Annotated[float, "of the ranking loss over crops with rising distortion; 0: none"] = 0.0
    margin: Annotated[float, "label units by which one level of distortion must lower the label"] = 0.02
    relation_weight: Annotated[float, "of the loss of differences within the batch against those of the teacher; 0: none"] = 0.0
    steadiness_weight: Annotated[float, "of the loss of differences between a crop and its harmless version; 0: none"] = 0.0
    cap_targets: Annotated[bool, "whether teacher predictions for distorted versions are capped to fall by the margin"] = False


@dataclass(frozen=True)
class MatchingOptions(LossOptions):
    """The method, `objective.QualityMatching`. The numbers are our reconstruction's, not the paper's.

    Controls of the semantic noise: "similar", of similar quality too, but of the most similar content; "random", anything of
    the memory; "gaussian"; "none". All have the same strength.
    """

    noise: Annotated[NoiseKind, "what perturbs the tokens: semantic is the method, the others are its controls"] = "semantic"
    perturbed: Annotated[Perturbed, "the tokens that noise is added to, and over which its norm is taken"] = "all"
    memory: Annotated[int, "entries of the memory of tokens; it is used once it is full"] = 1024
    tolerance: Annotated[float, "what counts as similar quality, as a share of the label range"] = 0.05
    k: Annotated[int, "how many matches of the memory are averaged"] = 1
    strength: Annotated[float, "norm of the noise, in norms of the tokens that it is added to"] = 0.5
    noisy_weight: Annotated[float, "of the loss of predictions from perturbed tokens"] = 0.5
    sensitivity_weight: Annotated[float, "of the loss of sensitivity to the noise"] = 0.5
    teacher_weight: Annotated[float, "of the loss against teacher predictions"] = 0.5


@dataclass(frozen=True)
class DistillationOptions(LossOptions):
    """Learning from teachers, `objective.Distillation`."""

    ranking_weight: Annotated[float, "of the ranking loss over crops with rising distortion; 0: none"] = 0.5
    label_weight: Annotated[float, "of the human labels, beside the teacher predictions, whose weight is 1"] = 0.5
