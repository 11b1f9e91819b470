"""Verdict: what a policy says of a photo, with everything that decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from iqa_cli.explain.light import Exposure
from iqa_cli.explain.reasons import KINDS, Rule
from iqa_cli.gate.policy import BANDS, FLOORS, LIGHT, SCHEMA_VERSION, Band, Floor, Policy, Reason
from iqa_cli.records import COLUMNS, DETAIL_COLUMNS, ScoreRecord, Status
from iqa_cli.scoring.writers import PLACES, round_record

MESSAGES: dict[str, str] = {
    Status.MISSING: "there is no such photo: send it again",
    Status.DENIED: "the photo could not be read: send it again",
    Status.UNSUPPORTED: "this is no photo of a kind that can be read here: send it as a JPEG or PNG",
    Status.DAMAGED: "the file is damaged or incomplete: send it again",
    Status.TOO_LARGE: "the photo has more pixels than are taken: send it smaller",
    Status.TIMEOUT: "the photo took too long to read: save it anew as a JPEG, and send that",
    Status.CRASHED: "the photo could not be read: save it anew as a JPEG, and send that",
    Reason.TOO_SMALL: "too small ({measure} {value:g}, at least {limit:g} needed): send the photo as it came from the camera",
    Reason.LOW_SCORE: "the quality is too low: hold still, focus, clean the lens, and send the photo uncompressed",
    Reason.LOW_PERCENTILE: "the quality is too low: hold still, focus, clean the lens, and send the photo uncompressed",
    Reason.LOW_DETAIL: "not sharp at full size ({value:g} of 100, at least {limit:g} needed): focus and hold still",
    Reason.LOW_MEGAPIXELS: "too little real resolution ({value:g} megapixels, at least {limit:g} needed): send the photo as it"
    " came from the camera, in focus and not enlarged",
    Reason.TOO_DARK: "too dark: take it in better light",
    Reason.TOO_BRIGHT: "too bright: large parts are plain white: take it with less light, or not against the light",
    Reason.LOW_CONTRAST: "hardly any contrast: clean the lens, and avoid haze, reflections and light from the front",
    Reason.LIGHT_UNKNOWN: "the light of the photo could not be measured: somebody is to look at it",
    Reason.REASONS_UNKNOWN: "what may be wrong with the photo could not be measured: somebody is to look at it",
    **{code: kind.message for code, kind in KINDS.items()},
}
"""What the uploader is told to do, by reason; in braces what was found."""
SIZES = {
    "min_width": ("width", 1),
    "min_height": ("height", 1),
    "min_short_side": ("short_side", 1),
    "min_long_side": ("long_side", 1),
    "min_megapixels": ("megapixels", 3),
}
"""A limit of size -> what is measured of a photo, and the decimals of it."""


@dataclass(frozen=True)
class Finding:
    """A reason against a photo.

    measure, value, limit: what was measured, and what it should have been; None of a photo that cannot be decoded. message:
    what the uploader is to do.
    """

    reason: str
    band: Band
    message: str
    measure: str | None = None
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What becomes of a photo. record: its score. exposure: its light, where the policy asks. findings: the worst first."""

    record: ScoreRecord
    sha256: str
    findings: tuple[Finding, ...] = ()
    exposure: Exposure | None = None

    @property
    def band(self) -> Band:
        """The worst of all findings."""
        return self.findings[0].band if self.findings else Band.PASS

    @property
    def message(self) -> str:
        """What the uploader is to do; empty for nothing."""
        return "; ".join(dict.fromkeys(finding.message for finding in self.findings))


def decide(record: ScoreRecord, exposure: Exposure | None, policy: Policy, sha256: str) -> Verdict:
    """What a policy says of a photo. Values are compared as they are shown."""
    findings = sorted(find_reasons(record, exposure, policy), key=lambda finding: -BANDS.index(finding.band))
    return Verdict(record, sha256, tuple(findings), exposure)


def find_reasons(record: ScoreRecord, exposure: Exposure | None, policy: Policy) -> Iterator[Finding]:
    """All that a policy has against a photo."""
    if record.status is not Status.OK:
        yield make_finding(policy, str(record.status), Band.FAIL)
        return
    shown = round_record(record, tuple(FLOORS))
    sizes = measure_size(record)
    for name, (measure, _) in SIZES.items():
        limit = getattr(policy.size, name)
        if sizes[measure] < limit:
            yield make_finding(policy, Reason.TOO_SMALL, Band.FAIL, (measure, sizes[measure], limit))
    for name, reason in FLOORS.items():
        value = cast("float", shown[name])
        failing = judge_floor(value, getattr(policy, name))
        if failing is not None:
            yield make_finding(policy, reason, failing[0], (name, value, failing[1]))
    if exposure is None and policy.measures_light:
        yield make_finding(policy, Reason.LIGHT_UNKNOWN, Band.REVIEW)
    if policy.finds_reasons and record.measured is not None and not record.measured:
        yield make_finding(policy, Reason.REASONS_UNKNOWN, Band.REVIEW)
    yield from find_chosen(record, exposure, policy)


def find_chosen(record: ScoreRecord, exposure: Exposure | None, policy: Policy) -> Iterator[Finding]:
    """What is wrong with a photo that the policy does not allow."""
    light = judge_light(exposure, policy)
    found = [(str(reason), (measure, value, limit)) for reason, measure, value, limit, failed in light if failed]
    found += [(each.code, (each.measurement, round(each.value, PLACES), each.threshold)) for each in record.reasons or ()]
    for reason, numbers in found:
        band = policy.reasons.get(reason, Band.PASS)
        if band is not Band.PASS:
            yield make_finding(policy, reason, band, numbers)


def make_finding(policy: Policy, reason: str, band: Band, numbers: tuple[str, float, float] | None = None) -> Finding:
    """A finding, in the policy's words where it has some. numbers: what was measured, the value, the limit."""
    measure, value, limit = numbers or (None, None, None)
    words = MESSAGES[reason].format(measure=(measure or "").replace("_", " "), value=value, limit=limit)
    return Finding(reason, band, policy.messages.get(reason, words), measure, value, limit)


def judge_floor(value: float, floor: Floor) -> tuple[Band, float] | None:
    """The band of a value that is below a limit, and that limit; None for any other."""
    if floor.fail_under is not None and value < floor.fail_under:
        return Band.FAIL, floor.fail_under
    if floor.review_under is not None and value < floor.review_under:
        return Band.REVIEW, floor.review_under
    return None


def judge_light(exposure: Exposure | None, policy: Policy) -> list[tuple[Reason, str, float, float, bool]]:
    """For each reason about light: what was measured, the value, the limit, and whether it is beyond it."""
    if exposure is None:
        return []
    shown, limits = round_exposure(exposure), policy.exposure
    highlight, white, contrast = shown["highlight"], shown["white"], shown["contrast"]
    return [
        (Reason.TOO_DARK, "highlight", highlight, limits.min_highlight, highlight < limits.min_highlight),
        (Reason.TOO_BRIGHT, "white", white, limits.max_white, white > limits.max_white),
        (Reason.LOW_CONTRAST, "contrast", contrast, limits.min_contrast, contrast < limits.min_contrast),
    ]


def measure_size(record: ScoreRecord) -> dict[str, float]:
    """The sides and the area of a photo."""
    width, height = record.width or 0, record.height or 0
    return {
        "width": width,
        "height": height,
        "short_side": min(width, height),
        "long_side": max(width, height),
        "megapixels": round(width * height / 1e6, 3),
    }


def round_exposure(exposure: Exposure) -> dict[str, float]:
    """The measures of light, as they are shown and compared."""
    return {
        "highlight": round(exposure.highlight, 1),
        "white": round(exposure.white, 3),
        "contrast": round(exposure.contrast, 1),
    }


def describe_verdict(verdict: Verdict, policy: Policy) -> dict[str, Any]:
    """A verdict as JSON data: all that decided."""
    record = verdict.record
    shown = round_record(record, (*COLUMNS, *DETAIL_COLUMNS))
    light = round_exposure(verdict.exposure) if verdict.exposure else {}
    measured = {
        rule.measurement: round((record.measured or {})[rule.measurement], PLACES) for rule in list_rules(policy, record)
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "path": record.path,
        "band": str(verdict.band),
        "message": verdict.message,
        "reasons": [
            {
                "reason": str(finding.reason),
                "band": str(finding.band),
                "measure": finding.measure,
                "value": finding.value,
                "limit": finding.limit,
                "message": finding.message,
            }
            for finding in verdict.findings
        ],
        "values": {
            **{name: shown[name] for name in ("score", "percentile", "uncertainty", "width", "height")},
            **{name: shown[name] for name in DETAIL_COLUMNS if shown[name] is not None},
            **measured,
            **light,
        },
        "status": shown["status"],
        "detail": record.detail,
        "thresholds": describe_thresholds(policy),
        "model": record.model,
        "model_sha256": verdict.sha256,
    }


def list_rules(policy: Policy, record: ScoreRecord) -> list[Rule]:
    """The rules of the reasons that a policy does not allow, as far as they were measured of a photo."""
    rules = [
        rule for code, band in policy.reasons.items() if code in KINDS and band is not Band.PASS for rule in KINDS[code].rules
    ]
    return [rule for rule in rules if rule.measurement in (record.measured or {})]


def describe_thresholds(policy: Policy) -> Mapping[str, Any]:
    """The limits of a policy that count, by table."""
    sizes = {name: limit for name in SIZES if (limit := getattr(policy.size, name))}
    floors = {
        name: {key: limit for key, limit in asdict(floor).items() if limit is not None}
        for name, floor in ((name, getattr(policy, name)) for name in FLOORS)
    }
    used = [reason for reason, band in policy.reasons.items() if band is not Band.PASS]
    rules = [rule for reason in used if reason in KINDS for rule in KINDS[reason].rules]
    tables = {
        "size": sizes,
        **floors,
        "reasons": {str(reason): str(policy.reasons[reason]) for reason in used},
        "exposure": {limit: getattr(policy.exposure, limit) for reason, limit in LIGHT.items() if reason in used},
        "measurements": {rule.measurement: rule.threshold for rule in rules},
        "decoding": {name: limit for name, limit in asdict(policy.decoding).items() if limit is not None},
    }
    return {name: table for name, table in tables.items() if table}
