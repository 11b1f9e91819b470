"""The published figures are the papers', belong to sets of the catalogue, and stand beside figures of one protocol only."""

from __future__ import annotations

import pytest

from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.evaluation.protocol import Protocol
from iqa_cli.evaluation.published import PAPERS, ROWS, find_published


@pytest.mark.parametrize(
    ("dataset", "figures"),
    [
        ("livec", [(0.891, 0.913), (0.875, 0.894), (0.876, 0.899), (0.914, 0.926)]),
        ("koniq10k", [(0.922, 0.936), (0.921, 0.934), (0.932, 0.944), (0.941, 0.954)]),
        ("spaq", [(0.920, 0.924), (0.919, 0.923), (0.925, 0.928), (0.928, 0.933)]),
        ("livefb", [(0.567, 0.667), (0.571, 0.663), (0.578, 0.679), (0.585, 0.690)]),
        ("tid2013", [(None, 0.932), (0.892, 0.908), (0.869, 0.901)]),
        ("kadid10k", []),
    ],
)
def test_golden_figures_of_splits(dataset: str, figures: list[tuple[float | None, float]]) -> None:
    rows = find_published(dataset, Protocol.SPLITS)
    assert [(row.srcc, row.plcc) for row in rows] == figures
    assert [row.model for row in rows] == ["QFM-IQM", "DEIQT", "LoDa", "DR.Experts"][: len(rows)]


@pytest.mark.parametrize(
    ("trained_on", "dataset", "figures"),
    [("livec", "koniq10k", [0.744, 0.785]), ("koniq10k", "livec", [0.794, 0.841]), ("livec", "spaq", [])],
)
def test_golden_figures_across_sets(trained_on: str, dataset: str, figures: list[float]) -> None:
    rows = find_published(dataset, Protocol.CROSS, trained_on)
    assert [row.srcc for row in rows] == figures
    assert all(row.trained_on == trained_on and row.plcc is None for row in rows)


def test_protocols_are_never_mixed() -> None:
    assert find_published("livec", Protocol.CROSS) == []  # trained on what?
    assert find_published("livec", Protocol.CROSS, "livec") == []
    assert all((row.dataset == row.trained_on) == (row.protocol is Protocol.SPLITS) for row in ROWS)


def test_every_row_says_that_it_is_published_and_where() -> None:
    assert len(set(ROWS)) == len(ROWS) == 23
    for row in ROWS:
        assert {row.dataset, row.trained_on} <= DATASETS.keys()
        assert row.title == f"{row.model} (published)"
        assert "arXiv" in row.paper
        assert all(figure is None or 0.5 < figure < 1 for figure in (row.srcc, row.plcc))
    assert {row.model for row in ROWS} == PAPERS.keys()
