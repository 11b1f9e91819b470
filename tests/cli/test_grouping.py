"""`iqa score --group` as people call it."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from math import log2
from pathlib import Path

import numpy as np
import pytest
from conftest import CARD, Run, read_rows, toy_nodes, write_model
from in_process import run_at_terminal
from PIL import Image
from series import MAKERS, START, write_series

from iqa_cli.culling.grouping.groups import POINTS

pytestmark = pytest.mark.process
PHOTOS = Path(__file__).parents[1] / "photos"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series of each kind, a single photo, and one that is damaged."""
    top, moment = tmp_path_factory.mktemp("library"), START
    for number, (kind, photo) in enumerate(zip(MAKERS, ("coffee", "chelsea", "astronaut", "chelsea", "camera"), strict=True)):
        pixels = np.asarray(Image.open(PHOTOS / f"{photo}.jpg").convert("RGB"))
        frames = MAKERS[kind](pixels, np.random.default_rng(number), 2e5)
        *_, moment = write_series(top, kind, frames, moment + timedelta(seconds=8))
    (top / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    return top


def test_series_are_named_whatever_the_workers_and_the_cache(iqa: Run, model: Path, library: Path) -> None:
    first = iqa("score", library, "-m", model, "--group", "--workers", "1")
    rows = read_rows(first.stdout)
    kinds = {"burst": "burst", "bracket": "bracket", "stack": "focus-stack", "panorama": "panorama", "single": "", "cut": ""}
    for row in rows:
        kind = Path(row["path"]).stem.split("_")[0]
        assert (kind, row["group_kind"]) == (kind, kinds[kind])
        assert row["group"] == (str(library / f"{kind}_1.jpg") if kinds[kind] else "")
        assert bool(row["rank_in_group"]) == bool(row["best_of_group"]) == (kind == "burst")
    ranked = [int(row["rank_in_group"]) for row in rows if row["rank_in_group"]]
    assert sorted(ranked) == list(range(1, len(ranked) + 1))
    for flags in (("--workers", "4"), ("--no-cache",), ()):  # the last with scores from the cache
        again = iqa("score", library, "-m", model, "--group", *flags)
        assert again.stdout == first.stdout
    assert b"from the cache" in again.stderr


def test_detail_counts_beside_the_score_within_a_group(iqa: Run, model: Path, library: Path) -> None:
    rows = read_rows(iqa("score", library, "-m", model, "--group", "--detail").stdout)
    ranked = sorted((row for row in rows if row["rank_in_group"]), key=lambda row: int(row["rank_in_group"]))
    merits = [float(row["score"]) + POINTS * log2(float(row["native_detail"])) for row in ranked]
    assert all(one > other - 0.1 for one, other in pairwise(merits))  # as far as rounded figures tell
    plain = read_rows(iqa("score", library, "-m", model, "--group").stdout)
    assert [row["rank_in_group"] for row in plain] == [row["rank_in_group"] for row in rows]


def test_ranks_are_the_same_on_another_scale_of_the_model(iqa: Run, model: Path, library: Path, tmp_path: Path) -> None:
    card = replace(CARD, score_range=(0.0, 1.0), opinions=tuple(opinion / 100 for opinion in CARD.opinions))
    unit = write_model(tmp_path, toy_nodes(), card)
    wide, narrow = (read_rows(iqa("score", library, "-m", each, "--group").stdout) for each in (model, unit))
    assert [row["rank_in_group"] for row in wide] == [row["rank_in_group"] for row in narrow]


def test_scores_are_the_same_without_groups(iqa: Run, model: Path, library: Path) -> None:
    plain, grouped = (read_rows(iqa("score", library, "-m", model, *flags).stdout) for flags in ((), ("--group",)))
    assert [*plain[0]] == [*grouped[0]][:-4]
    assert [[*row.values()] for row in plain] == [[*row.values()][:-4] for row in grouped]


def test_groups_are_found_among_all_and_then_chosen_from(iqa: Run, model: Path, library: Path) -> None:
    whole = {row["path"]: row for row in read_rows(iqa("score", library, "-m", model, "--group").stdout)}
    done = iqa("score", library, "-m", model, "--group", "--top", "3")
    rows = read_rows(done.stdout)
    assert len(rows) == 4  # with the failure
    assert all(whole[row["path"]] == row for row in rows)


def test_a_terminal_shows_places(model: Path, library: Path) -> None:
    _, shown = run_at_terminal("score", library, "-m", model, "--group", columns=110)
    assert "Group" in shown
    assert "burst 1/" in shown
    assert "focus-stack of " in shown
    _, narrow = run_at_terminal("score", library, "-m", model, "--group", columns=60)
    assert "burst 1/" in narrow
    assert "━━━━━━" not in narrow.split("Percentile")[-1]  # no room for bars
