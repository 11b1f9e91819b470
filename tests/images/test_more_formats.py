"""HEIC, JPEG XL and camera RAW, which need the [formats] extra; PSD, ICO, JPEG 2000 and pages, which do not."""

import importlib.util
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from dng import make_dng
from pictures import (
    ADOBE,
    PICTURE,
    STORED,
    assert_close,
    decode,
    encode,
    encode_any,
    make_exif,
    make_picture,
    refuse,
)
from PIL import Image
from psd import forge_psd, resource

from iqa_cli.images.crops import CropSpec, cut_views
from iqa_cli.images.decode import decode_image
from iqa_cli.options import RawChoice
from iqa_cli.records import Status

SAMPLES = Path(__file__).parent / "samples"
needs_heif, needs_jxl, needs_raw = (
    pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"needs the [formats] extra: {name}")
    for name in ("pi_heif", "pylibjxl", "rawpy")
)


# ---- HEIC ----


@needs_heif
@pytest.mark.parametrize("name", ["plain", "turned", "exif-only"])
def test_a_heic_is_turned_as_its_container_says_and_once(name: str) -> None:
    decoded = decode(SAMPLES / f"{name}.heic")
    assert (decoded.width, decoded.height) == (80, 48)
    assert_close(decoded.rgb, PICTURE, mean=3)


@needs_heif
@pytest.mark.parametrize("name", ["x.heic", "x.jpg", "x", "x.HIF"])
def test_a_heic_ends_alike_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    decoded = decode(tmp_path / name, (SAMPLES / "turned.heic").read_bytes())
    assert (decoded.rgb == decode(SAMPLES / "turned.heic").rgb).all()


@needs_heif
def test_the_colours_of_a_heic_are_those_it_says(tmp_path: Path) -> None:
    wanted = decode(tmp_path / "x.png", encode(PICTURE, "PNG", icc_profile=ADOBE)).rgb
    assert abs(wanted.astype(int) - PICTURE).mean() > 6
    assert_close(decode(SAMPLES / "adobe.heic").rgb, wanted, mean=3)


@needs_heif
def test_a_transparent_heic_lies_on_white() -> None:
    rgb = decode(SAMPLES / "alpha.heic").rgb
    assert (rgb[:, :2] > 245).all()
    assert_close(rgb[:, -4:], PICTURE[:, -4:], mean=6)


@needs_heif
def test_an_hdr_heic_is_shown_as_a_plain_screen_would() -> None:
    row = decode(SAMPLES / "pq.heic").rgb[24].astype(int)
    assert (np.diff(row.mean(axis=1)) >= -1).all()
    assert row[0].max() < 8
    assert row[-1].min() > 247
    assert (row.max(axis=1) - row.min(axis=1)).max() <= 4  # grey
    codes = np.linspace(0, 1, 80)
    assert row[40].mean() > 255 * codes[40] * 1.15  # PQ has most of its codes for what is darker than white


@needs_heif
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_a_heic_that_is_cut_short_is_damaged(tmp_path: Path, keep: float) -> None:
    data = (SAMPLES / "plain.heic").read_bytes()
    assert refuse(tmp_path / "x.heic", data[: int(len(data) * keep)]).status is Status.DAMAGED


# ---- JPEG XL ----


def encode_jxl(picture: np.ndarray, **options: object) -> bytes:
    import pylibjxl

    return bytes(pylibjxl.encode(picture, **options))


@needs_jxl
@pytest.mark.parametrize("name", ["x.jxl", "x.jpg"])
def test_a_jpeg_xl_is_decoded_as_it_was(tmp_path: Path, name: str) -> None:
    decoded = decode(tmp_path / name, encode_jxl(PICTURE, lossless=True))
    assert (decoded.width, decoded.height) == (80, 48)
    assert (decoded.rgb == PICTURE).all()


@needs_jxl
@pytest.mark.parametrize("lossless", [True, False])
def test_the_colours_of_a_jpeg_xl_are_those_it_says(tmp_path: Path, lossless: bool) -> None:
    wanted = decode(tmp_path / "x.png", encode(PICTURE, "PNG", icc_profile=ADOBE)).rgb
    decoded = decode(tmp_path / "x.jxl", encode_jxl(PICTURE, lossless=lossless, icc=ADOBE, distance=0.3))
    assert_close(decoded.rgb, wanted, mean=0.5 if lossless else 2.5)


@needs_jxl
@pytest.mark.parametrize("orientation", STORED)
def test_a_jpeg_packed_as_jpeg_xl_is_turned_once(tmp_path: Path, orientation: int) -> None:
    import pylibjxl

    stored = encode(np.ascontiguousarray(STORED[orientation](PICTURE)), "JPEG", quality=97, exif=make_exif(orientation))
    decoded = decode(tmp_path / "x.jxl", bytes(pylibjxl.jpeg_to_jxl(stored)))
    assert (decoded.width, decoded.height) == (80, 48)
    assert_close(decoded.rgb, PICTURE, mean=4)


@needs_jxl
def test_a_jpeg_xl_lies_on_white_and_one_cut_short_is_damaged(tmp_path: Path) -> None:
    clear = np.dstack([PICTURE, np.zeros((48, 80), np.uint8)])
    data = encode_jxl(clear, lossless=True)
    assert (decode(tmp_path / "x.jxl", data).rgb == 255).all()
    assert refuse(tmp_path / "y.jxl", data[: len(data) // 2]).status is Status.DAMAGED


# ---- camera RAW ----

SENSOR = make_picture(600, 1000)
SMALL_PREVIEW = make_picture(60, 100)


def forge_raw(orientation: int = 1, *, preview: np.ndarray | None = None, exif: int | None = None) -> bytes:
    """A RAW file whose upright picture is SENSOR; its preview lies as it is given."""
    stored = np.ascontiguousarray(STORED[orientation](SENSOR))
    if preview is None:
        return make_dng(stored, orientation=orientation)
    more = {} if exif is None else {"exif": make_exif(exif)}
    jpeg = encode(np.ascontiguousarray(preview), "JPEG", quality=95, subsampling=0, **more)
    return make_dng(stored, preview=jpeg, preview_size=(preview.shape[1], preview.shape[0]), orientation=orientation)


def negative(picture: np.ndarray) -> np.ndarray:
    """A preview that cannot be taken for the sensor's picture."""
    return 255 - picture


LARGE = negative(make_picture(720, 1200))


@needs_raw
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("way", ["as the sensor", "turned by its own EXIF", "already upright"])
def test_the_preview_of_a_raw_file_is_scored_upright(tmp_path: Path, orientation: int, way: str) -> None:
    if way == "already upright" and orientation == 3:
        pytest.skip("a preview that lies upright while the sensor lay upside down cannot be told")
    stored = LARGE if way == "already upright" else STORED[orientation](LARGE)
    exif = orientation if way == "turned by its own EXIF" else None
    decoded = decode(tmp_path / "x.dng", forge_raw(orientation, preview=stored, exif=exif))
    assert (decoded.width, decoded.height) == (1000, 600)
    assert_close(decoded.rgb, LARGE, mean=2)


@needs_raw
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("preview", [None, negative(SMALL_PREVIEW)])
def test_without_a_large_preview_a_raw_file_is_developed_upright(
    tmp_path: Path, orientation: int, preview: np.ndarray | None
) -> None:
    decoded = decode(tmp_path / "x.dng", forge_raw(orientation, preview=preview))
    assert (decoded.width, decoded.height) == (1000, 600)
    assert_close(decoded.rgb, SENSOR, mean=16)


@needs_raw
def test_a_raw_file_is_developed_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.nef"
    path.write_bytes(forge_raw(6, preview=STORED[6](LARGE)))
    developed, preview = decode_image(str(path), raw=RawChoice.DEVELOP), decode_image(str(path))
    assert_close(developed.rgb, SENSOR, mean=16)
    assert_close(preview.rgb, LARGE, mean=2)


@needs_raw
def test_crops_of_a_raw_file_are_those_of_all_of_it(tmp_path: Path) -> None:
    path, spec = tmp_path / "x.dng", CropSpec(64)
    path.write_bytes(forge_raw(8))
    part = cut_views(decode_image(str(path), crops=spec).region, spec)
    whole = cut_views(decode_image(str(path)).region, spec)
    assert part.shape == whole.shape
    assert_close(part[0], whole[0], mean=4)


@needs_raw
@pytest.mark.parametrize("name", ["x.dng", "x.tif", "x.jpg"])
def test_a_raw_file_is_no_tiff_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    assert (decode(tmp_path / name, forge_raw(preview=LARGE)).rgb.shape) == (720, 1200, 3)


@needs_raw
def test_a_raw_file_without_sense_has_a_reason(tmp_path: Path) -> None:
    assert refuse(tmp_path / "x.nef", b"whatever" * 100).status is Status.UNSUPPORTED
    whole = forge_raw()
    assert refuse(tmp_path / "y.dng", whole[: len(whole) // 3]).status is Status.DAMAGED
    large = refuse(tmp_path / "z.dng", whole, max_pixels=1000)
    assert (large.status, large.width, large.height) == (Status.TOO_LARGE, 1000, 600)


# ---- by Pillow ----


PLANES = [PICTURE[..., channel] for channel in range(3)]


def test_a_psd_is_its_flat_picture(tmp_path: Path) -> None:
    assert (decode(tmp_path / "x.psd", forge_psd(PLANES)).rgb == PICTURE).all()
    mask = np.zeros((48, 80), np.uint8)
    assert (decode(tmp_path / "y.psd", forge_psd([*PLANES, mask])).rgb == PICTURE).all()  # it lies on white already
    told = resource(1057, struct.pack(">IB", 1, 1) + bytes(8))
    assert (decode(tmp_path / "z.jpg", forge_psd(PLANES, resources=told)).rgb == PICTURE).all()


def test_a_psd_has_the_colours_that_it_says(tmp_path: Path) -> None:
    wanted = decode(tmp_path / "x.png", encode(PICTURE, "PNG", icc_profile=ADOBE)).rgb
    assert_close(decode(tmp_path / "x.psd", forge_psd(PLANES, resources=resource(1039, ADOBE))).rgb, wanted, mean=0.5)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (forge_psd(PLANES, resources=resource(1057, struct.pack(">IB", 1, 0) + bytes(8))), "without its flat picture"),
        (forge_psd([plane.astype(">u2") for plane in PLANES], bits=16), "PSD of 16 bits"),
        (forge_psd(PLANES, version=2), "PSB"),
    ],
)
def test_a_psd_that_is_not_decoded_says_why(tmp_path: Path, data: bytes, words: str) -> None:
    refused = refuse(tmp_path / "x.psd", data)
    assert refused.status is Status.UNSUPPORTED
    assert words in refused.detail


@pytest.mark.parametrize("bitmaps", ["png", "bmp"])
def test_an_icon_is_its_largest_picture(tmp_path: Path, bitmaps: str) -> None:
    picture = Image.fromarray(make_picture(64, 64))
    data = encode(picture, "ICO", sizes=[(16, 16), (64, 64), (32, 32)], bitmap_format=bitmaps)
    decoded = decode(tmp_path / "x.jpg", data)
    assert (decoded.width, decoded.height) == (64, 64)
    assert_close(decoded.rgb, np.asarray(picture), mean=1)


def test_a_large_picture_in_an_icon_is_refused_by_its_header(tmp_path: Path) -> None:
    inside = encode(make_picture(600, 600), "PNG")
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(inside), 22)
    refused = refuse(tmp_path / "x.ico", struct.pack("<HHH", 0, 1, 1) + entry + inside, max_pixels=300_000)
    assert (refused.status, refused.width) == (Status.TOO_LARGE, 600)


@pytest.mark.parametrize(
    "data", [b"\0\0\1\0", b"\0\0\1\0\1\0" + bytes(20), b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\xff\xff\xff\xff\xff\xff\xff\xff"]
)
def test_what_begins_as_an_icon_does_not_stop_anything(tmp_path: Path, data: bytes) -> None:
    assert refuse(tmp_path / "x.ico", data).status in (Status.UNSUPPORTED, Status.DAMAGED)


@pytest.mark.parametrize("name", ["x.jp2", "x.j2k", "x.jpg"])
def test_jpeg_2000(tmp_path: Path, name: str) -> None:
    data = encode(PICTURE, "JPEG2000", irreversible=False, no_jp2=name == "x.j2k")
    assert (decode(tmp_path / name, data).rgb == PICTURE).all()
    assert refuse(tmp_path / "y.jp2", data[: len(data) // 2]).status is Status.DAMAGED


def add_profile(plain: bytes, profile: bytes) -> bytes:
    """A JPEG 2000 with an ICC profile in place of what it says of its colours."""
    at = plain.index(b"jp2h") - 4
    size = int.from_bytes(plain[at : at + 4], "big")
    colors = plain.index(b"colr", at) - 4
    kept = plain[at + 8 : colors] + plain[colors + int.from_bytes(plain[colors : colors + 4], "big") : at + size]
    kept += struct.pack(">I4sBBB", 11 + len(profile), b"colr", 2, 0, 0) + profile
    return plain[:at] + struct.pack(">I4s", 8 + len(kept), b"jp2h") + kept + plain[at + size :]


def test_jpeg_2000_has_the_colours_that_it_says(tmp_path: Path) -> None:
    wanted = decode(tmp_path / "x.png", encode(PICTURE, "PNG", icc_profile=ADOBE)).rgb
    data = add_profile(encode(PICTURE, "JPEG2000", irreversible=False), ADOBE)
    assert_close(decode(tmp_path / "x.jp2", data).rgb, wanted, mean=0.5)


def test_deep_grey_jpeg_2000_is_scaled(tmp_path: Path) -> None:
    ramp = np.ascontiguousarray(np.broadcast_to(np.linspace(0, 65535, 80).astype(np.uint16), (48, 80)))
    rgb = decode(tmp_path / "x.jp2", encode(Image.fromarray(ramp), "JPEG2000", irreversible=False)).rgb
    assert_close(rgb[..., 0], np.round(ramp / 257).astype(np.uint8), mean=0.6)


def forge_jpeg2000(samples: np.ndarray, bits: int) -> bytes:
    """A lossless JPEG 2000 of samples [h, w, 1, 3 or 4] of so many bits, 9 to 16."""
    shifted = samples.astype(np.uint16) + np.uint16((1 << 15) - (1 << bits - 1))  # zero lies in the middle of the depth
    order = [2, 1, 0, 3] if samples.shape[2] > 1 else [0]
    options = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
    done, coded = cv2.imencode(".jp2", shifted[..., order[: samples.shape[2]]], options)
    assert done
    data = bytearray(coded.tobytes())
    data[data.index(b"ihdr") + 14] = bits - 1
    first = data.index(b"\xff\x4f\xff\x51") + 42
    for channel in range(samples.shape[2]):
        data[first + 3 * channel] = bits - 1
    return bytes(data)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("bits", [9, 10, 12, 16])
def test_deep_jpeg_2000_is_white_where_it_is_brightest(tmp_path: Path, bits: int, channels: int) -> None:
    full = (1 << bits) - 1
    ramp = np.broadcast_to(np.round(np.linspace(0, full, 80))[:, None], (48, 80, channels)).astype(np.uint16).copy()
    if channels > 1:
        ramp[..., 2] = full - ramp[..., 2]
    if channels == 4:
        ramp[..., 3] = full
        ramp[:5, ..., 3] = 0
    wanted = np.round(ramp[..., :3] / full * 255).astype(np.uint8)
    if channels == 4:
        wanted[:5] = 255
    wanted = wanted if channels > 1 else np.dstack([wanted] * 3)
    assert_close(decode(tmp_path / "x.jp2", forge_jpeg2000(ramp, bits)).rgb, wanted, 1, 1)


def test_deep_jpeg_2000_has_the_colours_that_it_says(tmp_path: Path) -> None:
    wanted = decode(tmp_path / "x.png", encode(PICTURE, "PNG", icc_profile=ADOBE)).rgb
    data = add_profile(forge_jpeg2000(PICTURE.astype(np.uint16) * 257, 16), ADOBE)
    assert_close(decode(tmp_path / "x.jp2", data).rgb, wanted, mean=0.5)


def test_deep_jpeg_2000_that_is_not_decoded_is_named(tmp_path: Path) -> None:
    data = bytearray(forge_jpeg2000(PICTURE.astype(np.uint16) * 257, 16))
    at = data.index(b"colr") + 7
    data[at : at + 4] = struct.pack(">I", 18)  # luma and chroma
    refused = refuse(tmp_path / "x.jp2", bytes(data))
    assert refused.status is Status.UNSUPPORTED
    assert "JPEG 2000 of more than 8 bits" in refused.detail


def test_of_pages_and_frames_the_first_counts(tmp_path: Path) -> None:
    other = Image.fromarray(255 - PICTURE)
    pages = encode(PICTURE, "TIFF", save_all=True, append_images=[other, other])
    assert (decode(tmp_path / "x.tif", pages).rgb == PICTURE).all()
    frames = encode_any("AVIF", save_all=True, append_images=[other, other])
    assert frames[8:12] == b"avis"
    for name in ("x.avifs", "x.avif", "x.jpg"):
        assert_close(decode(tmp_path / name, frames).rgb, PICTURE, mean=2.5)
