import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import iqa_cli
from iqa_cli import Scorer, ScoreRecord
from iqa_cli.errors import InputError
from iqa_cli.operators import ADDED, AddScores, ScoreRange

Rows = list[dict[str, Any]]

PACKAGE = Path(iqa_cli.__file__).parent


def import_datasets():  # a folder of tests has the same name, and is what is found where the library is not installed
    module = pytest.importorskip("datasets", reason="needs Hugging Face datasets")
    if not hasattr(module, "load_dataset"):
        pytest.skip("needs Hugging Face datasets")
    return module


def import_data_juicer():
    pytest.importorskip("data_juicer.ops.base_op", reason="needs py-data-juicer, which the [dev] extra leaves out for its size")


@pytest.fixture(scope="module")
def folder(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures and a broken one."""
    folder = tmp_path_factory.mktemp("operators")
    for path in sorted(photos.rglob("*.jpg")):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "broken.jpg").write_bytes((folder / "01.jpg").read_bytes()[:300])
    return folder


@pytest.fixture(scope="module")
def expected(model: Path, folder: Path) -> dict[str, ScoreRecord]:
    with Scorer(model) as scorer:
        return {Path(record.path).name: record for record in scorer.score_many(sorted(folder.iterdir()))}


def check(rows: Rows, names: list[str], expected: dict[str, ScoreRecord]) -> None:
    assert sorted(names) == sorted(expected)
    for name, row in zip(names, rows, strict=True):
        record = expected[name]
        assert [row[column] for column in ADDED[2:]] == [record.status, record.detail, record.model]
        for column, value in (("iqa_score", record.score), ("iqa_percentile", record.percentile)):
            assert np.isnan(row[column]) if value is None else row[column] == value


def test_a_batch_of_any_images_gets_columns(model: Path, folder: Path, expected: dict[str, ScoreRecord]) -> None:
    add = AddScores("image", model=str(model))
    paths = sorted(folder.iterdir())
    for images in (
        paths,
        [path.read_bytes() for path in paths],
        [{"bytes": path.read_bytes(), "path": None} for path in paths],
    ):
        batch = add({"image": images, "label": list(range(13))})
        assert batch["label"] == list(range(13))
        rows = [{name: batch[name][place] for name in ADDED} for place in range(13)]
        check(rows, [path.name for path in paths], expected)
    empty = add({"image": []})
    assert [(len(empty[name]), empty[name].dtype.kind) for name in ADDED] == [(0, kind) for kind in "ffUUU"]


def test_a_cell_that_holds_no_image_is_a_row_and_empty_bytes_are_no_path(model: Path, folder: Path) -> None:
    nulls = [None, float("nan"), np.float64("nan"), {"bytes": None, "path": None}, {"path": None}, {"bytes": None, "path": ""}]
    path = str(folder / "01.jpg")
    scored = AddScores("image", model=str(model))(
        {"image": [*nulls, {"bytes": b"", "path": path}, {"bytes": None, "path": path}]}
    )
    assert list(scored["iqa_status"]) == [*["missing"] * len(nulls), "damaged", "ok"]
    assert list(np.isnan(scored["iqa_score"])) == [True] * (len(nulls) + 1) + [False]
    assert all(scored["iqa_detail"][:-1])
    assert scored["iqa_detail"][-2] == "empty file"
    assert np.isnan(ScoreRange(model=str(model)).score([None, {"bytes": b""}])).all()


def test_what_is_no_batch_of_images_is_said(model: Path) -> None:
    add = AddScores("image", model=str(model))
    with pytest.raises(InputError, match="no column 'image': the batch has 'picture'"):
        add({"picture": []})
    with pytest.raises(InputError, match='an image has "bytes" or "path"'):
        add({"image": [{"url": "x"}]})


@pytest.mark.filterwarnings("default")  # of the libraries below datasets
@pytest.mark.parametrize("processes", [None, 2])
def test_datasets_map_scores_an_imagefolder(
    model: Path,
    folder: Path,
    expected: dict[str, ScoreRecord],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    processes: int | None,
) -> None:
    datasets = import_datasets()
    monkeypatch.setattr(os, "environ", os.environ)  # with several processes datasets puts a copy in its place, and leaves it
    loaded = datasets.load_dataset("imagefolder", data_dir=str(folder), split="train", cache_dir=str(tmp_path))
    loaded = loaded.cast_column("image", datasets.Image(decode=False))
    scored = loaded.map(AddScores("image", model=str(model)), batched=True, batch_size=4, num_proc=processes)
    check(list(scored.select_columns(list(ADDED))), [Path(cell["path"]).name for cell in scored["image"]], expected)


@pytest.mark.filterwarnings("default")
def test_datasets_reads_the_metadata_that_a_run_leaves_in_a_folder(iqa: Any, model: Path, photos: Path, tmp_path: Path) -> None:
    datasets = import_datasets()
    import shutil

    shutil.copytree(photos, tmp_path / "set")
    iqa("score", tmp_path / "set", "-m", model, "--imagefolder", tmp_path / "set" / "metadata.jsonl")
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(loaded) == 12
    with Scorer(model) as scorer:
        for row in loaded:
            data = io.BytesIO()
            assert isinstance(row["image"], Image.Image)
            row["image"].save(data, "PNG")
            assert row["status"] == "ok"
            assert row["score"] == round(scorer.score(row["image"].filename).score or 0, 2)


@pytest.mark.filterwarnings("default")
def test_ray_data_scores_in_actors(model: Path, folder: Path, expected: dict[str, ScoreRecord]) -> None:
    ray = pytest.importorskip("ray", reason="needs ray")
    data = pytest.importorskip("ray.data", reason="needs ray[data]")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        rows = data.read_binary_files(str(folder), include_paths=True)
        options = {"column": "bytes", "model": str(model)}
        scored = rows.map_batches(AddScores, fn_constructor_kwargs=options, concurrency=1, batch_size=4).take_all()
    finally:
        ray.shutdown()
    check(scored, [Path(row["path"]).name for row in scored], expected)


def test_a_sample_of_several_images_stays_by_any_or_by_all(model: Path, folder: Path, expected: dict[str, ScoreRecord]) -> None:
    names = ["01.jpg", "broken.jpg", "02.jpg"]
    first, _, last = (expected[name].score for name in names)
    assert first is not None
    assert last is not None
    assert first != last
    options = {"model": str(model)}
    scores = ScoreRange(**options).score([folder / names[0], {"bytes": (folder / names[1]).read_bytes()}, folder / names[2]])
    assert (scores[0], np.isnan(scores[1]), scores[2]) == (first, True, last)
    exact = ScoreRange(first, first, **options)
    assert exact.keeps([first])
    assert exact.keeps([last, first])
    assert not exact.keeps([last])
    assert not exact.keeps([float("nan")])
    assert ScoreRange(min(first, last), max(first, last), every=True, **options).keeps([first, last])
    assert not ScoreRange(first, first, every=True, **options).keeps([first, last])
    assert exact.keeps([])
    with pytest.raises(InputError, match="no score is at least 60 and at most 40"):
        ScoreRange(60, 40, **options)


@pytest.mark.filterwarnings("default")
def test_data_juicer_filters_samples_by_their_images(model: Path, folder: Path, expected: dict[str, ScoreRecord]) -> None:
    import_data_juicer()
    from data_juicer.utils.constant import Fields

    from iqa_cli.data_juicer_filter import STAT, IqaScoreFilter

    names = sorted(expected)
    bound = float(np.median([record.score for record in expected.values() if record.score is not None]))
    keep = IqaScoreFilter(min_score=bound, model=str(model))
    samples = [keep.compute_stats_single({keep.image_key: [str(folder / name)], Fields.stats: {}}) for name in names]
    for name, sample in zip(names, samples, strict=True):
        score = expected[name].score
        assert sample[Fields.stats][STAT] == ([score] if score is not None else pytest.approx([float("nan")], nan_ok=True))
        assert keep.process_single(sample) == (score is not None and score >= bound)


@pytest.mark.filterwarnings("default")
def test_a_recipe_of_data_juicer_names_the_filter_by_its_file(
    model: Path, folder: Path, expected: dict[str, ScoreRecord], tmp_path: Path
) -> None:
    import_data_juicer()
    bound = float(np.median([record.score for record in expected.values() if record.score is not None]))
    samples = [json.dumps({"text": "", "images": [str(folder / name)]}) for name in sorted(expected)]
    (tmp_path / "samples.jsonl").write_text("\n".join(samples))
    recipe = {
        "project_name": "scores",
        "dataset_path": str(tmp_path / "samples.jsonl"),
        "export_path": str(tmp_path / "out" / "kept.jsonl"),
        "np": 1,
        "custom_operator_paths": [str(PACKAGE / "data_juicer_filter.py")],
        "process": [{"iqa_score_filter": {"min_score": bound, "model": str(model)}}],
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))  # all JSON is YAML
    command = [sys.executable, "-m", "data_juicer.tools.process_data", "--config", str(tmp_path / "recipe.yaml")]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    kept = [json.loads(line)["images"] for line in (tmp_path / "out" / "kept.jsonl").read_text().splitlines()]
    good = [name for name, record in expected.items() if record.score is not None and record.score >= bound]
    assert sorted(Path(path).name for [path] in kept) == sorted(good)


@pytest.mark.filterwarnings("default")
def test_fiftyone_takes_scores_as_a_field(
    model: Path, folder: Path, expected: dict[str, ScoreRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIFTYONE_DATABASE_DIR", str(tmp_path))  # not that of who runs the tests
    fiftyone = pytest.importorskip("fiftyone", reason="needs fiftyone, which the [dev] extra leaves out: it brings a database")
    from fiftyone.core.config import FiftyOneConfigError

    try:
        dataset = fiftyone.Dataset.from_images_dir(str(folder))
    except FiftyOneConfigError as error:
        pytest.skip(f"needs a MongoDB: {error}")
    with Scorer(model) as scorer:
        records = scorer.score_many(dataset.values("filepath"))
        dataset.set_values("iqa_score", [record.score for record in records])
    paths, scores = dataset.values(["filepath", "iqa_score"])
    assert dict(zip([Path(path).name for path in paths], scores, strict=True)) == {n: r.score for n, r in expected.items()}
    dataset.delete()
