"""`iqa gate`: options, one core call, exit code."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.gate import CalibrationFlags, DecodingFlags, PhotoFlags, VerdictFlags
from iqa_cli.cli.flags.inputs import list_inputs, stopping
from iqa_cli.cli.flags.shared import STREAM, BatchFlags, spread
from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.atomic import open_target
from iqa_cli.files.outputs import Output, check_outputs, holds_json, identify, list_model_parts
from iqa_cli.options import DEFAULT_MODEL, ScoreOptions
from iqa_cli.scoring.writers import encode_json

if TYPE_CHECKING:
    from iqa_cli.gate.calibration import Judged
    from iqa_cli.gate.gate import Gate
    from iqa_cli.gate.policy import DecodingLimits, Policy
    from iqa_cli.gate.verdict import Verdict
    from iqa_cli.library import Scorer
    from iqa_cli.scoring.tally import Tally

EXIT_CODES = (
    "Exit codes: 0 every photo passes, 5 some photo fails or is to be reviewed, or some folder or file cannot be read,"
    " 2 usage or policy, 3 model, 4 files."
)
NOT_PASSED = 5
FIELDS = (
    *("schema_version", "path", "band", "message", "reasons", "values", "status", "detail", "thresholds", "model"),
    "model_sha256",
)
"""Of a verdict as JSON, see `verdict.describe_verdict`."""


@spread
def gate(
    *,
    photos: PhotoFlags,
    decoding: DecodingFlags,
    calibration: CalibrationFlags,
    verdicts: VerdictFlags,
    runtime: BatchFlags,
) -> None:
    """Is a photo good enough to be taken? Pass, review or fail, and what the uploader is to do.

    A policy says what is needed: size, score, percentile, detail at full size, light (too dark, too bright,
    hardly any contrast), and the reasons that are not allowed, as soft, noisy or not_photo: iqa explain shows them.

    At a terminal a line a photo; in a pipe JSON Lines with everything that decided: values, limits, reasons, model.

    The smallest policy: schema_version = 1, and a table \\[score] with fail_under = 30. All that there is, and the reasons:
    iqa_cli/gate/README.md in the source.

    $ iqa gate photo.jpg --policy policy.toml

    $ iqa gate --stdin --name upload.jpg --policy policy.toml < upload

    $ iqa gate --calibrate good bad --false-reject 0.02 -o policy.toml
    """
    if calibration.calibrate is not None:
        raise typer.Exit(run_calibration(photos, decoding, calibration, verdicts, runtime))
    if calibration.output or calibration.false_reject is not None or calibration.false_review is not None:
        raise UsageError("--output, --false-reject and --false-review are for --calibrate GOOD BAD")
    raise typer.Exit(run_gate(photos, decoding, verdicts, runtime))


def run_gate(photos: PhotoFlags, decoding: DecodingFlags, verdicts: VerdictFlags, runtime: BatchFlags) -> int:
    """Judge photos: the exit code. What is done is kept, however the run ends."""
    check_photos(photos)
    from iqa_cli.gate.policy import Band, read_policy

    policy = limit_decoding(read_policy(photos.policy or Path()), decoding)
    model = photos.model or policy.model or DEFAULT_MODEL
    inputs = [*list_inputs(photos.paths or [], None, model), photos.policy or Path()]
    if photos.stdin:
        inputs.append(0)
    if verdicts.jsonl not in (None, STREAM):
        kind = "JSON Lines of verdicts", holds_json(FIELDS, also=["path_base64"])
        check_outputs([Output(verdicts.jsonl, "--jsonl", *kind)], inputs, force=verdicts.force)
    from iqa_cli.cli.views import gate as gate_view
    from iqa_cli.cli.views import terminal
    from iqa_cli.gate.gate import Gate
    from iqa_cli.scoring.tally import Tally

    counts, tally = gate_view.Counts(), Tally()
    with interrupts.raised(), ExitStack() as stack:
        scorer = open_scorer(model, runtime, policy.decoding, policy.needs)
        opened = Gate(policy, stack.enter_context(scorer))
        write = stack.enter_context(open_output(verdicts.jsonl, opened))
        try:
            for verdict in judge(opened, photos, tally):
                write(verdict)
                counts.add(verdict)
        finally:
            if not verdicts.quiet and counts.bands:
                terminal.print_notes([*counts.describe(), *filter(None, [tally.describe_left_out()])])
    terminal.print_warnings(tally.list_warnings())
    return NOT_PASSED if counts.bands.total() > counts.bands[Band.PASS] or tally.unseen else 0


def check_photos(photos: PhotoFlags) -> None:
    """Raises UsageError where nobody could say what is to be judged, or by what."""
    if photos.policy is None:
        raise UsageError("by which policy? Say so with --policy FILE, or make one with --calibrate GOOD BAD")
    if photos.stdin == bool(photos.paths):
        raise UsageError("name photos, or give the bytes of one with --stdin: one of both")
    if photos.name is not None and not photos.stdin:
        raise UsageError("--name is for the photo on stdin")


def limit_decoding(policy: Policy, flags: DecodingFlags) -> Policy:
    """The policy with the limits of the command line in place of its own."""
    given = {name: limit for name, limit in asdict(flags).items() if limit is not None}
    return replace(policy, decoding=replace(policy.decoding, **given))


def open_scorer(model: str, runtime: BatchFlags, limits: DecodingLimits, needs: Mapping[str, Any]) -> Scorer:
    """What scores the photos. needs: as of `Policy.needs`. Raises UsageError and WeightsError."""
    from iqa_cli.library import Scorer

    return Scorer(
        model,
        backend=runtime.backend,
        device=runtime.device,
        crops=runtime.crops,
        workers=runtime.workers,
        batch_size=runtime.batch_size,
        max_pixels=limits.max_pixels,
        timeout=ScoreOptions.timeout if limits.timeout is None else limits.timeout,
        **needs,
    )


def judge(opened: Gate, photos: PhotoFlags, tally: Tally) -> Iterator[Verdict]:
    """A verdict a photo; what else there is goes into the tally. Raises DataError where there is no photo."""
    if photos.stdin:
        with open(0, "rb", closefd=False) as stream:
            data = stream.read()
        yield opened.judge(data, name=photos.name or "<stdin>")
        return
    from iqa_cli.remote.find import list_photos, read_ahead

    with stopping() as stop:
        yield from opened.judge_many(read_ahead(list_photos(photos.paths or [], tally, stop)))


@contextmanager
def open_output(jsonl: Path | None, opened: Gate) -> Iterator[Callable[[Verdict], None]]:
    """What writes verdicts: JSON Lines into a file or on stdout, or lines for people at a terminal. Raises DataError."""
    from iqa_cli.cli.views.gate import VerdictLines
    from iqa_cli.gate.verdict import describe_verdict

    if jsonl is None and sys.stdout.isatty():
        yield VerdictLines().write
        return
    with open_target(jsonl or STREAM) as target:
        yield lambda verdict: target.write(encode_json(describe_verdict(verdict, opened.policy)) + b"\n")


# ---- calibration ----


def run_calibration(
    photos: PhotoFlags, decoding: DecodingFlags, flags: CalibrationFlags, verdicts: VerdictFlags, runtime: BatchFlags
) -> int:
    """Propose a policy: the exit code."""
    if photos.paths or photos.policy or photos.stdin or photos.name or verdicts.jsonl:
        raise UsageError("--calibrate GOOD BAD makes a policy: photos, --policy, --stdin and --jsonl are for using one")
    from iqa_cli.explain.light import SIDE
    from iqa_cli.gate.calibration import Promise, calibrate
    from iqa_cli.gate.policy import Policy
    from iqa_cli.gate.proposal import describe_rates, is_proposal, write_proposal

    given = {"false_reject": flags.false_reject, "false_review": flags.false_review}
    promise = Promise(**{name: share for name, share in given.items() if share is not None})
    good, bad = flags.calibrate or (Path(), Path())
    model = photos.model or DEFAULT_MODEL
    if flags.output not in (None, STREAM):
        output = Output(flags.output, "--output", "a policy that iqa has proposed", is_proposal)
        check_outputs([output], [good, bad, *list_model_parts(model)], force=verdicts.force)
    check_apart(good, bad)
    limits = limit_decoding(Policy(), decoding).decoding
    with interrupts.raised(), open_scorer(model, runtime, limits, {"preview": SIDE, "reasons": True}) as scorer:
        both = [list(measure_photos(scorer, folder)) for folder in (good, bad)]
        found = calibrate(both[0], both[1], promise, model, scorer.sha256)
        found = replace(found, policy=replace(found.policy, decoding=limits))
    with open_target(flags.output or STREAM) as target:
        target.write(write_proposal(found).encode())
    if not verdicts.quiet:
        from iqa_cli.cli.views.terminal import print_notes

        print_notes(describe_rates(found))
    return 0


def check_apart(good: Path, bad: Path) -> None:
    """Raises UsageError where a photo would count as good and as bad: one folder holds the other, or a link leads to both."""
    from iqa_cli.images.find import find_images

    remedy = "it would count as good and as bad: name two folders that have no photo in common"
    one, other = (Path(os.path.realpath(folder)) for folder in (good, bad))
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise UsageError(f"--calibrate {good} {bad}: a photo may lie in both, and {remedy}")
    known = {identify(photo): photo for photo in find_images([str(good)], Counter())}
    for photo in find_images([str(bad)], Counter()):
        place = identify(photo)
        if place is not None and place in known:
            raise UsageError(f"{photo}: this is the same photo as {known[place]}, and {remedy}")


def measure_photos(scorer: Scorer, folder: Path) -> Iterator[Judged]:
    """The photos in a folder, scored. Raises DataError where there are none, and where some cannot be looked at."""
    from iqa_cli.explain.light import measure_preview
    from iqa_cli.gate.calibration import Judged
    from iqa_cli.remote.find import list_photos, read_ahead
    from iqa_cli.scoring.tally import Tally, describe_counts

    tally = Tally()
    for record in scorer.score_many(read_ahead(list_photos([str(folder)], tally))):
        yield Judged(record, measure_preview(record.preview) if record.preview else None)
    if tally.unseen:
        raise DataError(f"{folder}: {describe_counts(tally.unseen)}: a policy would be made without the photos there")
