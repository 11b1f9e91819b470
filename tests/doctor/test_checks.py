"""What `iqa doctor` finds: that released models are what they were, and what is wrong where something is."""

import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, write_model
from in_process import environment
from PIL import Image

from iqa_cli.doctor.checks import Check, check_cache, check_extras, check_files, check_library, check_score, run_checks
from iqa_cli.doctor.golden import GOLDEN, encode_png, make_picture
from iqa_cli.models.card import ModelCard, read_card
from iqa_cli.models.find import find_cards, released_folder

RELEASED = list(find_cards())
DETAIL = released_folder() / "detail"


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
    monkeypatch.setattr("iqa_cli.detail.model.released_folder", lambda: tmp_path)
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


# ---- libraries ----


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of libraries that comes before all others."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "toylib"]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def install(folder: Path, distribution: str, package: str) -> None:
    """Metadata of a distribution that has a package."""
    facts = folder / f"{distribution.replace('-', '_')}-1.2.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    (facts / "top_level.txt").write_text(f"{package}\n")


def test_a_library_of_another_distribution_is_as_good(site: Path) -> None:
    (site / "toylib.py").touch()
    install(site, "toylib-gpu", "toylib")
    assert check_library("toylib", "toylib") == Check("toylib", "1.2, of toylib-gpu", good=True)


def test_a_library_without_a_distribution_is_told_by_itself(site: Path) -> None:
    (site / "toylib.py").write_text("__version__ = '3.4'")
    assert check_library("toylib", "toylib") == Check("toylib", "3.4", good=True)


def test_a_library_that_is_not_there_is_wrong(site: Path) -> None:
    assert site.is_dir()
    assert check_library("toylib", "toylib") == Check("toylib", "not installed: pip install toylib", good=False)


@pytest.mark.parametrize(
    "fault", ["raise ImportError('libtoy.so: cannot open', name='toylib')", "raise RuntimeError('this CPU')"]
)
@pytest.mark.parametrize("distribution", ["toylib", "toylib-gpu"])
def test_a_library_that_is_there_and_does_not_load_is_wrong(site: Path, distribution: str, fault: str) -> None:
    (site / "toylib.py").write_text(fault)
    install(site, distribution, "toylib")
    check = check_library("toylib", "toylib")
    assert (check.good, check.text.startswith("1.2 does not load: ")) == (False, True)
    assert check.text.endswith(f"pip install --force-reinstall {distribution}")


def test_what_is_left_of_a_library_is_none(site: Path) -> None:
    (site / "toylib" / "capi").mkdir(parents=True)
    install(site, "toylib", "toylib")
    check = check_library("toylib", "toylib")
    assert (check.good, "is empty" in check.text) == (False, True)


SPOILT = {  # a library that does not load -> checks that then fail, and others that do not
    "onnxruntime": ({"onnxruntime", "providers", "self-test qfm-iqm", "detail"}, {"numpy", "cache", "model qfm-iqm"}),
    "numpy": ({"numpy", "models", "detail"}, {"pillow", "typer", "cache"}),
    "cv2": ({"opencv-python-headless", "detail"}, {"numpy", "onnxruntime", "model qfm-iqm"}),
    "rich": ({"rich"}, {"numpy", "self-test qfm-iqm", "detail"}),
}


@pytest.mark.parametrize("library", SPOILT)
def test_a_library_that_does_not_load_is_said_and_ends_nothing(iqa_process: Run, tmp_path: Path, library: str) -> None:
    (tmp_path / f"{library}.py").write_text("raise ImportError('libspoilt.so: cannot open shared object file')")
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    done = iqa_process("doctor", env=environment(PYTHONPATH=path))
    assert (done.returncode, b"checks.py" in done.stderr) == (1, False), done.stderr  # where libraries may leave a traceback
    facts: dict[str, list[str]] = {}
    for line in done.stdout.decode().splitlines():
        name, text = line.split(": ", 1)
        facts.setdefault(name, []).append(text)
    wrong, right = SPOILT[library]
    assert all(text.startswith("WRONG: ") for name in wrong for text in facts[name]), facts
    assert all(text.startswith("ok: ") for name in right for text in facts[name]), facts
    assert any("libspoilt.so" in text for texts in facts.values() for text in texts)


# ---- detail ----


def test_the_networks_for_detail_are_looked_at(elsewhere: Path) -> None:
    (check,) = find("detail")
    assert (check.good, "cannot read the card" in check.text) == (False, True), "iqa score --detail fails as well"
    shutil.copytree(DETAIL, elsewhere / "detail")
    (check,) = find("detail")
    assert (check.good, "native_detail" in check.text) == (True, True)
    for name in ("detail.onnx", "detail.spectrum.onnx"):
        file = elsewhere / "detail" / name
        data = file.read_bytes()
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        (check,) = find("detail")
        assert (check.good, f"{name}: not the file of the card" in check.text) == (False, True)
        file.write_bytes(data)


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
    shutil.copytree(DETAIL, elsewhere / "detail")
    done = iqa("doctor")
    assert done.returncode == 0
    facts = dict(line.split(": ", 1) for line in done.stdout.decode().splitlines())
    assert {"iqa", "python", "system", "numpy", "onnxruntime", "providers", "workers", "cache", "self-test toy"} <= set(facts)
    assert json.dumps(facts)
