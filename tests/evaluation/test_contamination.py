"""Whoever is measured on what it has seen is told so, neither less nor more than its card lets one know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from conftest import CARD

from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.evaluation.contamination import read_training
from iqa_cli.models.card import ModelCard
from iqa_cli.models.find import find_cards

LIVEC, KONIQ, LIVE, TID = (DATASETS[name] for name in ("livec", "koniq10k", "live", "tid2013"))


def make_card(name: str, *data: str) -> ModelCard:
    training: dict[str, Any] = {"data": list(data)} if data else {}
    return replace(CARD, name=name, training=training)


def on(title: str, images: int) -> str:
    return f"{title}: {images} images; some terms; some paper"


@pytest.mark.parametrize(
    ("trained", "measured", "said"),
    [
        (1162, 1162, "trained on these images"),
        (930, 1162, "trained on these images (at least 930 of 1,162)"),
        (930, 930, "trained on these images (at least 698 of 930)"),
        (930, 232, "trained on images of this set, perhaps on these"),  # they may be the others
        (930, 233, "trained on these images (at least 1 of 233)"),
        (1, 2000, "trained on these images (at least 1 of 2,000)"),  # a set that has grown
    ],
)
def test_how_many_images_a_model_must_have_seen(trained: int, measured: int, said: str) -> None:
    training = read_training(make_card("m", on(LIVEC.title, trained)))
    assert training.describe(LIVEC, measured) == said
    assert training.describe(KONIQ, measured) == ""


def test_the_released_models_that_learnt_from_livec_say_so() -> None:
    cards = list(find_cards())
    trained = [card for card in cards if any(LIVEC.title in str(line) for line in card.training["data"])]
    assert trained
    for card in trained:
        assert "trained on" in read_training(card, cards).describe(LIVEC, LIVEC.images)


def test_a_blend_lists_all_that_its_members_saw() -> None:
    training = read_training(make_card("blend", on(LIVEC.title, 500), on(KONIQ.title, 9000), on(LIVEC.title, 930)))
    assert training.sets == {LIVEC.title: 930, KONIQ.title: 9000}
    assert training.only_set is None


def test_only_one_set_and_nothing_besides() -> None:
    assert read_training(make_card("m", on(LIVEC.title, 930))).only_set == "livec"
    assert read_training(make_card("m", on(LIVEC.title, 930), "1200 photos without labels: mine")).only_set is None
    assert read_training(make_card("m", "1200 photos without labels: mine")).only_set is None


def test_a_student_has_seen_what_its_teacher_saw() -> None:
    teacher = make_card("old", on(LIVEC.title, 1162))
    student = make_card("new", "the answers of old: a large network", "900 photos without labels: mine")
    assert read_training(student, [teacher]).describe(LIVEC, 1162) == "taught by a model that was trained on these images"
    assert read_training(student, [teacher]).describe(KONIQ, 99) == ""
    assert read_training(student).describe(KONIQ, 99) == "taught by old, whose training is not known here"


def test_sets_that_share_references_leak() -> None:
    training = read_training(make_card("m", on(TID.title, 2400)))
    assert training.describe(LIVE, 779) == f"trained on {TID.title}, which has the same reference photos"
    assert training.describe(DATASETS["csiq"], 866) == ""


def test_a_card_that_says_nothing() -> None:
    assert read_training(make_card("m")).describe(LIVEC, 1162) == "its card does not say what it was trained on"


def test_ratings_of_ones_own_are_known_by_their_title() -> None:
    own = replace(LIVEC, title="the ratings in mine.csv", images=50)
    training = read_training(make_card("m", on(own.title, 50)), (), own)
    assert training.describe(own, 50) == "trained on these images"
