"""Ranges: which numbers each option of a training may have. No PyTorch here.

An option that is a number has its row in `RANGES`, under its name in a recipe; of several numbers the range is that of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from operator import attrgetter

from iqa_cli.errors import UsageError
from iqa_cli.images.crops import MAX_SIDE, CropSpec
from iqa_cli.options import MAX_CROPS


@dataclass(frozen=True)
class Range:
    """The finite numbers from `least` to `most`.

    above: `least` itself is none of them; below: nor is `most`. or_zero: 0 is one, too, which turns something off.
    noun: what such a number is, in words. hint: what to type in place of a number that may well be typed, but is none of them.
    """

    least: float = -inf
    most: float = inf
    above: bool = False
    below: bool = False
    or_zero: bool = False
    noun: str = ""
    hint: str = ""

    def __contains__(self, value: float) -> bool:
        if value == 0 and self.or_zero:
            return True
        enough = value > self.least if self.above else value >= self.least
        return enough and (value < self.most if self.below else value <= self.most) and -inf < value < inf

    def __str__(self) -> str:
        """In words, as "0 to 1"."""
        least, most = write_number(self.least), write_number(self.most)
        if -inf < self.least and self.most < inf and not self.above and not self.below:
            words = f"{least} to {most}"
        else:
            low = "" if self.least == -inf else f"more than {least}" if self.above else f"{least} or more"
            high = "" if self.most == inf else f"less than {most}" if self.below else f"{most} or less"
            words = ", ".join(filter(None, (low, high))) or "finite"
        return self.noun + "0, or " * self.or_zero + words


def write_number(value: float) -> str:
    """A number as one would type it."""
    return str(value) if isinstance(value, int) else f"{value:.15g}"


COUNT, SOME = Range(0), Range(1)
WEIGHT, RATE = Range(0), Range(0)
SHARE = Range(0, 1)
PART = Range(0, 1, below=True, noun="a share: ")
FINITE = Range()
WHOLE = "a whole number from "
MIN_SIDE = CropSpec.multiple  # px, of crops: the stride of a usual backbone
MOST = {"width": 4096, "heads": 1024, "stages": 64, "cell": 4096}  # as networks.network.LIMITS, which needs PyTorch
MAX_ENTRIES = 2**20  # of the memory: tokens of so many crops take tens of GB
MAX_GB = 10**9  # more than any disk has
MAX_TASKS = 1024  # processes or threads: more than any machine has cores for, and at some number all of them fail

LOSS = {
    "beta": Range(0),
    "correlation_weight": WEIGHT,
    "ranking_weight": WEIGHT,
    "margin": Range(0),
    "relation_weight": WEIGHT,
    "steadiness_weight": WEIGHT,
}
"""What both objectives have."""

RANGES: dict[str, Range] = {
    "size": Range(MIN_SIDE, MAX_SIDE),
    "crops": Range(1, MAX_CROPS),
    "width": Range(1, MOST["width"], noun=WHOLE),
    "heads": Range(0, MOST["heads"], noun=WHOLE),
    "stages": Range(1, MOST["stages"], noun=WHOLE, hint="without any, a backbone cannot be read"),
    "layers": FINITE,  # counted from the last where they are negative
    "cell": Range(1, MOST["cell"], noun=WHOLE),
    "teacher_range": FINITE,
    "teacher_epochs": Range(1, hint="without --teacher there are none"),
    "decoded_side": Range(1, hint="one above the side of all images, as 99999, reduces none"),
    "decoded_gb": Range(0, MAX_GB),
    "folds": COUNT,
    "only": COUNT,
    "repeats": COUNT,
    "test_share": Range(0, 1, above=True, below=True, noun="a share: "),
    "validation": PART,
    "own.score_range": FINITE,
    **{f"{table}.{name}": allowed for table in ("matching", "distillation") for name, allowed in LOSS.items()},
    "matching.memory": Range(0, MAX_ENTRIES),  # where there is noise `options.check_matching` wants more
    "matching.tolerance": SHARE,
    "matching.k": SOME,
    "matching.strength": Range(0),
    "matching.noisy_weight": WEIGHT,
    "matching.sensitivity_weight": WEIGHT,
    "matching.teacher_weight": WEIGHT,
    "distillation.label_weight": WEIGHT,
    "samples.max_zoom": Range(1),
    "samples.distorted": SHARE,
    "samples.versions": COUNT,
    "samples.clean_label": SHARE,
    "samples.partial": SHARE,
    "samples.harmless": SHARE,
    "samples.crop_size": Range(MIN_SIDE, MAX_SIDE, or_zero=True),
    "samples.view_size": Range(0, MAX_SIDE),
    "samples.held_out": SHARE,
    "samples.seed": Range(0, 2**63 - 1),  # the next ones, for repeats, are seeds for PyTorch, too
    "loop.epochs": COUNT,
    "loop.head_epochs": COUNT,
    "loop.views": COUNT,
    "loop.crops_per_epoch": SOME,
    "loop.batch_size": SOME,
    "loop.rate": RATE,
    "loop.backbone_rate": RATE,
    "loop.head_rate": RATE,
    "loop.scale_rate": RATE,
    "loop.layer_decay": SHARE,
    "loop.feature_dropout": PART,
    "loop.hidden_dropout": PART,
    "loop.drop_path": PART,
    "loop.frozen": SHARE,
    "loop.weight_decay": Range(0),
    "loop.clip": Range(0, above=True, hint="a large one, as 1e9, clips nothing"),
    "loop.averaging": SHARE,
    "loop.patience": COUNT,
    "loop.workers": Range(0, MAX_TASKS),
    "loop.threads": Range(0, MAX_TASKS),
}

SUBSET_WEIGHT = Range(1e-6, 1e6)
"""How often a subset is drawn, against 1: what a drawing without repetition still knows from never and always."""


def check_ranges(options: object) -> None:
    """Raises UsageError for the first number that is out of its range. options: `TrainingOptions`."""
    for name, allowed in RANGES.items():
        value = attrgetter(name)(options)
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and number not in allowed:
                hint = f" ({allowed.hint})" if allowed.hint else ""
                raise UsageError(f"{name} is {allowed}, not {write_number(number)}{hint}")
