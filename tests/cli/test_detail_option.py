"""`iqa score --detail` as people call it."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, read_rows
from in_process import run_at_terminal
from PIL import Image

from iqa_cli import Scorer
from iqa_cli.records import COLUMNS, DETAIL_COLUMNS

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A large photo, a soft one, a small one, and one that is damaged."""
    folder = tmp_path_factory.mktemp("library")
    with Image.open(Path(__file__).parents[1] / "photos" / "coffee.jpg") as photo:
        tiled = np.tile(np.asarray(photo), (3, 3, 1))  # reduced as it is decoded for its score
        Image.fromarray(tiled).save(folder / "large.jpg", quality=92)
        photo.resize((150, 100)).resize((600, 400)).save(folder / "soft.jpg", quality=92)
        photo.resize((60, 40)).save(folder / "small.png")
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


def test_two_columns_more_and_the_same_scores(iqa: Run, model: Path, library: Path) -> None:
    plain, measured = (read_rows(iqa("score", library, "-m", model, *flags).stdout) for flags in ((), ("--detail",)))
    assert [*plain[0]] == [*COLUMNS]
    assert [*measured[0]] == [*COLUMNS, *DETAIL_COLUMNS]
    assert [[*row.values()] for row in plain] == [[*row.values()][:-2] for row in measured]
    rows = {Path(row["path"]).stem: row for row in measured}
    assert [rows["cut"][name] for name in DETAIL_COLUMNS] == ["", ""]
    assert float(rows["large"]["native_detail"]) > 2 * float(rows["soft"]["native_detail"])
    assert 0 < float(rows["soft"]["effective_mp"]) < 0.06
    assert float(rows["small"]["effective_mp"]) == 0


@pytest.mark.parametrize("flags", [(), ("--workers", "3"), ("--no-cache",), ("--crops", "3")])
def test_scores_are_the_same_to_the_bit(model: Path, library: Path, flags: tuple[str, ...]) -> None:
    options = {"crops": 3} if "--crops" in flags else {}
    with Scorer(model, **options) as plain, Scorer(model, detail=True, **options) as measured:
        for path in sorted(library.glob("*.[jp]*")):
            one, other = plain.score(path), measured.score(path)
            assert one == other or (one.score, one.status) == (other.score, other.status)
            assert one.native is None
            assert (other.native is None) == (other.score is None)


def test_the_cache_keeps_it_beside_scores_without(iqa: Run, model: Path, library: Path) -> None:
    first, plain, again = (iqa("score", library, "-m", model, *flags) for flags in (("--detail",), (), ("--detail",)))
    assert b"from the cache" not in plain.stderr
    assert again.stdout == first.stdout
    assert b"3 from the cache" in again.stderr
    assert iqa("score", library, "-m", model, "--detail", "--no-cache").stdout == first.stdout


def test_all_outputs_have_it(iqa: Run, model: Path, library: Path, tmp_path: Path) -> None:
    outputs = [f"--{kind}={tmp_path / kind}" for kind in ("csv", "json", "jsonl", "html")]
    assert iqa("score", library, "-m", model, "--detail", "--group", *outputs).returncode == 1  # the damaged one
    rows = read_rows((tmp_path / "csv").read_bytes())
    for data in (
        json.loads((tmp_path / "json").read_text()),
        list(map(json.loads, (tmp_path / "jsonl").read_text().splitlines())),
    ):
        assert [[*row][9:11] for row in data] == [[*DETAIL_COLUMNS]] * 4
        shown = ["" if row["native_detail"] is None else f"{row['native_detail']:.1f}" for row in data]
        assert shown == [row["native_detail"] for row in rows]
    assert '"native_detail":' in (tmp_path / "html").read_text()


def test_parquet_has_it_as_numbers(iqa: Run, model: Path, library: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the parquet extra is not installed")
    iqa("score", library, "-m", model, "--detail", "--parquet", tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert {str(table.schema.field(name).type) for name in DETAIL_COLUMNS} == {"double"}
    assert table.column("native_detail").null_count == 1


def test_nothing_is_appended_to_a_table_without(iqa: Run, model: Path, library: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    iqa("score", library, "-m", model, "--csv", path)
    begun = path.read_bytes()
    done = iqa("score", library, "-m", model, "--csv", path, "--append", "--detail")
    assert done.returncode == 2
    assert b"native_detail" in done.stderr
    assert path.read_bytes() == begun


@pytest.mark.parametrize("columns", [60, 120])
def test_a_terminal_shows_it(model: Path, library: Path, columns: int) -> None:
    _, shown = run_at_terminal("score", library, "-m", model, "--detail", columns=columns)
    assert "Detail" in shown
    assert "Real MP" in shown
    assert ("━" in shown.split("Image", 1)[1]) == (columns == 120)


def test_python_gets_patches_and_estimates(model: Path, library: Path) -> None:
    with Scorer(model, detail=True) as scorer:
        record = scorer.score(library / "large.jpg")
        with Image.open(library / "large.jpg") as picture:
            pixels = scorer.score(np.asarray(picture))
    assert record.native is not None
    assert pixels.native is not None
    assert record.native_detail == record.native.detail == pytest.approx(pixels.native.detail, abs=5)
    assert len(record.native.patches) == 8
    assert record.native.effective_low <= record.native.effective_mp <= record.native.effective_high <= 1.8 * 1.2
