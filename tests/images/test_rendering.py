"""What `rendering` promises: colours as screens show them, highlights tone mapped, and nothing wrong from broken boxes."""

import io
import random
import struct
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from colors import (
    BT2020,
    DEEP_AVIF,
    chrm,
    cicp,
    deepen,
    gama,
    name_colors,
    to_hlg,
    to_light,
    to_pq,
    to_srgb,
    write_avif,
    write_png,
)
from pictures import ADOBE, PICTURE, assert_close, chunk, decode, encode, encode_any, forge_png, make_exif, make_profile
from PIL import Image

from iqa_cli.images.colors.hdr import decode_hlg, decode_pq, encode_pq, tone_map
from iqa_cli.images.colors.spaces import PRIMARIES, ColorSpace, space_from_cicp, space_from_gamma, space_from_profile
from iqa_cli.images.containers.heif import read_coding
from iqa_cli.images.crops import CropSpec, cut_views
from iqa_cli.images.decode import decode_image
from iqa_cli.options import ScoreOptions
from iqa_cli.records import Status
from iqa_cli.scoring.pipeline import open_pipeline

CASES = Path(__file__).parents[3] / "shared" / "cases"

# ---- light ----


def test_pq_and_hlg_are_those_of_bt_2100() -> None:
    codes = np.array([0, 0.5080784, 0.5806889, 0.7518271, 1])  # of 0, 100, 203, 1000, 10000 cd/m2
    assert decode_pq(codes) * 203 == pytest.approx([0, 100, 203, 1000, 10000], rel=1e-4, abs=1e-9)
    assert encode_pq(np.array([1.0])) == pytest.approx(0.5806889, abs=1e-6)
    assert decode_hlg(np.array([0, 0.5, 0.75, 1])) == pytest.approx([0, 1 / 12, 0.26496256, 1], abs=1e-6)


def test_the_matrix_of_bt_2020_is_that_of_bt_2087() -> None:
    assert ColorSpace(PRIMARIES[9]).matrix() @ BT2020 == pytest.approx(np.eye(3), abs=1e-4)
    for chromaticities in PRIMARIES.values():
        assert ColorSpace(chromaticities).matrix() @ np.ones(3) == pytest.approx(np.ones(3), abs=1e-9)  # white stays white


def test_highlights_are_rolled_off_and_nothing_else_is_touched() -> None:
    grey = np.repeat(np.linspace(0, 5, 501, dtype=np.float32)[:, None], 3, 1)
    assert (tone_map(grey, 1.0) == grey).all()
    rolled = tone_map(grey, 5.0)[:, 0]
    assert rolled[:40] == pytest.approx(grey[:40, 0], rel=1e-3)  # below 80 cd/m2
    assert all(a <= b + 1e-4 for a, b in pairwise(rolled))
    assert rolled[-1] == pytest.approx(1, abs=1e-3)
    assert 0.7 < rolled[100] < 0.9  # diffuse white makes room for what is brighter
    assert tone_map(np.float32([[50, 25, 0]]), 5.0) == pytest.approx(np.float32([[1, 0.5, 0]]), abs=1e-3)  # hues stay


@pytest.mark.parametrize("encoding", [(to_pq, 16), (to_hlg, 18)], ids=["PQ", "HLG"])
def test_a_few_sparks_burn_out_and_a_bright_sky_does_not(tmp_path: Path, encoding: tuple) -> None:
    curve, transfer = encoding
    light = to_light(PICTURE)
    light[0, :2] = 4.5
    rgb = decode(tmp_path / "x", write_png(deepen(curve(light @ BT2020.T)), cicp(9, transfer))).rgb
    assert (rgb[0, :2] == 255).all()
    assert_close(rgb[1:], PICTURE[1:], mean=0.1, worst=4)
    light[:20] = np.linspace(1, 4.5, 80)[None, :, None]
    rgb = decode(tmp_path / "x", write_png(deepen(curve(light @ BT2020.T)), cicp(9, transfer))).rgb
    assert 220 < rgb[5, 0].min() <= rgb[5, 0].max() < 245 < rgb[5, -1].min()
    assert (np.diff(rgb[5, :, 1].astype(int)) >= 0).all()
    dark = (light < 0.3).all(-1)
    assert_close(rgb[dark], PICTURE[dark], mean=0.5, worst=2)


def test_what_is_transparent_says_nothing_of_the_peak(tmp_path: Path) -> None:
    light, alpha = to_light(PICTURE), np.full((48, 80), 65535, np.uint16)
    light[:20], alpha[:20] = 40, 0
    data = write_png(np.dstack([deepen(to_pq(light @ BT2020.T)), alpha]), cicp(9, 16))
    wanted = PICTURE.copy()
    wanted[:20] = 255
    assert_close(decode(tmp_path / "x", data).rgb, wanted, mean=0.1, worst=1)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("spec", [CropSpec(32, "square", 32), CropSpec(32, "whole", 16, count=3), CropSpec(48, "square")])
def test_crops_of_hdr_are_those_of_the_whole_picture(tmp_path: Path, spec: CropSpec, orientation: int) -> None:
    light = to_light(np.tile(PICTURE, (1, 6, 1))) * 3
    exif = chunk(b"eXIf", make_exif(orientation).tobytes()[6:])
    data = write_png(deepen(to_pq(light @ BT2020.T)), cicp(9, 16), exif)
    part, whole = decode(tmp_path / "x", data, crops=spec), decode(tmp_path / "x", data)
    assert (part.width, part.height) == (whole.width, whole.height) == ((480, 48) if orientation == 1 else (48, 480))
    assert (cut_views(part.region, spec) == cut_views(whole.region, spec)).all()


@pytest.mark.skipif(not DEEP_AVIF, reason="this OpenCV has no AVIF")
@pytest.mark.parametrize("bits", [10, 12])
def test_deep_avif_keeps_its_depth(tmp_path: Path, bits: int) -> None:
    data = write_avif(deepen(to_pq(to_light(PICTURE) @ BT2020.T), bits), 9, 16, bits)
    assert_close(decode(tmp_path / "x", data).rgb, PICTURE, mean=0.2, worst=12)  # what is saturated and dark


def test_hdr_avif_of_8_bits_is_near(tmp_path: Path) -> None:
    data = write_avif(deepen(to_pq(to_light(PICTURE) @ BT2020.T), 8), 9, 16)
    assert_close(decode(tmp_path / "x", data).rgb, PICTURE, mean=5)


# ---- what files say ----


@pytest.mark.parametrize(
    "chunks",
    [
        (gama(0.45455),),
        (gama(0.45), chrm((0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06))),
        (chrm((0.3127, 0.3290, 0.6401, 0.3299, 0.2999, 0.5999, 0.1499, 0.0599)),),
        (gama(0), chrm((0.0,) * 8)),
        (chrm((0.3, 0.3, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)),),
        (chrm((0.9, 0.05, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)),),
        (gama(30_000),),
        (chunk(b"sRGB", b"\0"), gama(1)),
        (cicp(1, 13), gama(1)),
        (cicp(2, 2),),
        (cicp(1, 99),),
        (cicp(99, 16),),
        (cicp(9, 16, matrix=9),),
        (chunk(b"cICP", b"\x09\x10\x00"),),
    ],
)
def test_srgb_and_nonsense_change_no_pixel(tmp_path: Path, chunks: tuple[bytes, ...]) -> None:
    assert (decode(tmp_path / "x", write_png(PICTURE, *chunks)).rgb == PICTURE).all()


@pytest.mark.parametrize("picture", ["RGB", "P", "L", "LA", "1"])
def test_gamma_of_every_kind_of_png(tmp_path: Path, picture: str) -> None:
    image = Image.fromarray(PICTURE).convert(picture)
    data = encode(image, "PNG")
    rgb = decode(tmp_path / "x", data[:33] + gama(1) + data[33:]).rgb
    assert_close(rgb, np.round(255 * to_srgb(np.asarray(image.convert("RGB")) / 255)).astype(np.uint8), mean=0.1, worst=1)


@pytest.mark.parametrize("code", [4, 5, 8, 9, 10, 17])
def test_rare_curves_go_from_black_to_white(code: int) -> None:
    light = space_from_cicp(1, code).tabulate(255)
    assert light[0] == 0
    assert light[255] == pytest.approx(52.37 / 48 if code == 17 else 1)
    assert (np.diff(light) >= 0).all()


def test_a_gamma_is_followed_where_libpng_does() -> None:
    assert space_from_gamma(0.45455, None).srgb
    assert space_from_gamma(0.44, None).srgb
    assert space_from_gamma(1 / 1.8, None).gamma == pytest.approx(1.8)
    assert space_from_gamma(None, None).srgb


def test_hdr_profiles_are_known_by_tag_and_by_name() -> None:
    for name, space in {
        b"ITUR_2100_PQ_FULL": (9, 16),
        b"Rec. ITU-R BT.2100 HLG": (9, 18),
        b"HLG Rec2020 RGB": (9, 18),
        b"PQ P3 RGB": (12, 16),
    }.items():
        assert space_from_profile(make_profile(b"RGB ", 1.0, np.eye(3), name)) == space_from_cicp(*space)
    for name in (b"Rec2020 RGB", b"Display P3", b"PQR of 2020"):
        assert space_from_profile(make_profile(b"RGB ", 1.0, np.eye(3), name)) is None
    tag = b"cicp" + struct.pack(">II", 132 + 12, 12) + b"cicp" + bytes(4) + bytes([9, 16, 0, 1])
    assert space_from_profile(bytes(128) + struct.pack(">I", 1) + tag) == space_from_cicp(9, 16)
    assert space_from_profile(ADOBE[:140]) is None


def test_an_hdr_profile_in_jpeg_and_avif(tmp_path: Path) -> None:
    samples = deepen(to_pq(to_light(PICTURE) @ BT2020.T), 8)
    profile = make_profile(b"RGB ", 1.0, np.eye(3), b"ITUR_2100_PQ_FULL")
    for kind in ("JPEG", "AVIF", "WEBP", "TIFF"):
        assert_close(decode(tmp_path / "x", encode_any(kind, samples, icc_profile=profile)).rgb, PICTURE, mean=5)


# ---- transparency ----


@pytest.mark.parametrize(("bits", "key"), [(1, 0), (1, 1), (2, 0), (2, 2), (2, 3), (4, 1), (4, 9), (4, 15), (8, 9), (16, 300)])
def test_the_transparent_grey_of_every_depth(tmp_path: Path, bits: int, key: int) -> None:
    full = (1 << bits) - 1
    values = [key, (key + 1) & full] * 4
    packed = sum(value << bits * (7 - i) for i, value in enumerate(values)).to_bytes(bits, "big")
    rgb = decode(tmp_path / "x", forge_png(8, 1, bits, 0, b"\0" + packed, chunk(b"tRNS", struct.pack(">H", key)))).rgb
    other = round(((key + 1) & full) * 255 / full)
    assert rgb[0, :, 0].tolist() == [255, other] * 4


@pytest.mark.parametrize("profile", [None, make_profile(b"GRAY", 1.8)])
def test_a_transparent_grey_of_16_bits_beside_a_profile(tmp_path: Path, profile: bytes | None) -> None:
    deep = PICTURE[..., 0].astype(np.uint16) * 257
    more = [chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))] if profile else []
    with_key = decode(tmp_path / "x", write_png(deep, *more, chunk(b"tRNS", struct.pack(">H", 0)))).rgb
    without = decode(tmp_path / "y", write_png(deep, *more)).rgb
    assert (with_key[deep == 0] == 255).all()
    assert (with_key[deep > 0] == without[deep > 0]).all()


# ---- the boxes of AVIF ----


def test_boxes_say_primaries_transfer_and_depth(tmp_path: Path) -> None:
    def read(data: bytes) -> tuple:
        (tmp_path / "x").write_bytes(data)
        with (tmp_path / "x").open("rb") as file:
            return tuple(read_coding(file))

    assert read(encode_any("AVIF")) == ((1, 13), 8)
    assert read(name_colors(encode_any("AVIF"), 9, 16)) == ((9, 16), 8)
    assert read(encode_any("AVIF", exif=make_exif(6))) == ((1, 13), 8)
    assert read(name_colors(encode(np.dstack([PICTURE, PICTURE[..., 0]]), "AVIF"), 12, 13)) == ((12, 13), 8)
    frames = [Image.fromarray(PICTURE), Image.fromarray(PICTURE[::-1].copy())]
    sequence = encode(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    assert read(sequence) == ((1, 13), 8)
    assert read(sequence.replace(b"nclx\0\1\0\r", b"nclx\0\x09\0\x10")) == ((9, 16), 8)
    assert read(b"") == (None, 0)
    if DEEP_AVIF:
        assert read(write_avif(deepen(PICTURE / 255, 12), 9, 18, 12)) == ((9, 18), 12)


def test_any_bytes_are_read_as_boxes_profiles_and_chunks(tmp_path: Path) -> None:
    dice = random.Random(9)
    boxed, profile = encode_any("AVIF", exif=make_exif(6)), make_profile(b"RGB ", 1.0, np.eye(3), b"ITUR_2100_PQ_FULL")
    path = tmp_path / "x"
    for avif in [boxed] * 250 + [strip_nclx(boxed)] * 250:
        data, icc = bytearray(avif[: dice.randrange(len(avif))]), bytearray(profile[: dice.randrange(len(profile))])
        for part in (data, icc):
            for _ in range(min(8, len(part))):
                part[dice.randrange(min(len(part), 500))] = dice.choice((0, 1, 255, dice.randrange(256)))
        path.write_bytes(data)
        with path.open("rb") as file:
            read_coding(file)
        space_from_profile(bytes(icc))


# ---- files that went wrong ----


@pytest.mark.skipif(not CASES.is_dir(), reason="the files that went wrong are not beside this checkout")
def test_files_that_went_wrong(tmp_path: Path) -> None:
    with Image.open(CASES / "palette-8bit-colormap.tif") as tiff:
        colors = np.array(tiff.tag_v2[320], np.uint8).reshape(3, -1).T
        Image.fromarray(colors[np.asarray(tiff)]).save(tmp_path / "palette.png")
    names = ("reference.png", "cicp-pq.png", "palette-8bit-colormap.tif", "grey16-transparent.png")
    paths = [*(str(CASES / name) for name in names), str(tmp_path / "palette.png")]
    records = list(open_pipeline(ScoreOptions()).score(paths))
    assert all(record.status is Status.OK for record in records)
    reference, hdr, mapped, _, palette = (record.score for record in records)
    assert hdr == pytest.approx(reference, abs=0.5)
    assert mapped == pytest.approx(palette, abs=0.5)
    assert (decode_image(paths[3]).rgb[40, 60] == 255).all()


def strip_nclx(data: bytes) -> bytes:
    """An AVIF whose colours stand in its sequence header alone."""
    assert b"nclx" in data
    return data.replace(b"colrnclx", b"colrnone")


def find_header_cicp(data: bytes) -> int:
    """The bit at which the sequence header says primaries 1, transfer 13 and matrix 6."""
    whole = int.from_bytes(data, "big")
    start = 8 * data.index(b"mdat")
    places = [at for at in range(start, 8 * len(data) - 24) if whole >> (8 * len(data) - 24 - at) & 0xFFFFFF == 0x010D06]
    assert len(places) == 1
    return places[0]


def name_header_colors(data: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF with other code points in its sequence header, and none in its boxes."""
    at = find_header_cicp(data)
    change = ((0x010D ^ (primaries << 8 | transfer)) << 8) << (8 * len(data) - 24 - at)
    return strip_nclx((int.from_bytes(data, "big") ^ change).to_bytes(len(data), "big"))


@pytest.mark.parametrize("options", [{}, {"exif": make_exif(6)}, {"speed": 10}], ids=["plain", "turned", "fast"])
def test_colors_in_the_sequence_header_alone_are_read(tmp_path: Path, options: dict[str, object]) -> None:
    plain = encode_any("AVIF", **options)
    boxed, headed = name_colors(plain, 12, 13), name_header_colors(plain, 12, 13)
    assert read_coding(io.BytesIO(headed)) == ((12, 13), 8)
    shown = decode(tmp_path / "headed.avif", headed).rgb
    assert (shown == decode(tmp_path / "boxed.avif", boxed).rgb).all()
    assert (shown != decode(tmp_path / "plain.avif", plain).rgb).any()


def test_of_two_that_speak_the_box_counts() -> None:
    both = encode_any("AVIF")
    assert read_coding(io.BytesIO(name_colors(both, 9, 16))) == ((9, 16), 8)
    assert read_coding(io.BytesIO(strip_nclx(both))) == ((1, 13), 8)
