"""Models of other origin: an .onnx file and five lines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from conftest import Run, read_rows
from in_process import environment
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from iqa_cli import Scorer
from iqa_cli.errors import PolicyError, WeightsError
from iqa_cli.evaluation.array_scorer import open_scorers, score_pictures
from iqa_cli.gate.gate import Gate
from iqa_cli.gate.policy import Floor, Policy
from iqa_cli.models.find import download_model, find_model
from iqa_cli.options import BackendChoice, ScoreOptions

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
LOW, HIGH = -8.0, 12.0
CARD = {"size": "free", "mean": MEAN, "std": STD, "higher_is_better": True, "range": [LOW, HIGH]}
HEIGHT, WIDTH = 80, 96

Shape = list[int | str]


def write_network(
    path: Path,
    shape: Shape,
    *,
    kind: int = TensorProto.FLOAT,
    axes: Sequence[int] = (1, 2, 3),
    ends: Shape | None = None,
    more: int = 0,
) -> Path:
    """A network that weighs the places and the channels unlike, so that whatever is shifted or swapped changes its output."""
    weights = np.random.default_rng(1).normal(size=(2, 3, 5, 5)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["x"], ["single"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["single", "weights"], ["maps"], strides=[3, 3]),
        helper.make_node("Relu", ["maps"], ["positive"]),
        helper.make_node("ReduceMean", ["positive", "axes"], ["mos"], keepdims=0),
        *(helper.make_node("Neg", ["mos"], [f"more{i}"]) for i in range(more)),
    ]
    made = [("mos", ends or ["n"]), *((f"more{i}", ["n"]) for i in range(more))]
    graph = helper.make_graph(
        nodes,
        "other",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, own) for name, own in made],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array(axes), "axes")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def write_other(folder: Path, shape: Shape, **changes: Any) -> Path:
    """The network and its card, as JSON; a key of None is left out."""
    path = write_network(folder / "other.onnx", shape)
    data = {key: value for key, value in {**CARD, **changes}.items() if value is not None}
    path.with_suffix(".json").write_text(json.dumps(data))
    return path


def draw_photo(path: Path, height: int = HEIGHT, width: int = WIDTH) -> npt.NDArray[np.uint8]:
    pixels = np.random.default_rng(height + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def run_by_hand(network: Path, pixels: npt.NDArray[np.uint8]) -> float:
    """What the network puts out for these very pixels, [h, w, 3]."""
    given = ((pixels / 255 - np.array(MEAN)) / np.array(STD)).astype(np.float32).transpose(2, 0, 1)[None]
    return float(np.ravel(onnxruntime.InferenceSession(network).run(["mos"], {"x": given})[0])[0])


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize(
    ("size", "shape", "cut"),
    [
        ("free", ["n", 3, "h", "w"], (slice(None), slice(None))),
        (80, [1, 3, 80, 80], (slice(None), slice(8, 88))),  # of 80 x 96, the center
        (80, ["n", 3, "h", "w"], (slice(None), slice(8, 88))),  # a card may fix what the network leaves free
        ([60, 96], [1, 3, 60, 96], (slice(10, 70), slice(None))),
    ],
)
def test_the_score_is_the_output_by_hand(
    tmp_path: Path, size: object, shape: Shape, cut: tuple[slice, slice], *, higher: bool
) -> None:
    network = write_other(tmp_path, shape, size=size, higher_is_better=higher)
    pixels = draw_photo(tmp_path / "photo.png")
    value = run_by_hand(network, pixels[cut])
    share = (value - LOW) / (HIGH - LOW)
    assert 0.05 < share < 0.95
    with Scorer(network) as scorer:
        record = scorer.score(tmp_path / "photo.png")
    assert record.score == pytest.approx(100 * (share if higher else 1 - share), abs=1e-4)
    assert (record.model, record.percentile, record.uncertainty) == ("other", None, None)


def test_a_fixed_input_gets_the_center_resized(tmp_path: Path) -> None:
    network = write_other(tmp_path, [1, 3, 40, 40], size=40)
    pixels = draw_photo(tmp_path / "photo.png")
    center = Image.fromarray(pixels[:, 8:88]).resize((40, 40), Image.Resampling.BICUBIC)
    with Scorer(network) as scorer:
        score = scorer.score(tmp_path / "photo.png").score
    assert score == pytest.approx(100 * (run_by_hand(network, np.asarray(center)) - LOW) / (HIGH - LOW), abs=0.05)


def test_a_free_input_keeps_to_its_bounds(tmp_path: Path) -> None:
    network = write_other(tmp_path, ["n", 3, "h", "w"], max_side=48, multiple=16)
    spec = find_model(str(network), BackendChoice.AUTO).card.crops
    assert spec.crop_shape(84, 96) == (48, 48)  # 42 x 48, in sixteens
    assert spec.crop_shape(10, 2000) == (32, 48)
    plain = find_model(str(write_other(tmp_path, ["n", 3, "h", "w"])), BackendChoice.AUTO).card.crops
    assert plain.crop_shape(1237, 811) == (1237, 811)
    assert plain.crop_shape(6000, 3000) == (4096, 2048)
    assert plain.crop_shape(5, 700) == (32, 700)


def test_toml_and_json_and_every_way_to_name_it(tmp_path: Path) -> None:
    network = write_network(tmp_path / "mine.onnx", ["n", 3, "h", "w"])
    card = tmp_path / "mine.toml"
    card.write_text(
        f'size = "free"\nmean = {MEAN}\nstd = {STD}\nhigher_is_better = false\nrange = [{LOW}, {HIGH}]\nname = "Mine"\n'
    )
    for name in (network, card, tmp_path):
        found = find_model(str(name), BackendChoice.AUTO)
        assert (found.card.name, found.backend, found.folder) == ("Mine", BackendChoice.ONNX, tmp_path)
    with pytest.raises(WeightsError, match=r"model Mine has no \.safetensors file"):
        find_model(str(card), BackendChoice.TORCH)
    (tmp_path / "mine.json").write_text(json.dumps(CARD))
    with pytest.raises(WeightsError, match=r"mine\.onnx: has two cards, mine\.json and mine\.toml: name the one you mean"):
        find_model(str(network), BackendChoice.AUTO)


@pytest.mark.parametrize("named", ["mine.toml", "mine.json", "card.toml"])
def test_a_short_card_of_the_hub_is_read_with_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    repository, cache = tmp_path / "repository", tmp_path / "cache"
    for folder in (repository, cache):
        folder.mkdir()
    network = write_network(repository / "mine.onnx", ["n", 3, "h", "w"])
    fields = CARD if named.startswith("mine") else CARD | {"file": "mine.onnx"}
    lines = (f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
    (repository / named).write_text("".join(lines) if named.endswith(".toml") else json.dumps(fields))
    (repository / "pyproject.toml").write_text("[project]\n")
    (repository / "README.md").write_text("a model")

    def snapshot(_: str, *, allow_patterns: list[str], **__: Any) -> str:
        for path in [path for pattern in allow_patterns for path in repository.glob(pattern)]:
            shutil.copy(path, cache)
        return str(cache)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda _, name, **__: shutil.copy(repository / name, cache))
    found = download_model("owner/mine", None, BackendChoice.AUTO)
    assert (found.backend, found.folder) == (BackendChoice.ONNX, cache)
    assert found.card.files["onnx"].bytes == network.stat().st_size
    assert not (cache / "README.md").exists()


def test_pictures_in_memory_score_alike(tmp_path: Path) -> None:
    network = write_other(tmp_path, ["n", 3, "h", "w"], higher_is_better=False)
    pixels = draw_photo(tmp_path / "photo.png")
    scorers = open_scorers([str(network)], ScoreOptions())
    with Scorer(network) as scorer:
        assert scorer.score(pixels).score == pytest.approx(score_pictures(scorers, [pixels])[0, 0], abs=1e-4)


def test_several_outputs_one_of_which_is_named(tmp_path: Path) -> None:
    network = write_network(tmp_path / "other.onnx", ["n", 3, "h", "w"], more=2)
    card = network.with_suffix(".json")
    card.write_text(json.dumps(CARD))
    with pytest.raises(WeightsError, match="has 3 outputs; say in its card which is the score: output = mos or more0 or more1"):
        Scorer(network)
    card.write_text(json.dumps(CARD | {"output": "mor0"}))
    with pytest.raises(WeightsError, match=r"other\.onnx: has no output mor0; did you mean more0\?"):
        Scorer(network)
    pixels = draw_photo(tmp_path / "photo.png")
    scores = []
    for output, ends in (("mos", [LOW, HIGH]), ("more1", [-HIGH, -LOW])):
        card.write_text(json.dumps(CARD | {"output": output, "range": ends}))
        with Scorer(network) as scorer:
            scores.append(scorer.score(pixels).score)
    assert sum(filter(None, scores)) == pytest.approx(100, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"std": None}, r"the card lacks std: three numbers above 0"),
        ({"range": None, "rnge": [0, 1]}, r"the card lacks range \(it has rnge; did you mean range\?\): the lower"),
        ({"licens": "MIT"}, r"the card has an unknown key licens; did you mean licence\?"),
        ({"zzz": 1}, r"the card has an unknown key zzz; there are size, mean"),
        ({"size": "large"}, r"size is the px of its input, as 224 or \[height, width\], or \"free\", not 'large'"),
        ({"size": 224.0}, r"size is .*, not 224\.0"),
        ({"size": [1, 2, 3]}, r"size is .*, not \[1, 2, 3\]"),
        ({"size": 10_000}, r"impossible crops: 10000 where a whole number up to 4096 is needed"),
        ({"mean": 0.5}, r"mean is three numbers, .*, not 0\.5"),
        ({"mean": [0.5, 0.5, True]}, r"mean is three numbers"),
        ({"std": [0.2, 0, 0.2]}, r"std is three numbers above 0"),
        ({"higher_is_better": "yes"}, r"higher_is_better is true or false, not 'yes'"),
        ({"range": [5, 1]}, r"range is the lower and the upper end of what it puts out, as \[0, 100\], not \[5, 1\]"),
        ({"crops": 10}, r"the number of crops is 1 to 9, not 10"),
        ({"crops": 0}, r"crops is a whole number, 1 or more, not 0"),
        ({"size": 80, "max_side": 90}, r"max_side is about an input of any size: leave it out, or write size = \"free\""),
        ({"file": "gone.onnx"}, r"its weights, gone\.onnx, are not beside it; file = says which they are"),
        ({"file": "../other.onnx"}, r"file is the name of an \.onnx file beside the card, not \.\./other\.onnx"),
        ({"name": "a\nb"}, r"name is a text, not 'a\\nb'"),
        ({"range": [0, 10**400]}, r"range is the lower and the upper end of what it puts out, as \[0, 100\], not \[0, 10"),
    ],
)
def test_a_card_that_is_none_says_what_to_write(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    network = write_other(tmp_path, ["n", 3, "h", "w"], **changes)
    with pytest.raises(WeightsError, match=rf"other\.json: {said}"):
        find_model(str(network), BackendChoice.AUTO)


@pytest.mark.parametrize(
    ("network", "card", "said"),
    [
        ({"shape": [1, 3, 64, 64]}, {}, r"its card says that the input is of any size, and it is \[64, 64\]: write size = 64"),
        (
            {"shape": [1, 3, 64, 48]},
            {"size": 64},
            r"its card says that the input is 64 x 64, and it is \[64, 48\]: write size = \[64, 48\]",
        ),
        (
            {"shape": [1, 3, 64, 64]},
            {"size": [64, 48]},
            r"its card says that the input is 64 x 48, and it is \[64, 64\]: write size = 64",
        ),
        ({"shape": [8, 3, "h", "w"]}, {}, r"takes 8 images at a time; export it for one, or for any number"),
        ({"shape": ["n", "h", "w", 3]}, {}, r""),
        ({"shape": [1, 64, 64, 3]}, {"size": 64}, r"its input x is \[1, 64, 64, 3\], and images \[n, 3, h, w\] are needed"),
        ({"shape": ["n", 1, "h", "w"]}, {}, r"its input x is \[n, 1, h, w\], and images \[n, 3, h, w\] are needed"),
        (
            {"shape": ["n", 3, "h", "w"], "kind": TensorProto.DOUBLE},
            {},
            r"its input x is tensor\(double\), and numbers of single",
        ),
        (
            {"shape": ["n", 3, "h", "w"], "axes": (2, 3), "ends": ["n", 2]},
            {},
            r"its output mos is \[n, 2\], and one number an image is needed",
        ),
    ],
)
def test_a_card_that_does_not_fit_its_network_is_refused(
    tmp_path: Path, network: dict[str, Any], card: dict[str, object], said: str
) -> None:
    path = write_network(tmp_path / "other.onnx", **network)
    path.with_suffix(".json").write_text(json.dumps(CARD | card))
    with pytest.raises(WeightsError, match=rf"other\.onnx: {said}"), Scorer(path) as scorer:
        scorer.score(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize("ending", [".toml", ".json"])
def test_a_mark_in_front_is_read_over(tmp_path: Path, ending: str) -> None:
    network = write_network(tmp_path / "mine.onnx", ["n", 3, "h", "w"])
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in CARD.items())
    network.with_suffix(ending).write_text(lines if ending == ".toml" else json.dumps(CARD), encoding="utf-8-sig")
    for name in (network, tmp_path):
        assert find_model(str(name), BackendChoice.AUTO).card.name == "mine"


def test_its_name_is_only_shown_and_may_hold_anything(tmp_path: Path) -> None:
    network = write_other(tmp_path, ["n", 3, "h", "w"], name="KonIQ/SPAQ")
    found = find_model(str(network), BackendChoice.AUTO)
    assert (found.card.name, found.source) == ("KonIQ/SPAQ", tmp_path / "other.json")


def test_two_inputs_are_refused(tmp_path: Path) -> None:
    made = helper.make_graph(
        [helper.make_node("Sub", ["x", "y"], ["z"])],
        "pair",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, "h", "w"]) for name in "xy"],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    path = tmp_path / "pair.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    path.with_suffix(".json").write_text(json.dumps(CARD))
    with pytest.raises(WeightsError, match=r"pair\.onnx: has 2 inputs \(x, y\); a network that scores images has one"):
        Scorer(path)


def test_a_range_that_is_not_its_own_is_found_out(tmp_path: Path) -> None:
    network = write_other(tmp_path, ["n", 3, "h", "w"], range=[0, 0.01])
    with Scorer(network) as scorer, pytest.raises(WeightsError, match=r"puts out \S+, and its card says range = \[0, 0\.01\]"):
        scorer.score(draw_photo(tmp_path / "photo.png"))


def test_weights_without_a_card_say_what_five_lines_do(tmp_path: Path) -> None:
    network = write_network(tmp_path / "alone.onnx", ["n", 3, "h", "w"])
    with pytest.raises(WeightsError, match=r"five lines do, in alone\.toml: size, mean, std, higher_is_better, range"):
        find_model(str(network), BackendChoice.AUTO)


def test_a_policy_about_percentiles_is_refused(tmp_path: Path) -> None:
    network = write_other(tmp_path, ["n", 3, "h", "w"])
    with Scorer(network) as scorer, pytest.raises(PolicyError, match=r"about percentiles, and other has none"):
        Gate(Policy(percentile=Floor(fail_under=10)), scorer)


def test_a_changed_card_is_not_answered_from_the_cache(iqa: Run, tmp_path: Path) -> None:
    network = write_other(tmp_path, ["n", 3, "h", "w"])
    (tmp_path / "photos").mkdir()
    draw_photo(tmp_path / "photos" / "a.png")
    command, env = ["score", tmp_path / "photos", "-m", network, "--csv", "-"], environment(XDG_CACHE_HOME=str(tmp_path))
    first = read_rows(iqa(*command, env=env).stdout)
    write_other(tmp_path, ["n", 3, "h", "w"], higher_is_better=False)
    second = read_rows(iqa(*command, env=env).stdout)
    assert float(first[0]["score"]) + float(second[0]["score"]) == pytest.approx(100, abs=0.011)
    assert first[0]["percentile"] == ""


def test_evaluate_measures_it_beside_others(iqa: Run, sets: Path, model: Path, tmp_path: Path) -> None:
    up = write_other(tmp_path, ["n", 3, "h", "w"])
    (tmp_path / "down").mkdir()
    down = write_other(tmp_path / "down", ["n", 3, "h", "w"], higher_is_better=False)
    chosen = ["-d", "livec", "--data-root", sets, "-m", up, "-m", down, "-m", model, "--rounds", "20", "--no-cache"]
    done = iqa("evaluate", *chosen)
    assert done.returncode == 0, done.stderr
    rows = read_rows(done.stdout)
    assert [row["model"] for row in rows if row["source"] == "measured"] == [str(up), str(down), str(model)]
    assert float(rows[0]["srcc"]) == pytest.approx(-float(rows[1]["srcc"]))
    assert rows[0]["note"] == "its card does not say what it was trained on"
    shown = iqa("models", "show", down)
    assert shown.returncode == 0
    assert b"-8 to 12, lower is better, brought to that scale" in shown.stdout
    assert b"the photo as it is, its longer side 4096 px at most" in shown.stdout
