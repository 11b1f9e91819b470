"""Damaged files by the thousand, through real decoding processes: none crashes, hangs or swallows memory, each has its outcome.

IQA_FUZZ says how many: 20,000 take half a minute.
"""

import os
import random
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from dng import make_dng
from pictures import (
    ADOBE,
    DEEP,
    HEIC_HEAD,
    KINDS,
    PICTURE,
    chunk,
    encode,
    encode_any,
    forge_png,
    forge_tiff,
    make_exif,
    make_picture,
)
from PIL import Image
from psd import forge_psd, resource

from iqa_cli.images.crops import CropSpec
from iqa_cli.records import Status, Undecodable
from iqa_cli.scoring.decode_pool import DecoderPool
from iqa_cli.scoring.decode_protocol import DecodeOptions

pytestmark = pytest.mark.process

SAMPLES = Path(__file__).parents[1] / "images" / "samples"
COUNT = int(os.environ.get("IQA_FUZZ", "400"))
OPTIONS = DecodeOptions(CropSpec(64, "square", multiple=8), 10_000_000, 60.0)
MOST = 700_000_000  # bytes that a process may have had in memory: far below OPTIONS.memory, its bound


def make_seeds() -> list[bytes]:
    """A file of every kind that is decoded, and of most that are not."""
    grey = Image.fromarray(PICTURE).convert("L")
    frames = [Image.fromarray(np.roll(PICTURE, 9 * i, 1)) for i in range(4)]
    more = {"save_all": True, "append_images": frames[1:]}
    seeds = [encode_any(kind) for kind in KINDS]
    seeds += [encode_any(kind, exif=make_exif(6), icc_profile=ADOBE) for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")]
    seeds += [encode(PICTURE, "TIFF", compression=c) for c in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")]
    seeds += [encode(grey.convert("1"), "TIFF", compression=c) for c in ("group3", "group4", "tiff_ccitt")]
    seeds += [forge_tiff(DEEP[..., :1], 1, deflate=True), forge_tiff((DEEP / 65535).astype(np.float32), 2), forge_tiff(DEEP, 2)]
    seeds += [encode(frames[0], kind, **more) for kind in ("PNG", "WEBP", "AVIF", "TIFF", "MPO")]
    seeds += [encode(frames[0].quantize(16), "GIF", save_all=True, append_images=[f.quantize(16) for f in frames[1:]])]
    seeds += [
        encode(Image.fromarray(PICTURE).convert("CMYK"), "JPEG"),
        encode(PICTURE, "JPEG", progressive=True),
        encode(grey, "BMP"),
    ]
    tall = make_picture(300, 120)  # so tall that no JPEG is decoded to its end, nor smaller
    seeds += [encode(tall, "JPEG", **o) for o in ({}, {"exif": make_exif(3), "icc_profile": ADOBE}, {"restart_marker_rows": 1})]
    seeds += [encode(make_picture(800, 480), "JPEG")]  # at a half
    seeds += [encode(Image.fromarray(PICTURE).convert("RGBA"), kind) for kind in ("PNG", "WEBP", "AVIF", "TIFF")]
    seeds += [encode(Image.fromarray(DEEP[..., 0]), "PNG"), encode(Image.fromarray(PICTURE).quantize(16), "PNG"), HEIC_HEAD]
    rows = b"".join(b"\0" + row.tobytes() for row in PICTURE)
    seeds += [
        forge_png(80, 48, 8, 2, rows, chunk(b"tEXt", b"k\0" + b"v" * 99), late=chunk(b"eXIf", make_exif(6).tobytes()[6:]))
    ]
    return seeds + make_more_seeds()


def make_more_seeds() -> list[bytes]:
    """Files of the formats that are rarer, and of those whose decoders come with the [formats] extra, where it is installed."""
    icon = Image.fromarray(make_picture(64, 64))
    seeds = [encode(icon, "ICO", sizes=[(32, 32), (64, 64)], bitmap_format=bitmaps) for bitmaps in ("png", "bmp")]
    seeds += [encode(PICTURE, "JPEG2000"), encode(PICTURE, "JPEG2000", irreversible=True, no_jp2=True)]
    seeds += [forge_psd([PICTURE[..., i] for i in range(3)], resources=resource(1039, ADOBE))]
    if find_spec("pi_heif"):
        seeds += [(SAMPLES / f"{name}.heic").read_bytes() for name in ("plain", "turned", "alpha", "pq")]
    if find_spec("rawpy"):
        preview = encode(make_picture(60, 100), "JPEG")
        seeds += [make_dng(PICTURE), make_dng(make_picture(120, 200), preview=preview, preview_size=(100, 60), orientation=6)]
    if find_spec("pylibjxl"):
        import pylibjxl

        seeds += [bytes(pylibjxl.encode(PICTURE, icc=ADOBE)), bytes(pylibjxl.jpeg_to_jxl(encode_any("JPEG")))]
    return seeds


def mutate(data: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """The file after what disks, networks and attackers do to files."""
    changed = bytearray(data)
    what = dice.choice(("bits", "bits", "bytes", "bytes", "numbers", "cut", "hole", "doubled", "spliced", "zeros"))
    near = len(changed) if dice.random() < 0.4 else min(len(changed), 600)  # headers more often than pixels
    at = dice.randrange(near)
    if what == "bits":
        for _ in range(dice.choice((1, 2, 8, 64))):
            changed[dice.randrange(near)] ^= 1 << dice.randrange(8)
    elif what == "bytes":
        for _ in range(dice.choice((1, 3, 20))):
            changed[dice.randrange(near)] = dice.choice((0, 1, 127, 128, 255, dice.randrange(256)))
    elif what == "numbers":  # sizes, counts, offsets
        number = dice.choice((0, 1, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, len(data), len(data) - at))
        changed[at : at + 4] = number.to_bytes(4, dice.choice(("little", "big")))
    elif what == "cut":
        del changed[dice.randrange(len(changed)) :]
    elif what == "hole":
        del changed[at : at + dice.choice((1, 4, 100))]
    elif what == "doubled":
        changed[at:at] = changed[at : at + dice.choice((4, 40, 1000))] * dice.choice((1, 20))
    elif what == "spliced":
        other = dice.choice(others)
        changed[at:] = other[dice.randrange(len(other)) :]
    else:
        changed[at : at + dice.choice((4, 64, 4096))] = bytes(dice.choice((4, 64, 4096)))
    return bytes(changed)


def read_peak(pid: int) -> int:
    """The most memory in bytes that a process has had."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_damaged_file_crashes_hangs_or_swallows_memory(tmp_path: Path) -> None:
    seeds, pool, never = make_seeds(), DecoderPool(OPTIONS, 2), threading.Event()

    def attempt(number: int) -> str:
        dice = random.Random(number)
        path = tmp_path / str(number)
        path.write_bytes(mutate(seeds[number % len(seeds)], seeds, dice))
        try:
            prepared = pool.prepare(str(path), never)
        except Undecodable as failure:
            outcome, detail = str(failure.status), failure.detail
        else:
            outcome, detail = "ok", "none"
            assert prepared.views.shape[0] == 1
            assert prepared.width * prepared.height <= OPTIONS.max_pixels
        assert detail
        assert detail.isprintable()
        if outcome not in (Status.CRASHED, Status.TIMEOUT):  # those stay, to be looked at
            path.unlink()
        return outcome

    with ThreadPoolExecutor(2) as threads:
        outcomes = Counter(threads.map(attempt, range(COUNT)))
    assert sum(outcomes.values()) == COUNT
    assert outcomes.keys() <= {"ok", Status.DAMAGED, Status.UNSUPPORTED, Status.TOO_LARGE}, list(tmp_path.iterdir())
    assert outcomes["ok"] > COUNT / 20
    assert outcomes[Status.DAMAGED] > COUNT / 20
    assert len(pool.living) == 2, "and none was replaced"
    assert max(read_peak(decoder.process.pid) for decoder in pool.living) < MOST < OPTIONS.memory
