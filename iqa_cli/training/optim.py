"""Optimizer, schedule of the learning rates, and precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import nn

from iqa_cli.networks.network import QfmIqm
from iqa_cli.training.options import LoopOptions, Precision, Schedule

MIN_RMS = 1e-3  # the least root mean square by which a rate is scaled: a bias of zeros must be able to move
RISE = 0.1  # the share of a phase's steps in which the learning rate rises to its peak


# ---- optimizer ----


def layer_numbers(network: QfmIqm) -> dict[str, int]:
    """For each parameter of the backbone the number of its layer, counted from the input.

    By timm's own grouping, or where it has none by the first two parts of the name, as stages.0.
    """
    from timm.models import group_parameters

    backbone = network.encoder.backbone
    if not hasattr(backbone, "group_matcher"):
        parts = {name: tuple(name.split(".")[:2]) for name, _ in backbone.named_parameters()}
        order = list(dict.fromkeys(parts.values()))
        return {name: order.index(part) for name, part in parts.items()}
    groups: dict[str, int] = group_parameters(backbone, backbone.group_matcher(), reverse=True)
    return groups


def build_optimizer(
    network: QfmIqm, options: LoopOptions, *, head_only: bool, others: Sequence[nn.Parameter] = ()
) -> torch.optim.AdamW:
    """AdamW over what the phase trains; the rest of the parameters want no gradient. others: what an objective trains itself.

    These are the scales of sets, a number or two each: at the network's own rates a short fine-tuning would leave them where
    they begin, and the labels of one set would pull at the scale of the other.

    No weight decay on biases, norms, positions, class tokens and queries, as DEIQT. The backbone's rate falls from its last
    layer to its first; in head training and in the frozen share of its layers it is zero. Where it is relative each tensor of
    the backbone is a group of its own, whose rate is scaled by its root mean square.
    """
    layers = layer_numbers(network)
    top = max(layers.values())
    groups: dict[tuple[float, float, str], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        layer = layers.get(name.removeprefix("encoder.backbone.")) if name.startswith("encoder.backbone.") else None
        frozen = layer is not None and (head_only or layer < options.frozen * (top + 1))
        parameter.requires_grad_(not frozen)
        if frozen:
            continue
        plain = options.head_rate if head_only else options.rate
        rate = plain if layer is None else options.backbone_rate * options.layer_decay ** (top - layer)
        decay = options.weight_decay if parameter.ndim > 1 and not name.endswith(("pos_embed", "cls_token", "judges")) else 0.0
        own = name if options.relative_rate and layer is not None else ""
        groups.setdefault((rate, decay, own), []).append(parameter)
    if others:
        groups[(options.scale_rate, 0.0, "others")] = list(others)
    return torch.optim.AdamW(
        [
            {"params": members, "lr": rate, "peak": rate, "weight_decay": decay, "relative": bool(own) and own != "others"}
            for (rate, decay, own), members in groups.items()
        ]
    )


def set_rates(optimizer: torch.optim.Optimizer, step: int, steps: int, schedule: Schedule = "cosine") -> None:
    """A linear rise to the peak rates, then the schedule's fall; a relative rate is scaled by its tensor's root mean square."""
    rise = min(1.0, (step + 1) / max(1.0, RISE * steps))
    fall = 0.5 * (1 + math.cos(math.pi * step / steps)) if schedule == "cosine" else 0.1 ** (3 * step // steps)
    factor = rise * fall
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    relative = [group for group in optimizer.param_groups if group.get("relative")]
    if relative:
        tensors = [group["params"][0].detach() for group in relative]
        norms = torch.stack(torch._foreach_norm(tensors)).tolist()
        for group, tensor, norm in zip(relative, tensors, norms, strict=True):
            group["lr"] *= max(MIN_RMS, norm / tensor.numel() ** 0.5)


# ---- precision ----


def knows_bf16(device: str | torch.device) -> bool:
    """Whether a device computes in bf16 by itself. A CPU that does not takes up to ten times as long as in single precision."""
    return torch.device(device).type != "cpu" or torch.cpu._is_avx512_bf16_supported()


def wants_bf16(precision: Precision, network: QfmIqm) -> bool:
    """Whether that is asked for, or helps: matrix products of a transformer, and any network on a GPU."""
    helps = hasattr(network.encoder.backbone, "num_prefix_tokens") or device_of(network).type != "cpu"
    return precision == "bf16" or (precision == "auto" and helps)


def autocast(precision: Precision, network: QfmIqm) -> AbstractContextManager[object]:
    """Autocast to bf16 where that is wanted and the network's device knows it."""
    device = device_of(network)
    return torch.autocast(device.type, torch.bfloat16, enabled=wants_bf16(precision, network) and knows_bf16(device))


def device_of(network: QfmIqm) -> torch.device:
    """Where a network computes."""
    return next(network.parameters()).device
