"""Policy: what a photo must be to be taken, as a TOML file. README.md beside this has one with everything in it."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Any

from iqa_cli.errors import DataError, PolicyError, UsageError
from iqa_cli.explain.light import MAX_WHITE, MIN_CONTRAST, MIN_HIGHLIGHT, SIDE
from iqa_cli.explain.reasons import KINDS
from iqa_cli.options import MAX_TIMEOUT, read_whole
from iqa_cli.records import Status

SCHEMA_VERSION = 1  # of policies and of verdicts
LARGEST = sys.float_info.max  # of the numbers of a policy, which are compared with floats


class Band(StrEnum):
    """What becomes of a photo, from the best to the worst."""

    PASS = "pass"
    REVIEW = "review"
    FAIL = "fail"


BANDS = tuple(Band)


class Reason(StrEnum):
    """Why a photo does not pass, besides the statuses of photos that cannot be decoded."""

    TOO_SMALL = "too-small"
    LOW_SCORE = "low-score"
    LOW_PERCENTILE = "low-percentile"
    LOW_DETAIL = "low-detail"
    LOW_MEGAPIXELS = "low-effective-mp"
    TOO_DARK = "too-dark"
    TOO_BRIGHT = "too-bright"
    LOW_CONTRAST = "low-contrast"
    LIGHT_UNKNOWN = "light-unknown"
    REASONS_UNKNOWN = "reasons-unknown"


FLOORS = {
    "score": Reason.LOW_SCORE,
    "percentile": Reason.LOW_PERCENTILE,
    "native_detail": Reason.LOW_DETAIL,
    "effective_mp": Reason.LOW_MEGAPIXELS,
}
"""A table of a floor, as the column is called that it is about -> the reason where a photo is below."""
LIGHT = {
    Reason.TOO_DARK: "min_highlight",
    Reason.TOO_BRIGHT: "max_white",
    Reason.LOW_CONTRAST: "min_contrast",
}
"""The reasons about light -> the field of `LightLimits` that says where each begins."""
CHOSEN = (*map(str, LIGHT), *KINDS)
"""The reasons that `[reasons]` sets the band of."""
ALL_REASONS = (*(str(status) for status in Status if status is not Status.OK), *map(str, Reason), *KINDS)


@dataclass(frozen=True)
class SizeLimits:
    """What a photo has at least: px of its upright sides, and millions of px; 0: no limit."""

    min_width: float = 0
    min_height: float = 0
    min_short_side: float = 0
    min_long_side: float = 0
    min_megapixels: float = 0


@dataclass(frozen=True)
class Floor:
    """Limits of one of FLOORS; None: none. Below fail_under photos fail, below review_under somebody looks."""

    fail_under: float | None = None
    review_under: float | None = None


@dataclass(frozen=True)
class LightLimits:
    """Where the reasons about light begin: see `explain.light`."""

    min_highlight: float = MIN_HIGHLIGHT
    max_white: float = MAX_WHITE
    min_contrast: float = MIN_CONTRAST


@dataclass(frozen=True)
class DecodingLimits:
    """Pixels and seconds beyond which a photo is not decoded, and fails; None: as of `ScoreOptions`.

    Raises PolicyError for limits that are none, or that nothing can keep to.
    """

    max_pixels: int | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.max_pixels is not None:
            object.__setattr__(self, "max_pixels", read_pixels(self.max_pixels))
        if self.timeout is not None and not 0 < self.timeout <= MAX_TIMEOUT:
            raise PolicyError(f"decoding.timeout is more than 0 and at most {MAX_TIMEOUT:g} seconds, not {self.timeout:g}")


@dataclass(frozen=True)
class Policy:
    """What a photo must be. Raises PolicyError for one that contradicts itself, or that nothing can ever pass.

    reasons: those of CHOSEN that count -> the band that they lead to. messages: reason -> what the uploader is told.
    calibration: how the limits were found; of no consequence.
    """

    model: str | None = None
    sha256: str | None = None
    size: SizeLimits = SizeLimits()
    score: Floor = Floor()
    percentile: Floor = Floor()
    native_detail: Floor = Floor()
    effective_mp: Floor = Floor()
    reasons: Mapping[str, Band] = field(default_factory=lambda: MappingProxyType({}))
    exposure: LightLimits = LightLimits()
    decoding: DecodingLimits = DecodingLimits()
    messages: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    calibration: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for name in FLOORS:
            check_floor(name, getattr(self, name))
        limits = self.exposure
        if Reason.TOO_DARK in self.reasons and limits.min_highlight > 100:
            raise PolicyError("exposure.min_highlight is above 100: no photo would ever be light enough")
        if Reason.LOW_CONTRAST in self.reasons and limits.min_contrast > 100:
            raise PolicyError("exposure.min_contrast is above 100: no photo would ever have so much")
        if Reason.TOO_BRIGHT in self.reasons and limits.max_white < 0:
            raise PolicyError("exposure.max_white is below 0: every photo would be too bright")

    @property
    def measures_light(self) -> bool:
        """Whether the light of photos matters."""
        return any(reason in self.reasons for reason in LIGHT if self.reasons.get(reason) is not Band.PASS)

    @property
    def finds_reasons(self) -> bool:
        """Whether what is wrong with photos matters, beyond their light."""
        return any(code in KINDS and band is not Band.PASS for code, band in self.reasons.items())

    @property
    def needs(self) -> dict[str, Any]:
        """What a scorer is to measure besides the score: options of `Scorer`."""
        detail = Floor() != self.native_detail or Floor() != self.effective_mp
        return {"preview": SIDE if self.measures_light else 0, "reasons": self.finds_reasons, "detail": detail}

    def check_scale(self, lowest: float, highest: float) -> None:
        """Raises PolicyError where no score of that scale could ever pass."""
        for name, limit in (("fail_under", self.score.fail_under), ("review_under", self.score.review_under)):
            if limit is not None and limit > highest:
                scale = f"the model's scores are {lowest:g} to {highest:g}"
                raise PolicyError(f"score.{name} is {limit:g}, and {scale}: no photo could ever pass")


def read_pixels(limit: float) -> int:
    """The limit of pixels as the whole number that it is, also where it is written as 6e7. Raises PolicyError."""
    if limit < 1:
        raise PolicyError(f"decoding.max_pixels is a whole number, 1 or more, not {limit:g}: no photo could ever pass")
    try:
        return read_whole("decoding.max_pixels", limit)
    except UsageError as error:
        raise PolicyError(str(error)) from error


def check_floor(name: str, floor: Floor) -> None:
    """Raises PolicyError for limits that leave nothing, or that are in the wrong order."""
    low, high = floor.fail_under, floor.review_under
    if low is not None and high is not None and high < low:
        raise PolicyError(f"{name}.review_under is {high:g}, below {name}.fail_under, {low:g}: nothing would come to review")
    if name in ("percentile", "native_detail") and max(low or 0, high or 0) > 100:
        raise PolicyError(f"a {name} is at most 100, not {max(low or 0, high or 0):g}: no photo could ever pass")


# ---- from TOML ----

TABLES: dict[str, type] = {
    "size": SizeLimits,
    **dict.fromkeys(FLOORS, Floor),
    "exposure": LightLimits,
    "decoding": DecodingLimits,
}
OTHERS = ("schema_version", "model", "sha256", "reasons", "messages", "calibration")


def read_policy(path: Path) -> Policy:
    """The policy of a file. Raises DataError where it cannot be read, PolicyError where it is none."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # as editors on Windows write it
    except OSError as error:
        raise DataError(f"{path}: cannot read the policy: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"{path}: not a policy: no UTF-8") from error
    try:
        return parse_policy(tomllib.loads(text))
    except (PolicyError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise PolicyError(f"{path}: {error}") from error
    except ValueError as error:  # Python reads numbers of some thousand digits, and no longer ones
        raise PolicyError(f"{path}: not a policy: it has a number of too many digits") from error


def parse_policy(data: Mapping[str, Any]) -> Policy:
    """The policy that the data of a TOML file mean. Raises PolicyError."""
    refuse_unknown("", data, (*TABLES, *OTHERS))
    if data.get("schema_version") != SCHEMA_VERSION:
        raise PolicyError(f"a policy begins with: schema_version = {SCHEMA_VERSION}")
    sha256 = data.get("sha256")
    if sha256 is not None and not (isinstance(sha256, str) and re.fullmatch(r"[0-9a-f]{64}", sha256)):
        raise PolicyError("sha256 is 64 digits of the model's weights, 0 to 9 and a to f: iqa models show NAME has them")
    if not isinstance(data.get("model", ""), str):
        raise PolicyError("model is a name or a path")
    for name in ("calibration", *TABLES):
        take_table(data, name)
    reasons = read_reasons(take_table(data, "reasons"))
    refuse_idle(take_table(data, "exposure"), reasons)
    return Policy(
        model=data.get("model"),
        sha256=sha256,
        size=SizeLimits(**read_numbers(data, "size")),
        **{name: Floor(**read_numbers(data, name)) for name in FLOORS},
        reasons=reasons,
        exposure=LightLimits(**read_numbers(data, "exposure")),
        decoding=DecodingLimits(**read_numbers(data, "decoding")),
        messages=read_messages(take_table(data, "messages")),
        calibration=take_table(data, "calibration"),
    )


def take_table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A table of a policy; empty where it is left out. Raises PolicyError."""
    table = data.get(name, {})
    if not isinstance(table, Mapping):
        raise PolicyError(f"{name} is a table: [{name}]")
    return table


def refuse_unknown(table: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Raises PolicyError for a key that nobody reads: it would be misspelt, and do nothing."""
    for key in given:
        if key not in known:
            raise PolicyError(f"unknown key {table and table + '.'}{key}; there are {', '.join(known)}")


def read_numbers(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The limits of a table. Raises PolicyError for what is no number."""
    table = take_table(data, name)
    refuse_unknown(name, table, tuple(f.name for f in fields(TABLES[name])))
    for key, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) == inf:
            raise PolicyError(f"{name}.{key} is a number, not {value!r}")
        if abs(value) > LARGEST:
            raise PolicyError(f"{name}.{key} is a number of at most {LARGEST:g}")
    return dict(table)


def refuse_idle(exposure: Mapping[str, Any], reasons: Mapping[str, Band]) -> None:
    """Raises PolicyError for a limit of light whose reason is not named: nothing would be looked at, and all would pass."""
    for reason, limit in LIGHT.items():
        if limit in exposure and reason not in reasons:
            raise PolicyError(
                f'exposure.{limit} does nothing without its reason: add {reason} = "fail" or "review" to [reasons]'
            )


def read_reasons(table: Mapping[str, Any]) -> Mapping[str, Band]:
    """Reason -> band. Raises PolicyError."""
    refuse_unknown("reasons", table, CHOSEN)
    for reason, band in table.items():
        if band not in BANDS:
            raise PolicyError(f"reasons.{reason} is {', '.join(BANDS)}, not {band!r}")
    return MappingProxyType({reason: Band(band) for reason, band in table.items()})


def read_messages(table: Mapping[str, Any]) -> Mapping[str, str]:
    """Reason -> message. Raises PolicyError."""
    refuse_unknown("messages", table, ALL_REASONS)
    for reason, message in table.items():
        if not isinstance(message, str) or not message.strip():
            raise PolicyError(f"messages.{reason} is a text, not {message!r}")
    return MappingProxyType(dict(table))
