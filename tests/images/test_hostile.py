"""Files made to harm, each through a real decoding process: they cost neither time nor memory, and are told or scored."""

import struct
import sys
import threading
import zlib
from pathlib import Path

import pytest
from pictures import PICTURE, chunk, encode, encode_any, forge_png
from PIL import Image
from test_fuzz import read_peak

from iqa_cli.images.crops import CropSpec
from iqa_cli.options import MAX_PIXELS
from iqa_cli.records import Status, Undecodable
from iqa_cli.scoring.decode_pool import DecoderPool
from iqa_cli.scoring.decode_protocol import DecodeOptions

JPEG, PNG = encode_any("JPEG"), encode_any("PNG")


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def animate(kind: str, frames: int) -> bytes:
    """An animation of so many frames that differ, small ones."""
    pictures = [Image.new("P", (16, 16), i % 250) for i in range(frames)]
    if kind != "GIF":
        pictures = [Image.new("RGB", (16, 16), (i % 256, i // 256, 0)) for i in range(frames)]
    return encode(pictures[0], kind, save_all=True, append_images=pictures[1:])


def make_endless_jpeg(scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated: each costs a pass over the whole picture."""
    data = encode(Image.new("L", (2000, 2000), 90), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def make_circular_tiff(data: bytes) -> bytes:
    """A TIFF whose first directory says that it is followed by itself."""
    start = struct.unpack("<I", data[4:8])[0]
    (count,) = struct.unpack("<H", data[start : start + 2])
    end = start + 2 + 12 * count
    return data[:end] + struct.pack("<I", start) + data[end + 4 :]


def make_tiff_tag(tag: int, kind: int, count: int) -> bytes:
    """A TIFF with one tag that claims so many values."""
    return b"II*\0" + struct.pack("<IHHHIII", 8, 1, tag, kind, count, 8, 0)


ROWS = b"".join(b"\0" + row.tobytes() for row in PICTURE)
HARMLESS = {  # what is odd about them takes nothing from the picture
    "a bomb of texts": lambda: forge_png(80, 48, 8, 2, ROWS, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(60_000_000))) * 50),
    "a bomb of a profile": lambda: forge_png(80, 48, 8, 2, ROWS, chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(90_000_000)))),
    "5000 frames of GIF": lambda: animate("GIF", 5000),
    "3000 frames of WebP": lambda: animate("WEBP", 3000),
    "3000 frames of PNG": lambda: animate("PNG", 3000),
    "300 frames of AVIF": lambda: animate("AVIF", 300),
    "2000 pages of TIFF": lambda: animate("TIFF", 2000),
    "pages in a circle": lambda: make_circular_tiff(encode_any("TIFF")),
    "60 MB of comments": lambda: JPEG[:2] + segment(0xFE, bytes(60_000)) * 1000 + JPEG[2:],
    "16 MB of profile": lambda: (
        JPEG[:2] + b"".join(segment(0xE2, b"ICC_PROFILE\0" + bytes([i, 255]) + bytes(65_000)) for i in range(1, 256)) + JPEG[2:]
    ),
    "20,000 texts": lambda: forge_png(80, 48, 8, 2, ROWS, chunk(b"tEXt", b"key\0value") * 20_000),
    "a megabyte behind it": lambda: PNG + bytes(1_000_000),
}


@pytest.fixture(scope="module")
def pool() -> DecoderPool:
    return DecoderPool(DecodeOptions(CropSpec(64), MAX_PIXELS, 60.0), 1)


def is_unharmed(pool: DecoderPool) -> bool:
    """Whether one process has done everything so far, and in how much memory."""
    (decoder,) = pool.living
    return sys.platform != "linux" or read_peak(decoder.process.pid) < 700_000_000


@pytest.mark.parametrize("what", HARMLESS)
def test_oddities_take_nothing_from_the_picture(pool: DecoderPool, tmp_path: Path, what: str) -> None:
    (tmp_path / "x").write_bytes(HARMLESS[what]())
    prepared = pool.prepare(str(tmp_path / "x"), threading.Event())
    assert prepared.views.shape[0] == 1
    assert is_unharmed(pool)


HARMFUL = {
    "a bomb of a profile": lambda: forge_png(80, 48, 8, 2, b"", chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(90_000_000)))),
    "a forged canvas of GIF": lambda: b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + bytes(6) + b";",
    "a forged size of JPEG": lambda: JPEG.replace(struct.pack(">HH", 48, 80), struct.pack(">HH", 65_500, 65_500), 1),
    "a billion values in a tag": lambda: make_tiff_tag(256, 4, 1_000_000_000),
    "a tag of a tag": lambda: make_tiff_tag(330, 13, 0x7FFFFFFF),
    "nothing but a head": lambda: JPEG[:20],
    "nothing but zeros": lambda: bytes(1_000_000),
}


@pytest.mark.parametrize("what", HARMFUL)
def test_bombs_and_forgeries_are_told(pool: DecoderPool, tmp_path: Path, what: str) -> None:
    (tmp_path / "x.jpg").write_bytes(HARMFUL[what]())
    with pytest.raises(Undecodable) as caught:
        pool.prepare(str(tmp_path / "x.jpg"), threading.Event())
    assert caught.value.status in (Status.DAMAGED, Status.TOO_LARGE, Status.UNSUPPORTED)
    assert is_unharmed(pool)


def test_a_jpeg_that_never_ends_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(make_endless_jpeg(5000))
    pool = DecoderPool(DecodeOptions(CropSpec(64), MAX_PIXELS, 1.0), 1)
    with pytest.raises(Undecodable) as caught:
        pool.prepare(str(tmp_path / "x.jpg"), threading.Event())
    assert caught.value.status is Status.TIMEOUT
