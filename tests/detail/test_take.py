"""What `take` promises: patches are native pixels, also of a JPEG that was reduced for its score."""

from pathlib import Path

import numpy as np
import pytest
from dng import make_dng
from PIL import Image

from iqa_cli.detail.native import SIDE, NativePatches
from iqa_cli.detail.take import take_patches
from iqa_cli.images.crops import CropSpec
from iqa_cli.images.decode import decode_image
from iqa_cli.options import RawChoice

VIEW = CropSpec(64, multiple=8)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (90, 130, 3), np.uint8)).resize((1301, 903), Image.Resampling.BICUBIC)
    return Image.fromarray(np.clip(np.asarray(rough) + rng.normal(0, 12, (903, 1301, 3)), 0, 255).astype(np.uint8))


def take(path: Path) -> NativePatches:
    return take_patches(str(path), decode_image(str(path), crops=VIEW))


def read_luma(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        picture.draft("L", picture.size)
        return np.asarray(picture)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}], ids=str)
def test_of_a_jpeg_they_are_its_luma(tmp_path: Path, picture: Image.Image, options: dict[str, object]) -> None:
    picture.save(tmp_path / "a.jpg", quality=92, **options)
    assert decode_image(str(tmp_path / "a.jpg"), crops=VIEW).reduction > 1
    native, luma = take(tmp_path / "a.jpg"), read_luma(tmp_path / "a.jpg")
    assert (native.height, native.width) == luma.shape == (903, 1301)
    for patch, (x, y) in zip(native.patches, native.places, strict=True):
        np.testing.assert_array_equal(patch, luma[y : y + SIDE, x : x + SIDE])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_they_are_upright(tmp_path: Path, picture: Image.Image, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "a.jpg", quality=92, exif=exif)
    native = take(tmp_path / "a.jpg")
    upright = decode_image(str(tmp_path / "a.jpg")).rgb
    assert (native.height, native.width) == upright.shape[:2]
    for patch, (x, y) in zip(native.patches, native.places, strict=True):
        there = np.asarray(Image.fromarray(upright[y : y + SIDE, x : x + SIDE]).convert("L"))
        assert np.abs(patch.astype(int) - there).mean() < 2


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_other_jpegs_have_patches_too(tmp_path: Path, picture: Image.Image, mode: str) -> None:
    picture.convert(mode).save(tmp_path / "a.jpg", quality=92)
    native = take(tmp_path / "a.jpg")
    there = decode_image(str(tmp_path / "a.jpg")).region.picture.convert("L")
    for patch, (x, y) in zip(native.patches, native.places, strict=True):
        assert np.abs(patch.astype(int) - np.asarray(there)[y : y + SIDE, x : x + SIDE]).mean() < 2


def test_a_png_has_the_patches_of_its_pixels(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "a.png")
    native, luma = take(tmp_path / "a.png"), np.asarray(picture.convert("L"))
    for patch, (x, y) in zip(native.patches, native.places, strict=True):
        assert np.abs(patch.astype(int) - luma[y : y + SIDE, x : x + SIDE]).max() <= 1


@pytest.mark.parametrize("size", [(9000, 300), (300, 9000)])
def test_of_a_panorama_they_lie_in_what_is_scored(tmp_path: Path, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8)).save(tmp_path / "a.jpg", quality=50)
    native, luma = take(tmp_path / "a.jpg"), read_luma(tmp_path / "a.jpg")
    for patch, (x, y) in zip(native.patches, native.places, strict=True):
        assert 3000 < max(x, y) < 6000
        np.testing.assert_array_equal(patch, luma[y : y + SIDE, x : x + SIDE])


@pytest.mark.parametrize("size", [(2400, 1600), (1301, 903)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_of_a_developed_raw_file_they_are_its_own_pixels(
    tmp_path: Path, picture: Image.Image, size: tuple[int, int], orientation: int
) -> None:
    pytest.importorskip("rawpy", reason="needs the [formats] extra")
    path = tmp_path / "a.dng"
    path.write_bytes(make_dng(np.asarray(picture.resize(size)), orientation=orientation))
    half, whole = (decode_image(str(path), crops=crops, raw=RawChoice.DEVELOP) for crops in (VIEW, None))
    assert (half.reduction, whole.reduction) == (2, 1)
    native, luma = take_patches(str(path), half, raw=RawChoice.DEVELOP), np.asarray(whole.region.picture.convert("L"))
    assert (native.height, native.width) == luma.shape
    for patch, (x, y) in zip(native.patches, native.places, strict=True):
        assert np.abs(patch.astype(int) - luma[y : y + SIDE, x : x + SIDE]).max() <= 1
