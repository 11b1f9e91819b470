"""Whoever is measured on what it has seen is told so, neither less nor more than its card lets one know."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import CARD

from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.datasets.own import SAMPLE, OwnSpec, hash_names, read_own_labels, sample_names, shares_names
from iqa_cli.datasets.readers import Rating
from iqa_cli.evaluation.contamination import find_contamination
from iqa_cli.models.card import ModelCard
from iqa_cli.models.find import find_cards
from iqa_cli.models.provenance import Provenance, RatedImages, join_provenances
from iqa_cli.options import OwnRatings

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
        assert sorted((facts.set, facts.images) for facts in card.provenance.trained_on) == [("biq2021", 5270), ("livec", 744)]
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


def test_a_teacher_s_own_teachers_count_too() -> None:
    first = make_card("first", on("livec", 1162))
    second = make_card("second", on("koniq10k", 99), teachers=[{"name": "first"}])
    student = make_card("new", teachers=[{"name": "second"}], unlabeled=UNLABELED)
    assert find_contamination(student, [first, second]).describe(LIVEC, 1162) == "its teacher was trained on these images"
    assert find_contamination(student, [first, second]).describe(LIVE, 779) == ""
    assert find_contamination(student, [second]).describe(LIVEC, 1162) == "the training of its teacher second is not known here"
    turned = make_card("first", on("livec", 1162), teachers=[{"name": "second"}])  # of another version
    assert find_contamination(student, [turned, second]).describe(LIVE, 779) == ""


def test_what_a_model_began_with_is_not_always_known() -> None:
    begun = [{"name": "net.safetensors", "sha256": "ab", "known": False}, {"name": "old", "sha256": "cd", "known": True}]
    card = make_card("m", on("livec", 1162), initial_models=begun)
    said = "it began with net.safetensors, whose training is not known"
    assert find_contamination(card).describe(KONIQ, 99) == said
    assert find_contamination(card).describe(LIVEC, 1162) == "trained on these images"
    assert find_contamination(card).only_set is None
    known = make_card("m", on("livec", 1162), initial_models=begun[1:])
    assert find_contamination(known).describe(KONIQ, 99) == ""
    assert find_contamination(known).only_set == "livec"
    student = make_card("new", teachers=[{"name": "m"}])
    assert find_contamination(student, [card]).describe(KONIQ, 99) == "the training of its teacher m is not known here"
    both = join_provenances([card.provenance, known.provenance])
    assert [initial.name for initial in both.initial_models] == ["net.safetensors", "old"]


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
    said = "trained on other ratings of one's own, perhaps on these images: its card cannot tell"
    assert training.describe(LIVEC, 50) == said  # of the same name, yet another set


# ---- ratings of one's own ----


def write_ratings(path: Path, rows: dict[str, float]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("image,score\n" + "".join(f"{name},{value}\n" for name, value in rows.items()))
    return path


def read_spec(path: Path) -> OwnSpec:
    spec = read_own_labels(OwnRatings(path), allow_missing=True).spec
    assert isinstance(spec, OwnSpec)
    return spec


def train_on(*specs: OwnSpec) -> ModelCard:
    """The card of a model that was trained on all images of some ratings of one's own."""
    rated = [RatedImages("csv", spec.images, spec.title, digest=spec.digest, names=sample_names(spec.names)) for spec in specs]
    return make_card("m", *map(asdict, rated))


ROWS = {f"{number}.png": float(number) for number in range(40)}


def test_the_same_ratings_are_known_however_their_path_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = train_on(read_spec(write_ratings(tmp_path / "a" / "ratings.csv", ROWS)))
    monkeypatch.chdir(tmp_path / "a")
    assert find_contamination(card).describe(read_spec(Path("ratings.csv")), 40) == "trained on these images"
    backwards = write_ratings(tmp_path / "b" / "other.csv", dict(reversed(ROWS.items())))
    assert find_contamination(card).describe(read_spec(backwards), 40) == "trained on these images"
    student = make_card("new", teachers=[{"name": "m"}])
    assert find_contamination(student, [card]).describe(read_spec(backwards), 40) == "its teacher was trained on these images"


def test_files_of_one_name_are_not_the_same_ratings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = {f"other{name}": value for name, value in ROWS.items()}
    for folder, rows in (("a", ROWS), ("b", others)):
        write_ratings(tmp_path / folder / "ratings.csv", rows)
    monkeypatch.chdir(tmp_path / "a")
    card = train_on(read_spec(Path("ratings.csv")))
    monkeypatch.chdir(tmp_path / "b")
    assert find_contamination(card).describe(read_spec(Path("ratings.csv")), 40) == ""


@pytest.mark.parametrize(
    "rows",
    [
        {name: value + 1 for name, value in ROWS.items()},
        {"0.png": 0.0, "new.png": 1.0},
        {f"elsewhere/{name}": value for name, value in ROWS.items()},
        {f"C:\\elsewhere\\{name}": value for name, value in ROWS.items()},
    ],
)
def test_images_of_the_same_names_may_be_the_same(tmp_path: Path, rows: dict[str, float]) -> None:
    card, spec = (
        train_on(read_spec(write_ratings(tmp_path / "a.csv", ROWS))),
        read_spec(write_ratings(tmp_path / "b.csv", rows)),
    )
    assert find_contamination(card).describe(spec, len(rows)) == "trained on images of the same names, perhaps on these"
    student = make_card("new", teachers=[{"name": "m"}])
    said = "its teacher was trained on images of the same names, perhaps on these"
    assert find_contamination(student, [card]).describe(spec, len(rows)) == said


def test_a_card_without_a_digest_knows_its_title_and_cannot_tell_of_others(tmp_path: Path) -> None:
    spec = read_spec(write_ratings(tmp_path / "ratings.csv", ROWS))
    old = make_card("m", on("csv", 40, spec.title))
    assert find_contamination(old).describe(spec, 40) == "trained on these images"
    other = make_card("m", on("csv", 40, "the ratings in ratings.csv"))
    said = "trained on other ratings of one's own, perhaps on these images: its card cannot tell"
    assert find_contamination(other).describe(spec, 40) == said
    assert find_contamination(other).describe(LIVEC, 1162) == said


def test_names_tell_whether_own_ratings_are_of_images_of_a_set_of_the_catalog(tmp_path: Path) -> None:
    card = train_on(read_spec(write_ratings(tmp_path / "r.csv", ROWS)))
    same = hash_names([Rating(f"Images/{name}", 1.0, None, name) for name in ROWS])
    other = hash_names([Rating(f"Images/other{name}", 1.0, None, name) for name in ROWS])
    student = make_card("new", teachers=[{"name": "m"}])
    said = "trained on images of the same names, perhaps on these"
    assert find_contamination(card).describe(LIVEC, 40, same) == said
    assert find_contamination(student, [card]).describe(LIVEC, 40, same) == f"its teacher was {said}"
    assert find_contamination(card).describe(LIVEC, 40, other) == ""


def test_a_card_of_a_set_of_the_catalog_cannot_tell_of_own_ratings(tmp_path: Path) -> None:
    spec = read_spec(write_ratings(tmp_path / "r.csv", ROWS))
    card = make_card("m", on("livec", 1162), on("koniq10k", 99), on("newest", 9, "The newest set"))
    said = "trained on LIVE-C and KonIQ-10k and The newest set, perhaps on these images: its card cannot tell"
    assert find_contamination(card).describe(spec, 40) == said
    assert (
        find_contamination(make_card("new", teachers=[{"name": "m"}]), [card]).describe(spec, 40) == f"its teacher was {said}"
    )
    assert find_contamination(card).describe(TID, 3000) == ""
    named = make_card("m", {**on("livec", 1162), "names": "".join(spec.names)})
    assert find_contamination(named).describe(spec, 40) == "trained on images of the same names, perhaps on these"


def test_a_blend_counts_ratings_by_their_digest(tmp_path: Path) -> None:
    one, two = (read_spec(write_ratings(tmp_path / name / "r.csv", {**ROWS, name: 1.0})) for name in "ab")
    one = replace(one, title=two.title)
    card = train_on(one, two)
    assert find_contamination(card).own == {one.digest: 41, two.digest: 41}
    assert find_contamination(card).only_set is None


def name_images(prefix: str, count: int) -> list[Rating]:
    return [Rating(f"{prefix}{number}.jpg", 1.0, None, "") for number in range(count)]


def test_of_many_images_the_least_hashes_stand_for_all() -> None:
    large, part = hash_names(name_images("a", 20 * SAMPLE)), hash_names(name_images("a", 200))
    sample = sample_names(large)
    assert len(sample) == 8 * SAMPLE
    assert shares_names(sample, part) is True
    assert shares_names(sample, hash_names(name_images("b", 200))) is False
    assert shares_names(sample, hash_names(name_images("b", 20 * SAMPLE))) is False
    behind = [name for name in part if name > sample[-8:]]
    assert behind
    assert shares_names(sample, behind) is None
    assert shares_names("".join(part), large) is True
    assert shares_names("", part) is None


def test_the_digest_knows_names_and_values_apart_from_their_order(tmp_path: Path) -> None:
    digests = [
        read_spec(write_ratings(tmp_path / "r.csv", rows)).digest
        for rows in ({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}, {"a": 2.0, "b": 1.0}, {"a": 1.0, "c": 2.0})
    ]
    assert digests[0] == digests[1] == hashlib.sha256(b'[["a", 1.0], ["b", 2.0]]').hexdigest()  # which cards keep
    assert len({*digests}) == 3


def test_a_card_of_own_ratings_is_read_as_it_was_written(tmp_path: Path) -> None:
    card = train_on(read_spec(write_ratings(tmp_path / "ratings.csv", ROWS)))
    again = replace(CARD, training=json.loads(json.dumps(asdict(card.provenance))))
    assert again.provenance == card.provenance != Provenance()


@pytest.mark.parametrize(
    "wrong",
    [{"trained_on": ["LIVE-C: 930 images"]}, {"teachers": [{"who": "me"}]}, {"unlabeled": 3}, {"initial_models": ["me"]}],
)
def test_a_provenance_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^training\.{next(iter(wrong))}"):
        replace(CARD, training=wrong)


def test_what_older_cards_said_in_sentences_is_not_known() -> None:
    card = replace(CARD, training={"data": [f"{LIVEC.title}: 930 images; terms"]})
    assert find_contamination(card).describe(LIVEC, 1162) == "its card does not say what it was trained on"
