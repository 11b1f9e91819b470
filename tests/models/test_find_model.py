import hashlib
import json
import os
import pickle
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event, Thread

import pytest
from conftest import CARD, Run, toy_nodes, write_model, write_onnx
from in_process import environment

from iqa_cli.errors import DataError, UsageError, WeightsError
from iqa_cli.images.crops import CropSpec
from iqa_cli.models import hub
from iqa_cli.models.card import CARD_KEY, WeightFile, read_card, write_card
from iqa_cli.models.find import download_model, find_cards, find_model, released_folder, verify_file
from iqa_cli.models.onnx_metadata import read_metadata
from iqa_cli.options import BackendChoice, ScoreOptions
from iqa_cli.scoring.pipeline import open_pipeline

AUTO, ONNX, TORCH = BackendChoice


def write_both(folder: Path) -> Path:
    """A card with an .onnx and a .safetensors file; the latter holds nothing of use."""
    onnx = write_onnx(folder / "both.onnx", toy_nodes())
    other = folder / "both.safetensors"
    other.write_bytes(b"tensors")
    files = {"safetensors": WeightFile.of(other), "onnx": WeightFile.of(onnx)}
    return write_card(replace(CARD, name="both", files=files), folder)


# ---- cards ----


def test_a_card_comes_back_as_it_was_written(tmp_path: Path) -> None:
    facts = WeightFile("full.onnx", 3, "ab" * 32)
    card = replace(
        CARD,
        name="full",
        network={"backbone": "b", "options": {"size": 1}},
        crops=CropSpec(96, fit="square", count=3, mean=(0.1, 0.2, 0.3)),
        score_range=(1.0, 5.0),
        training={"data": ["a"]},
        results=({"dataset": "d", "srcc": {"median": 0.5}},),
        limits=("none known",),
        files={"onnx": facts},
    )
    assert read_card(write_card(card, tmp_path)) == card


def change(data: dict[str, object], **changes: object) -> str:
    return json.dumps({**data, **changes})


GOOD = asdict(CARD)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("[]", "not a model card"),
        ("{}", "crops"),
        (change(GOOD, surprise=1, more=2), "unknown keys more, surprise"),
        (change(GOOD, crops={"size": 0}), "impossible crops"),
        (change(GOOD, crops={"length": 64}), "length"),
        (change(GOOD, opinions=[1, 2, 3]), "101 numbers"),
        (change(GOOD, opinions=[*range(100), 0]), "never fall"),
        (change(GOOD, score_range=[5, 5]), "score_range"),
        (change(GOOD, files={"onnx": {"name": "../up.onnx", "bytes": 1, "sha256": ""}}), "beside the card"),
        (change(GOOD, files={"onnx": {"name": "model.pkl", "bytes": 1, "sha256": ""}}), "listed as onnx"),
        (json.dumps({key: value for key, value in GOOD.items() if key != "licence"}), "licence"),
        (change(GOOD, opinions=["1"] * 101), "101 numbers"),
        (change(GOOD, opinions=[float("nan")] * 101), "101 numbers"),
        (change(GOOD, score_range=["0", "1"]), "score_range"),
        (change(GOOD, score_range=[0, float("inf")]), "score_range"),
        (change(GOOD, crops={"size": 1_000_000_000}), "1000000000 where a whole number up to 4096 is needed"),
        (change(GOOD, crops={"size": 64.5}), "64.5 where a whole number"),
        (change(GOOD, crops={"size": 64, "mean": [0.5, 0.5]}), "for three channels"),
        (change(GOOD, crops={"size": 64, "std": [0.5, 0.5, 0]}), "for three channels"),
        (change(GOOD, crops={"size": 64, "zoom": 1e9}), "impossible crops"),
        (change(GOOD, name="two\nlines"), "name is a line of text"),
        (change(GOOD, name=7), "name is a line of text"),
        (change(GOOD, name="../../victim"), "name is that of files, without slashes and with no dot in front"),
        (change(GOOD, name="a\\b"), "name is that of files"),
        (change(GOOD, name=".hidden"), "name is that of files"),
        (change(GOOD, name=""), "name is that of files"),
        (change(GOOD, files={"onnx": {"name": "nul\0.onnx", "bytes": 1, "sha256": ""}}), "beside the card"),
        (change(GOOD, files={"onnx": {"name": 7, "bytes": 1, "sha256": ""}}), "beside the card"),
        ("3", "a card is a JSON object, not 3"),
        ("{}", "it lacks name, summary, licence, network, crops, opinions"),
        (json.dumps({key: value for key, value in GOOD.items() if key != "crops"}), "it lacks crops$"),
        (change(GOOD, crops=[64]), r"crops is a JSON object, not \[64\]"),
        (change(GOOD, crops={"fit": "square"}), "crops lacks size$"),
        (change(GOOD, crops={"size": 64, "zoom": "big"}), "crops.zoom is a number, not 'big'"),
        (change(GOOD, opinions=None), "opinions is a list of numbers, not None"),
        (change(GOOD, opinions=[10**400] * 101), "101 numbers"),
        (change(GOOD, network="resnet"), "network is a JSON object, not 'resnet'"),
        (change(GOOD, results=["srcc"]), r"results is a list of JSON objects, not \['srcc'\]"),
        (change(GOOD, limits="none"), "limits is a list of texts, not 'none'"),
        (change(GOOD, training=[]), r"training is a JSON object, not \[\]"),
        (change(GOOD, training={"trained_on": [{"set": "livec"}]}), r"training\.trained_on\[0\] lacks images, title"),
        (change(GOOD, intervals={"half_widths": 3, "coverage": [], "images": 1}), "intervals.half_widths is a list of numbers"),
        (change(GOOD, output={"low": 0}), "output lacks high, higher_is_better"),
        (change(GOOD, files={"onnx": {"name": "a.onnx"}}), r"files\.onnx lacks bytes, sha256"),
        (change(GOOD, files={"onnx": "a.onnx"}), r"files\.onnx is a JSON object, not 'a.onnx'"),
        (change(GOOD, files=[1]), r"files is a JSON object, not \[1\]"),
        ("[" * 100_000, "recursion"),
        ('{"crops": ' * 100_000, "recursion"),
    ],
)
def test_what_is_no_card_is_named_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(WeightsError, match=reason) as caught:
        read_card(path)
    assert str(caught.value).startswith(f"{path}: not a model card of this tool: ")


def test_a_card_may_begin_with_a_mark(tmp_path: Path) -> None:
    path = write_both(tmp_path)
    card = read_card(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert find_model(str(path), AUTO).card == card


def test_figures_that_are_no_numbers_are_null_in_a_card(tmp_path: Path) -> None:
    measured = {"dataset": "d", "srcc": {"value": float("nan"), "range": (float("-inf"), 0.5)}}
    path = write_card(replace(CARD, results=(measured,)), tmp_path)
    assert "NaN" not in path.read_text()
    assert "Infinity" not in path.read_text()
    assert read_card(path).results == ({"dataset": "d", "srcc": {"value": None, "range": [None, 0.5]}},)


def test_a_card_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone/toy\.json: cannot write the model card: No such file or directory"):
        write_card(CARD, tmp_path / "gone")


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.json: cannot read the model card: No such file"):
        read_card(tmp_path / "gone.json")


def test_files_are_described_by_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"abc")
    assert WeightFile.of(tmp_path / "a.onnx") == WeightFile("a.onnx", 3, hashlib.sha256(b"abc").hexdigest())


def test_verifying_names_what_was_expected_and_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "toy.onnx"
    path.write_bytes(b"abc")
    card = replace(CARD, files={"onnx": WeightFile.of(path)})
    assert verify_file(card, tmp_path, ONNX) == path
    path.write_bytes(b"abd")
    expected, actual = (hashlib.sha256(data).hexdigest() for data in (b"abc", b"abd"))
    with pytest.raises(WeightsError, match=f"toy.onnx: .*SHA-256 {expected} expected, {actual} there"):
        verify_file(card, tmp_path, ONNX)
    path.write_bytes(b"abcd")
    with pytest.raises(WeightsError, match=r"toy\.onnx: .*3 bytes expected, 4 there"):
        verify_file(card, tmp_path, ONNX)
    path.unlink()
    with pytest.raises(WeightsError, match=r"toy\.onnx: cannot read the weights: No such file"):
        verify_file(card, tmp_path, ONNX)


# ---- finding ----


def test_auto_prefers_onnx_and_takes_what_there_is(tmp_path: Path) -> None:
    card = write_both(tmp_path)
    assert find_model(str(card), AUTO).backend is ONNX
    assert find_model(str(card), TORCH).backend is TORCH
    write_card(replace(read_card(card), files={"safetensors": read_card(card).files["safetensors"]}), tmp_path)
    assert find_model(str(card), AUTO).backend is TORCH
    with pytest.raises(
        WeightsError, match=r"both has no \.onnx file, which --backend onnx needs; its card lists both\.safetensors"
    ):
        find_model(str(card), ONNX)


def test_auto_passes_by_an_onnx_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = write_both(tmp_path)
    (tmp_path / "both.onnx").unlink()
    monkeypatch.setattr("iqa_cli.models.find.can_run", lambda _: True)
    for name in (card, tmp_path):
        assert find_model(str(name), AUTO).backend is TORCH
        assert find_model(str(name), ONNX).backend is ONNX
    monkeypatch.setattr("iqa_cli.models.find.can_run", lambda backend: backend is ONNX)
    assert find_model(str(tmp_path), AUTO).backend is ONNX
    (tmp_path / "both.safetensors").unlink()
    monkeypatch.setattr("iqa_cli.models.find.can_run", lambda _: True)
    assert find_model(str(tmp_path), AUTO).backend is ONNX


@pytest.mark.parametrize("torch", [True, False])
def test_weights_that_are_not_there_name_those_that_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch: bool) -> None:
    card = read_card(write_both(tmp_path))
    (tmp_path / "both.onnx").unlink()
    monkeypatch.setattr("iqa_cli.models.find.can_run", lambda backend: backend is ONNX or torch)
    extra = "" if torch else r", which needs the \[train\] extra: pip install 'iqa-cli\[train\]'"
    said = r"both\.onnx: cannot read the weights: No such file or directory; both\.safetensors is there, and runs with"
    with pytest.raises(WeightsError, match=rf"{said} --backend torch{extra}$"):
        verify_file(card, tmp_path, ONNX)


def test_a_card_a_weight_file_and_a_folder_mean_the_same_model(tmp_path: Path) -> None:
    card = write_both(tmp_path)
    (tmp_path / "options.json").write_text('{"some": "other JSON"}')
    expected = find_model(str(card), AUTO)
    assert (expected.folder, expected.source) == (tmp_path, card)
    assert find_model(str(tmp_path), AUTO) == expected
    assert find_model(str(tmp_path / "both.onnx"), AUTO) == expected
    assert find_model(str(tmp_path / "both.safetensors"), AUTO).backend is TORCH


def test_no_name_is_no_model_not_even_the_one_that_lies_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_both(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert find_model(".", AUTO).card.name == "both"
    with pytest.raises(UsageError, match="the name of a model is empty"):
        find_model("", AUTO)


def test_a_weight_file_and_a_backend_may_contradict(tmp_path: Path) -> None:
    write_both(tmp_path)
    with pytest.raises(UsageError, match="--backend torch cannot run this file; onnx does"):
        find_model(str(tmp_path / "both.onnx"), TORCH)


def test_a_card_beside_must_be_about_the_file(tmp_path: Path) -> None:
    shutil.copy(write_both(tmp_path), tmp_path / "renamed.json")
    shutil.copy(tmp_path / "both.onnx", tmp_path / "renamed.onnx")
    with pytest.raises(WeightsError, match=r"renamed\.json: this card is not about renamed\.onnx but about both\.onnx"):
        find_model(str(tmp_path / "renamed.onnx"), AUTO)


def test_weights_without_a_card_say_what_is_missing(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "alone.onnx", toy_nodes())
    with pytest.raises(WeightsError, match=r"alone\.onnx: these weights need their model card, alone\.json, beside them"):
        find_model(str(path), AUTO)
    (tmp_path / "alone.safetensors").touch()
    with pytest.raises(WeightsError, match=r"alone\.json, beside them"):
        find_model(str(tmp_path / "alone.safetensors"), AUTO)


def test_an_onnx_file_may_carry_its_card(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "inside.onnx", toy_nodes(), metadata={"other": "ü", CARD_KEY: json.dumps(asdict(CARD))})
    assert read_metadata(path)["other"] == "ü"
    found = find_model(str(path), AUTO)
    assert found.card == replace(CARD, files={"onnx": WeightFile.of(path)})
    assert verify_file(found.card, found.folder, found.backend) == path
    assert found.source == path


def test_a_card_beside_goes_before_the_one_inside(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "two.onnx", toy_nodes(), metadata={CARD_KEY: json.dumps(asdict(CARD))})
    write_card(replace(CARD, name="two", files={"onnx": WeightFile.of(path)}), tmp_path)
    assert find_model(str(path), AUTO).card.name == "two"


@pytest.mark.parametrize("inside", ["no JSON", "{}", json.dumps({**asdict(CARD), "surprise": 1})])
def test_a_broken_card_inside_is_named(tmp_path: Path, inside: str) -> None:
    path = write_onnx(tmp_path / "inside.onnx", toy_nodes(), metadata={CARD_KEY: inside})
    with pytest.raises(WeightsError, match=r"inside\.onnx: the card inside is not one of this tool"):
        find_model(str(path), AUTO)


@pytest.mark.parametrize("data", [b"", b"\xff" * 64, b"hello, this is text", bytes(range(256))])
def test_bytes_that_are_no_onnx_file_break_nothing(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"odd\.onnx: "):
        find_model(str(path), AUTO)


def test_a_folder_holds_one_card(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no model card"):
        find_model(str(tmp_path), AUTO)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(WeightsError, match=r"holds no model card \(\.json or \.toml\) \(.*broken\.json: not a model card"):
        find_model(str(tmp_path), AUTO)
    write_both(tmp_path)
    write_model(tmp_path, toy_nodes())
    with pytest.raises(WeightsError, match=r"more than one model card, name the one you mean: both\.json, toy\.json"):
        find_model(str(tmp_path), AUTO)


@pytest.mark.parametrize("reference", ["no-such-model", "no/such/card.json", ".json"])
def test_an_unknown_model_names_what_would_do(reference: str) -> None:
    with pytest.raises(WeightsError, match=r"no such model\. Installed: .*hf://owner/name"):
        find_model(reference, AUTO)


def test_every_installed_model_is_whole() -> None:
    for card in find_cards():
        found = find_model(card.name, AUTO)
        assert found.card == card
        assert found.folder == released_folder()
        for backend, kind in ((ONNX, "onnx"), (TORCH, "safetensors")):
            if kind in card.files:
                verify_file(card, released_folder(), backend)


# ---- what is not what it says ----


class Bomb:
    """What leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_a_pickle_in_disguise_is_refused_and_never_unpickled(iqa: Run, photos: Path, tmp_path: Path, backend: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    kind = {"onnx": "onnx", "torch": "safetensors"}[backend]
    mark, weights = tmp_path / "mark", tmp_path / f"toy.{kind}"
    weights.write_bytes(pickle.dumps(Bomb(mark)))
    network = {"backbone": "test_efficientnet", "width": 16, "heads": 2}
    card = write_card(replace(CARD, network=network, files={kind: WeightFile.of(weights)}), tmp_path)  # whose hash is right
    done = iqa("score", photos, "--model", card, "--backend", backend)
    assert done.returncode == 3
    assert done.stdout == b""
    assert done.stderr.startswith(b"iqa: error: ")
    assert weights.name.encode() in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert not mark.exists()
    pickle.loads(weights.read_bytes())
    assert mark.exists(), "it would have been seen"


@pytest.mark.parametrize("network", [{}, {"backbone": 7}, {"backbone": "resnet18", "width": "wide"}, {"surprise": 1}])
def test_a_card_of_an_impossible_network_is_told(tmp_path: Path, network: dict[str, object]) -> None:
    pytest.importorskip("torch")
    weights = tmp_path / "toy.safetensors"
    weights.write_bytes(b"tensors")
    card = write_card(replace(CARD, network=network, files={"safetensors": WeightFile.of(weights)}), tmp_path)
    with pytest.raises(WeightsError) as raised:
        open_pipeline(ScoreOptions(model=str(card)))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "network",
    [
        {"backbone_options": {"checkpoint_path": "evil.pth"}},
        {"backbone": "hf-hub:owner/evil"},
        {"backbone": "local-dir:evil"},
    ],
)
@pytest.mark.parametrize("blended", [False, True])
def test_a_card_loads_no_file_and_asks_no_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: dict[str, object], blended: bool
) -> None:
    """A member of a blend is as foreign as a network alone."""
    pytest.importorskip("torch")
    monkeypatch.setattr("timm.create_model", lambda *_, **__: pytest.fail("timm is asked"))
    described = {"backbone": "test_efficientnet", **network}
    member = {"network": described, "weight": 1.0, "size": 0, "mean": [0.5] * 3, "std": [0.5] * 3}
    weights = tmp_path / "toy.safetensors"
    weights.write_bytes(b"tensors")
    card = replace(CARD, network={"members": [member]} if blended else described, files={"safetensors": WeightFile.of(weights)})
    with pytest.raises(WeightsError, match=r"backbone_options has 'checkpoint_path'|backbone is the name of a network of timm"):
        open_pipeline(ScoreOptions(model=str(write_card(card, tmp_path))))


@pytest.mark.skipif(os.name != "posix", reason="needs pipes with names")
@pytest.mark.parametrize("what", ["card", "weights"])
def test_pipes_are_never_waited_for(tmp_path: Path, what: str) -> None:
    if what == "card":
        os.mkfifo(tmp_path / "toy.json")
        with pytest.raises(WeightsError, match=r"toy\.json: not a model card of this tool: not a regular file"):
            find_model(str(tmp_path / "toy.json"), AUTO)
        return
    os.mkfifo(tmp_path / "toy.onnx")
    card = replace(CARD, files={"onnx": WeightFile("toy.onnx", 0, hashlib.sha256(b"").hexdigest())})
    with pytest.raises(WeightsError, match=r"toy\.onnx: not the file of the card: not a regular file"):
        verify_file(card, tmp_path, ONNX)


@pytest.mark.parametrize("reference", ["x" * 300, "nul\0"])
def test_names_that_cannot_be_looked_for_are_told(reference: str) -> None:
    with pytest.raises(WeightsError, match=r"cannot be looked for|no such model"):
        find_model(reference, AUTO)


# ---- the Hub, from its cache: nothing is downloaded ----

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """An environment without a network whose cache holds owner/toy."""
    cache = tmp_path / "home" / "hub" / "models--owner--toy"
    snapshot = cache / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(COMMIT)
    write_model(snapshot, toy_nodes())
    (snapshot / "config.json").write_text("{}")
    return environment(HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "home"))


@pytest.mark.parametrize("suffix", ["", "@main", f"@{COMMIT}"])
def test_a_model_of_the_hub_scores_from_the_cache(
    iqa_process: Run, offline: dict[str, str], photos: Path, model: Path, suffix: str
) -> None:
    done = iqa_process("score", photos, "--model", f"hf://owner/toy{suffix}", "-q", env=offline)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == iqa_process("score", photos, "--model", model, "-q").stdout


@pytest.mark.parametrize("reference", ["hf://owner/other", "hf://owner/toy@other"])
def test_what_the_cache_has_not_cannot_be_had_offline(
    iqa_process: Run, offline: dict[str, str], photos: Path, reference: str
) -> None:
    done = iqa_process("score", photos, "--model", reference, env=offline)
    assert done.returncode == 3
    assert done.stderr.decode().startswith(
        f"iqa: error: {reference}: cannot be had from the Hugging Face Hub: it is out of reach (HF_HUB_OFFLINE is set)"
    )
    assert b"--model FOLDER" in done.stderr


def test_a_download_that_is_not_what_the_card_says_is_refused(iqa_process: Run, offline: dict[str, str], photos: Path) -> None:
    weights = Path(offline["HF_HOME"]) / "hub" / "models--owner--toy" / "snapshots" / COMMIT / "toy.onnx"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    done = iqa_process("score", photos, "--model", "hf://owner/toy", env=offline)
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"toy.onnx: not the file of the card: SHA-256 " in done.stderr


def test_a_weight_file_that_the_cache_has_not_cannot_be_had_offline(
    iqa_process: Run, offline: dict[str, str], photos: Path
) -> None:
    (Path(offline["HF_HOME"]) / "hub" / "models--owner--toy" / "snapshots" / COMMIT / "toy.onnx").unlink()
    done = iqa_process("score", photos, "--model", "hf://owner/toy", env=offline)
    assert done.returncode == 3
    assert b"cannot be had" in done.stderr


def test_without_a_home_no_folder_called_tilde_is_made(iqa_process: Run, photos: Path, tmp_path: Path) -> None:
    nowhere = environment(HF_HOME="~no-such-user/hub")
    done = iqa_process("score", photos, "--model", "hf://owner/toy", env=nowhere, cwd=tmp_path)
    assert done.returncode == 3
    assert b"set HF_HOME to the path of a folder, without ~" in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("reference", ["hf://", "hf://owner", "hf://owner/name/more", "hf://owner/name@"])
def test_names_on_the_hub_have_two_parts(reference: str) -> None:
    with pytest.raises(UsageError, match="hf://owner/name@revision"):
        find_model(reference, AUTO)


class Repository:
    """A repository of the Hub, in a folder, with the patterns as the Hub's own library takes them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.cache = folder / "repository", folder / "cache"
        for made in (self.folder, self.cache):
            made.mkdir()
        monkeypatch.setattr("huggingface_hub.snapshot_download", self.snapshot)
        monkeypatch.setattr("huggingface_hub.hf_hub_download", self.fetch)

    def snapshot(self, _: str, *, allow_patterns: list[str], ignore_patterns: list[str] | None = None, **__: object) -> str:
        from huggingface_hub.utils import filter_repo_objects

        names = [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]
        for name in filter_repo_objects(names, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns):
            self.fetch("", name)
        return str(self.cache)

    def fetch(self, _: str, name: str, **__: object) -> None:
        (self.cache / name).parent.mkdir(exist_ok=True)
        shutil.copy(self.folder / name, self.cache / name)  # which fails for what is not there


def test_other_json_of_a_repository_is_no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(tmp_path, monkeypatch)
    write_both(repository.folder)
    (repository.folder / "options.json").write_text('{"backbone": "b", "size": 320}')
    (repository.folder / "preprocessor_config.json").write_text('{"size": 224, "mean": [0.5], "std": [0.5]}')
    (repository.folder / "checkpoints").mkdir()
    (repository.folder / "checkpoints" / "state.json").write_text("{}")
    found = download_model("owner/both", None, AUTO)
    assert (found.card.name, found.backend, found.source) == ("both", ONNX, repository.cache / "both.json")
    assert not (repository.cache / "checkpoints").exists()


def test_threads_leave_the_hub_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The second thread begins while the first is within its block, and ends after it."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "probe_hub", lambda: "out of reach")
    begun, said = Event(), []

    def ask() -> None:
        begun.set()
        with hub.limit_hub_timeout() as offline:
            said.append(offline)
            first_left.wait(1)

    first_left, second = Event(), Thread(target=ask)
    with hub.limit_hub_timeout() as offline:
        second.start()
        assert begun.wait(60)
        second.join(0.2)
    first_left.set()
    second.join(60)
    assert said == [offline]
    assert constants.HF_HUB_OFFLINE is False
