"""Gate: a Scorer and a policy. Photos in, verdicts out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from iqa_cli.errors import PolicyError
from iqa_cli.explain.light import SIDE, measure_preview
from iqa_cli.gate.policy import DecodingLimits, Floor, Policy
from iqa_cli.gate.verdict import Verdict, decide
from iqa_cli.library import Scorer
from iqa_cli.options import MAX_PIXELS
from iqa_cli.records import ScoreRecord

if TYPE_CHECKING:
    from iqa_cli.images.in_memory import ImageInput
    from iqa_cli.scoring.sources import Source


class Gate:
    """Judges photos by a policy. As safe from several threads, and after a fork, as its scorer.

    scorer: opened with what the policy `needs`, and with its `max_pixels` and `timeout` or lower ones where it limits decoding;
        it stays its owner's to close.

    Raises PolicyError where the policy is of other weights, or where no score of this model could pass.

    >>> from iqa_cli import Scorer
    >>> from iqa_cli.gate.policy import DecodingLimits, Floor, Policy
    >>> with Scorer(preview=SIDE) as scorer:
    ...     gate = Gate(Policy(score=Floor(fail_under=50)), scorer)
    ...     verdict = gate.judge("tests/photos/astronaut-blur.jpg")
    >>> print(verdict.band, *(finding.reason for finding in verdict.findings))
    fail low-score
    """

    def __init__(self, policy: Policy, scorer: Scorer) -> None:
        self.policy = policy
        self.scorer = scorer
        self.sha256 = scorer.sha256
        if policy.sha256 not in (None, self.sha256):
            raise PolicyError(
                f"this policy was made for other weights than those of {scorer.card.name}, whose SHA-256 is {self.sha256}:"
                " name the model it was made for, or calibrate it anew"
            )
        policy.check_scale(*scorer.card.score_range)
        if policy.percentile != Floor() and not scorer.card.opinions:
            raise PolicyError(f"this policy is about percentiles, and {scorer.card.name} has none: leave out [percentile]")
        if policy.measures_light and scorer.options.preview < SIDE:
            raise PolicyError(f"this policy is about light: open the Scorer with preview={SIDE}")
        if policy.finds_reasons and not scorer.options.reasons:
            raise PolicyError("this policy does not allow some reasons: open the Scorer with reasons=True")
        if policy.needs["detail"] and not scorer.options.detail:
            raise PolicyError("this policy is about detail: open the Scorer with detail=True")
        check_limits(policy.decoding, scorer)

    def judge(self, image: ImageInput, *, name: str | None = None) -> Verdict:
        """What becomes of one photo; image and name as of `Scorer.score`. Raises as that does."""
        return self._decide(self.scorer.score(image, name=name))

    def judge_many(self, images: Iterable[ImageInput | Source]) -> Iterator[Verdict]:
        """A verdict a photo, in order, lazily. Raises as `Scorer.score_many` does."""
        return map(self._decide, self.scorer.score_many(images))

    def _decide(self, record: ScoreRecord) -> Verdict:
        exposure = measure_preview(record.preview) if self.policy.measures_light and record.preview else None
        return decide(record, exposure, self.policy, self.sha256)


def check_limits(limits: DecodingLimits, scorer: Scorer) -> None:
    """Raises PolicyError where a Scorer decodes what a policy would not have decoded."""
    pixels = MAX_PIXELS if scorer.options.max_pixels is None else scorer.options.max_pixels
    if limits.max_pixels is not None and pixels > limits.max_pixels:
        raise PolicyError(f"this policy limits decoding: open the Scorer with max_pixels={limits.max_pixels}")
    if limits.timeout is not None and scorer.options.timeout > limits.timeout:
        raise PolicyError(f"this policy limits decoding: open the Scorer with timeout={limits.timeout:g}")
