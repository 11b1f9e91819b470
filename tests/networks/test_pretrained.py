"""Backbones of timm as a stranger takes them: by the default recipe, with weights from a file, and where there is no hub."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, write_photo
from in_process import environment

torch = pytest.importorskip("torch", reason="needs the [train] extra")
timm = pytest.importorskip("timm", reason="needs the [train] extra")

from iqa_cli.errors import DataError, UsageError, WeightsError
from iqa_cli.models import hub
from iqa_cli.models.find import find_model
from iqa_cli.networks.checkpoint import load_network, load_tensors, save_tensors, save_weights
from iqa_cli.networks.encoders import StageEncoder
from iqa_cli.networks.network import NetworkConfig, build_network, choose_heads
from iqa_cli.networks.pretrained import read_pretrained, translate
from iqa_cli.networks.timm_models import build_backbone
from iqa_cli.options import BackendChoice, OwnRatings
from iqa_cli.training import initial_network, run
from iqa_cli.training.events import BackboneRead, EpochDone, Event
from iqa_cli.training.optim import layer_numbers
from iqa_cli.training.options import LoopOptions, TrainingOptions
from iqa_cli.training.plan import make_plan

FAMILIES = ["vit", "vit_relpos", "resnet", "efficientnet", "convnext", "byobnet", "mambaout", "nfnet"]
SMALL = "test_efficientnet"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """And weights and crops that are drawn alike every time."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five small pictures and a CSV of ratings."""
    folder = tmp_path_factory.mktemp("rated")
    for seed in range(5):
        write_photo(folder / f"{seed}.png", seed, (40, 32))
    (folder / "ratings.csv").write_text("image,score\n" + "".join(f"{seed}.png,{seed}\n" for seed in range(5)))
    return folder / "ratings.csv"


def choose(ratings: Path, run_dir: Path, **changes: Any) -> TrainingOptions:
    """The default recipe, but for random weights and one epoch of a step in each of its phases."""
    loop = LoopOptions(epochs=1, head_epochs=1)
    begin = TrainingOptions(run_dir, dataset="csv", own=OwnRatings(ratings), backbone_weights="none", loop=loop)
    return replace(begin, **changes)


def train(options: TrainingOptions) -> Iterator[Event]:
    return run.train(make_plan(options))


# ---- the default recipe ----


@pytest.mark.parametrize("family", FAMILIES)
def test_the_default_recipe_trains_any_family(family: str, ratings: Path, tmp_path: Path) -> None:
    events = list(train(choose(ratings, tmp_path, backbone=f"test_{family}")))
    epochs = [event for event in events if isinstance(event, EpochDone)]
    assert [epoch.phase for epoch in epochs] == ["head training", "fine-tuning"]
    assert all(torch.tensor(list(epoch.losses.values())).isfinite().all() for epoch in epochs)
    card = find_model(str(tmp_path), BackendChoice.TORCH).card
    assert card.network["heads"] == choose_heads(load_network(card, tmp_path / "model.safetensors").encoder.width)


@pytest.mark.parametrize(
    ("width", "heads"), [(384, 6), (256, 4), (192, 3), (768, 12), (64, 1), (96, 1), (320, 5), (100, 2), (97, 1), (1, 1)]
)
def test_heads_divide_the_width_and_have_some_64_of_it_each(width: int, heads: int) -> None:
    assert choose_heads(width) == heads


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 6}, r"heads=6 do not divide the width of the tokens, 256: heads=4 do, as does 0"),
        ({"backbone": "test_vit", "heads": 3}, r"heads=3 do not divide the width of the tokens, 64: heads=1 do"),
        ({"stages": 0}, "cannot"),
        ({"size": 32}, f"{SMALL} cannot be trained on crops of 32 px"),
        ({"width": -1}, "width is a whole number"),
        ({"backbone": "test_vit", "layers": (99,)}, "cannot build a network of these sizes"),
        ({"backbone": "test_hiera"}, "timm knows no backbone test_hiera"),
        (
            {"backbone": "halonet_h1"},
            r"halonet_h1 cannot be trained on crops of 224 px \(AssertionError: .*block_size.*\): it can with size=256",
        ),
        ({"backbone": "crossvit_tiny_240", "heads": 0}, r"crossvit_tiny_240 .* 224 px \(.*\): it can with size=240"),
        ({"backbone": "test_vit", "size": 200, "heads": 0}, r"test_vit .* 200 px \(.*\): it can with size=192"),
        (
            {"backbone": "vit_tiny_patch16_224", "size": 160, "fit": "whole", "heads": 0},
            r"patch16_224 cannot be trained on crops of 160 px and whole photos \(.*\): it can with size=160 fit=square",
        ),
    ],
)
def test_sizes_that_do_not_go_together_are_named_before_a_run_begins(
    changes: dict[str, Any], message: str, ratings: Path, tmp_path: Path
) -> None:
    options = choose(ratings, tmp_path / "run", **{"backbone": SMALL, **changes})
    with pytest.raises((UsageError, WeightsError), match=message):
        list(train(options))
    assert not (tmp_path / "run").exists()


BACKBONES = ["test_coatnet", "shvit_s1", "inception_v3", "poolformerv2_s12", "efficientvim_m1"]
BACKBONES += ["hiera_tiny_224", "hieradet_small", "sam2_hiera_tiny", "pnasnet5large", "samvit_base_patch16"]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_backbones_that_are_not_as_most_are_looked_through(backbone: str) -> None:
    """One size of input, strides of 64, convolutions unpadded, no groups of layers, several outputs, no norms, a neck."""
    network, crops = initial_network.create_network(TrainingOptions(Path(), backbone=backbone, backbone_weights="none"))
    assert isinstance(network.encoder, StageEncoder)
    with torch.no_grad():
        quality = network.eval()(torch.randn(2, 3, crops.size, crops.size))
    assert bool(quality.isfinite().all())
    numbers = layer_numbers(network)
    assert set(numbers) == {name for name, _ in network.encoder.backbone.named_parameters()}
    assert sorted(set(numbers.values())) == list(range(max(numbers.values()) + 1))


# ---- weights from a file ----


def own_weights(classes: int = 7) -> dict[str, Any]:
    """A state dict of the small backbone with a classifier, its values drawn anew."""
    model = timm.create_model(SMALL, num_classes=classes)
    return {k: torch.rand_like(v) if v.is_floating_point() else v + 5 for k, v in model.state_dict().items()}


def rename(state: dict[str, Any]) -> dict[str, Any]:
    """The same tensors in the same order under foreign names, the last parts as they were."""
    return {f"_net._{number}.{name.rpartition('.')[2]}": value for number, (name, value) in enumerate(state.items())}


def wrap(state: dict[str, Any]) -> dict[str, Any]:
    """As a training on several GPUs keeps them."""
    return {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}


def read(path: Path, data: dict[str, Any]) -> Any:
    torch.save(data, path)
    return read_pretrained(path, SMALL, {})


@pytest.mark.parametrize(("change", "in_order"), [(dict, False), (wrap, False), (rename, True)])
@pytest.mark.parametrize("classifier", [True, False])
def test_weights_come_by_name_or_else_by_order(change: Any, in_order: bool, classifier: bool, tmp_path: Path) -> None:
    state = own_weights()
    names = [name for name in state if classifier or not name.startswith("classifier")]
    found = read(tmp_path / "w.pth", change({name: state[name] for name in names}))
    wanted = build_backbone(SMALL, {}).state_dict()
    assert (found.in_order, len(found.tensors), found.total) == (in_order, len(wanted), len(wanted))
    assert all(torch.equal(found.tensors[name], state[name]) for name in wanted)
    assert f"all {len(wanted)} tensors of {SMALL}" in found.describe()
    assert ("by their order" in found.describe()) == in_order


def test_weights_that_were_saved_before_norms_counted_batches_come_by_order_too(tmp_path: Path) -> None:
    state = own_weights()
    found = read(tmp_path / "w.pth", rename({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}))
    assert found.in_order
    assert all(torch.equal(value, state[name]) for name, value in found.tensors.items())


def test_a_file_of_which_nothing_fits_is_refused_in_one_line(tmp_path: Path) -> None:
    state = rename(own_weights())
    turned = dict(reversed(state.items()))
    for data in (turned, {"a": torch.ones(2)}, {f"{n}.weight": v for n, v in enumerate(state.values())}):
        with pytest.raises(WeightsError, match=rf"w.pth: none of its {len(data)} tensors is one of {SMALL}'s") as caught:
            read(tmp_path / "w.pth", data)
        assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_fits_in_part_says_how_many_of_how_many(tmp_path: Path) -> None:
    state = own_weights()
    some = dict(list(state.items())[:10])
    some[next(reversed(some))] = torch.ones(3, 3, 3, 3)
    found = read(tmp_path / "w.pth", some)
    total = len(build_backbone(SMALL, {}).state_dict())
    assert found.describe() == f"{tmp_path / 'w.pth'}: 9 of the {total} tensors of {SMALL}; the others begin at random"


def test_positions_for_another_size_are_resampled_as_timm_does(tmp_path: Path) -> None:
    state = timm.create_model("test_vit", num_classes=0, img_size=160).state_dict()
    save_tensors(tmp_path / "w.safetensors", state)
    found = read_pretrained(tmp_path / "w.safetensors", "test_vit", {"img_size": 224})
    assert len(found.tensors) == found.total
    assert found.tensors["pos_embed"].shape != state["pos_embed"].shape


def test_of_a_network_that_was_trained_here_the_backbone_is_taken(tmp_path: Path) -> None:
    trained = build_network(NetworkConfig(SMALL, width=8, heads=2, folds_norms=False))
    save_weights(tmp_path / "w.safetensors", trained)
    found = read_pretrained(tmp_path / "w.safetensors", SMALL, {})
    theirs = trained.encoder.backbone.state_dict()
    assert found.tensors.keys() == theirs.keys()
    assert all(torch.equal(value, found.tensors[name]) for name, value in theirs.items())
    with pytest.raises(WeightsError, match="of a network on another backbone than test_resnet"):
        read_pretrained(tmp_path / "w.safetensors", "test_resnet", {})
    save_weights(tmp_path / "w.safetensors", build_network(NetworkConfig(SMALL, width=8, heads=2)))  # biases in place of norms
    with pytest.raises(WeightsError, match="norms folded into its convolutions; go on with that by --initial-model"):
        read_pretrained(tmp_path / "w.safetensors", SMALL, {})


def test_the_network_begins_with_the_weights_of_the_file_and_the_training_says_so(ratings: Path, tmp_path: Path) -> None:
    state = own_weights()
    torch.save(rename(state), tmp_path / "w.pth")
    options = choose(ratings, tmp_path / "run", backbone=SMALL, backbone_weights=str(tmp_path / "w.pth"))
    network, _ = initial_network.create_network(options)
    bare = build_backbone(SMALL, {})
    bare.load_state_dict({name: state[name] for name in bare.state_dict()})
    expected = build_network(network.config, bare.state_dict()).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items() if "backbone" in name)
    first = next(train(options))
    assert isinstance(first, BackboneRead)
    assert "by their order" in first.found
    assert not (tmp_path / "run").exists()


def test_a_wrong_file_ends_the_command_before_a_run_begins(iqa: Run, ratings: Path, tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "w.pth")
    chosen = ["--backbone", SMALL, "--backbone-weights", "w.pth", "-d", "csv", "--labels", ratings]
    done = iqa("train", *chosen, cwd=tmp_path)
    error = f"iqa: error: w.pth: none of its 1 tensors is one of {SMALL}'s: it is for another backbone\n"
    assert (done.returncode, done.stderr.decode()) == (3, error)


def test_weights_that_the_translator_of_a_family_cannot_take_stay_as_they_are() -> None:
    """That of VGG knows nothing of the network, and reshapes what is called as its own classifier is."""
    backbone = timm.models.vgg.VGG([8, "M"], num_classes=0, mlp_ratio=0.01)
    state = {"classifier.0.weight": torch.zeros(10, 7), "other": torch.zeros(1)}
    assert translate(state, backbone) is state
    own = translate({"classifier.3.weight": torch.zeros(2, 4096)}, backbone)
    assert [(name, tuple(value.shape)) for name, value in own.items()] == [("pre_logits.fc2.weight", (2, 4096, 1, 1))]


# ---- files ----


@pytest.mark.skipif(os.name != "posix", reason="needs limits on files")
def test_weights_for_which_there_is_no_room_are_said_and_leave_nothing(tmp_path: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(DataError, match=r"w\.safetensors: cannot write: File too large$"):
            save_tensors(tmp_path / "w.safetensors", {"a": torch.zeros(1000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="needs modes")
@pytest.mark.parametrize("mask", [0o077, 0o022])
def test_weights_are_for_those_that_the_umask_says(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        save_tensors(tmp_path / "w.safetensors", {"a": torch.arange(3)}, ["facts"])
    finally:
        os.umask(before)
    assert (tmp_path / "w.safetensors").stat().st_mode & 0o777 == 0o666 & ~mask
    tensors, facts = load_tensors(tmp_path / "w.safetensors")
    assert (tensors["a"].tolist(), facts) == ([0, 1, 2], ["facts"])


# ---- no hub ----


@pytest.fixture
def silent_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    constants = pytest.importorskip("huggingface_hub").constants
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(hub, "HUB_TIMEOUT", 0.2)
        yield server


def count_connections(server: socket.socket) -> int:
    server.settimeout(0.5)
    count = 0
    try:
        while True:
            server.accept()[0].close()
            count += 1
    except TimeoutError:
        return count


def test_a_hub_that_does_not_answer_is_asked_once(silent_hub: socket.socket) -> None:
    with pytest.raises(WeightsError, match=r"resnet18 .* out of reach \(.*--backbone-weights FILE"):
        build_backbone("resnet18", {}, pretrained=True)
    assert count_connections(silent_hub) == 1
    with pytest.raises(WeightsError, match=r"hf://some/one: cannot be had .* out of reach \(.*--model FOLDER"):
        find_model("hf://some/one", BackendChoice.AUTO)
    assert count_connections(silent_hub) == 1
    from huggingface_hub import constants

    assert constants.HF_HUB_OFFLINE is False  # for whoever else uses it in this process


def test_without_a_hub_the_command_says_what_to_do_and_leaves_nothing(iqa_process: Run, ratings: Path, tmp_path: Path) -> None:
    nowhere = environment(HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path / "hf"), HF_HUB_OFFLINE="0")
    nowhere = {name: value for name, value in nowhere.items() if not name.lower().endswith("_proxy")}
    given = ["--backbone", "resnet18", "-d", "csv", "--labels", ratings, "-r", "run"]
    done = iqa_process("train", *given, cwd=tmp_path, env=nowhere)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 3
    assert len(lines) == 2, lines  # the training that begins, and why it does not
    assert lines[1].startswith(
        "iqa: error: cannot get the pretrained weights of resnet18 from the Hugging Face Hub: it is out of"
    )
    assert "--backbone-weights FILE" in lines[1]
    assert "Retrying" not in done.stderr.decode()
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("silent_hub")
def test_what_was_downloaded_before_serves_without_a_hub(tmp_path: Path) -> None:
    model = timm.create_model("test_resnet", num_classes=1000)
    repo = "models--" + timm.get_pretrained_cfg("test_resnet").hf_hub_id.replace("/", "--")
    kept = tmp_path / repo / "snapshots" / ("0" * 40)
    kept.mkdir(parents=True)
    save_tensors(kept / "model.safetensors", model.state_dict())
    (tmp_path / repo / "refs").mkdir()
    (tmp_path / repo / "refs" / "main").write_text("0" * 40)
    found = build_backbone("test_resnet", {}, pretrained=True).state_dict()
    expected = load_tensors(kept / "model.safetensors")[0]
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


# ---- the device ----


def test_the_device_of_a_training_is_found_out_once_and_written_down(ratings: Path, tmp_path: Path) -> None:
    list(train(choose(ratings, tmp_path, backbone=SMALL, loop=LoopOptions(epochs=0, head_epochs=1, device="auto"))))
    kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert json.loads((tmp_path / "options.json").read_text())["loop"]["device"] == kind


def test_a_distillation_has_heads_for_any_student() -> None:
    from iqa_cli.cli.train import DISTILLING

    assert "heads" not in DISTILLING
    for student, heads in {"tf_efficientnet_lite0": 4, "test_vit": 1, "deit_tiny_patch16_224": 3}.items():
        network, _ = initial_network.create_network(TrainingOptions(Path(), backbone=student, backbone_weights="none"))
        assert network.config.heads == heads
