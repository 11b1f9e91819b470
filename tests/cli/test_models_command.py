"""`iqa models show`: all that a card says, for each model there is."""

from pathlib import Path

import pytest
from conftest import Run
from in_process import run_at_terminal

from iqa_cli.cli.views.models import BACKBONE_LICENCES, find_backbones
from iqa_cli.models.card import ModelCard
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


def test_an_unknown_model_names_those_there_are(iqa: Run) -> None:
    done = iqa("models", "show", "nonsense")
    assert done.returncode == 3
    assert b"no such model. Installed: qfm-iqm" in done.stderr
    assert iqa("models", "show").returncode == 2
