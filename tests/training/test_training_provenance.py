"""What a card says that its model learned from: by itself, by the weights that it began with, and from which ratings."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli.cli.views.models import describe_provenance
from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.datasets.sets import read_set
from iqa_cli.evaluation.contamination import Contamination, find_contamination
from iqa_cli.evaluation.protocol import Protocol
from iqa_cli.evaluation.run import Evaluation, evaluate
from iqa_cli.models.card import ModelCard, WeightFile, hash_file, read_card, write_card
from iqa_cli.models.provenance import InitialModel, Provenance, RatedImages, UnlabeledImages
from iqa_cli.networks.checkpoint import load_tensors, save_tensors
from iqa_cli.networks.timm_models import build_backbone
from iqa_cli.options import EvaluateOptions, OwnRatings, RatedSets, ScoreOptions
from iqa_cli.training import run
from iqa_cli.training.data.provenance import describe_initial, identify_images
from iqa_cli.training.options import LoopOptions, SampleOptions, TrainingOptions
from iqa_cli.training.plan import make_plan

SMALL = "test_efficientnet"
BIQ = DATASETS["biq2021"]
SEEN = RatedImages("biq2021", BIQ.images, BIQ.title, BIQ.licence, BIQ.paper)
OTHERS = ("0" * 8,)  # names that no picture here has, hashed


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two files of ratings of the same name, each of four pictures of its own."""
    folder = tmp_path_factory.mktemp("rated")
    for name in ("first", "other"):
        (folder / name).mkdir()
        for number in range(4):
            pixels = np.random.default_rng(number).integers(0, 255, (80, 80, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{name}{number}.png")
        rows = "".join(f"{name}{number}.png,{number}\n" for number in range(4))
        (folder / name / "ratings.csv").write_text(f"image,score\n{rows}")
    return folder


def train(ratings: Path, run_dir: Path, **changes: Any) -> Path:
    """Train for one epoch of the head; the run folder."""
    loop = LoopOptions(epochs=0, head_epochs=1, views=1, batch_size=2, precision="fp32")
    options = TrainingOptions(
        run_dir, name=run_dir.name, dataset="csv", own=OwnRatings(ratings), backbone=SMALL, backbone_weights="none", size=64,
        width=16, heads=2, validation=0.0, samples=SampleOptions(versions=1), loop=loop,
    )  # fmt: skip
    list(run.train(make_plan(replace(options, **changes))))
    return run_dir


def read_run(folder: Path) -> ModelCard:
    return read_card(folder / f"{folder.name}.json")


Begin = Callable[..., tuple[Path, ModelCard]]


@pytest.fixture
def begin(rated: Path, tmp_path: Path) -> Begin:
    """A run whose card says that it was trained on BIQ2021, or what is given."""

    def make(**training: Any) -> tuple[Path, ModelCard]:
        folder = train(rated / "first" / "ratings.csv", tmp_path / "first")
        card = replace(read_run(folder), training=training or {"trained_on": [asdict(SEEN)]})
        write_card(card, folder)
        return folder, card

    return make


# ---- the weights that a training began with ----


def test_what_the_initial_model_was_trained_on_was_seen(begin: Begin, rated: Path, tmp_path: Path) -> None:
    folder, first = begin()
    second = train(rated / "other" / "ratings.csv", tmp_path / "second", initial_model=str(folder))
    card = read_run(second)
    assert [facts.set for facts in card.provenance.trained_on] == ["csv", "biq2021"]
    assert card.provenance.trained_on[1] == SEEN
    assert card.provenance.initial_models == (InitialModel("first", first.files["safetensors"].sha256, known=True),)
    assert ("began with", "first") in list(describe_provenance(card))
    assert find_contamination(card).describe(BIQ, BIQ.images, OTHERS) == "trained on these images"
    assert find_contamination(card).describe(DATASETS["livec"], 1162, OTHERS) == ""
    assert str(folder) not in (second / "second.json").read_text()
    third = train(rated / "other" / "ratings.csv", tmp_path / "third", initial_model=str(second / "second.json"))
    assert SEEN in read_run(third).provenance.trained_on
    assert [initial.name for initial in read_run(third).provenance.initial_models] == ["first", "second"]


def test_its_licence_stays(begin: Begin, rated: Path, tmp_path: Path) -> None:
    folder, first = begin()
    assert first.licence == "Apache-2.0"
    write_card(replace(first, licence="CC-BY-NC-4.0"), folder)
    second = train(rated / "other" / "ratings.csv", tmp_path / "second", initial_model=str(folder))
    assert read_run(second).licence == "CC-BY-NC-4.0"


def test_so_were_its_unlabeled_images_and_its_teachers(begin: Begin, rated: Path, tmp_path: Path) -> None:
    folder, _ = begin(unlabeled=[{"images": 7, "source": "mine"}], teachers=[{"name": "old"}])
    card = read_run(train(rated / "other" / "ratings.csv", tmp_path / "second", initial_model=str(folder)))
    assert card.provenance.unlabeled == (UnlabeledImages(7, "mine"),)
    assert find_contamination(card).describe(BIQ, BIQ.images, OTHERS) == "the training of its teacher old is not known here"


def test_of_an_initial_model_whose_card_says_nothing_nothing_is_known(begin: Begin, rated: Path, tmp_path: Path) -> None:
    folder, _ = begin(data=["LIVE-C: 930 images"])
    card = read_run(train(rated / "other" / "ratings.csv", tmp_path / "second", initial_model=str(folder)))
    assert find_contamination(card).describe(BIQ, BIQ.images, OTHERS) == "it began with first, whose training is not known"
    assert ("began with", "first, whose training is not known") in list(describe_provenance(card))


@pytest.mark.parametrize("kept", ["best", "last", "first"])
def test_a_backbone_that_was_trained_here_has_the_card_of_its_run(begin: Begin, rated: Path, tmp_path: Path, kept: str) -> None:
    folder, _ = begin()
    weights = folder / f"{kept}.safetensors"
    second = train(rated / "other" / "ratings.csv", tmp_path / "second", backbone_weights=str(weights))
    card = read_run(second)
    assert card.provenance.initial_models == (InitialModel("first", hash_file(weights), known=True),)
    assert find_contamination(card).describe(BIQ, BIQ.images, OTHERS) == "trained on these images"
    assert str(folder) not in (second / "second.json").read_text()


def test_a_backbone_that_was_trained_here_without_a_card_is_of_unknown_training(
    begin: Begin, rated: Path, tmp_path: Path
) -> None:
    folder, first = begin()
    (tmp_path / "alone").mkdir()
    save_tensors(tmp_path / "alone" / "net.safetensors", load_tensors(folder / "best.safetensors")[0])
    write_card(first, tmp_path / "alone")  # of other weights, though it lies beside them
    card = read_run(
        train(rated / "other" / "ratings.csv", tmp_path / "second", backbone_weights=str(tmp_path / "alone/net.safetensors"))
    )
    assert [facts.set for facts in card.provenance.trained_on] == ["csv"]
    assert find_contamination(card).describe(BIQ, 99, OTHERS) == "it began with net.safetensors, whose training is not known"


def choose(**changes: Any) -> TrainingOptions:
    return replace(TrainingOptions(Path("run"), backbone=SMALL), **changes)


def test_weights_of_others_are_no_training_of_ours(tmp_path: Path) -> None:
    save_tensors(tmp_path / "net.safetensors", build_backbone(SMALL, {}).state_dict())
    for weights in (str(tmp_path / "net.safetensors"), "none", None):
        assert not describe_initial(choose(backbone_weights=weights)).initial_models


def test_a_run_without_its_card_yet_and_weights_that_are_gone_are_not_known(begin: Begin, tmp_path: Path) -> None:
    folder, _ = begin()
    (folder / "first.json").unlink()
    best = folder / "best.safetensors"
    assert describe_initial(choose(backbone_weights=str(best))).initial_models == (
        InitialModel("best.safetensors", hash_file(best), known=False),
    )
    best.unlink()
    assert describe_initial(choose(backbone_weights=str(best))).unknown_beginnings == ("best.safetensors",)
    assert describe_initial(choose(initial_model=str(tmp_path / "gone"))).unknown_beginnings == ("gone",)


def test_of_several_cards_the_one_that_lists_the_file_counts(begin: Begin) -> None:
    folder, first = begin()
    best = folder / "best.safetensors"
    write_card(replace(first, name="b", training={"trained_on": [asdict(replace(SEEN, images=3))]}), folder)
    assert describe_initial(choose(backbone_weights=str(best))).unknown_beginnings == ("best.safetensors",)
    write_card(replace(first, name="c", files={"safetensors": WeightFile.of(best)}), folder)
    assert describe_initial(choose(backbone_weights=str(best))).trained_on == (SEEN,)


# ---- ratings of one's own ----


def measure(model: Path, ratings: Path) -> Evaluation:
    options = EvaluateOptions(
        RatedSets(("csv",), own=OwnRatings(ratings)), (str(model),), rounds=5, scoring=ScoreOptions(workers=1)
    )
    (found,) = (event for event in evaluate(options, print) if isinstance(event, Evaluation))
    return found


def test_own_ratings_are_known_by_what_is_in_them(rated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = train(rated / "first" / "ratings.csv", tmp_path / "run")
    assert str(rated) not in json.dumps(json.loads((model / "run.json").read_text())["training"]["options"])
    monkeypatch.chdir(rated / "first")
    same = measure(model, Path("ratings.csv"))
    assert (same.warning, same.protocol) == ("trained on these images", Protocol.ALL)
    typed = train(Path("ratings.csv"), tmp_path / "typed")
    assert str(rated) not in (typed / "typed.json").read_text()
    monkeypatch.chdir(rated / "other")
    other = measure(typed, Path("ratings.csv"))
    assert (other.warning, other.protocol) == ("", Protocol.CROSS)
    some = rated / "other" / "some.csv"
    some.write_text("image,score\n../first/first0.png,5\nother0.png,1\n")
    assert measure(typed, some).warning == "trained on images of the same names, perhaps on these"
    (kept,) = json.loads((typed / "typed.json").read_text())["training"]["trained_on"]
    assert (len(kept["digest"]), len(kept["names"])) == (64, 4 * 8)


def test_images_of_a_set_of_the_catalog_are_known_by_their_names(rated: Path) -> None:
    first, other = (
        read_set("csv", None, OwnRatings(rated / name / "ratings.csv", score_range=(0.0, 9.0))) for name in ("first", "other")
    )
    kept = identify_images(SEEN, replace(first, spec=replace(BIQ, score_range=(0.0, 9.0))))
    assert (kept.digest, len(kept.names)) == ("", 4 * 8)
    found = [Contamination(Provenance((kept,)), (), ()).describe(labels.spec, 4) for labels in (first, other)]
    assert found == ["trained on images of the same names, perhaps on these", ""]
