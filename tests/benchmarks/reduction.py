"""Do scores change where a large JPEG is decoded at a half, a quarter or an eighth of its size, as `iqa score` decodes it?

    python -m tests.benchmarks.reduction --photos DIR --model A [--model B] [--limit N] [--json FILE]

Each photo is scored from all its pixels and as the command decodes it; only large JPEGs count, which are decoded smaller for
that model. Printed are the median, the 95th percentile and the largest of the absolute changes of the score, in points of 0 to
100; SRCC and Kendall's tau between the two scores; how many pairs of photos stand in the other order, and by how many points
the scores of such a pair differed at most. The file of --json has all scores.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from iqa_cli.errors import DataError
from iqa_cli.evaluation.metrics import krcc, srcc
from iqa_cli.images.crops import cut_views, normalise
from iqa_cli.images.decode import decode_image

from .scored import (
    Floats,
    Model,
    find_photos,
    known,
    make_parser,
    open_models,
    print_table,
    run_whole,
    score_crops,
    show_figure,
    work_through,
    write_json,
)


@dataclass(frozen=True)
class Effect:
    """What reduced decoding does to one model's scores. None where fewer than two photos leave a figure undefined.

    photos: that were decoded smaller. median, high, most: of the absolute changes, in points; high is the 95th percentile.
    pairs: of photos; swapped: those in the other order; gap: points between two photos of such a pair, at most; 0 without any.
    """

    photos: int
    median: float
    high: float
    most: float
    srcc: float | None
    krcc: float | None
    pairs: int
    swapped: int
    gap: float


# ---- from photos to figures ----


def score_photo(models: Sequence[Model], path: str) -> Floats:
    """A photo's scores by each model [models, 2]: from all pixels, and as the command decodes it.

    Both are NaN where that is the same. Raises Undecodable.
    """
    given = np.full((len(models), 2), np.nan)
    whole = decode_image(path)
    for own, model in zip(given, models, strict=True):
        reduced = decode_image(path, crops=model.crops).piece
        if reduced.width < whole.width:
            crops = normalise(cut_views(reduced, model.crops), model.crops)
            own[:] = *model.score([whole.rgb]), *score_crops(model, [crops])
    return given


def score_photos(models: Sequence[Model], paths: Sequence[str], workers: int) -> tuple[list[str], Floats]:
    """The photos that could be decoded, and their scores [photos, models, 2]. Progress on stderr."""
    done = dict(work_through(lambda path: score_photo(models, path), paths, workers))
    return list(done), np.stack(list(done.values()))


def measure(given: Floats) -> Effect:
    """The effect on scores [photos, 2], whole and reduced. Raises DataError where no photo was reduced."""
    given = given[np.isfinite(given).all(axis=1)]
    if not len(given):
        raise DataError("none of the photos is a JPEG so large that it is decoded at a smaller size")
    whole, reduced = given.T
    median, high, most = np.percentile(np.abs(reduced - whole), [50, 95, 100]).tolist()
    rank, tau = (known(figure(whole, reduced)) if len(given) > 1 else None for figure in (srcc, krcc))
    gaps = find_swaps(whole, reduced)
    pairs = len(given) * (len(given) - 1) // 2
    return Effect(len(given), median, high, most, rank, tau, pairs, len(gaps), float(gaps.max(initial=0)))


def find_swaps(whole: Floats, reduced: Floats) -> Floats:
    """How many points lay between each two photos [swapped pairs] whose order changes; of a tie there is no order."""
    first, second = np.triu_indices(len(whole), 1)
    before, after = whole[first] - whole[second], reduced[first] - reduced[second]
    return np.abs(before[before * after < 0])


# ---- the command ----


def make_rows(names: Sequence[str], effects: Sequence[Effect]) -> list[list[str]]:
    """The table as text, header first."""
    rows = [["model", "photos", "median", "95 %", "most", "srcc", "krcc", "pairs", "swapped", "gap"]]
    for name, own in zip(names, effects, strict=True):
        moves = [show_figure(figure) for figure in (own.median, own.high, own.most)]
        ranks = [show_figure(figure, 5) for figure in (own.srcc, own.krcc)]
        rows.append([name, str(own.photos), *moves, *ranks, str(own.pairs), str(own.swapped), show_figure(own.gap)])
    return rows


def list_scores(given: Floats) -> list[list[float | None]]:
    """Scores [photos, 2] as JSON takes them; None where a photo is not decoded smaller."""
    return [[known(score) for score in pair] for pair in given.tolist()]


def run(options: argparse.Namespace) -> None:
    """Measure, print, write. Raises IqaError."""
    paths = find_photos(options.photos, options.prefix)[: options.limit]
    models = open_models(options.model)
    decoded, given = score_photos(models, paths, options.workers)
    effects = [measure(given[:, place]) for place in range(len(models))]
    sys.stdout.write(f"change of the score in points, {len(decoded)} photos, where they are decoded smaller\n")
    print_table(make_rows(options.model, effects))
    if options.json is not None:
        lists = {name: list_scores(given[:, place]) for place, name in enumerate(options.model)}
        figures = dict(zip(options.model, map(asdict, effects), strict=True))
        write_json(options.json, {"photos": decoded, "models": figures, "scores": lists})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    return run_whole(run, make_parser("How far scores move where large JPEGs are decoded smaller.").parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
