"""A JPEG is decoded no further than crops need, and they are the same to the bit as if it were."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from pictures import ADOBE, STORED, assert_close, decode, encode, encode_any, make_exif, make_picture, refuse
from PIL import Image, ImageOps

from iqa_cli.images.containers.jpeg import END, HeightOverride, find_height
from iqa_cli.images.crops import CropSpec, Region, cut_views
from iqa_cli.records import Status

LARGE = make_picture(600, 800)
TALL, WIDE = make_picture(1000, 600), make_picture(600, 1000)
SQUARE = CropSpec(72, "square", multiple=8)  # decoded at a half
PHOTOS = Path(__file__).parents[1] / "photos"


def compress(picture: np.ndarray = LARGE, orientation: int = 1, **options: object) -> bytes:
    """A JPEG whose picture, upright, is the one given."""
    stored = np.ascontiguousarray(STORED[orientation](picture))
    return encode(stored, "JPEG", **{"quality": 97, "subsampling": 0, "exif": make_exif(orientation), **options})


# ---- smaller ----


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("size", "scale"), [(8, 8), (27, 8), (28, 4), (53, 4), (54, 2), (107, 2), (108, 1), (400, 1)]
)  # 27: a view of 31 x 23 px, and 3.2 times that is less than 800 / 8 x 600 / 8
def test_a_jpeg_is_decoded_no_smaller_than_leaves_something_to_spare(
    tmp_path: Path, orientation: int, size: int, scale: int
) -> None:
    crops = CropSpec(size, multiple=1)
    decoded = decode(tmp_path / "x", compress(orientation=orientation), crops=crops)
    assert (decoded.width, decoded.height) == (800, 600)
    assert decoded.rgb.shape == (600 // scale, 800 // scale, 3)
    if scale > 1:
        rows, columns = crops.crop_shape(600, 800)
        assert decoded.rgb.shape[0] >= 3.2 * rows
        assert decoded.rgb.shape[1] >= 3.2 * columns
    small = np.asarray(Image.fromarray(LARGE).resize((800 // scale, 600 // scale), Image.Resampling.BOX))
    assert_close(decoded.rgb, small, mean=2)


def test_only_jpegs_are_decoded_smaller(tmp_path: Path) -> None:
    assert (decode(tmp_path / "x", encode_any("PNG", LARGE), crops=CropSpec(8, multiple=1)).rgb == LARGE).all()


def test_photographs_whole_and_reduced_agree() -> None:
    for name in ("astronaut", "camera", "chelsea", "coffee", "rocket"):
        whole = decode(PHOTOS / f"{name}.jpg")
        small = decode(PHOTOS / f"{name}.jpg", crops=CropSpec(16, multiple=1))
        assert (small.width, small.height) == (whole.width, whole.height)
        assert small.rgb.shape[0] < whole.height
        shrunk = Image.fromarray(whole.rgb).resize(small.rgb.shape[1::-1], Image.Resampling.BOX)
        assert_close(small.rgb, np.asarray(shrunk), mean=3)


# ---- no lower ----


def compress_beyond(orientation: int = 1, **options: object) -> bytes:
    """A JPEG with stored rows below the square in its middle: from orientation 5 on columns of the upright picture."""
    return compress(TALL if orientation < 5 else WIDE, orientation, **options)


def cut_from_all(data: bytes, scale: int, crops: CropSpec) -> np.ndarray:
    """The crops of all rows of a JPEG."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.draft(None, (picture.width // scale, picture.height // scale))
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    return cut_views(Region(upright, upright.height, upright.width), crops)


def spoil_end(data: bytes, share: float) -> bytes:
    """The coded pixels of a JPEG with the last share of them made nonsense, without a mark among them."""
    begin = data.index(b"\xff\xda")
    at = int(begin + (1 - share) * (len(data) - begin))
    return data[:at] + b"\x55" * (len(data) - at - 2) + data[-2:]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{"subsampling": s} for s in ("4:4:4", "4:2:2", "4:2:0")] + [{"restart_marker_rows": 1}])
@pytest.mark.parametrize("size", [20, 45, 90, 300])  # decoded at an eighth, a quarter, a half, whole
@pytest.mark.parametrize("count", [1, 2])  # the second is the first corner
def test_what_is_cut_is_the_same_to_the_bit(
    tmp_path: Path, orientation: int, options: dict[str, object], size: int, count: int
) -> None:
    crops = CropSpec(size, "square", multiple=1, count=count, zoom=1.1)
    data = compress_beyond(orientation, **options)
    decoded = decode(tmp_path / "x", data, crops=crops)
    assert (decoded.width, decoded.height) == ((600, 1000) if orientation < 5 else (1000, 600))
    scale = decoded.width // decoded.region.width
    assert decoded.region.height == decoded.height // scale
    assert (cut_views(decoded.region, crops) == cut_from_all(data, scale, crops)).all()


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_ink_too(tmp_path: Path, mode: str) -> None:
    data = encode(Image.fromarray(TALL).convert(mode), "JPEG", quality=90)
    decoded = decode(tmp_path / "x", data, crops=SQUARE)
    assert (cut_views(decoded.region, SQUARE) == cut_from_all(data, 2, SQUARE)).all()


@pytest.mark.parametrize("orientation", [1, 4, 6, 8])
def test_only_what_is_looked_at_becomes_srgb(tmp_path: Path, orientation: int) -> None:
    data = compress_beyond(orientation, icc_profile=ADOBE)
    crops = CropSpec(400, "square", multiple=8)
    whole, seen = decode(tmp_path / "x", data).region, decode(tmp_path / "x", data, crops=crops).region
    assert (cut_views(seen, crops) == cut_views(whole, crops)).all()
    assert seen.picture.width * seen.picture.height < 0.62 * whole.width * whole.height


@pytest.mark.parametrize("orientation", [1, 2, 5, 7])
def test_rows_below_are_not_decoded_at_all(tmp_path: Path, orientation: int) -> None:
    data = compress_beyond(orientation)
    spoilt = spoil_end(data, 0.12)
    crops = decode(tmp_path / "x", data, crops=SQUARE), decode(tmp_path / "y", spoilt, crops=SQUARE)
    assert (crops[0].rgb == crops[1].rgb).all()
    assert refuse(tmp_path / "y", spoilt).status is Status.DAMAGED  # where all rows are decoded


def test_what_follows_the_picture_does_no_harm(tmp_path: Path) -> None:
    data = compress_beyond()
    for behind in (b"\0" * 3, b"\0\0\0\x18ftypmp42" + bytes(3_000_000), data):
        decoded = decode(tmp_path / "x", spoil_end(data, 0.12) + behind, crops=SQUARE)
        assert (cut_views(decoded.region, SQUARE) == cut_from_all(data, 2, SQUARE)).all()


NOISE = compress(np.random.default_rng(0).integers(0, 256, TALL.shape, np.uint8))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_a_jpeg_cut_short_below_what_is_looked_at_is_damaged_all_the_same(tmp_path: Path, share: float) -> None:
    refused = refuse(tmp_path / "x", NOISE[: int(share * len(NOISE))], crops=SQUARE)
    assert (refused.status, refused.width, refused.height) == (Status.DAMAGED, 600, 1000)


@pytest.mark.parametrize("share", [0.5, 0.85, 0.9])
def test_one_with_an_end_mark_too(tmp_path: Path, share: float) -> None:
    refused = refuse(tmp_path / "x", NOISE[: int(share * len(NOISE))] + END, crops=SQUARE)
    assert (refused.status, refused.width, refused.height) == (Status.DAMAGED, 600, 1000)
    assert refused.detail.startswith("JPEG cut short: ")


@pytest.mark.parametrize("nothing", [100, 10_000])
def test_a_jpeg_that_ends_in_nothing_but_zeros_too(tmp_path: Path, nothing: int) -> None:
    data = NOISE[: len(NOISE) // 2] + bytes(nothing)  # a download that was broken off, in a file of the right size
    assert find_height(io.BytesIO(data)) is None
    assert refuse(tmp_path / "x", data, crops=SQUARE).args == refuse(tmp_path / "x", data).args


def test_progressive_jpegs_are_decoded_whole(tmp_path: Path) -> None:
    data = compress_beyond(progressive=True)
    assert find_height(io.BytesIO(data)) is None
    assert (cut_views(decode(tmp_path / "x", data, crops=SQUARE).region, SQUARE) == cut_from_all(data, 2, SQUARE)).all()


# ---- headers ----


@pytest.mark.parametrize("size", [1, 3, 160, 65536, -1])
def test_a_file_with_another_height_is_the_same_but_for_that(size: int) -> None:
    data = compress()
    place = find_height(io.BytesIO(data))
    overridden = HeightOverride(io.BytesIO(data), place, 320)
    read = b"".join(iter(lambda: overridden.read(size), b""))
    assert read == data[:place] + (320).to_bytes(2, "big") + data[place + 2 :]


def test_where_the_height_stands() -> None:
    data = compress()
    place = find_height(io.BytesIO(data))
    assert place is not None
    assert struct.unpack_from(">HH", data, place) == (600, 800)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: data.index(b"\xff\xda")],
        lambda data: data[:-2],
        lambda data: data.replace(b"\xff\xc0", b"\xff\xc9"),  # arithmetic coding
        lambda data: data.replace(b"\xff\xdb\0", b"\xff\xdb\xff", 1),
        lambda data: data[:2] + b"\xff\xfe\0\1" + data[2:],  # a segment shorter than its own length
        lambda data: data[:2] + b"\0" + data[2:],
        lambda data: data[:2] + b"\xff\xfe\0\2" * 1001 + data[2:],
        lambda data: data.replace(b"\xff\xda\0\x0c\3", b"\xff\xda\0\x0c\1"),  # a scan of one component
        lambda data: data[:2] + b"\xff\xc0\0\5" + data[2:],
        lambda _: b"",
        lambda _: b"\xff\xd8\xff",
    ],
)
def test_what_is_not_understood_is_left_alone(spoil) -> None:  # type: ignore[no-untyped-def]
    assert find_height(io.BytesIO(spoil(compress()))) is None
