import numpy as np
import pytest
from PIL import Image

from iqa_cli.images.crops import MAX_ASPECT, CropSpec, Region, cut_box, cut_crops, cut_views, normalise, place_crops

SIZES = [(1, 1), (1, 5000), (5000, 1), (37, 53), (480, 640), (640, 480), (333, 1000), (1000, 333), (768, 1024), (2001, 1333)]


def make_noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spec", [CropSpec(384), CropSpec(384, count=9), CropSpec(224, fit="square", count=5)])
def test_boxes_have_the_shape_of_the_crops_and_lie_in_the_image(size: tuple[int, int], spec: CropSpec) -> None:
    height, width = size
    rows, columns = spec.crop_shape(height, width)
    for left, top, right, bottom in place_crops(height, width, spec):
        assert (right - left) / (bottom - top) == pytest.approx(columns / rows)
        assert min(left, top) > -1e-6
        assert right < width + 1e-6
        assert bottom < height + 1e-6


@pytest.mark.parametrize("size", SIZES)
def test_a_whole_view_keeps_the_aspect_and_the_area(size: tuple[int, int]) -> None:
    height, width = size
    spec = CropSpec(384, multiple=32)
    rows, columns = spec.crop_shape(height, width)
    aspect = min(max(width / height, 1 / MAX_ASPECT), MAX_ASPECT)
    assert rows % 32 == columns % 32 == 0
    assert abs(rows - 384 / aspect**0.5) <= 16
    assert abs(columns - 384 * aspect**0.5) <= 16


def test_shapes_turn_with_the_image() -> None:
    spec = CropSpec(384)
    assert spec.crop_shape(480, 640) == (320, 448)
    assert spec.crop_shape(640, 480) == (448, 320)
    assert CropSpec(224, fit="square").crop_shape(480, 640) == (224, 224)


def test_a_crop_of_the_size_of_the_image_is_the_image() -> None:
    rgb = make_noise(64, 64)
    (crop,) = cut_crops(rgb, CropSpec(64, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))
    assert np.array_equal(np.rint(crop * 255).astype(np.uint8), rgb.transpose(2, 0, 1))


@pytest.mark.parametrize("size", [*SIZES, (1500, 2000), (3001, 2000)])
@pytest.mark.parametrize(
    "spec", [CropSpec(96), CropSpec(480, "square"), CropSpec(64, "square", count=2, zoom=1.6), CropSpec(32, "square")]
)
def test_what_is_outside_the_window_takes_no_part(size: tuple[int, int], spec: CropSpec) -> None:
    picture = Image.fromarray(make_noise(*size))
    window = left, top, right, bottom = spec.window(*size)
    assert 0 <= left < right <= size[1]
    assert 0 <= top < bottom <= size[0]
    whole = cut_views(Region(picture, *size), spec)
    assert np.array_equal(cut_views(Region(picture.crop(window), *size, left, top), spec), whole)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (30, 40)])
def test_no_box_is_empty_however_little_of_a_pixel_it_is(size: tuple[int, int]) -> None:
    for count in (1, 9):
        red = Region(Image.new("RGB", size[::-1], "red"), *size)
        assert cut_views(red, CropSpec(4096, count=count, zoom=4)).any()


def test_pixels_are_normalised_per_channel() -> None:
    rgb = np.full((32, 32, 3), (0, 51, 255), np.uint8)
    (crop,) = cut_crops(rgb, CropSpec(32, mean=(0.5, 0.1, 0.25), std=(0.5, 0.2, 0.5)))
    assert crop.dtype == np.float32
    assert np.allclose(crop[:, 5, 5], [-1.0, 0.5, 1.5], atol=1e-6)


def test_resizing_is_antialiased() -> None:
    board = np.indices((512, 512)).sum(0) % 2 * 255  # of single pixels: any that are skipped would show as black or white
    rgb = np.repeat(board[..., None], 3, -1).astype(np.uint8)
    small = cut_box(rgb, (0, 0, 512, 512), (64, 64))
    assert np.abs(small.astype(int) - 127).max() <= 2


def test_a_resize_is_pillows_bicubic() -> None:
    rgb = make_noise(100, 150)
    expected = Image.fromarray(rgb).resize((64, 96), Image.Resampling.BICUBIC, box=(10, 0, 76, 99))
    assert np.array_equal(cut_box(rgb, (10, 0, 76, 99), (96, 64)), np.asarray(expected))


def test_places_are_fixed_and_more_crops_begin_with_the_fewer() -> None:
    rgb = make_noise(120, 90)
    nine = cut_crops(rgb, CropSpec(64, count=9))
    assert nine.shape == (9, 3, *CropSpec(64).crop_shape(120, 90))
    assert np.array_equal(nine, cut_crops(rgb.copy(), CropSpec(64, count=9)))
    assert np.array_equal(nine[:4], cut_crops(rgb, CropSpec(64, count=4)))
    assert len({crop.tobytes() for crop in nine}) == 9


def test_normalising_many_is_normalising_each() -> None:
    views = [make_noise(8, 8), make_noise(8, 8) // 2]
    spec = CropSpec(8, multiple=1)
    assert np.array_equal(normalise(views, spec), np.concatenate([normalise([view], spec) for view in views]))


@pytest.mark.parametrize(
    "facts",
    [
        *({"fit": "round"}, {"count": 0}, {"count": 10}, {"multiple": 0}, {"zoom": 0.5}, {"multiple": 512}),
        *({"size": 5000}, {"size": "384"}, {"count": 0.5}),
    ],
)
def test_impossible_crops_are_refused(facts: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"not|impossible"):
        CropSpec(**{"size": 384, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(62, 50), (76, 125), (83, 29), *SIZES])  # in the first, rounding leads out of the image
def test_every_size_of_image_can_be_cut(size: tuple[int, int]) -> None:
    assert np.isfinite(cut_crops(make_noise(*size), CropSpec(384))).all()


@pytest.mark.parametrize(("reduction", "far"), [(2, 0.0), (3.9, 0.0), (5, 0.0), (5.9, 0.0), (6.1, 0.8), (9.5, 0.8), (13, 0.9)])
def test_large_reductions_stay_near_the_exact_one(reduction: float, far: float) -> None:
    side = round(32 * reduction)
    rgb = np.asarray(Image.fromarray(make_noise(side // 2, side // 2)).resize((side, side), Image.Resampling.BILINEAR))
    exact = np.asarray(Image.fromarray(rgb).resize((32, 32), Image.Resampling.BICUBIC))
    apart = np.abs(cut_box(rgb, (0, 0, side, side), (32, 32)).astype(float) - exact)
    assert apart.mean() <= far
