"""Objectives: (network, batch) -> named losses, which the training loop sums and minimizes.

`QualityMatching` is QFM-IQM (ICML 2024, arXiv 2312.06158), as we reconstruct it: README.md says what is the paper's. Per crop,
with tokens T, decoder D, label y in 0..1, teacher prediction t, L = SmoothL1, sg = stop-gradient and T~ as in `semantic_noise`:

    loss  =  L(D(T), y)  +  noisy_weight * L(D(T~), y)  +  sensitivity_weight * |D(T~) - sg D(T)|  +  teacher_weight * L(D(T),
    t)

`Distillation` fits the teacher predictions directly:

    loss  =  L(D(T), t)  +  label_weight * L(D(T), y)

Of several sets each has labels on a scale of its own: L(D(T), y) is taken on that (`set_scales`), correlation and matching
within a set. Both have four more terms of ours, for which see `correlation_loss`, `ranking_loss`, `relation_loss` and
`steadiness_loss`. Teacher predictions come with the batch (`training.distill` puts them there), so no teacher is near the
gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

from iqa_cli.networks.network import QfmIqm
from iqa_cli.qfm_iqm.batch import Batch
from iqa_cli.qfm_iqm.options import DistillationOptions, LossOptions, MatchingOptions
from iqa_cli.qfm_iqm.semantic_noise import Memory, draw_noise, perturb
from iqa_cli.qfm_iqm.set_scales import SetScales


class Outcome(NamedTuple):
    """losses: weighted terms by name; their sum is minimized. rates: shares worth watching that are not minimized."""

    losses: dict[str, Tensor]
    rates: dict[str, float]


class Objective(Protocol):
    """What a network is trained for, with all that it keeps between batches."""

    def __call__(self, network: QfmIqm, batch: Batch) -> Outcome:
        """The losses of one batch."""

    def describe_idle(self, crops: int, /) -> str:
        """What of it so many labeled crops, all that a training shows, are too few for, in words; empty: nothing."""

    def parameters(self) -> list[nn.Parameter]:
        """What is trained beside the network."""

    def to(self, device: torch.device) -> None:
        """Move what it keeps to the network's device."""

    def state(self) -> dict[str, Tensor]:
        """All that it keeps, so that a resumed run goes on as if uninterrupted."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """The opposite of `state`."""


@dataclass(frozen=True)
class QualityMatching:
    """QFM-IQM's objective: see the module's docstring."""

    options: MatchingOptions
    memory: Memory
    scales: SetScales = field(default_factory=lambda: SetScales(1))

    def __call__(self, network: QfmIqm, batch: Batch) -> Outcome:
        o = self.options
        tokens = encode(network, batch)  # [b, t, d]
        predicted = network.decode(tokens)  # [b]
        own = self.scales(predicted, batch.source)  # [b]
        views = Predictions(predicted, own, self.scales.of_teacher(predicted))
        losses = common_losses(views, batch, Weights(o, 1.0, o.teacher_weight))
        losses |= correlation_losses(predicted, batch.label, batch.source, o)
        rates = {}
        labeled = batch.label.isfinite()
        if o.noise != "none" and self.memory.is_full and labeled.any():
            noise, found = draw_noise(tokens, batch, self.memory, o)
            noisy = network.decode(perturb(tokens, noise, o.strength, o.perturbed))  # [b]
            losses["noisy"] = o.noisy_weight * smooth_l1(self.scales(noisy, batch.source), batch.label, o.beta)
            losses["sensitivity"] = o.sensitivity_weight * (noisy - predicted.detach())[labeled].abs().mean()
            rates["matched"] = float(found[labeled.cpu()].float().mean())
        if o.noise != "none":
            self.memory.add(tokens, batch)
        return Outcome(losses, rates)

    def describe_idle(self, crops: int, /) -> str:
        """That the noise never begins, where the memory is never full before the last batch."""
        if self.options.noise == "none" or crops > self.memory.capacity:
            return ""
        return (
            f"there will be no {self.options.noise} noise: matching.memory, which must be full first, holds"
            f" {self.memory.capacity} crops, and all epochs show no more than {crops}; set a smaller one, or train longer"
        )

    def parameters(self) -> list[nn.Parameter]:
        """The scales of the sets."""
        return list(self.scales.parameters())

    def to(self, device: torch.device) -> None:
        """Move the memory and the scales."""
        self.memory.to(device)
        self.scales.to(device)

    def state(self) -> dict[str, Tensor]:
        """The memory and the scales."""
        return {**self.memory.state(), **self.scales.state_dict()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """The opposite of `state`."""
        self.memory.restore(state)
        self.scales.load_state_dict({name: state[name] for name in self.scales.state_dict()})


@dataclass(frozen=True)
class Distillation:
    """Fit the teacher predictions, beside human labels: see the module's docstring."""

    options: DistillationOptions
    scales: SetScales = field(default_factory=lambda: SetScales(1))

    def __call__(self, network: QfmIqm, batch: Batch) -> Outcome:
        predicted = network.decode(encode(network, batch))  # [b]
        views = Predictions(predicted, self.scales(predicted, batch.source), self.scales.of_teacher(predicted))
        losses = common_losses(views, batch, Weights(self.options, self.options.label_weight, 1.0))
        if batch.teacher is not None:
            losses |= correlation_losses(predicted, teacher_targets(batch, self.options), None, self.options)
        return Outcome(losses, {})

    def describe_idle(self, _: int, /) -> str:
        """Nothing: every crop is learned from at once."""
        return ""

    def parameters(self) -> list[nn.Parameter]:
        """The scales of the sets."""
        return list(self.scales.parameters())

    def to(self, device: torch.device) -> None:
        """Move the scales."""
        self.scales.to(device)

    def state(self) -> dict[str, Tensor]:
        """The scales."""
        return dict(self.scales.state_dict())

    def restore(self, state: dict[str, Tensor]) -> None:
        """The opposite of `state`."""
        self.scales.load_state_dict(state)


def encode(network: QfmIqm, batch: Batch) -> Tensor:
    """The tokens [b, t, d] of a batch, from its crops or from cached features."""
    return network.encode(batch.crops) if batch.features is None else network.project(batch.features)


# ---- terms ----


class Weights(NamedTuple):
    """The options of an objective's common terms, and the weights of labels and of teacher predictions."""

    options: LossOptions
    label: float
    teacher: float


class Predictions(NamedTuple):
    """Predictions [b]: on the network's scale, on that of each image's set, and on that of the teacher."""

    plain: Tensor
    own: Tensor
    teacher: Tensor


def common_losses(predicted: Predictions, batch: Batch, weights: Weights) -> dict[str, Tensor]:
    """The terms that both objectives have, by name; none without a weight, or without what it is about."""
    losses, options = {}, weights.options
    if weights.label and batch.label.isfinite().any():
        losses["label"] = weights.label * smooth_l1(predicted.own, batch.label, options.beta)
    if batch.teacher is not None:
        targets = teacher_targets(batch, options)
        if weights.teacher:
            losses["teacher"] = weights.teacher * smooth_l1(predicted.teacher, targets, options.beta, batch.trust)
        if options.relation_weight:
            losses["relation"] = options.relation_weight * relation_loss(predicted.teacher, targets, options.beta)
    if options.ranking_weight and bool((batch.chain >= 0).any()):
        losses["ranking"] = options.ranking_weight * ranking_loss(predicted.plain, batch, options.margin)
    if options.steadiness_weight:
        losses["steadiness"] = options.steadiness_weight * steadiness_loss(predicted.plain, batch)
    return losses


def correlation_losses(predicted: Tensor, target: Tensor, source: Tensor | None, options: LossOptions) -> dict[str, Tensor]:
    """The correlation term, where it has a weight and there are targets [b]; nan is no target. The mean over the sets [b]."""
    known = target.isfinite()
    if not options.correlation_weight or not known.any():
        return {}
    sets = torch.zeros_like(target) if source is None else source
    parts = [known & (sets == number) for number in sorted(set(sets[known].tolist()))]
    terms = torch.stack([correlation_loss(predicted[part], target[part]) for part in parts])
    return {"correlation": options.correlation_weight * terms.mean()}


def smooth_l1(predicted: Tensor, target: Tensor, beta: float, weights: Tensor | None = None) -> Tensor:
    """SmoothL1 over the crops [b] that have a target, its mean by their weights; zero where none has."""
    known = target.isfinite()
    if not known.any():
        return predicted.sum() * 0
    if weights is None:
        return F.smooth_l1_loss(predicted[known], target[known], beta=beta)
    errors = F.smooth_l1_loss(predicted[known], target[known], beta=beta, reduction="none")
    return (weights[known] * errors).sum() / weights[known].sum()


def correlation_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """1 - PLCC over a batch [b], 0 to 2; zero for fewer than three crops or constant targets."""
    p, t = predicted - predicted.mean(), target - target.mean()
    if len(p) < 3 or float(t.norm()) == 0:
        return predicted.sum() * 0
    correlation: Tensor = (p * t).sum() / (p.norm() * t.norm()).clamp_min(1e-6)
    return 1 - correlation


def relation_loss(predicted: Tensor, target: Tensor, beta: float) -> Tensor:
    """SmoothL1 between the differences of all pairs of predictions [b] and those of their targets [b]; nan is no target.

    Relational knowledge distillation (CVPR 2019) with differences of labels as the relation: what all of a batch have in
    common, as a teacher's bias, is not learnt.
    """
    known = target.isfinite()
    p, t = predicted[known], target[known]
    if len(p) < 2:
        return predicted.sum() * 0
    return F.smooth_l1_loss(p[:, None] - p, t[:, None] - t, beta=beta)


def ranking_loss(predicted: Tensor, batch: Batch, margin: float) -> Tensor:
    """How far pairs of one chain [b] are from falling by `margin` a level of distortion; the mean over all such pairs.

    A hinge loss, as in RankIQA (ICCV 2017); no label is needed.
    """
    pairs, steps = pair_versions(batch)
    drop = predicted[:, None] - predicted  # [b, b]
    return F.relu(margin * steps - drop)[pairs].mean() if pairs.any() else predicted.sum() * 0


def steadiness_loss(predicted: Tensor, batch: Batch) -> Tensor:
    """How far predictions [b] for harmless versions are from those for their crops, in label units: the mean over them.

    A label alone hardly tells: it is wrong by more than such a version should move the prediction.
    """
    alike = (batch.chain[:, None] == batch.chain) & (batch.chain >= 0)
    pairs = (alike & (batch.level[:, None] == batch.level)).triu(1)
    return (predicted[:, None] - predicted).abs()[pairs].mean() if pairs.any() else predicted.sum() * 0


# ---- teacher predictions as targets ----


def teacher_targets(batch: Batch, options: LossOptions) -> Tensor:
    """The targets [b] that the batch's teacher predictions make: they themselves, or capped."""
    assert batch.teacher is not None
    return cap_targets(batch, options.margin) if options.cap_targets else batch.teacher


def cap_targets(batch: Batch, margin: float) -> Tensor:
    """Teacher predictions [b] that fall by `margin` a level or more from those for less distorted versions of the same crop.

    Teachers may like what is a distortion to people, as over-sharpening.
    """
    assert batch.teacher is not None
    pairs, steps = pair_versions(batch)
    known = batch.teacher.nan_to_num(nan=torch.inf)
    caps = (known[:, None] - margin * steps).masked_fill(~pairs, torch.inf).amin(0)
    return torch.minimum(batch.teacher, caps)  # nan stays nan


def pair_versions(batch: Batch) -> tuple[Tensor, Tensor]:
    """Which crops (row, column) are of one chain, the column the more distorted one, and by how many levels: [b, b] each."""
    same = (batch.chain[:, None] == batch.chain) & (batch.chain >= 0)
    steps = batch.level - batch.level[:, None]
    return same & (steps > 0), steps
