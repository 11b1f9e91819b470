"""`iqa explain`: options, one core call, exit code."""

from __future__ import annotations

import os
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.explaining.flags import ExplainFlags
from iqa_cli.cli.flags.inputs import list_inputs
from iqa_cli.cli.flags.shared import STREAM, NetworkFlags, spread
from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.atomic import open_stdout, open_target
from iqa_cli.files.outputs import Output, check_outputs, is_plot
from iqa_cli.files.replacing import shorten
from iqa_cli.remote.names import split_member
from iqa_cli.scoring.writers import describe_record, encode_json, list_columns

if TYPE_CHECKING:
    from iqa_cli.scoring.explaining import Explanation

EXIT_CODES = (
    "Exit codes: 0 every photo is explained, 1 some photo has no score (it is said why), or some folder or file cannot be read,"
    " 2 usage, 3 model, 4 files."
)
KIND = "a picture of iqa explain"
LONGEST = 240  # bytes of a photo's name to which a number and an ending may come


@spread
def explain(*, flags: ExplainFlags, runtime: NetworkFlags) -> None:
    """Why does a photo have its score? What is wrong with it, what to do about it, and where it loses quality.

    A page a photo: score, percentile, uncertainty, and the reasons with what was measured.

    -o draws the photo beside a map: red parts score lower than the photo's average, blue ones higher.

    The map is made of the scores of windows that overlap, so it takes as long as scoring some forty photos.

    $ iqa explain photo.jpg

    $ iqa explain photo.jpg -o map.png

    $ iqa explain photos/*.jpg -o maps --json > explained.jsonl
    """
    raise typer.Exit(run_explain(flags, runtime))


def run_explain(flags: ExplainFlags, runtime: NetworkFlags) -> int:
    """Explain photos: the exit code. What is done is kept, however the run ends."""
    if flags.json and flags.output == STREAM:
        raise UsageError("only one of --json and -o can be stdout")
    from iqa_cli.remote.find import list_photos
    from iqa_cli.scoring.sources import name_source
    from iqa_cli.scoring.tally import Tally

    tally = Tally()
    photos = list(list_photos(flags.paths, tally))
    names = [name_source(photo) for photo in photos]
    whole = len(flags.paths) == 1 and not Path(flags.paths[0]).is_dir() and not flags.names_folder
    pictures = name_pictures(names, flags.output, whole=whole)
    written = [Output(path, "--output", KIND, is_plot) for path in pictures if path not in (None, STREAM)]
    check_outputs(written, list_inputs(names, None, flags.model), force=flags.force)
    make_folder(flags.output, pictures)
    from iqa_cli.cli.views.terminal import print_warnings
    from iqa_cli.library import Scorer

    failed = False
    with (
        interrupts.raised(),
        Scorer(flags.model, backend=runtime.backend, device=runtime.device, crops=runtime.crops) as scorer,
    ):
        for photo, picture in zip(photos, pictures, strict=True):
            found = scorer.explain(photo)
            failed |= found.map is None
            if picture is not None and found.map is not None:  # before the page, of which perhaps nobody reads all
                with open_target(picture) as target:
                    target.write(draw_picture(found))
            show_explanation(found, flags, picture)
    print_warnings(tally.list_warnings())
    return int(failed or bool(tally.unseen))


def name_pictures(photos: list[str], output: Path | None, *, whole: bool) -> list[Path | None]:
    """Where the picture of each photo goes. whole: output is a file. Names that come twice get a number, long ones are cut."""
    if output is None or (whole and len(photos) == 1 and not output.is_dir()):
        return [output] * len(photos)
    if output == STREAM:
        raise UsageError("of several photos no picture can go to stdout: name a folder with -o")
    names: dict[Path | None, None] = {}  # in order
    for photo in photos:
        inside = split_member(photo)
        own = Path(photo if inside is None else inside[1]).name
        own = own if len(os.fsencode(own)) <= LONGEST else shorten(own)
        name, number = output / f"{own}.png", 2
        while name in names:
            name, number = output / f"{own}.{number}.png", number + 1
        names[name] = None
    return list(names)


def make_folder(output: Path | None, pictures: list[Path | None]) -> None:
    """Make the folder that pictures go to. Raises DataError."""
    if output is None or output in pictures:
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{output}: cannot make the folder: {error.strerror}") from error


def show_explanation(found: Explanation, flags: ExplainFlags, picture: Path | None) -> None:
    """One photo, on stdout, which the picture may have."""
    if flags.json:
        open_stdout().write(encode_json(describe_explanation(found)) + b"\n")
    elif picture != STREAM:
        from iqa_cli.cli.explaining.page import print_page

        print_page(found, picture)


def describe_explanation(found: Explanation) -> dict[str, Any]:
    """An explanation as JSON data: the record, all measurements, the reasons in words, the map, row by row, and the patches."""
    from dataclasses import asdict

    from iqa_cli.explain.reasons import KINDS

    record = describe_record(found.record, list_columns(detail=True, reasons=True))
    words = [{"sentence": KINDS[reason.code].sentence, "advice": KINDS[reason.code].advice} for reason in found.reasons]
    values = record.pop("reason_values") or []
    return {
        **record,
        "reason_values": [value | said for value, said in zip(values, words, strict=True)],
        "measured": {name: round(value, 4) for name, value in found.measured.items()},
        "map": None if found.map is None else [[round_point(value) for value in row] for row in found.map.tolist()],
        "patches": [asdict(patch) for patch in found.patches],
    }


def round_point(value: float) -> float | None:
    """A point of the map as JSON has it; null where nothing is known."""
    return round(value, 2) if isfinite(value) else None


def draw_picture(found: Explanation) -> bytes:
    """The picture of a photo that has a score."""
    from iqa_cli.cli.explaining.page import name_reasons, show_score
    from iqa_cli.cli.views.terminal import show
    from iqa_cli.explain.picture import Page, draw_page

    record = found.record
    assert found.map is not None
    assert found.picture is not None
    size = record.width or 0, record.height or 0
    lines = [show_score(record), name_reasons(found)]
    return draw_page(Page(found.picture, found.map, show(record.path), lines, found.patches, size))
