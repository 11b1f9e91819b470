"""Backbones: networks of timm without their classifiers, with new weights or with those of the hub that timm names."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from reprlib import repr as shorten
from typing import Any

import timm
from timm.models import PretrainedCfg
from torch import nn

from iqa_cli.errors import WeightsError
from iqa_cli.models.hub import limit_hub_timeout

OPTIONS = ("img_size", "patch_size", "embed_dim", "depth", "num_heads", "stages", "q_pool")
"""What a card may ask of timm: sizes of a network. Other arguments of timm's load files, or fetch what they are told to."""
MOST = 4096  # of a size; far more than any network has


def check_backbone(name: Any, options: Any) -> None:
    """Raises ValueError for a backbone that is no name of timm's own, or for options that are no sizes: cards are foreign."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w.]+", name):
        raise ValueError(f"backbone is the name of a network of timm, not {shorten(name)}")
    if not isinstance(options, Mapping):
        raise ValueError(f"backbone_options is a JSON object, not {shorten(options)}")
    for option, value in options.items():
        if option not in OPTIONS:
            raise ValueError(f"backbone_options has {shorten(option)}; there are {', '.join(OPTIONS)}")
        sizes = value if isinstance(value, list | tuple) else [value]
        if not all(type(size) is int and 1 <= size <= MOST for size in sizes):
            raise ValueError(f"{option} is a whole number from 1 to {MOST}, or a list of such, not {shorten(value)}")


def build_backbone(name: str, options: Mapping[str, Any], *, pretrained: bool = False) -> nn.Module:
    """A network of timm. Raises WeightsError for unknown names, and in seconds where the weights cannot be had."""
    with limit_hub_timeout() if pretrained else nullcontext("") as offline:
        try:
            return timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
        except Exception as error:  # timm raises many kinds: unknown names, missing keys, no network
            if not pretrained:
                raise WeightsError(f"cannot build the backbone {name}: {first_line(error)}") from error
            raise WeightsError(
                f"cannot get the pretrained weights of {name} from the Hugging Face Hub: {offline or first_line(error)}; name a"
                " file of them by --backbone-weights FILE, or begin at random by --backbone-weights none"
            ) from error


def find_facts(name: str) -> PretrainedCfg:
    """What timm knows of a backbone. Raises WeightsError for a name that it does not know."""
    facts = timm.get_pretrained_cfg(name)
    if facts is None:
        raise WeightsError(f"timm knows no backbone {name}; timm.list_models() names them")
    return facts


def list_sizes(name: str) -> list[int]:
    """Sides in px of the crops that a backbone was trained and tested on, as timm knows them."""
    facts = find_facts(name)
    sizes = (facts.input_size, facts.test_input_size, facts.min_input_size)
    return [int(size[-1]) for size in sizes if size is not None]


def first_line(error: Exception) -> str:
    """What an error of a foreign library says, in one line; of an assertion without words, the line of timm's that made it."""
    said = str(error).strip().splitlines()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "timm" in Path(frame.filename).parts]
    kind = ": ".join(filter(None, (type(error).__name__, frames[-1].line if frames else "")))
    return (said or [kind])[0].rstrip(".")
