"""What `iqa doctor` finds: that released models are what they were, and what is wrong where something is."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, write_model
from PIL import Image

from iqa_cli.doctor import checks
from iqa_cli.doctor.checks import Check, check_cache, check_extras, check_files, check_score, run_checks
from iqa_cli.doctor.golden import GOLDEN, encode_png, make_picture
from iqa_cli.models.card import ModelCard, read_card
from iqa_cli.models.find import find_cards

RELEASED = list(find_cards())


def test_every_released_model_has_a_golden_score() -> None:
    hashes = {card.files["onnx"].sha256 for card in RELEASED}
    assert hashes <= set(GOLDEN), "new weights: iqa doctor says what they score; write it into iqa_cli/doctor/golden.py"
    assert set(GOLDEN) <= hashes, "weights that are no longer released"


@pytest.mark.parametrize("card", RELEASED, ids=lambda card: card.name)
def test_released_models_pass(card: ModelCard) -> None:
    check = check_score(card)
    assert check.good, check.text
    assert all(each.good for each in check_files(card))


def test_the_picture_is_the_same_anywhere() -> None:
    import hashlib

    rgb = make_picture()
    assert rgb.shape == (480, 480, 3)
    assert hashlib.sha256(rgb.tobytes()).hexdigest()[:16] == "09fbaef00f71c123"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(rgb)))), rgb)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that takes the place of that of the released models."""
    monkeypatch.setattr("iqa_cli.models.find.released_folder", lambda: tmp_path)
    monkeypatch.setattr(checks, "released_folder", lambda: tmp_path)
    return tmp_path


def find(name: str) -> list[Check]:
    return [check for check in run_checks() if check.name.startswith(name)]


def test_a_model_whose_weights_are_not_its_own_is_wrong(elsewhere: Path, model: Path) -> None:
    for path in model.parent.iterdir():
        (elsewhere / path.name).write_bytes(path.read_bytes())
    assert [check.good for check in find("model")] == [True]
    assert "what it should be is not known" in find("self-test")[0].text
    with (elsewhere / "toy.onnx").open("ab") as file:
        file.write(b"more")
    (check,) = find("model")
    assert check.good is False
    assert "bytes expected" in check.text
    (elsewhere / "toy.json").write_text("no card")
    assert [check.good for check in find("models")] == [False]


def test_another_score_than_the_golden_one_is_wrong(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from conftest import toy_nodes

    card = read_card(write_model(elsewhere, toy_nodes()))
    score = float(check_score(card).text.split()[1].rstrip(";"))
    for golden, good in ((score + 0.4, True), (score + 0.6, False)):
        monkeypatch.setitem(GOLDEN, card.files["onnx"].sha256, golden)
        assert check_score(card).good is good


def test_a_broken_network_is_said_and_ends_nothing(elsewhere: Path) -> None:
    from conftest import dark_is_nan

    card = read_card(write_model(elsewhere, dark_is_nan()))
    assert check_score(card).good in (False, None)
    (elsewhere / card.files["onnx"].name).write_bytes(b"nothing")
    assert check_score(card).good is False


def test_no_models_is_wrong(elsewhere: Path) -> None:
    assert elsewhere.is_dir()
    assert [check.good for check in find("models")] == [False]


def test_a_cache_that_cannot_be_used_is_wrong(cache: Path) -> None:
    assert check_cache().good
    (cache / "scores-1.sqlite").write_bytes(b"no database at all" * 100)
    assert check_cache().good is False
    assert "iqa cache clear" in check_cache().text


def test_a_cache_without_a_home_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IQA_CACHE", "~no-such-user/cache")
    check = check_cache()
    assert check.good is False
    assert check.text.endswith("set IQA_CACHE to the path of a folder, without ~")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_may_not_be_written_is_wrong(cache: Path) -> None:
    cache.chmod(0o500)
    assert check_cache().good is False
    cache.chmod(0o700)


def test_extras_are_those_of_the_package() -> None:
    names = {check.name for check in check_extras()}
    assert names == {"extras"} or {"extra train", "extra distributed"} <= names
    assert "extra dev" not in names


def test_the_command_says_it_all_and_its_exit_code_whether_all_is_well(iqa: Run, elsewhere: Path, model: Path) -> None:
    done = iqa("doctor")
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    assert [line for line in lines if line.startswith("models: WRONG: ")]
    for path in model.parent.iterdir():
        (elsewhere / path.name).write_bytes(path.read_bytes())
    done = iqa("doctor")
    assert done.returncode == 0
    facts = dict(line.split(": ", 1) for line in done.stdout.decode().splitlines())
    assert {"iqa", "python", "system", "numpy", "onnxruntime", "providers", "workers", "cache", "self-test toy"} <= set(facts)
    assert json.dumps(facts)
