"""`iqa pick`: options, one core call, exit code."""

from __future__ import annotations

import json
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.inputs import explain_patterns, find_span, name_inputs
from iqa_cli.cli.flags.pick import PhotoFlags, PickFlags, TransferFlags
from iqa_cli.cli.flags.score import STDIN, InputFlags, ModelFlags, OutputFlags, gather_scoring
from iqa_cli.cli.flags.shared import STREAM, BatchFlags, spread
from iqa_cli.errors import UsageError
from iqa_cli.images.find import expand_pattern
from iqa_cli.options import GROUP_PREVIEW, ScoreOptions
from iqa_cli.scoring.decode_protocol import start_worker

if TYPE_CHECKING:
    from iqa_cli.culling.picking.journal import Journal
    from iqa_cli.culling.picking.plan import Plan
    from iqa_cli.culling.picking.suggestions import Choice
    from iqa_cli.records import ScoreRecord

EXIT_CODES = (
    "Exit codes: 0 all is done, 1 some image has no score, some folder or file cannot be read, or some file stays where it was,"
    " 2 usage, 3 model, 4 files."
)

SPEED = ("batch_size", "workers", "cache")  # of ScoreOptions: those that change no score


@spread
def pick(*, images: PhotoFlags, choice: PickFlags, transfer: TransferFlags, model: ModelFlags, runtime: BatchFlags) -> None:
    """Suggest which photos to keep, and copy, move or link those.

    Nothing is done without --apply. Suggestions are pick, alternate and reject candidate, each with its reason.

    Brackets, focus stacks and panoramas are kept whole, and count as one. Sidecars and other formats of a shot go along.

    A photo whose name is taken in DIR stays where it is, with all that belongs to it, as do photos without a score.

    An undo file in DIR takes everything back, and with photos that were moved what was made beside them since.

    A run that was cut short goes on when called again, but for a list on stdin.

    $ iqa pick photos

    $ iqa pick photos --keep 20% --best-of-groups --to best --copy --apply

    $ iqa pick photos --best-of-groups --list -0 | xargs -0 exiftool -Rating=4

    $ iqa pick --undo best/iqa-pick-1.undo
    """
    if transfer.undo is not None:
        transfer.refuse_more(images, choice, model, runtime)
        raise typer.Exit(run_undo(transfer.undo, quiet=transfer.quiet))
    images.refuse_elsewhere()
    paths = [path for named in images.paths or [] for path in expand_pattern(named)]
    options = replace(gather_scoring(images, model, runtime, OutputFlags()), preview=GROUP_PREVIEW, detail=True)
    raise typer.Exit(run_pick(options, replace(images, paths=paths), choice.gather(), transfer))


def run_pick(options: ScoreOptions, images: InputFlags, choice: Choice, flags: TransferFlags) -> int:
    """Score the images, say what is suggested, and do it if that is wanted: the exit code."""
    from iqa_cli.cli.views import pick as view
    from iqa_cli.culling.picking.suggestions import Advice, suggest

    action = flags.find_action()
    request = describe_request(options, images, choice, flags)
    if flags.to is not None and flags.apply and (journal := find_unfinished(flags.to, request)):
        return run_transfer(journal, quiet=flags.quiet)
    span = find_span(options)
    records, failed = score_groups(options, images, flags, span)
    suggestions = suggest(records, choice, span)
    picks = [suggestion.record.path for suggestion in suggestions if suggestion.advice is Advice.PICK]
    if flags.paths_only:
        view.print_paths(picks, null=images.null)
        return failed
    plan = make_plan(picks, images, flags) if action is not None else None
    view.print_suggestions(suggestions, plan)
    if not flags.quiet:
        view.print_summary(suggestions, plan, apply=flags.apply)
    view.print_refused(plan.refused if plan else {})
    refused = int(bool(plan and plan.refused))
    if plan is not None and flags.apply and plan.units:
        refused |= run_transfer(write_plan(plan, request), quiet=flags.quiet)
    return failed | refused


# ---- scores ----


def score_groups(options: ScoreOptions, images: InputFlags, flags: TransferFlags, span: float) -> tuple[list[ScoreRecord], int]:
    """The records with their places in groups, and 1 where some have no score. span: of the model's scale."""
    paths = images.paths or []
    inputs = name_inputs(paths, images.files_from, null=images.null)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in `score`
    with closing(start_worker()) as worker:
        from iqa_cli.cli.views import terminal
        from iqa_cli.culling.grouping.groups import Grouping
        from iqa_cli.images.find import find_images
        from iqa_cli.scoring import pipeline
        from iqa_cli.scoring.tally import Tally

        with interrupts.raised():
            tally, groups = Tally(), Grouping(span)
            tally.notes += explain_patterns(paths)
            tally.warnings += describe_damaged(flags)
            found = find_images(inputs, tally.left_out, pipeline.filter_names(options))
            with terminal.follow(tally, [], quiet=flags.quiet, count=None, held=True) as hide:
                pipeline.score_all(draw_once(found, flags.to, tally.left_out), options, groups.add, tally, worker)
                hide()
                records = groups.finish()
    return records, tally.exit_code


def draw_once(paths: Iterable[str], folder: Path | None, left_out: Counter[str]) -> Iterator[str]:
    """Each file once, by whatever names it comes, its own rather than a link's, and none in the folder where picks go."""
    inside = None if folder is None else os.path.join(os.path.realpath(folder), "")  # noqa: PTH118
    found = [(path, os.path.realpath(path)) for path in paths]
    names: dict[str, str] = {}
    for path, real in found:
        if real not in names or rank_name(path, real) < rank_name(names[real], real):
            names[real] = path
    for path, real in found:
        if inside is not None and real.startswith(inside):
            left_out["already among the picks"] += 1
        elif names.get(real) == path:
            names.pop(real)
            yield path
        else:
            left_out["named twice"] += 1


def rank_name(path: str, real: str) -> tuple[bool, bool]:
    """How near a name is to that of the file itself: before a link to it, and before one in a folder that is a link."""
    return os.path.islink(path), os.path.abspath(path) != real  # noqa: PTH100, PTH114


# ---- transfers ----


def describe_request(options: ScoreOptions, images: InputFlags, choice: Choice, flags: TransferFlags) -> dict[str, Any]:
    """What is asked for, as a journal keeps it: calling the same again goes on with it. Raises DataError."""
    paths = [path if path == STDIN else os.path.abspath(path) for path in images.paths or []]  # noqa: PTH100
    listed = describe_list(images)
    where = os.getcwd() if listed else ""  # noqa: PTH109  # where the paths of a list begin
    scoring = {name: value for name, value in asdict(options).items() if name not in SPEED}
    told = {"paths": paths, "list": listed, "null": images.null, "folder": where, "action": str(flags.find_action())}
    return dict(json.loads(json.dumps(told | scoring | asdict(choice))))  # as it will be read


def describe_list(images: InputFlags) -> str:
    """The hash of a list of paths, "-" for one that can be read once only, nothing without one. Raises DataError."""
    from iqa_cli.distributed.job import hash_list
    from iqa_cli.files.atomic import is_stream

    file = images.files_from
    if STDIN in (images.paths or []) or (file is not None and (file == STREAM or is_stream(file))):
        return STDIN
    return "" if file is None else hash_list(file)


def find_unfinished(folder: Path, request: dict[str, Any]) -> Journal | None:
    """The journal of the same request that was cut short. Raises UsageError for one of another request."""
    from iqa_cli.culling.picking import journal as journals

    for path in journals.find_unfinished(folder):
        journal = journals.read_journal(path)
        once = journal.request.get("list") == STDIN  # nobody knows whether such a list is the same
        if journal.request == request and not once:
            return journal
        again = "its list of paths cannot be read again:" if once else "call it again as it was, or"
        back = f"iqa pick --undo {shlex.quote(str(path))}"
        raise UsageError(f"{folder}: an earlier pick was cut short: {again} take it back: {back}")
    return None


def describe_damaged(flags: TransferFlags) -> list[str]:
    """What to say of undo files that cannot be read where photos are about to go: their picks may have been cut short."""
    from iqa_cli.culling.picking.journal import find_damaged

    damaged = find_damaged(flags.to) if flags.to is not None and flags.apply else {}
    return [f"{why}: whether its pick was cut short is not known" for why in damaged.values()]


def make_plan(picks: list[str], images: InputFlags, flags: TransferFlags) -> Plan:
    """What will become of the picks. Raises UsageError and DataError."""
    from iqa_cli.culling.picking.plan import check_space, plan_transfer

    action = flags.find_action()
    assert action is not None and flags.to is not None  # noqa: PT018  # as `run_pick` has seen
    roots = [path for path in images.paths or [] if os.path.isdir(path)]  # noqa: PTH112
    plan = plan_transfer(picks, roots, flags.to, action)
    check_space(plan)
    return plan


def write_plan(plan: Plan, request: dict[str, Any]) -> Journal:
    """The journal of a plan, on the disk. Raises DataError."""
    from iqa_cli.culling.picking.journal import write_journal
    from iqa_cli.culling.picking.transfer import make_folders

    journal = plan.start(request)
    make_folders(journal.folders)
    write_journal(journal)
    return journal


def run_transfer(journal: Journal, *, quiet: bool) -> int:
    """Carry out a journal: the exit code."""
    from iqa_cli.cli.views import pick as view
    from iqa_cli.culling.picking.transfer import carry_out

    with interrupts.raised(), view.follow_transfer(journal, quiet=quiet) as progress:
        outcome = carry_out(journal, progress)
    view.print_outcome(journal, outcome, quiet=quiet)
    return int(bool(outcome.refused))


def run_undo(path: Path, *, quiet: bool) -> int:
    """Take back what was done by an undo file: the exit code."""
    from iqa_cli.cli.views import pick as view
    from iqa_cli.culling.picking.journal import read_journal
    from iqa_cli.culling.picking.transfer import undo

    journal = read_journal(path)
    with interrupts.raised(), view.follow_transfer(journal, quiet=quiet, back=True) as progress:
        outcome = undo(journal, progress)
    view.print_undone(journal, outcome, quiet=quiet)
    return int(bool(outcome.refused))
