"""`iqa models show`: all that a card says, for each model there is."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CARD, Run
from in_process import run_at_terminal

from iqa_cli.cli.views.models import BACKBONE_LICENCES, describe_result, find_backbones
from iqa_cli.models.card import ModelCard, WeightFile, write_card
from iqa_cli.models.find import find_cards

RELEASED = list(find_cards())


@pytest.mark.parametrize("card", RELEASED, ids=lambda card: card.name)
def test_a_released_model_is_shown_with_its_terms(iqa: Run, card: ModelCard) -> None:
    done = iqa("models", "show", card.name)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    (difference,) = [result["mean_difference"] for result in card.results if "mean_difference" in result]
    for said in (
        card.name,
        card.summary,
        *(file.sha256 for file in card.files.values()),
        *card.limits,
        "licence of the code: Apache-2.0",
        f"licence of the weights: {card.licence}",
        "trained on: 744 images of LIVE In the Wild",
        "result on livec, 186 images: SRCC 0.8",
        "mirrored 0.",
        f"mean difference {difference:g}; agreement with",
        "printed by: ",
    ):
        assert said in text
    assert "see their source" not in text
    assert set(find_backbones(card.network)) <= set(BACKBONE_LICENCES)


def test_a_model_of_ones_own_is_shown_by_its_path(iqa: Run, model: Path) -> None:
    text = iqa("models", "show", model).stdout.decode()
    assert "name: toy" in text
    assert "trained on: unknown: the card does not say" in text
    assert "licence of the weights: CC0-1.0" in text


def test_at_a_terminal_it_is_a_page_that_fits(model: Path) -> None:
    code, shown = run_at_terminal("models", "show", model, columns=80)
    assert code == 0
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("figures", "shown"),
    [
        ({"srcc": {"value": None}}, ""),
        ({"srcc": None, "plcc": float("nan")}, ""),
        ({"srcc": {"median": 0.5, "low": None, "high": 0.7}}, "SRCC median 0.500"),
        ({"srcc": {"mean": "high", "value": 0.25, "low": 0.2, "high": 0.3}}, "SRCC 0.250 (0.200 to 0.300)"),
        ({"srcc": 0.5, "distortions": {"blur": {"srcc": None}, "noise": {"srcc": 0.75}}}, "SRCC 0.500, noise 0.75"),
        ({"srcc": True, "distortions": None, "moved": {"mirrored": {"median": [1]}}}, ""),
    ],
)
def test_figures_that_are_none_are_left_out(figures: dict[str, object], shown: str) -> None:
    assert list(describe_result({"dataset": "d", **figures})) == [("result on d", shown)]


def test_a_card_with_figures_that_are_none_is_shown(iqa: Run, tmp_path: Path) -> None:
    measured = ({"dataset": "d", "srcc": {"value": None}, "distortions": {"blur": {"srcc": None}}},)
    onnx = tmp_path / "toy.onnx"
    onnx.touch()
    card = write_card(replace(CARD, results=measured, files={"onnx": WeightFile.of(onnx)}), tmp_path)
    done = iqa("models", "show", card)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_unknown_model_names_those_there_are(iqa: Run) -> None:
    done = iqa("models", "show", "nonsense")
    assert done.returncode == 3
    assert b"no such model. Installed: qfm-iqm" in done.stderr
    assert iqa("models", "show").returncode == 2
