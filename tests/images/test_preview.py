"""What `preview` promises: all of the picture, upright, no larger than asked for, however it was decoded for its crops."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iqa_cli.images.crops import CropSpec
from iqa_cli.images.decode import decode_image
from iqa_cli.images.preview import make_preview

LEFT, RIGHT = (200, 30, 30), (30, 30, 200)
CROPS = {"whole": CropSpec(64), "a window of it": CropSpec(64, fit="square"), "every pixel": None}


def write_halves(path: Path, width: int, height: int, **options: object) -> Path:
    picture = Image.new("RGB", (width, height), LEFT)
    picture.paste(RIGHT, (width // 2, 0, width, height))
    picture.save(path, **options)
    return path


def read_preview(path: Path, side: int, crops: CropSpec | None) -> np.ndarray:
    data = make_preview(str(path), decode_image(str(path), crops=crops), side)
    assert data.startswith(b"\xff\xd8")
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


@pytest.mark.parametrize("crops", CROPS.values(), ids=CROPS)
@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp"])
@pytest.mark.parametrize("size", [(1200, 800), (3000, 300), (300, 2400)], ids=str)
def test_it_shows_all_of_the_picture(tmp_path: Path, name: str, size: tuple[int, int], crops: CropSpec | None) -> None:
    preview = read_preview(write_halves(tmp_path / name, *size), 120, crops)
    assert max(preview.shape[:2]) == 120
    assert preview.shape[1] / preview.shape[0] == pytest.approx(size[0] / size[1], rel=0.08)
    middle = preview.shape[1] // 2
    margin = middle // 2 + 1  # colours are half as fine in a JPEG
    assert np.abs(preview[:, : middle - margin] - LEFT).max() < 25
    assert np.abs(preview[:, middle + margin :] - RIGHT).max() < 25


def test_a_small_picture_keeps_its_size(tmp_path: Path) -> None:
    assert read_preview(write_halves(tmp_path / "small.png", 90, 60), 256, CropSpec(64)).shape == (60, 90, 3)


def test_it_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rows are columns
    preview = read_preview(write_halves(tmp_path / "turned.jpg", 900, 600, exif=exif), 90, CropSpec(64))
    assert preview.shape == (90, 60, 3)
    assert np.abs(preview[:30] - LEFT).max() < 25
    assert np.abs(preview[60:] - RIGHT).max() < 25
