"""Zeros in place of a part of a JPEG are a loss that is told; zeros that belong to a photo, or stand beside it, are not."""

import io
from pathlib import Path

import numpy as np
import pytest
from pictures import decode, refuse
from PIL import Image

from iqa_cli.images.containers.jpeg_gaps import GAP, find_gap
from iqa_cli.images.crops import CropSpec
from iqa_cli.records import Status

WIDTH, HEIGHT = 800, 600
KINDS = {
    "baseline": {},
    "fine tables": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 2},
}


def make_photo(seed: int = 1) -> Image.Image:
    """Fine and plain parts, as a photo has them."""
    noise = np.random.default_rng(seed).normal(128, 40, (HEIGHT, WIDTH, 3))
    noise[200:300] = 90
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8))


def encode(picture: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_half_is_told_with_its_share(tmp_path: Path, kind: str) -> None:
    data = encode(make_photo(), **KINDS[kind])
    half = len(data) // 2
    for crops in (None, CropSpec(64)):
        failure = refuse(tmp_path / "half.jpg", data[:half] + bytes(len(data) - half), crops=crops)
        assert failure.status is Status.DAMAGED
        assert failure.detail.startswith("JPEG with zeros in place of a part: ")
        assert (failure.width, failure.height) == (WIDTH, HEIGHT)


def test_the_share_of_the_rows_is_that_before_the_zeros(tmp_path: Path) -> None:
    data = encode(make_photo())
    lost = len(data) * 3 // 4
    failure = refuse(tmp_path / "lost.jpg", data[:lost] + bytes(len(data) - lost))
    share = float(failure.detail.split(": ")[1].split(" %")[0])
    assert share == pytest.approx(75, abs=12)


@pytest.mark.parametrize("kind", ["baseline", "restarts"])
@pytest.mark.parametrize("at", [0.2, 0.5, 0.8])
def test_a_hole_between_pixels_is_told(tmp_path: Path, kind: str, at: float) -> None:
    data = bytearray(encode(make_photo(), **KINDS[kind]))
    first = int(at * len(data))
    data[first : first + 2 * GAP] = bytes(2 * GAP)
    assert "zeros in place of a part" in refuse(tmp_path / "hole.jpg", bytes(data)).detail


@pytest.mark.parametrize("kind", KINDS)
def test_zeros_behind_the_end_are_no_loss(tmp_path: Path, kind: str) -> None:
    data = encode(make_photo(), **KINDS[kind])
    plain = decode(tmp_path / "plain.jpg", data).rgb
    assert (decode(tmp_path / "padded.jpg", data + bytes(3 * GAP)).rgb == plain).all()
    assert (decode(tmp_path / "noted.jpg", data + b"a maker's note" + bytes(3 * GAP)).rgb == plain).all()


def test_zeros_in_place_of_the_end_mark_alone_are_no_loss(tmp_path: Path) -> None:
    data = encode(make_photo())
    plain = decode(tmp_path / "plain.jpg", data).rgb
    assert (decode(tmp_path / "padded.jpg", data[:-2] + bytes(3 * GAP)).rgb == plain).all()


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_plain_pictures_are_whole(options: dict[str, object], shade: int) -> None:
    data = encode(Image.new("RGB", (6000, 4000), (shade, shade, shade)), **options)
    assert find_gap(io.BytesIO(data)) is None


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8" + bytes(9000), bytes(9000), b"\xff\xd8\xff\xda" + bytes(9000)])
def test_what_is_no_jpeg_has_no_gap(data: bytes) -> None:
    found = find_gap(io.BytesIO(data))
    assert found is None or data.startswith(b"\xff\xd8\xff\xda")
