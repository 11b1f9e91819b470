"""Whoever is measured on what it has seen is told so, neither less nor more than its card lets one know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from conftest import CARD

from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.evaluation.contamination import find_contamination
from iqa_cli.models.card import ModelCard
from iqa_cli.models.find import find_cards

Facts = dict[str, Any]
UNLABELED = [{"images": 1200, "source": "mine"}]
LIVEC, KONIQ, LIVE, TID = (DATASETS[name] for name in ("livec", "koniq10k", "live", "tid2013"))


def make_card(name: str, *rated: Facts, **training: list[Facts]) -> ModelCard:
    return replace(CARD, name=name, training={"trained_on": list(rated), **training})


def on(name: str, images: int, title: str = "some title") -> Facts:
    return {"set": name, "images": images, "title": title, "licence": "some terms", "paper": "some paper"}


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
    training = find_contamination(make_card("m", on("livec", trained)))
    assert training.describe(LIVEC, measured) == said
    assert training.describe(KONIQ, measured) == ""


def test_the_released_models_that_learnt_from_livec_say_so() -> None:
    cards = list(find_cards())
    assert cards
    for card in cards:
        assert [(facts.set, facts.images) for facts in card.provenance.trained_on] == [("livec", 744), ("biq2021", 5270)]
        said = "trained on these images (at least 744 of 1,162)"
        assert find_contamination(card, cards).describe(LIVEC, LIVEC.images) == said


def test_a_blend_lists_all_that_its_members_saw() -> None:
    training = find_contamination(make_card("blend", on("livec", 500), on("koniq10k", 9000), on("livec", 930)))
    assert training.own == {"livec": 930, "koniq10k": 9000}
    assert training.only_set is None


def test_only_one_set_and_nothing_besides() -> None:
    assert find_contamination(make_card("m", on("livec", 930))).only_set == "livec"
    assert find_contamination(make_card("m", on("livec", 930), unlabeled=UNLABELED)).only_set is None
    assert find_contamination(make_card("m", unlabeled=UNLABELED)).only_set is None


def test_a_student_has_seen_what_its_teacher_saw() -> None:
    teacher = make_card("old", on("livec", 1162))
    student = make_card("new", teachers=[{"name": "old", "summary": "a large network"}], unlabeled=UNLABELED)
    assert find_contamination(student, [teacher]).describe(LIVEC, 1162) == "its teacher was trained on these images"
    assert find_contamination(student, [teacher]).describe(KONIQ, 99) == ""
    assert find_contamination(student).describe(KONIQ, 99) == "the training of its teacher old is not known here"


def test_sets_that_share_references_leak() -> None:
    training = find_contamination(make_card("m", on("tid2013", 2400)))
    assert training.describe(LIVE, 779) == f"trained on {TID.title}, which has the same reference photos"
    assert training.describe(DATASETS["csiq"], 866) == ""


def test_a_card_that_says_nothing() -> None:
    assert find_contamination(make_card("m")).describe(LIVEC, 1162) == "its card does not say what it was trained on"


def test_ratings_of_ones_own_are_known_by_their_title() -> None:
    own = replace(LIVEC, name="livec", title="the ratings in livec.csv", home="", images=50)
    training = find_contamination(make_card("m", on("csv", 50, own.title)))
    assert training.describe(own, 50) == "trained on these images"
    assert training.describe(LIVEC, 50) == ""  # of the same name, yet another set


@pytest.mark.parametrize("wrong", [{"trained_on": ["LIVE-C: 930 images"]}, {"teachers": [{"who": "me"}]}, {"unlabeled": 3}])
def test_a_provenance_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        replace(CARD, training=wrong)


def test_what_older_cards_said_in_sentences_is_not_known() -> None:
    card = replace(CARD, training={"data": [f"{LIVEC.title}: 930 images; terms"]})
    assert find_contamination(card).describe(LIVEC, 1162) == "its card does not say what it was trained on"
