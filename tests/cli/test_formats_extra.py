"""Photos that need the [formats] extra, by the whole program: with it they have scores, without it the command to get it."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest
from conftest import Run, read_rows
from dng import make_dng
from in_process import environment
from pictures import encode, make_picture

pytestmark = pytest.mark.process

SAMPLES = Path(__file__).parents[1] / "images" / "samples"
LIBRARIES = ("pi_heif", "pylibjxl", "rawpy")


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """A folder as a telephone fills it, with one photo whose name says JPEG, and one of a camera."""
    folder = tmp_path / "DCIM"
    folder.mkdir()
    for name in ("IMG_1.HEIC", "IMG_2.jpg"):
        shutil.copy(SAMPLES / "turned.heic", folder / name)
    sensor, preview = make_picture(600, 1000), encode(make_picture(720, 1200), "JPEG", quality=95)
    (folder / "IMG_3.DNG").write_bytes(make_dng(sensor, preview=preview, preview_size=(1200, 720)))
    return folder


@pytest.mark.skipif(not all(map(importlib.util.find_spec, LIBRARIES)), reason="needs the [formats] extra")
def test_with_the_extra_they_have_scores(iqa_process: Run, model: Path, phone: Path) -> None:
    done = iqa_process("score", phone, "--model", model)
    rows = read_rows(done.stdout)
    assert (done.returncode, [row["status"] for row in rows]) == (0, ["ok"] * 3)
    assert rows[0]["score"] == rows[1]["score"]
    assert [(row["width"], row["height"]) for row in rows] == [("80", "48"), ("80", "48"), ("1000", "600")]
    developed = read_rows(iqa_process("score", phone / "IMG_3.DNG", "--model", model, "--raw", "develop").stdout)
    assert developed[0]["status"] == "ok"
    assert developed[0]["score"] != rows[2]["score"]


@pytest.mark.skipif(not all(map(importlib.util.find_spec, LIBRARIES)), reason="needs the [formats] extra")
def test_a_preview_is_not_taken_from_the_cache_for_what_is_developed(iqa_process: Run, model: Path, phone: Path) -> None:
    kept = [iqa_process("score", phone, "--model", model, "--raw", raw).stdout for raw in ("preview", "develop", "preview")]
    assert kept[0] == kept[2] != kept[1]


def test_without_the_extra_each_says_so_and_the_summary_how_to_get_it(
    iqa_process: Run, model: Path, phone: Path, tmp_path: Path
) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    for name in LIBRARIES:
        (absent / f"{name}.py").write_text("raise ImportError('not installed here')")
    env = environment() | {"PYTHONPATH": os.pathsep.join([str(absent), *sys.path])}
    done = iqa_process("score", phone, "--model", model, env=env)
    rows = read_rows(done.stdout)
    assert (done.returncode, [row["status"] for row in rows]) == (1, ["unsupported"] * 3)
    assert rows[0]["detail"] == rows[1]["detail"]
    assert rows[0]["detail"] == (
        "HEIC: needs the [formats] extra, which is not installed; get it with: pip install 'iqa-cli[formats]'"
    )
    assert (
        b"not decoded: 2 HEIC, 1 RAW, which need the [formats] extra; get it with: pip install 'iqa-cli[formats]'"
        in done.stderr
    )
