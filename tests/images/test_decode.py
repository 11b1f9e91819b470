"""What `decode` promises: every kind of picture comes out upright, in sRGB and unclipped; every other file comes out as
an `Undecodable` that says why.
"""

import os
import pickle
import random
import socket
import struct
import subprocess
import sys
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pictures import (
    ADOBE,
    DEEP,
    KINDS,
    LOSSLESS,
    PICTURE,
    STORED,
    assert_close,
    chunk,
    decode,
    encode,
    encode_any,
    forge_png,
    forge_tiff,
    make_exif,
    refuse,
)
from PIL import Image

from iqa_cli.images.decode import decode_image
from iqa_cli.records import Status, Undecodable

PHOTOS = Path(__file__).parents[1] / "photos"
NO_SUCH_USER = os.name != "posix" or os.geteuid() == 0  # root may read everything


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def test_multi_picture_jpeg_gives_its_first(tmp_path: Path) -> None:
    second = Image.new("RGB", (20, 20), "red")
    data = encode(PICTURE, "MPO", save_all=True, append_images=[second], quality=97, subsampling=0)
    assert_close(decode(tmp_path / "x", data).rgb, PICTURE, mean=2)


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_animations_and_pages_give_the_first_picture(tmp_path: Path, kind: str, options: dict[str, object]) -> None:
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("red", "lime", "blue")]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    rgb = decode(tmp_path / "x", data).rgb
    assert rgb.shape == (24, 32, 3)
    assert (rgb == (255, 0, 0)).all()


def test_animated_avif_gives_the_first_picture(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("red", "blue")]
    rgb = decode(tmp_path / "x", encode(frames[0], "AVIF", save_all=True, append_images=frames[1:])).rgb
    assert_close(rgb, np.broadcast_to(np.uint8([255, 0, 0]), (24, 32, 3)), mean=4)


# ---- upright ----


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_every_orientation_gives_the_same_upright_picture(tmp_path: Path, kind: str, orientation: int) -> None:
    stored = np.ascontiguousarray(STORED[orientation](PICTURE))
    decoded = decode(tmp_path / "x", encode_any(kind, stored, exif=make_exif(orientation)))
    assert (decoded.width, decoded.height) == (80, 48)
    assert_close(decoded.rgb, PICTURE, mean=0 if kind in LOSSLESS else 2.5)
    assert decoded.rgb.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_a_deep_tiff(tmp_path: Path, orientation: int) -> None:
    stored = np.ascontiguousarray(STORED[orientation](PICTURE)).astype(np.float32) / 255
    decoded = decode(tmp_path / "x", forge_tiff(stored, 2, extra={274: (orientation,)}))
    assert (decoded.width, decoded.height) == (80, 48)
    assert (decoded.rgb == PICTURE).all()


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path: Path, orientation: int) -> None:
    assert (decode(tmp_path / "x", encode_any("PNG", exif=make_exif(orientation))).rgb == PICTURE).all()
    deep = forge_tiff((PICTURE / 255).astype(np.float32), 2, extra={274: (orientation,)})
    assert (decode(tmp_path / "x", deep).rgb == PICTURE).all()


def test_exif_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in np.rot90(PICTURE))
    data = forge_png(48, 80, 8, 2, rows, late=chunk(b"eXIf", make_exif(6).tobytes()[6:]))
    decoded = decode(tmp_path / "x", data)
    assert (decoded.width, decoded.height) == (80, 48)
    assert (decoded.rgb == PICTURE).all()


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 99]
)
def test_broken_exif_takes_nothing_from_the_pixels(tmp_path: Path, exif: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    data = encode_any("JPEG")
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert_close(decode(tmp_path / "x", data).rgb, PICTURE, mean=2.5)
    assert capfd.readouterr() == ("", "")


# ---- what cannot be decoded ----


def test_missing_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for path in ("gone.jpg", "file/below.jpg", "circle", "nowhere", "x" * 300, "nul\0inside"):
        assert refuse(tmp_path / path).status is Status.MISSING
    assert refuse("").status is Status.MISSING


@pytest.mark.skipif(NO_SUCH_USER, reason="needs a user who may not read everything")
def test_files_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(encode_any("JPEG"))
    path.chmod(0)
    refused = refuse(path)
    assert (refused.status, refused.detail) == (Status.DENIED, "permission denied")


def test_what_is_no_regular_file_is_never_waited_for(tmp_path: Path) -> None:
    assert (refuse(tmp_path).status, refuse(tmp_path).detail) == (Status.UNSUPPORTED, "a folder")
    os.mkfifo(tmp_path / "pipe.jpg")
    refused = refuse(tmp_path / "pipe.jpg")
    assert (refused.status, refused.detail) == (Status.UNSUPPORTED, "not a regular file")
    assert refuse("/dev/zero").detail == "not a regular file"
    with socket.socket(socket.AF_UNIX) as plug:
        here = Path.cwd()
        os.chdir(tmp_path)  # the names of sockets must be short
        try:
            plug.bind("plug")
        finally:
            os.chdir(here)
        assert refuse(tmp_path / "plug").detail == "not a regular file"


def test_an_empty_file(tmp_path: Path) -> None:
    refused = refuse(tmp_path / "x.jpg", b"")
    assert (refused.status, refused.detail) == (Status.DAMAGED, "empty file")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_files_cut_short_are_damaged_and_say_how_large_they_were(
    tmp_path: Path, kind: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    data = encode_any(kind, np.random.default_rng(0).integers(0, 256, PICTURE.shape, np.uint8))
    refused = refuse(tmp_path / "x", data[: int(share * len(data))])
    assert refused.status is Status.DAMAGED
    if kind in ("JPEG", "PNG", "BMP", "GIF"):  # their headers stand in front
        assert (refused.width, refused.height) == (80, 48)
    assert capfd.readouterr() == ("", "")


def test_a_deep_tiff_cut_short(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = forge_tiff(DEEP[..., :1], 1)
    refused = refuse(tmp_path / "x", data[:-1000])
    assert (refused.status, refused.width, refused.height) == (Status.DAMAGED, 80, 48)
    assert capfd.readouterr() == ("", "")


def test_a_bit_that_flipped_in_a_png(tmp_path: Path) -> None:
    data = bytearray(encode_any("PNG"))
    data[len(data) // 2] ^= 4
    refused = refuse(tmp_path / "x", bytes(data))
    assert (refused.status, refused.width, refused.height) == (Status.DAMAGED, 80, 48)
    assert refused.detail.startswith("PNG whose pixels cannot be decoded: they are broken")


FORGED = {
    "PNG": forge_png(100_000, 90_000, 8, 2, b""),
    "BMP": encode_any("BMP")[:18] + struct.pack("<ii", 100_000, 90_000) + encode_any("BMP")[26:],
    "TIFF": forge_tiff(PICTURE, 2, size=(100_000, 90_000)),
    "deep TIFF": forge_tiff(DEEP, 1, size=(100_000, 90_000)),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_size_is_refused_before_anything_is_allocated(tmp_path: Path, kind: str) -> None:
    refused = refuse(tmp_path / "x", FORGED[kind])  # 27 GB, were it believed
    assert (refused.status, refused.width, refused.height) == (Status.TOO_LARGE, 100_000, 90_000)
    assert refused.detail == "100000 x 90000 px are 9000 million, above the limit of 300"


def test_a_forged_webp_canvas_is_not_believed(tmp_path: Path) -> None:
    data = bytearray(encode_any("WEBP", exif=b"Exif\0\0MM\0*"))
    assert data[12:16] == b"VP8X"
    data[24:30] = (65_535).to_bytes(3, "little") * 2
    assert refuse(tmp_path / "x", bytes(data)).status in (Status.TOO_LARGE, Status.DAMAGED)


@pytest.mark.parametrize("kind", KINDS)
def test_the_limit_itself_is_allowed(tmp_path: Path, kind: str) -> None:
    data = encode_any(kind)
    assert decode(tmp_path / "x", data, max_pixels=48 * 80).width == 80
    refused = refuse(tmp_path / "x", data, max_pixels=48 * 80 - 1)
    assert (refused.status, refused.width, refused.height) == (Status.TOO_LARGE, 80, 48)


def test_above_the_limits_of_pillow_nothing_is_warned_of(tmp_path: Path) -> None:
    rows = bytes((12_000 // 8 + 1) * 16_000)  # 192 million pixels, which Pillow by itself refuses; 1 bit each in the file
    refused = refuse(tmp_path / "x", forge_png(12_000, 16_000, 1, 0, rows), max_pixels=191_999_999)
    assert refused.status is Status.TOO_LARGE


def test_a_text_chunk_that_swells_is_damaged(tmp_path: Path) -> None:
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000)))
    refused = refuse(tmp_path / "x", forge_png(80, 48, 8, 2, b"", bomb))
    assert refused.status is Status.DAMAGED


def test_undecodable_survives_a_trip_between_processes() -> None:
    error = pickle.loads(pickle.dumps(Undecodable(Status.TOO_LARGE, "why", 3, 2)))
    assert (error.status, error.detail, error.width, error.height, str(error)) == (Status.TOO_LARGE, "why", 3, 2, "why")


# ---- any bytes, many threads ----


def damage(data: bytes, dice: random.Random) -> bytes:
    """The file cut short, or with some bytes changed, in the header more often than elsewhere."""
    if dice.random() < 0.2:
        return data[: dice.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(dice.choice((1, 3, 20))):
        at = dice.randrange(min(len(changed), 400) if dice.random() < 0.7 else len(changed))
        changed[at] = dice.choice((0, 255, dice.randrange(256)))
    return bytes(changed)


def test_damaged_files_are_decoded_or_refused_and_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    originals = [encode_any(kind) for kind in KINDS]
    originals += [encode_any(kind, exif=make_exif(6), icc_profile=ADOBE) for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")]
    originals += [encode(PICTURE, "TIFF", compression=c) for c in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")]
    originals += [forge_tiff(DEEP[..., :1], 1, deflate=True), forge_tiff((DEEP / 65535).astype(np.float32), 2)]
    originals += [encode(Image.fromarray(DEEP[..., 0]), "PNG"), encode(Image.fromarray(PICTURE).convert("CMYK"), "JPEG")]
    dice, outcomes = random.Random(20), Counter[str]()
    for i in range(400):
        path = tmp_path / str(i)
        path.write_bytes(damage(originals[i % len(originals)], dice))
        try:
            decoded = decode(path, max_pixels=10_000_000)
        except Undecodable as error:
            outcomes[error.status] += 1
        else:
            outcomes["ok"] += 1
            assert decoded.rgb.shape == (decoded.height, decoded.width, 3)
    assert outcomes.keys() == {"ok", Status.DAMAGED, Status.UNSUPPORTED, Status.TOO_LARGE}
    assert outcomes["ok"] > 50
    assert outcomes[Status.DAMAGED] > 50
    assert capfd.readouterr() == ("", "")


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{i}", encode_any(kind)) for i, kind in enumerate(KINDS)]
    paths.append(write(tmp_path / "deep", forge_tiff(DEEP, 2)))
    alone = [decode_image(path).rgb for path in paths]
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(decode_image, paths * 12)
        assert all((decoded.rgb == alone[i % len(paths)]).all() for i, decoded in enumerate(together))


def test_importing_changes_nothing_and_leaves_opencv_alone() -> None:
    code = (
        "import sys, warnings, numpy; before = list(warnings.filters)\n"
        "import iqa_cli.images.decode\n"
        "from PIL import Image\n"
        "assert warnings.filters == before and Image.MAX_IMAGE_PIXELS and 'cv2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
