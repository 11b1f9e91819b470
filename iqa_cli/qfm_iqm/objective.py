"""(network, batch) -> named losses: what a network is trained for. Plain callables; the one loop in `training` knows no method.

`QualityMatching` is QFM-IQM (ICML 2024, arXiv 2312.06158). Confirmed by its abstract and overview figure: features of other
images of similar quality and different content are taken from a memory, added to an image's own features, and the decoder must
still predict its quality; a distillation framework extends the labels. The paper's text and code were not available to us:
every formula and number below is our reconstruction, and every number an option.

Per crop i, with tokens T = [c; P], label y in 0..1, decoder D, sg = stop-gradient:

    semantic noise   n  = the memory's tokens with |y - y_j| <= tolerance, of another image and reference, whose content
                          token has the lowest cosine similarity to c (the mean of the k lowest)
    perturbation     T~ = T + strength * n * |T| / |n|
    loss                = L(D(T), y) + noisy * L(D(T~), y) + sensitivity * |D(T~) - sg D(T)| + taught * L(D(T), teacher(i))

Controls of that noise, of equal strength, stand in `MatchingOptions`. Two terms of ours are off by default: `correlation`,
1 - PLCC over the batch, and `order`, which asks that of two versions of one photo with the same kind of damage the more damaged
one scores lower (a ranking loss; no label is needed). `capped` brings the teachers' answers about damaged versions into that
order, too, see `cap_answers`.

`Distillation` is the plain road: answer as the teachers do, wherever they were asked. Both take the teachers' answers from the
batch (`training.distill` puts them there), so no teacher is near the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  its usual name

from iqa_cli.networks.network import QfmIqm
from iqa_cli.training.options import DistillationOptions, Disturbed, MatchingOptions
from iqa_cli.training.samples import Batch

DISTURBED: dict[Disturbed, slice] = {"all": slice(None), "content": slice(1), "patches": slice(1, None)}
"""Which of the tokens noise is added to."""


class Outcome(NamedTuple):
    """losses: weighted terms by name; their sum is minimised. rates: shares worth watching that are not minimised."""

    losses: dict[str, Tensor]
    rates: dict[str, float]


Objective = Callable[[QfmIqm, Batch], Outcome]


class Memory:
    """First in, first out: the tokens of recent crops with their labels, detached and in half precision.

    It belongs to training alone: it is no module, so nothing of it enters a network's weights.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.count = 0  # how many entries were ever added
        self.tokens = torch.empty(0)  # [capacity, t, d], once the first batch has shown t and d
        self.quality = torch.full((capacity,), torch.nan)
        self.image = torch.full((capacity,), -1)
        self.reference = torch.full((capacity,), -1)

    @property
    def is_full(self) -> bool:
        """Whether every entry holds a crop."""
        return self.count >= self.capacity

    def add(self, tokens: Tensor, batch: Batch) -> None:
        """Put the labelled crops of a batch in the place of the oldest."""
        labelled = batch.quality.isfinite()
        rows = int(labelled.sum())
        if self.tokens.numel() == 0:
            self.tokens = torch.empty(self.capacity, *tokens.shape[1:], dtype=torch.float16, device=tokens.device)
        places = (torch.arange(rows) + self.count) % self.capacity
        self.tokens[places] = tokens.detach()[labelled].to(torch.float16)
        for name in ("quality", "image", "reference"):
            getattr(self, name)[places] = getattr(batch, name)[labelled].cpu()
        self.count += rows

    def state(self) -> dict[str, Tensor]:
        """All of it as tensors, so that a resumed run goes on as if uninterrupted."""
        names = ("tokens", "quality", "image", "reference")
        return {"count": torch.tensor(self.count), **{name: getattr(self, name) for name in names}}

    def restore(self, state: dict[str, Tensor]) -> None:
        """The opposite of `state`."""
        self.count = int(state["count"])
        for name in ("tokens", "quality", "image", "reference"):
            setattr(self, name, state[name])


def find_candidates(batch: Batch, memory: Memory, tolerance: float) -> Tensor:
    """Which entries [b, m] are of similar quality, another image and another reference."""
    near = (batch.quality.cpu()[:, None] - memory.quality).abs() <= tolerance  # nan is near nothing
    other_image = batch.image.cpu()[:, None] != memory.image
    other_reference = batch.reference.cpu()[:, None] != memory.reference
    return near & other_image & other_reference


def match_contents(
    content: Tensor, memory: Memory, candidates: Tensor, k: int, *, alike: bool = False
) -> tuple[Tensor, Tensor]:
    """The k candidates least alike in content, or most: content [b, d], candidates [b, m] -> places [b, k], which are real."""
    theirs = F.normalize(memory.tokens[:, 0].float(), dim=-1)  # [m, d]
    similarity = (F.normalize(content.detach().float(), dim=-1) @ theirs.T).cpu()  # [b, m]
    first = (-similarity if alike else similarity).masked_fill(~candidates, torch.inf).topk(k, largest=False)
    return first.indices, first.values.isfinite()


def average_matches(memory: Memory, places: Tensor, real: Tensor) -> Tensor:
    """The mean of each crop's real matches, zero where there is none: places, real [b, k] -> [b, t, d]."""
    weights = real / real.sum(1, keepdim=True).clamp_min(1)  # [b, k]
    device = memory.tokens.device
    matched: Tensor = (memory.tokens[places.to(device)].float() * weights.to(device)[..., None, None]).sum(1)
    return matched


def perturb(tokens: Tensor, noise: Tensor, strength: float, which: Disturbed = "all") -> Tensor:
    """Tokens with noise, both [b, t, d], scaled to `strength` times the norm of each crop's tokens; no noise adds none.

    which: of the tokens, what it is added to; the norms are of those.
    """
    part = DISTURBED[which]
    own, added = tokens[:, part], noise[:, part].detach()
    size = added.flatten(1).norm(dim=1).clamp_min(1e-12)  # [b]
    scale = strength * own.detach().flatten(1).norm(dim=1) / size  # [b]
    perturbed = tokens.clone()
    perturbed[:, part] = own + added * scale[:, None, None]
    return perturbed


@dataclass(frozen=True)
class QualityMatching:
    """QFM-IQM's objective: see the module's docstring."""

    options: MatchingOptions
    memory: Memory

    def __call__(self, network: QfmIqm, batch: Batch) -> Outcome:
        o = self.options
        tokens = encode(network, batch)  # [b, t, d]
        predicted = network.decode(tokens)  # [b]
        labelled = batch.quality.isfinite()
        truth = batch.quality[labelled]
        losses, rates = {}, {}
        if labelled.any():
            losses["quality"] = F.smooth_l1_loss(predicted[labelled], truth, beta=o.beta)
            if o.correlation:
                losses["correlation"] = o.correlation * correlation_loss(predicted[labelled], truth)
        if o.noise != "none" and self.memory.is_full and labelled.any():
            noise, found = self.draw_noise(tokens, batch)
            disturbed = network.decode(perturb(tokens, noise, o.strength, o.disturbed))  # [b]
            losses["noisy"] = o.noisy * F.smooth_l1_loss(disturbed[labelled], truth, beta=o.beta)
            losses["sensitivity"] = o.sensitivity * (disturbed - predicted.detach())[labelled].abs().mean()
            rates["matched"] = float(found[labelled.cpu()].float().mean())
        if batch.taught is not None and o.taught:
            taught = choose_answers(batch, batch.taught, margin=o.margin, capped=o.capped)
            losses["taught"] = o.taught * taught_loss(predicted, taught, o.beta)
        if o.order and bool((batch.chain >= 0).any()):
            losses["order"] = o.order * order_loss(predicted, batch, o.margin)
        if o.noise != "none":
            self.memory.add(tokens, batch)
        return Outcome(losses, rates)

    def draw_noise(self, tokens: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Noise [b, t, d] of the chosen kind, before scaling, and for which crops there is any [b]."""
        everywhere = torch.ones(len(tokens), dtype=torch.bool)
        if self.options.noise == "gaussian":
            return torch.randn_like(tokens), everywhere
        if self.options.noise == "random":
            places = torch.randint(self.memory.capacity, (len(tokens), self.options.k))
            return average_matches(self.memory, places, torch.ones_like(places, dtype=torch.bool)), everywhere
        candidates = find_candidates(batch, self.memory, self.options.tolerance)
        alike = self.options.noise == "alike"
        places, real = match_contents(tokens[:, 0], self.memory, candidates, self.options.k, alike=alike)
        return average_matches(self.memory, places, real), real.any(1)


@dataclass(frozen=True)
class Distillation:
    """Answer as the teachers do; human labels, order and correlation beside it, see `DistillationOptions`."""

    options: DistillationOptions

    def __call__(self, network: QfmIqm, batch: Batch) -> Outcome:
        o = self.options
        predicted = network.decode(encode(network, batch))  # [b]
        labelled = batch.quality.isfinite()
        losses: dict[str, Tensor] = {}
        if batch.taught is not None:
            taught = choose_answers(batch, batch.taught, margin=o.margin, capped=o.capped)
            losses["taught"] = taught_loss(predicted, taught, o.beta)
            if o.correlation:
                asked = taught.isfinite()
                losses["correlation"] = o.correlation * correlation_loss(predicted[asked], taught[asked])
        if o.labelled and labelled.any():
            losses["quality"] = o.labelled * F.smooth_l1_loss(predicted[labelled], batch.quality[labelled], beta=o.beta)
        if o.order and bool((batch.chain >= 0).any()):
            losses["order"] = o.order * order_loss(predicted, batch, o.margin)
        return Outcome(losses, {})


def encode(network: QfmIqm, batch: Batch) -> Tensor:
    """The tokens [b, t, d] of a batch, from its crops or from what was measured on them before."""
    return network.encode(batch.crops) if batch.features is None else network.project(batch.features)


def taught_loss(predicted: Tensor, taught: Tensor, beta: float) -> Tensor:
    """SmoothL1 against the teachers' answers [b], where there are any."""
    asked = taught.isfinite()
    return F.smooth_l1_loss(predicted[asked], taught[asked], beta=beta) if asked.any() else predicted.sum() * 0


def correlation_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """1 - PLCC over a batch [b], 0 to 2; zero for fewer than three crops or constant labels."""
    p, t = predicted - predicted.mean(), truth - truth.mean()
    if len(p) < 3 or float(t.norm()) == 0:
        return predicted.sum() * 0
    correlation: Tensor = (p * t).sum() / (p.norm() * t.norm()).clamp_min(1e-6)
    return 1 - correlation


def order_loss(predicted: Tensor, batch: Batch, margin: float) -> Tensor:
    """How far pairs of one chain [b] are from falling by `margin` a level of damage; the mean over all such pairs."""
    pairs, steps = pair_versions(batch)
    drop = predicted[:, None] - predicted  # [b, b]
    return F.relu(margin * steps - drop)[pairs].mean() if pairs.any() else predicted.sum() * 0


def choose_answers(batch: Batch, taught: Tensor, *, margin: float, capped: bool) -> Tensor:
    """What to learn from the teachers' answers [b]: they themselves, or capped."""
    return cap_answers(batch, taught, margin) if capped else taught


def cap_answers(batch: Batch, taught: Tensor, margin: float) -> Tensor:
    """The teachers' answers [b], where those about damaged versions fall from what was said of less damaged ones of the same
    crop by `margin` a level or more: teachers may like what is damage to us, as over-sharpening.
    """
    pairs, steps = pair_versions(batch)
    known = taught.nan_to_num(nan=torch.inf)
    caps = (known[:, None] - margin * steps).masked_fill(~pairs, torch.inf).amin(0)
    return torch.minimum(taught, caps)  # nan stays nan


def pair_versions(batch: Batch) -> tuple[Tensor, Tensor]:
    """Which crops (row, column) are of one chain, the column the more damaged one, and by how many levels: [b, b] each."""
    same = (batch.chain[:, None] == batch.chain) & (batch.chain >= 0)
    steps = batch.level - batch.level[:, None]
    return same.to(steps.device) & (steps > 0), steps
