"""What `model` promises of the network that comes with the tool: what is soft, enlarged or noisy at full size is told."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from iqa_cli.detail.damage import Damage, blur_picture
from iqa_cli.detail.model import DetailModel, name_spectrum, open_detail
from iqa_cli.errors import WeightsError
from iqa_cli.images.crops import Rgb
from iqa_cli.models.find import find_cards, released_folder

PHOTOS = ("astronaut", "coffee", "camera", "rocket")
WEIGHTS = released_folder() / "detail" / "detail.onnx"


@pytest.fixture(scope="module")
def detail() -> DetailModel:
    return open_detail()


def read(name: str) -> Rgb:
    with Image.open(Path(__file__).parents[1] / "photos" / f"{name}.jpg") as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.parametrize("name", PHOTOS)
def test_a_soft_photo_has_less_the_softer_it_is(detail: DetailModel, name: str) -> None:
    sharp, soft, softer = (detail.measure(cv2.GaussianBlur(read(name), (0, 0), sigma)) for sigma in (0.01, 1.5, 3))
    assert sharp.detail > 65 > 55 > soft.detail > softer.detail
    assert sharp.effective_mp > soft.effective_mp > softer.effective_mp
    assert sharp.blur_sigma < soft.blur_sigma < softer.blur_sigma


@pytest.mark.parametrize("name", PHOTOS)
def test_an_enlarged_photo_has_the_pixels_of_the_small_one(detail: DetailModel, name: str) -> None:
    rgb = read(name)
    small, large = (detail.measure(cv2.resize(rgb, None, fx=f, fy=f, interpolation=cv2.INTER_CUBIC)) for f in (1, 3))
    assert large.detail < 0.6 * small.detail
    assert 1 / 1.4 < large.effective_mp / small.effective_mp < 1.4
    assert large.scale > small.scale


def test_enlarged_photos_have_the_pixels_of_the_small_ones_in_the_median(detail: DetailModel) -> None:
    ratios = []
    for name in PHOTOS:
        rgb = read(name)
        large = detail.measure(cv2.resize(rgb, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC))
        ratios.append(large.effective_mp / detail.measure(rgb).effective_mp)
    assert np.median(ratios) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("name", PHOTOS)
def test_shaken_and_noisy_photos_have_less(detail: DetailModel, name: str) -> None:
    rgb = read(name)
    shaken = blur_picture(rgb.astype(np.float32), Damage("motion", 12 / 24**0.5, 0.4)).astype(np.uint8)
    noisy = np.clip(rgb + np.random.default_rng(0).normal(0, 20, rgb.shape), 0, 255).astype(np.uint8)
    clean, shake, noise = map(detail.measure, (rgb, shaken, noisy))
    assert shake.detail < clean.detail
    assert shake.shake > clean.shake
    assert noise.detail < clean.detail
    assert noise.noise > clean.noise + 4


def test_the_same_photo_has_the_same_detail(detail: DetailModel) -> None:
    assert detail.measure(read("coffee")) == detail.measure(read("coffee"))


def test_a_single_pixel_has_some(detail: DetailModel) -> None:
    found = detail.measure(np.zeros((1, 1, 3), np.uint8))
    assert 0 <= found.detail <= 100
    assert 0 < found.effective_low <= found.effective_mp <= found.effective_high <= 1e-6


def test_it_is_small_and_no_scoring_model() -> None:
    assert WEIGHTS.stat().st_size + name_spectrum(WEIGHTS).stat().st_size < 3e6
    assert "detail" not in {card.name for card in find_cards()}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for path in (WEIGHTS, name_spectrum(WEIGHTS), WEIGHTS.with_suffix(".json")):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / WEIGHTS.name


@pytest.mark.parametrize("suffix", [".onnx", ".spectrum.onnx"])
def test_weights_of_another_card_are_refused(copied: Path, suffix: str) -> None:
    assert DetailModel(copied).sha256 == open_detail().sha256
    damaged = copied.with_suffix(suffix)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="SHA-256"):
        DetailModel(copied)


@pytest.mark.parametrize("change", [{"side": 64}, {"outputs": ["blur"]}, {"more": 1}, {"spectrum": None}])
def test_a_card_of_another_network_is_refused(copied: Path, change: dict[str, object]) -> None:
    card = copied.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | change))
    with pytest.raises(WeightsError, match="not a card"):
        DetailModel(copied)


@pytest.mark.parametrize("suffix", [".onnx", ".spectrum.onnx", ".json"])
def test_a_missing_file_is_named(copied: Path, suffix: str) -> None:
    copied.with_suffix(suffix).unlink()
    with pytest.raises(WeightsError, match=f"detail{suffix}: cannot read"):
        DetailModel(copied)
