"""What `colors` and `tiff` promise: every colour model, depth and profile comes out as sRGB, unclipped, on white."""

import struct
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from pictures import (
    ADOBE,
    ADOBE_GAMMA,
    ADOBE_PRIMARIES,
    ALPHA,
    DEEP,
    LOSSLESS,
    PICTURE,
    RAMP,
    SRGB_PRIMARIES,
    WANTED,
    assert_close,
    chunk,
    composite_on_white,
    decode,
    encode,
    encode_any,
    forge_png,
    forge_tiff,
    make_profile,
    refuse,
)
from PIL import Image, ImageCms

from iqa_cli.images.colors.convert import scale_to_bytes
from iqa_cli.records import Status


@pytest.mark.parametrize("mode", ["1", "L", "P"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_grey_palette_and_two_colours(tmp_path: Path, mode: str, kind: str) -> None:
    image = Image.fromarray(PICTURE).convert(mode)
    assert (decode(tmp_path / "x", encode(image, kind)).rgb == np.asarray(image.convert("RGB"))).all()


def test_grey_jpeg(tmp_path: Path) -> None:
    image = Image.fromarray(PICTURE).convert("L")
    assert_close(decode(tmp_path / "x", encode(image, "JPEG", quality=97)).rgb, np.asarray(image.convert("RGB")), mean=1)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["RGB", "CMYK", "YCbCr"])
def test_tiff_colour_models(tmp_path: Path, mode: str, compression: str) -> None:
    data = encode(Image.fromarray(PICTURE).convert(mode), "TIFF", compression=compression)
    assert_close(decode(tmp_path / "x", data).rgb, PICTURE, mean=1.5, worst=4)


def test_lab_tiff(tmp_path: Path) -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    muted = PICTURE // 2 + 64  # 8 bits of Lab are coarse where colours are strong
    image = ImageCms.profileToProfile(Image.fromarray(muted), srgb, lab, outputMode="LAB")
    assert_close(decode(tmp_path / "x", encode(image, "TIFF")).rgb, muted, mean=1.5, worst=12)
    del image.info["icc_profile"]
    assert_close(decode(tmp_path / "x", encode(image, "TIFF")).rgb, muted, mean=1.5, worst=12)


def test_cmyk_jpeg_as_adobe_writes_it_inverted(tmp_path: Path) -> None:
    data = encode(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", quality=97)
    assert b"Adobe" in data
    assert_close(decode(tmp_path / "x", data).rgb, PICTURE, mean=2)


# ---- transparency ----


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})])
def test_transparent_pixels_lie_on_white(tmp_path: Path, kind: str, options: dict[str, object]) -> None:
    data = encode(np.dstack([PICTURE, ALPHA]), kind, **options)
    assert_close(decode(tmp_path / "x", data).rgb, composite_on_white(PICTURE, ALPHA), mean=0.5, worst=1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_transparent_grey_lies_on_white(tmp_path: Path, kind: str) -> None:
    grey = PICTURE[..., 0]
    data = encode(Image.merge("LA", [Image.fromarray(grey), Image.fromarray(ALPHA)]), kind)
    assert_close(decode(tmp_path / "x", data).rgb, composite_on_white(np.dstack([grey] * 3), ALPHA), mean=0.5, worst=1)


def test_premultiplied_tiff(tmp_path: Path) -> None:
    data = forge_tiff(np.uint8([[[50, 25, 0, 128], [9, 9, 9, 255]]]), 2, extra={338: (1,)})
    assert_close(decode(tmp_path / "x", data).rgb, np.uint8([[[177, 152, 127], [9, 9, 9]]]), mean=1, worst=1)


def test_transparent_colours_of_a_palette(tmp_path: Path) -> None:
    palette, alpha = chunk(b"PLTE", bytes([200, 100, 50, 0, 255, 0])), chunk(b"tRNS", bytes([51, 0]))
    rgb = decode(tmp_path / "x", forge_png(2, 1, 8, 3, b"\0\0\1", palette, alpha)).rgb
    assert rgb.tolist() == [[[244, 224, 214], [255, 255, 255]]]


def test_a_colour_that_stands_for_transparency(tmp_path: Path) -> None:
    rows, key = b"\0" + bytes([1, 2, 3, 4, 5, 6]), chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
    assert decode(tmp_path / "x", forge_png(2, 1, 8, 2, rows, key)).rgb.tolist() == [[[255] * 3, [4, 5, 6]]]
    rows, key = b"\0" + bytes([7, 9]), chunk(b"tRNS", struct.pack(">H", 7))
    assert decode(tmp_path / "x", forge_png(2, 1, 8, 0, rows, key)).rgb.tolist() == [[[255] * 3, [9] * 3]]


# ---- deep samples ----


def test_grey_png_of_16_bits_is_not_clipped(tmp_path: Path) -> None:
    assert (decode(tmp_path / "x", encode(Image.fromarray(DEEP[..., 0]), "PNG")).rgb == WANTED).all()


@pytest.mark.parametrize(("colour", "channels"), [(2, [0, 0, 0]), (6, [0, 0, 0, -1]), (4, [0, -1])])
def test_colour_png_of_16_bits_is_not_clipped(tmp_path: Path, colour: int, channels: list[int]) -> None:
    columns = [np.full(80, 65535) if c else RAMP for c in channels]
    rows = (b"\0" + np.stack(columns, -1).astype(">u2").tobytes()) * 48
    assert_close(decode(tmp_path / "x", forge_png(80, 48, 16, colour, rows)).rgb, WANTED, mean=0.6, worst=1)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("planes", [False, True])
def test_colour_tiff_of_16_bits_is_not_clipped(tmp_path: Path, order: str, deflate: bool, planes: bool) -> None:
    data = forge_tiff(DEEP, 2, order=order, deflate=deflate, planes=planes)
    assert_close(decode(tmp_path / "x", data).rgb, WANTED, mean=0.6, worst=1)


GREYS = {
    "16 bits": DEEP[..., :1],
    "32 bits": DEEP[..., :1].astype(np.uint32) * 65537,
    "32 bits, small numbers": DEEP[..., :1].astype(np.uint32),
    "32 bits, signed": DEEP[..., :1].astype(np.int32),
    "float to 1": (DEEP[..., :1] / 65535).astype(np.float32),
    "float to 255": (DEEP[..., :1] / 257).astype(np.float32),
    "double to 1": DEEP[..., :1] / 65535,
}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("name", GREYS)
def test_deep_grey_tiff(tmp_path: Path, name: str, order: str, deflate: bool) -> None:
    if GREYS[name].dtype == np.uint32 and metadata.version("opencv-python-headless") < "5":
        pytest.skip("OpenCV 4 refuses unsigned samples of 32 bits")
    rgb = decode(tmp_path / "x", forge_tiff(GREYS[name], 1, order=order, deflate=deflate)).rgb
    assert_close(rgb, WANTED, mean=0.1, worst=1)


@pytest.mark.parametrize("order", "<>")
def test_deep_grey_tiff_with_white_as_zero(tmp_path: Path, order: str) -> None:
    assert (decode(tmp_path / "x", forge_tiff(65535 - DEEP[..., :1], 0, order=order)).rgb == WANTED).all()


@pytest.mark.parametrize("order", "<>")
def test_colour_tiff_of_floats(tmp_path: Path, order: str) -> None:
    colour = (PICTURE / 255).astype(np.float32)
    assert (decode(tmp_path / "x", forge_tiff(colour, 2, order=order)).rgb == PICTURE).all()
    with_alpha = np.dstack([PICTURE, ALPHA]).astype(np.float32) / 255
    rgb = decode(tmp_path / "x", forge_tiff(with_alpha, 2, order=order, extra={338: (2,)})).rgb
    assert_close(rgb, composite_on_white(PICTURE, ALPHA), mean=0.5, worst=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_deep_colours_that_are_multiplied_by_alpha(tmp_path: Path, dtype: type) -> None:
    share = (ALPHA / 255)[..., None]
    samples = np.dstack([PICTURE / 255 * share, share]).astype(dtype)
    rgb = decode(tmp_path / "x", forge_tiff(samples, 2, extra={338: (1,)})).rgb
    assert_close(rgb, composite_on_white(PICTURE, ALPHA), 1, 2)


def test_a_fourth_deep_channel_that_is_no_alpha_changes_nothing(tmp_path: Path) -> None:
    samples = np.dstack([PICTURE / 255, ALPHA / 255]).astype(np.float32)
    assert_close(decode(tmp_path / "x", forge_tiff(samples, 2, extra={338: (0,)})).rgb, PICTURE, 0, 0)


@pytest.mark.parametrize("extra", [1, 2])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_grey_with_alpha_is_not_decoded_as_if_it_had_none(tmp_path: Path, dtype: type, extra: int) -> None:
    full = 65535 if dtype is np.uint16 else 1
    samples = (np.dstack([PICTURE[..., 0], ALPHA]) / 255 * full).astype(dtype)
    refused = refuse(tmp_path / "x", forge_tiff(samples, 1, extra={338: (extra,)}))
    assert refused.status is Status.UNSUPPORTED
    assert "transparency" in refused.detail


def test_grey_tiff_of_12_packed_bits(tmp_path: Path) -> None:
    values = np.linspace(0, 4095, 80).astype(int)
    a, b = values[::2], values[1::2]
    packed = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], -1).astype(np.uint8).reshape(1, -1, 1)
    rgb = decode(tmp_path / "x", forge_tiff(packed, 1, size=(80, 1), bits=12)).rgb
    assert_close(rgb[0, :, 0], np.round(values * 255 / 4095), mean=0.6, worst=1)


def test_deep_colours_in_separate_planes_are_refused_not_garbled(tmp_path: Path) -> None:
    refused = refuse(tmp_path / "x", forge_tiff((PICTURE / 255).astype(np.float32), 2, planes=True))
    assert refused.status is Status.UNSUPPORTED


def test_how_deep_samples_become_bytes() -> None:
    assert scale_to_bytes(np.uint16([0, 128, 129, 257, 65535])).tolist() == [0, 0, 1, 1, 255]
    assert scale_to_bytes(np.uint16([200])).tolist() == [1]  # a dark picture stays dark
    assert scale_to_bytes(np.int32([-5, 200])).tolist() == [0, 200]
    assert scale_to_bytes(np.float32([np.nan, np.inf, -np.inf, -1, 0.5, 1])).tolist() == [0, 0, 0, 0, 128, 255]
    assert scale_to_bytes(np.float64([0, 1e12])).tolist() == [0, 255]
    assert scale_to_bytes(np.float64([1e300, -1e300, 1])).tolist() == [0, 0, 255]
    assert scale_to_bytes(np.float32([0, -3e38])).tolist() == [0, 0]
    assert scale_to_bytes(np.float32([3e38, 1.5e38])).tolist() == [255, 128]
    assert scale_to_bytes(np.int16([32767, -9])).tolist() == [255, 0]


# ---- colour profiles ----


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    linear = linear.clip(0, 1)
    return np.round(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)).astype(np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG", "AVIF"])
def test_wide_colours_become_srgb(tmp_path: Path, kind: str) -> None:
    wanted = encode_srgb((PICTURE / 255) ** ADOBE_GAMMA @ (np.linalg.inv(SRGB_PRIMARIES) @ ADOBE_PRIMARIES).T)
    assert np.abs(wanted.astype(int) - PICTURE).mean() > 10  # it does make a difference
    rgb = decode(tmp_path / "x", encode_any(kind, icc_profile=ADOBE)).rgb
    assert_close(rgb, wanted, mean=0.7 if kind in LOSSLESS else 3.5, worst=3 if kind in LOSSLESS else 255)


GREY_PROFILE = make_profile(b"GRAY", 1.8)


@pytest.mark.parametrize("depth", ["8 bits", "with alpha", "16 bits", "float"])
def test_grey_profiles(tmp_path: Path, depth: str) -> None:
    grey = PICTURE[..., 0]
    image = {
        "8 bits": Image.fromarray(grey),
        "with alpha": Image.merge("LA", [Image.fromarray(grey), Image.new("L", (80, 48), 255)]),
        "16 bits": Image.fromarray(grey.astype(np.uint16) * 257),
        "float": Image.fromarray(grey.astype(np.float32) / 255),
    }[depth]
    rgb = decode(tmp_path / "x", encode(image, "TIFF" if depth == "float" else "PNG", icc_profile=GREY_PROFILE)).rgb
    assert_close(rgb, np.dstack([encode_srgb((grey / 255) ** 1.8)] * 3), mean=0.6, worst=3)


def test_a_colour_profile_on_a_grey_picture(tmp_path: Path) -> None:
    grey = PICTURE[..., 0]
    rgb = decode(tmp_path / "x", encode(grey, "PNG", icc_profile=ADOBE)).rgb
    assert_close(rgb, np.dstack([encode_srgb((grey / 255) ** ADOBE_GAMMA)] * 3), mean=0.6, worst=2)


def test_a_linear_profile_named_after_srgb_is_still_applied(tmp_path: Path) -> None:
    for name in (b"GIMP built-in Linear sRGB", b"sRGB-elle-V2-g10.icc"):
        profile = make_profile(b"RGB ", 1.0, SRGB_PRIMARIES, name)
        rgb = decode(tmp_path / "x", encode_any("PNG", icc_profile=profile)).rgb
        assert_close(rgb, encode_srgb(PICTURE / 255), mean=0.6, worst=2)


@pytest.mark.parametrize(
    "profile",
    [
        make_profile(b"RGB ", 2.2, SRGB_PRIMARIES, b"sRGB IEC61966-2.1"),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        b"no profile at all",
        ADOBE[:200],
        make_profile(b"GRAY", 1.0),
        make_profile(b"CMYK", 1.0),
        make_profile(b"\xff\xfe\xfd\xfc", 1.0),
    ],
    ids=["named sRGB", "sRGB", "garbage", "cut short", "of grey", "of ink", "of nothing known"],
)
def test_srgb_broken_and_foreign_profiles_change_no_pixel(tmp_path: Path, profile: bytes) -> None:
    assert (decode(tmp_path / "x", encode_any("PNG", icc_profile=profile)).rgb == PICTURE).all()
