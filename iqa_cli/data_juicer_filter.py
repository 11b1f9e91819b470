"""Data-Juicer: a Filter that keeps samples by the scores of their images.

A recipe knows it by the file of this module (which takes its name there, so it cannot have that of Data-Juicer itself), a
program by importing it:

custom_operator_paths: [.../site-packages/iqa_cli/data_juicer_filter.py]
process:
- iqa_score_filter: {min_score: 30, any_or_all: all}
"""

from __future__ import annotations

from typing import Any

from data_juicer.ops.base_op import OPERATORS, Filter
from data_juicer.utils.constant import Fields

from iqa_cli.operators import ScoreRange
from iqa_cli.options import DEFAULT_MODEL

STAT = "iqa_scores"  # a list, as samples may have several images


@OPERATORS.register_module("iqa_score_filter")
class IqaScoreFilter(Filter):  # type: ignore[misc]
    """Keeps samples whose images have scores from min_score to max_score, "any" of them or "all", and those without images."""

    def __init__(
        self,
        min_score: float = 0.0,
        max_score: float = 100.0,
        any_or_all: str = "any",
        model: str = DEFAULT_MODEL,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if any_or_all not in ("any", "all"):
            raise ValueError(f'any_or_all is "any" or "all", not {any_or_all!r}')
        self.range = ScoreRange(min_score, max_score, every=any_or_all == "all", model=model)

    def compute_stats_single(self, sample: dict[str, Any], context: bool = False) -> dict[str, Any]:  # noqa: ARG002  # theirs
        """The sample with its scores among its stats, unless they are there already."""
        stats = sample[Fields.stats]
        if STAT not in stats:
            stats[STAT] = self.range.score(sample.get(self.image_key) or [])
        return sample

    def process_single(self, sample: dict[str, Any]) -> bool:
        """Whether the sample stays."""
        return self.range.keeps(sample[Fields.stats][STAT])
