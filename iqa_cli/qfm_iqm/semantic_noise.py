"""Semantic noise: tokens of other images of similar quality and different content, added to an image's own.

    candidates       |y - y_j| <= tolerance, the same set, another image and another reference
    match            the k candidates whose content tokens have the lowest cosine similarity to c; their mean is the noise n
    perturbation     T~ = T + strength * n * |T| / |n|

with tokens T = [c; P] and label y. That noise comes from a memory and is matched so, is the paper's; the numbers are ours, as
are the controls (`MatchingOptions.noise`), which have the same strength.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  its usual name

from iqa_cli.errors import UsageError
from iqa_cli.qfm_iqm.batch import Batch
from iqa_cli.qfm_iqm.options import MatchingOptions, Perturbed

PERTURBED: dict[Perturbed, slice] = {"all": slice(None), "content": slice(1), "patches": slice(1, None)}
"""The tokens that noise is added to."""


ENTRY = ("label", "image", "reference")
"""What an entry of the memory has beside its tokens and its set, under the names of a batch."""


class Memory:
    """First in, first out: the tokens of recent crops with their labels, detached and in half precision.

    Tokens lie where the network computes, all else on the CPU, where candidates are looked for. It belongs to training alone:
    it is no module, so nothing of it enters a network's weights.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.count = 0  # how many entries were ever added
        self.tokens = torch.empty(0)  # [capacity, t, d], once the first batch has shown t and d
        self.label = torch.full((capacity,), torch.nan)
        self.image = torch.full((capacity,), -1)
        self.reference = torch.full((capacity,), -1)
        self.source = torch.full((capacity,), -1)

    @property
    def is_full(self) -> bool:
        """Whether every entry holds a crop."""
        return self.count >= self.capacity

    def add(self, tokens: Tensor, batch: Batch) -> None:
        """Replace the oldest entries by the labeled crops of a batch; of more than it holds, by the last ones.

        Raises UsageError where so many entries find no room.
        """
        labeled = batch.label.isfinite().nonzero()[:, 0]
        kept = labeled[max(0, len(labeled) - self.capacity) :]  # an entry is written once: in which order is not settled
        if self.tokens.numel() == 0:
            self.tokens = self.make_room(tokens)
        self.count += len(labeled)
        entries = torch.arange(self.count - len(kept), self.count) % self.capacity
        self.tokens[entries] = tokens.detach()[kept].to(torch.float16)
        for name in ENTRY:
            getattr(self, name)[entries] = getattr(batch, name)[kept].cpu()
        self.source[entries] = source_of(batch)[kept.cpu()]

    def make_room(self, tokens: Tensor) -> Tensor:
        """Room for as many crops as it holds, with tokens like some [b, t, d]. Raises UsageError where there is none."""
        try:
            return torch.empty(self.capacity, *tokens.shape[1:], dtype=torch.float16, device=tokens.device)
        except RuntimeError as error:
            size = 2 * self.capacity * tokens[0].numel() / 1e9
            raise UsageError(f"matching.memory is {self.capacity}, which takes {size:.1f} GB: set fewer") from error

    def to(self, device: torch.device) -> None:
        """Move the tokens to a device."""
        self.tokens = self.tokens.to(device)

    def state(self) -> dict[str, Tensor]:
        """All of it as tensors, so that a resumed run goes on as if uninterrupted."""
        return {"count": torch.tensor(self.count), **{name: getattr(self, name) for name in ("tokens", "source", *ENTRY)}}

    def restore(self, state: dict[str, Tensor]) -> None:
        """The opposite of `state`; the tokens stay on their device."""
        self.count = int(state["count"])
        for name in ("tokens", "source", *ENTRY):
            setattr(self, name, state[name].to(getattr(self, name).device))


def draw_noise(tokens: Tensor, batch: Batch, memory: Memory, options: MatchingOptions) -> tuple[Tensor, Tensor]:
    """Noise [b, t, d] of the chosen kind, before scaling, and for which crops there is any [b]."""
    everywhere = torch.ones(len(tokens), dtype=torch.bool)
    if options.noise == "gaussian":
        return torch.randn_like(tokens), everywhere
    if options.noise == "random":
        entries = torch.randint(memory.capacity, (len(tokens), options.k))
        return average_matches(memory, entries, torch.ones_like(entries, dtype=torch.bool)), everywhere
    candidates = find_candidates(batch, memory, options.tolerance)
    entries, real = match_contents(tokens[:, 0], memory, candidates, options.k, similar=options.noise == "similar")
    return average_matches(memory, entries, real), real.any(1)


def find_candidates(batch: Batch, memory: Memory, tolerance: float) -> Tensor:
    """Which entries [b, m] are of similar quality on the scale of one set, another image and another reference."""
    near = (batch.label.cpu()[:, None] - memory.label).abs() <= tolerance  # nan is near nothing
    other_image = batch.image.cpu()[:, None] != memory.image
    other_reference = batch.reference.cpu()[:, None] != memory.reference
    same_set = source_of(batch)[:, None] == memory.source
    return near & same_set & other_image & other_reference


def source_of(batch: Batch) -> Tensor:
    """The set of each image [b], on the CPU: one and the same where there are not several."""
    return torch.zeros_like(batch.image).cpu() if batch.source is None else batch.source.cpu()


def match_contents(
    content: Tensor, memory: Memory, candidates: Tensor, k: int, *, similar: bool = False
) -> tuple[Tensor, Tensor]:
    """The k candidates with the least similar content, or the most similar.

    content [b, d], candidates [b, m] -> entries [b, k], and which of them are candidates, where there are fewer than k.
    """
    theirs = F.normalize(memory.tokens[:, 0].float(), dim=-1)  # [m, d]
    similarity = (F.normalize(content.detach().float(), dim=-1) @ theirs.T).cpu()  # [b, m]
    first = (-similarity if similar else similarity).masked_fill(~candidates, torch.inf).topk(k, largest=False)
    return first.indices, first.values.isfinite()


def average_matches(memory: Memory, entries: Tensor, real: Tensor) -> Tensor:
    """The mean of each crop's real matches, zero where there is none: entries, real [b, k] -> [b, t, d]."""
    weights = real / real.sum(1, keepdim=True).clamp_min(1)  # [b, k]
    device = memory.tokens.device
    matched: Tensor = (memory.tokens[entries.to(device)].float() * weights.to(device)[..., None, None]).sum(1)
    return matched


def perturb(tokens: Tensor, noise: Tensor, strength: float, which: Perturbed = "all") -> Tensor:
    """Tokens with noise, both [b, t, d], scaled to `strength` times the norm of each crop's tokens; no noise adds none.

    which: the tokens that it is added to, and over which the norms are taken.
    """
    part = PERTURBED[which]
    own, added = tokens[:, part], noise[:, part].detach()
    size = added.flatten(1).norm(dim=1).clamp_min(1e-12)  # [b]
    scale = strength * own.detach().flatten(1).norm(dim=1) / size  # [b]
    perturbed = tokens.clone()
    perturbed[:, part] = own + added * scale[:, None, None]
    return perturbed
