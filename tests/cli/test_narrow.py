"""Terminals of few columns: all that is told of a photo is there, however narrow the terminal."""

import re
import shutil
from pathlib import Path

import pytest
from in_process import run_at_terminal

from iqa_cli.cli.views.terminal import shorten
from iqa_cli.models.find import find_cards

NUMBERS = ("Score", "Percentile", "Detail", "Real MP")


@pytest.fixture
def own(photos: Path, tmp_path: Path) -> Path:
    """Photos of which two are of one view, and one that is none."""
    folder = tmp_path / "a-folder-of-some-photos"
    folder.mkdir()
    for name in ("01.jpg", "02.jpg"):
        shutil.copy(photos / name, folder)
    shutil.copy(photos / "01.jpg", folder / "01-again.jpg")
    (folder / "bad.jpg").write_bytes(b"no photo")
    return folder


def read_words(shown: str) -> str:
    """What stands in the lines, wherever they were broken."""
    return " ".join(shown.split())


@pytest.mark.parametrize("options", [[], ["--group"], ["--detail"], ["--detail", "--group"]])
@pytest.mark.parametrize("columns", [20, 26, 40, 60, 77, 78, 100])
def test_a_path_stands_in_a_line_beside_or_below_its_numbers(model: Path, own: Path, columns: int, options: list[str]) -> None:
    code, shown = run_at_terminal("score", own, "--model", model, "--quiet", "--no-cache", *options, columns=columns)
    assert code == 1
    lines = [line.rstrip() for line in shown.splitlines()]
    assert max(map(len, lines)) <= columns
    for name in ("01.jpg", "01-again.jpg", "02.jpg", "bad.jpg"):
        ends = [line for line in lines if line.endswith(name[-8:])]
        assert ends, shown
        assert all(len(line.split("  ")[-1]) >= 16 for line in ends), shown  # enough of it to tell files apart
    told = read_words(shown)
    assert "unsupported" in told
    assert "not an image" in told
    assert told.count("duplicates") == (2 if "--group" in options else 0)
    for title in NUMBERS[: 4 if "--detail" in options else 2]:
        assert title in told
    assert len(re.findall(r"\b\d\d?\.\d\d\b", told)) == (6 if "--detail" in options else 3)  # scores, and megapixels


@pytest.mark.parametrize("columns", [20, 40, 57, 58])
def test_reasons_of_suggestions_stay(model: Path, own: Path, columns: int) -> None:
    code, shown = run_at_terminal("pick", own, "--model", model, "--quiet", "--no-cache", columns=columns)
    assert code == 1
    assert "…" not in re.sub(r"\S*…\S*jpg", "", shown)  # but in paths
    told = read_words(shown)
    for words in ("pick", "alternate", "unsupported", "02.jpg", "bad.jpg"):
        assert words in told
    assert {"not", "an", "image"} <= {*told.split()}
    assert len(re.findall(r"\b\d\d?\.\d\d\b", told)) == 3


@pytest.mark.parametrize("width", [-1, 0, 1, 2, 3])
def test_next_to_no_room_is_enough_for_a_sign(width: int) -> None:
    assert "…" in shorten("a-folder/photo.jpg", width)
    assert len(shorten("a-folder/photo.jpg", width)) <= max(width, 1)


def test_the_worst_so_far_is_named(model: Path, own: Path) -> None:
    _, shown = run_at_terminal("score", own, "--model", model, "--no-cache", "--csv", own / "out.csv", columns=24)
    assert re.search(r"worst so far: [\d.]+ *\r?\n\S{6,}….*\.jpg", shown), shown


@pytest.mark.parametrize("columns", [24, 40])
def test_tables_of_many_columns_become_lines(columns: int) -> None:
    code, shown = run_at_terminal("datasets", columns=columns)
    assert code == 0
    assert "…" not in shown
    assert re.search(r"^set +KonIQ-10k *$", shown.replace("\r", ""), re.MULTILINE)
    _, shown = run_at_terminal("models", columns=columns)
    assert len(re.findall(r"^licence +\w", shown.replace("\r", ""), re.MULTILINE)) == len([*find_cards()])
