"""The benchmarks' figures where the answer is known, their scores against the product's, and what they say of bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import blended, card, damage, scored, steadiness
from benchmarks.scored import Floats, Model
from conftest import CARD, environment, write_photo

from iqa_cli import ScoreOptions
from iqa_cli.datasets.splits import is_held_out
from iqa_cli.errors import DataError, WeightsError
from iqa_cli.images.crops import Crops, Rgb
from iqa_cli.images.decode import decode_image
from iqa_cli.images.distortions import DISTORTIONS, HELD_OUT, LEVELS, distort
from iqa_cli.models.card import read_card, write_card
from iqa_cli.scoring.scorer import open_scorer, score_images

PHOTOS = Path(__file__).parent / "photos"
MAINS: dict[str, Callable[[Sequence[str]], int]] = {"damage": damage.main, "steadiness": steadiness.main}
COUNT = len(damage.CHAINS)


@pytest.fixture(scope="module")
def rgb() -> Rgb:
    return damage.reduce_photo(decode_image(str(PHOTOS / "astronaut.jpg")).rgb, 256)


class Levels:
    """A scorer that is told nothing but how it is called: one clean photo, then levels 1 to 5 again and again."""

    def __init__(self, sign: int) -> None:
        self.sign = sign

    def __call__(self, rgbs: Sequence[Rgb]) -> Floats:
        levels = [0] if len(rgbs) == 1 else range(1, 6)
        return np.array([50.0 + self.sign * level for level, _ in zip(levels, rgbs, strict=True)])


def close_to(clean: Rgb) -> scored.Score:
    """A scorer that sees how far a picture is from the clean one."""
    return lambda rgbs: np.array([-np.mean((rgb.astype(float) - clean) ** 2) for rgb in rgbs])


def find_lines(given: Floats) -> dict[str, damage.Figures]:
    return {line.name: line for line in damage.measure(given)}


# ---- damage: figures ----


def test_minus_the_level_is_always_right_and_plus_the_level_always_wrong(rgb: Rgb) -> None:
    given = np.stack([damage.score_photo([Levels(-1), Levels(1), close_to(rgb)], rgb, name, 0) for name in ("a", "b")])
    assert given.shape == (2, 3, COUNT, LEVELS + 1)
    for place, (correlation, above) in enumerate([(1, 1), (-1, 0), (1, 1)]):
        for line in damage.measure(given[:, place]):
            assert (line.srcc, line.above) == (pytest.approx(correlation), above), (place, line.name)
            assert line.photos == 2


def test_figures_are_means_over_photos_and_pairs() -> None:
    given = np.tile(-np.arange(6.0), (2, COUNT, 1))
    chains = list(damage.CHAINS)
    given[1, chains.index("jpeg")] *= -1  # one photo right, one wrong
    given[:, chains.index("banding")] = 7.0  # no order at all
    given[:, chains.index("webp")] = [5, 4, 3, 6, 2, 1]  # of three severe levels one looks better than the clean photo
    given[:, chains.index("downscale+jpeg")] = [9, 8, 8, 8, 8, 8]
    lines = find_lines(given)
    assert (lines["jpeg"].srcc, lines["jpeg"].above) == (pytest.approx(0), 0.5)
    assert (lines["banding"].srcc, lines["banding"].above) == (0, 0)
    assert (lines["webp"].srcc, lines["webp"].above) == (pytest.approx(23 / 35), pytest.approx(2 / 3))
    assert lines["downscale+jpeg"].srcc == pytest.approx((7.5 / 17.5) ** 0.5)  # all but one tie
    assert lines["downscale+jpeg"].above == 1
    technical = lines["blurs, noises, compressions, scaling"]
    assert (technical.chains, lines["others"].chains, lines["mixtures"].chains, lines["all"].chains) == (14, 9, 2, COUNT)
    assert technical.srcc == pytest.approx((12 + 23 / 35) / 14)
    assert technical.above == pytest.approx((12 + 0.5 + 2 / 3) / 14)
    assert lines["others"].srcc == pytest.approx(8 / 9)
    assert lines["all"].above == pytest.approx(float(np.mean(given[:, :, :1] > given[:, :, 3:])))


def test_every_kind_is_measured_and_it_says_which_were_held_out() -> None:
    lines = find_lines(np.zeros((1, COUNT, 6)))
    assert [name for name in lines if name in DISTORTIONS] == list(DISTORTIONS)
    assert {name for name, line in lines.items() if line.held_out and line.chains == 1} == set(HELD_OUT)
    assert lines["held out of training"].held_out is True
    assert lines["mixtures"].held_out is False
    assert lines["all"].held_out is None


def test_the_pattern_of_a_damage_hangs_on_photo_kind_and_seed(rgb: Rgb) -> None:
    small = rgb[:48, :48]
    once, again = (damage.damage_photo(small, "a.jpg", "white_noise", 0) for _ in range(2))
    assert len(once) == LEVELS
    assert all(map(np.array_equal, once, again))
    for other in (("b.jpg", "white_noise", 0), ("a.jpg", "white_noise", 1)):
        assert not np.array_equal(once[2], damage.damage_photo(small, *other)[2])
    noises = [picture.astype(float) - small for picture in once]
    assert np.corrcoef(noises[1].ravel(), noises[2].ravel())[0, 1] > 0.8  # the same grain, stronger
    jpegs = damage.damage_photo(small, "a.jpg", "jpeg", 0)
    assert all(np.array_equal(own, distort(small, "jpeg", i, np.random.default_rng())) for i, own in enumerate(jpegs, 1))


@pytest.mark.parametrize(
    ("shape", "wanted"), [((60, 90), (40, 60)), ((90, 60), (60, 40)), ((40, 99), (40, 99)), ((9, 9), (9, 9))]
)
def test_only_larger_photos_are_reduced(shape: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert damage.reduce_photo(np.zeros((*shape, 3), np.uint8), 40).shape == (*wanted, 3)


# ---- steadiness: figures ----


def test_movements_are_quantiles_of_absolute_changes() -> None:
    given = np.zeros((101, 1 + len(steadiness.CHANGES)))
    given[:, 0] = 50
    given[:, 1:] = 50
    given[:, 1] += np.arange(101) * np.where(np.arange(101) % 2, 1, -1)
    first, *others = steadiness.measure(given)
    assert (first.median, first.high) == (50, 95)
    assert [(other.median, other.high) for other in others] == [(0, 0)] * 4


def test_agreement_of_a_shifted_a_reversed_and_a_constant_model() -> None:
    scores = np.array([10.0, 20, 40])
    shifted = steadiness.compare(("a", "b"), scores, scores - 2)
    assert (shifted.srcc, shifted.plcc) == (pytest.approx(1), pytest.approx(1))
    assert (shifted.absolute, shifted.signed) == (2, -2)
    reversed_ = steadiness.compare(("a", "b"), scores, 50 - scores)
    assert (reversed_.srcc, reversed_.plcc) == (pytest.approx(-1), pytest.approx(-1))
    assert (reversed_.absolute, reversed_.signed) == (pytest.approx(70 / 3), pytest.approx(10 / 3))
    constant = steadiness.compare(("a", "b"), scores, np.full(3, 20.0))
    assert (constant.srcc, constant.plcc) == (None, None)
    alone = steadiness.compare(("a", "b"), scores[:1], scores[:1])
    assert (alone.srcc, alone.plcc, alone.absolute) == (None, None, 0)


def test_changes_are_what_they_are_called(rgb: Rgb) -> None:
    changed = {name: change(rgb) for name, change in steadiness.CHANGES.items()}
    assert changed["JPEG quality 95"].shape == rgb.shape
    assert 0 < np.abs(changed["JPEG quality 95"].astype(float) - rgb).mean() < 5
    assert changed["resized to 90 %"].shape == (230, 230, 3)
    assert changed["resized to 110 %"].shape == (282, 282, 3)
    assert np.array_equal(changed["mirrored"][:, 0], rgb[:, -1])
    assert np.array_equal(changed["cropped by 2 %"], rgb[3:-3, 3:-3])
    assert steadiness.trim(np.zeros((300, 200, 3), np.uint8)).shape == (294, 196, 3)
    for name, change in steadiness.CHANGES.items():
        assert change(rgb[:1, :2]).size, name


# ---- the product's road ----


@pytest.mark.parametrize("count", [1, 3])
def test_scores_are_those_of_the_product(model: Path, photos: Path, count: int) -> None:
    paths = scored.find_photos([str(photos)])
    (plain,) = scored.open_models([str(model)])
    ready = replace(plain, crops=replace(plain.crops, count=count))
    records = list(open_scorer(ScoreOptions(str(model), crops=count)).score(paths))
    found = scored.score_arrays(ready, [decode_image(path).rgb for path in paths])
    assert found == pytest.approx([record.score for record in records], abs=1e-9)
    assert len(set(found.tolist())) == len(paths) == 12


class Constant:
    def __init__(self, quality: float) -> None:
        self.quality = quality
        self.runs: list[int] = []

    def predict(self, crops: Crops) -> np.ndarray:
        self.runs.append(len(crops))
        return np.full(len(crops), self.quality, np.float32)


@pytest.mark.parametrize(("quality", "score"), [(0.25, 25), (-1, 0), (2, 100)])
def test_scores_are_0_to_100_and_equal_shapes_share_a_run(quality: float, score: float) -> None:
    backend = Constant(quality)
    pictures = [np.zeros(((8, 9), (9, 24))[i % 2] + (3,), np.uint8) for i in range(20)]
    assert scored.score_arrays(Model("constant", backend, CARD.crops), pictures).tolist() == [score] * 20
    assert backend.runs == [10, 10]


def test_a_score_that_is_no_number_ends_the_run() -> None:
    with pytest.raises(WeightsError, match="model constant gives a score that is no number"):
        scored.score_arrays(Model("constant", Constant(float("nan")), CARD.crops), [np.zeros((8, 8, 3), np.uint8)])


# ---- photos ----


def test_photos_are_chosen_by_name_and_drawn_in_an_order_that_only_names_decide(photos: Path, tmp_path: Path) -> None:
    every = scored.find_photos([str(photos), str(photos / "more")])
    assert len(every) == len(set(every)) == 12
    assert [Path(path).name for path in every] != sorted(Path(path).name for path in every)
    assert {Path(path).name for path in scored.find_photos([str(photos)], ["00", "1"])} == {"00.jpg", "10.jpg", "11.jpg"}
    held = scored.find_photos([str(photos)], keep=lambda name: is_held_out(name, 0.5))
    assert 0 < len(held) < 12
    assert held == every[: len(held)]  # the order is that of being held out, so a few photos are held out at any share
    write_photo(tmp_path / "11.jpg", 0)
    assert [Path(path).name for path in scored.find_photos([str(tmp_path)])] == ["11.jpg"]
    with pytest.raises(DataError, match="of 12 images 1 have a name asked for, and none of these is to be kept"):
        scored.find_photos([str(photos)], ["11"], lambda _: False)


# ---- the commands ----


def test_damage_prints_a_table_and_writes_the_same_as_data(
    model: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", str(model), "--model", str(model.parent), "--held-out", "1", "--limit", "2", "--side", "64"]
    assert damage.main(["--photos", str(photos), *options, "--json", str(tmp_path / "out.json")]) == 0
    out, err = capfd.readouterr()
    lines = out.splitlines()
    titles = [f"{name} {figure}" for name in (model, model.parent) for figure in ("srcc", "above")]
    assert lines[0].split() == " ".join(["damage held out photos", *titles]).split()
    assert len(lines) == 1 + COUNT + 5
    assert "2 of 2 photos" in err
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["photos"] == scored.find_photos([str(photos)])[:2]
    first, second = data["models"].values()
    assert first == second
    for line, figures in zip(lines[1:], first, strict=True):
        assert figures["name"] in line
        assert line.split()[-2:] == [f"{figures['srcc']:.3f}", f"{figures['above']:.3f}"]


def test_workers_change_nothing_and_what_cannot_be_decoded_is_left_out(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for seed in range(4):
        write_photo(tmp_path / f"{seed}.jpg", seed)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    tables = []
    for workers in ("1", "3"):
        assert steadiness.main(["--photos", str(tmp_path), "--model", str(model), "--workers", workers]) == 0
        out, err = capfd.readouterr()
        assert f"left out: {tmp_path / 'broken.jpg'}: JPEG " in err
        tables.append(out)
    assert tables[0] == tables[1]
    assert tables[0].startswith("change of the score in points, 4 photos\n")


def test_steadiness_compares_each_two_models(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    names = [str(model), str(model.with_suffix(".onnx")), str(model.parent)]
    models = [part for name in names for part in ("--model", name)]
    assert steadiness.main(["--photos", str(PHOTOS), *models, "--limit", "3", "--json", str(tmp_path / "out.json")]) == 0
    data = json.loads((tmp_path / "out.json").read_text())
    assert [(own["first"], own["second"]) for own in data["agreement"]] == [
        (names[0], names[1]),
        (names[0], names[2]),
        (names[1], names[2]),
    ]
    assert all((own["absolute"], own["signed"]) == (0, 0) for own in data["agreement"])
    assert [own["change"] for own in data["models"][names[0]]] == list(steadiness.CHANGES)
    assert "two models" in capfd.readouterr().out


@pytest.mark.parametrize("name", MAINS)
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--photos", "nowhere", "--model", "qfm-iqm"], 4, "error: nowhere: no such folder\n"),
        (["--photos", "", "--model", "qfm-iqm"], 4, "error: a folder without a name: no such folder\n"),
        (["--photos", str(PHOTOS), "--model", "nothing"], 3, "error: nothing: no such model. Installed: "),
        (["--photos", str(PHOTOS), "--model", "qfm-iqm", "--prefix", "x_"], 4, "0 have a name asked for"),
        (["--photos", str(PHOTOS), "--model", "qfm-iqm", "--json", "no/where.json"], 4, "its folder does not exist"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_code(
    name: str, arguments: list[str], code: int, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert MAINS[name](arguments) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value"), [("--held-out", "1.5"), ("--held-out", "some"), ("--limit", "0"), ("--seed", "-1"), ("--side", "x")]
)
def test_an_impossible_number_is_a_line_below_the_usage(option: str, value: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        damage.main(["--photos", str(PHOTOS), "--model", "qfm-iqm", f"{option}={value}"])
    assert ended.value.code == 2
    assert f"argument {option}: a " in capfd.readouterr().err


@pytest.mark.parametrize("name", MAINS)
def test_they_run_as_modules_from_the_root_of_a_checkout(name: str) -> None:
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", "--help"]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--photos DIR" in done.stdout


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


def test_a_card_quotes_what_the_programs_wrote_and_nothing_of_another_model(tmp_path, capsys):
    spread = dict.fromkeys(("median", "mean", "low", "high"), 0.51239)
    line = {"name": "jpeg", "srcc": 0.98765, "above": 1.0}
    files = {
        "folds": {
            "protocol": "folds",
            "trials": [{"trial": "fold0", "sets": []}],
            "summary": [{"dataset": "livec", "images": 4, "srcc": spread, "plcc": spread}],
        },
        "damage": {"held_out": 0.2, "photos": ["a", "b"], "models": {"other": [], f"runs/{CARD.name}.json": [line]}},
        "steady": {
            "photos": ["a"],
            "models": {CARD.name: [{"change": "mirrored", "median": 0.123, "high": 2.0}], "other": []},
            "agreement": [{"first": "other", "second": CARD.name, "srcc": 0.9, "plcc": 0.8, "absolute": 1.234, "signed": 1.0}],
        },
    }
    for name, data in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    path = write_card(replace(CARD, results=({"dataset": "old"},)), tmp_path)
    given = [str(path), "--cross-validation", f"{tmp_path}/folds.json", "--command", "iqa train --folds 1"]
    assert card.main([*given, "--damage", f"{tmp_path}/damage.json", "--steadiness", f"{tmp_path}/steady.json"]) == 0
    correlation, damaged, moved, agreement = read_card(path).results
    assert correlation["srcc"]["median"] == 0.5124
    assert correlation["images"] == 4
    assert correlation["command"] == "iqa train --folds 1"
    assert damaged["damage"] == {"jpeg": {"srcc": 0.988, "above": 1.0}}
    assert damaged["command"].endswith(f"--held-out 0.2 --limit 2 --model {CARD.name}")
    assert moved["moved"] == {"mirrored": {"median": 0.12, "high": 2.0}}
    assert (agreement["srcc"], agreement["mean_difference"]) == (0.9, 1.23)
    assert agreement["command"].endswith(f"--model {CARD.name} --model other")
    assert card.main([str(path)]) == 2
    (tmp_path / "damage.json").write_text(json.dumps(files["damage"] | {"models": {"other": []}}))
    assert card.main([str(path), "--damage", f"{tmp_path}/damage.json"]) == 2
    assert f"{CARD.name} was not measured there, only other" in capsys.readouterr().err
    assert len(read_card(path).results) == 4
