"""Gate: does a calibrated policy keep its promise, and how often is light flagged that is fine, or not flagged that is wrong?

Of a rated set (its official test part, from which the released models have not learnt) the best photos by MOS are good and the
worst bad. Each round draws half of the good ones, calibrates on them and on the bad ones as `iqa gate --calibrate` does, and
counts how many of the other half the policy fails: photos that had no say at all.

With --photos, the light of clean photos is measured, and of every second of them with its exposure or contrast changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from iqa_cli.datasets.sets import read_sets
from iqa_cli.datasets.splits import take_test
from iqa_cli.errors import UsageError
from iqa_cli.explain.light import MAX_WHITE, MIN_CONTRAST, MIN_HIGHLIGHT, SIDE, Exposure, measure_exposure, measure_preview
from iqa_cli.gate.calibration import Calibration, Judged, Promise, calibrate, count
from iqa_cli.gate.policy import Band
from iqa_cli.images.crops import Rgb
from iqa_cli.images.preview import read_preview
from iqa_cli.library import Scorer
from iqa_cli.options import RatedSets
from tests.benchmarks.common import make_parser, print_table, read_count, read_seed, run_whole, show_figure, write_json

STOPS = (2, 3, 4)
FRACTIONS = (3, 5, 10)
LIMITS = {"highlight": MIN_HIGHLIGHT, "white": MAX_WHITE, "contrast": MIN_CONTRAST}


# ---- the promise ----


@dataclass(frozen=True)
class Round:
    """One calibration: what it said, and the share of the photos kept out of it that failed, or failed or came to review."""

    found: Calibration
    failed: float
    flagged: float

    @property
    def holds(self) -> bool:
        """Whether the interval that was stated holds the share among the photos kept out."""
        low, high = self.found.false_rejects.interval
        return low <= self.failed <= high


def measure_promise(options: argparse.Namespace) -> dict[str, object]:
    """Calibrate round after round, and print what became of the promise. Raises as calibrations do."""
    good, bad = rank_photos(options)
    promise = Promise(options.false_reject, max(options.false_review, options.false_reject))
    rounds = [run_round(good, bad, promise, options.seed + number) for number in range(options.rounds)]
    failed, flagged = ([getattr(each, name) for each in rounds] for name in ("failed", "flagged"))
    caught = fmean(each.found.caught.share for each in rounds)
    seen = fmean(each.found.flagged.share for each in rounds)
    holds = sum(each.holds for each in rounds)
    sys.stdout.write(f"{len(good)} good photos, {len(bad)} bad ones, {len(rounds)} calibrations on half of the good ones\n")
    print_table(
        [
            ("", "promised", "mean, photos kept out", "90 % of the rounds under"),
            ("good photos that fail", show(promise.false_reject), show(fmean(failed)), show(np.quantile(failed, 0.9))),
            (
                "good photos that fail or come to review",
                show(promise.false_review),
                show(fmean(flagged)),
                show(np.quantile(flagged, 0.9)),
            ),
            ("bad photos that fail", "", show(caught), ""),
            ("bad photos that fail or come to review", "", show(seen), ""),
        ]
    )
    sys.stdout.write(f"the stated 95 % interval holds the share among the photos kept out in {holds} of {len(rounds)} rounds\n")
    return {
        "good": len(good),
        "bad": len(bad),
        "rounds": len(rounds),
        "promised": promise.false_reject,
        "failed": failed,
        "flagged": flagged,
        "caught": caught,
        "bad_flagged": seen,
        "intervals_that_hold": holds,
    }


def show(share: float) -> str:
    """A share in per cent."""
    return f"{show_figure(100 * float(share), 1)} %"


def rank_photos(options: argparse.Namespace) -> tuple[list[Judged], list[Judged]]:
    """The best and the worst photos of the set, scored."""
    labels = next(iter(read_sets(RatedSets((options.dataset,), tuple(options.data_root)), allow_missing=True).values()))
    labels = take_test(labels, options.seed)
    order = np.argsort(labels.mos, kind="stable")
    worst, best = order[: round(len(order) * options.bad)], order[len(order) - round(len(order) * options.good) :]
    chosen = [str(labels.paths[place]) for place in (*worst, *best)]
    with Scorer(options.model, preview=SIDE, reasons=True) as scorer:
        judged = [
            Judged(record, measure_preview(record.preview) if record.preview else None) for record in scorer.score_many(chosen)
        ]
    return judged[len(worst) :], judged[: len(worst)]


def run_round(good: Sequence[Judged], bad: Sequence[Judged], promise: Promise, seed: int) -> Round:
    """One calibration on a drawn half of the good photos, judged by the other half."""
    order = np.random.default_rng(seed).permutation(len(good))
    given, kept = ([good[place] for place in part] for part in (order[: len(order) // 2], order[len(order) // 2 :]))
    found = calibrate(given, bad, promise, "", "")
    failed, flagged = (count(kept, found.policy, bands).share for bands in ((Band.FAIL,), (Band.FAIL, Band.REVIEW)))
    return Round(found, failed, flagged)


# ---- light ----


def measure_light(folder: Path, model: str) -> dict[str, object]:
    """How many photos the limits flag, as they are and made wrong; printed."""
    with Scorer(model, preview=SIDE) as scorer:
        previews = [
            read_preview(record.preview)
            for record in scorer.score_many(sorted(path for path in folder.iterdir() if path.is_file()))
            if record.preview
        ]
    if len(previews) < 2:
        raise UsageError(f"{folder}: fewer than two photos are there")
    plain = [measure_exposure(rgb) for rgb in previews]
    rows = [("", "flagged as they are", "made wrong, flagged")]
    found: dict[str, object] = {"photos": len(previews)}
    for measure, limit in LIMITS.items():
        flagged = sum(is_beyond(each, measure) for each in plain)
        wrong = {
            name: fmean(is_beyond(measure_exposure(rgb), measure) for rgb in made)
            for name, made in spoil(previews[::2], measure)
        }
        rows.append(
            (
                f"{measure}, {limit:g}",
                f"{flagged} of {len(plain)}",
                ", ".join(f"{k}: {100 * v:.0f} %" for k, v in wrong.items()),
            )
        )
        found[measure] = {"flagged": flagged, **wrong}
    print_table(rows)
    return found


def is_beyond(light: Exposure, measure: str) -> bool:
    """Whether a photo is beyond the limit of a measure."""
    value = getattr(light, measure)
    return bool(value > LIMITS[measure] if measure == "white" else value < LIMITS[measure])


def spoil(previews: Sequence[Rgb], measure: str) -> Iterator[tuple[str, list[Rgb]]]:
    """The photos made wrong in the way that a measure is about, step by step."""
    if measure == "contrast":
        for fraction in FRACTIONS:
            yield f"contrast 1/{fraction}", [reduce_contrast(rgb, 1 / fraction) for rgb in previews]
        return
    sign = 1 if measure == "white" else -1
    for stops in STOPS:
        yield f"{sign * stops:+} stops", [expose(rgb, sign * stops) for rgb in previews]


def expose(rgb: Rgb, stops: float) -> Rgb:
    """The picture with its linear light multiplied by 2^stops."""
    share = rgb / 255
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) * 2.0**stops
    light = light.clip(0, 1)
    encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * encoded), dtype=np.uint8)


def reduce_contrast(rgb: Rgb, factor: float) -> Rgb:
    """The picture with all differences from its mean value reduced."""
    mean = rgb.mean()
    return np.asarray(np.rint(mean + (rgb - mean) * factor), dtype=np.uint8)


# ---- the command line ----


def measure(options: argparse.Namespace) -> None:
    """What the options ask for."""
    if options.dataset is None and options.photos is None:
        raise UsageError("nothing to measure: --dataset NAME --data-root DIR, or --photos DIR, or both")
    found: dict[str, object] = {"model": options.model}
    if options.dataset is not None:
        found["promise"] = measure_promise(options)
    if options.photos is not None:
        found["light"] = measure_light(options.photos, options.model)
    if options.json is not None:
        write_json(options.json, found)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = make_parser("gate", __doc__)
    parser.add_argument("--dataset", metavar="NAME", help="a rated set")
    parser.add_argument(
        "--data-root", type=Path, action="append", default=[], metavar="DIR", help="where it is, else $IQA_DATA"
    )
    parser.add_argument("--good", type=float, default=0.6, metavar="SHARE", help="of its photos, the best; .6 unless said")
    parser.add_argument("--bad", type=float, default=0.2, metavar="SHARE", help="of its photos, the worst; .2 unless said")
    parser.add_argument("--false-reject", type=float, default=0.05, metavar="SHARE", help="as of iqa gate; .05 unless said")
    parser.add_argument("--false-review", type=float, default=0.10, metavar="SHARE", help="as of iqa gate; .1 unless said")
    parser.add_argument("--rounds", type=read_count, default=200, metavar="N", help="calibrations; 200 unless said")
    parser.add_argument("--seed", type=read_seed, default=0, metavar="N", help="of the first round")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="clean photos, whose light is measured")
    return run_whole(measure, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
