"""Training on a GPU, by one that is pretended: which tensors lie where, not how fast it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import write_photo

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from pretended_gpu import Pretended, pretended_gpu, unpretended

from iqa_cli.images.crops import CropSpec
from iqa_cli.networks.checkpoint import load_tensors
from iqa_cli.networks.network import NetworkConfig, build_network
from iqa_cli.qfm_iqm.objective import Distillation, QualityMatching
from iqa_cli.qfm_iqm.options import DistillationOptions, MatchingOptions
from iqa_cli.qfm_iqm.semantic_noise import Memory
from iqa_cli.qfm_iqm.set_scales import SetScales
from iqa_cli.training import state as training_state
from iqa_cli.training.data.samples import CropDataset, TrainingImage
from iqa_cli.training.data.teacher_scores import TeacherScore
from iqa_cli.training.events import EpochDone
from iqa_cli.training.loop import fit
from iqa_cli.training.options import LoopOptions, SampleOptions
from iqa_cli.training.run_folder import RunFolder
from iqa_cli.training.state import Run

TERMS = {"correlation_weight": 0.1, "ranking_weight": 0.5, "steadiness_weight": 0.5, "relation_weight": 0.5}
LOOP = LoopOptions(
    head_epochs=2, epochs=1, batch_size=4, precision="fp32", feature_dropout=0.2, hidden_dropout=0.2, workers=0, balanced=True
)
CONFIGS = {
    "cnn": NetworkConfig("test_efficientnet", width=16, heads=2),
    "vit": NetworkConfig("test_vit", {"img_size": 64, "depth": 2}, heads=2),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Eight rated photos of two sets, about which a file of teacher scores tells."""
    folder = tmp_path_factory.mktemp("photos")
    return [
        TrainingImage(
            str(write_photo(folder / f"{seed}.png", seed, (96, 80))), 0.1 * seed + 0.1, source=seed % 2, number=seed,
            teacher=TeacherScore(0.1 * seed),
        )
        for seed in range(8)
    ]  # fmt: skip


def choose(kind):
    """An objective of a kind, with every term that there is."""
    scales = SetScales(3, 0, 2)
    if kind == "distillation":
        return Distillation(DistillationOptions(cap_targets=True, **TERMS), scales)
    return QualityMatching(MatchingOptions(noise=kind, memory=4, tolerance=0.9, k=2, **TERMS), Memory(4), scales)


def make_run(folder, images, config, device):
    """A run from new weights, validated on two photos."""
    torch.manual_seed(0)
    samples = SampleOptions(versions=1, distorted=0.5, harmless=0.5, seed=1)
    dataset = CropDataset(images[:6], CropSpec(64, fit="square"), samples)
    return Run(build_network(CONFIGS[config]), dataset, images[6:], replace(LOOP, device=device), RunFolder(folder))


def train(folder, images, config, kind, device="cpu"):
    """The events of a run from where its folder's snapshot is."""
    folder.mkdir(exist_ok=True)
    return fit(make_run(folder, images, config, device), choose(kind))


@pytest.fixture
def gpu(monkeypatch):
    """The name of a device that is pretended."""
    monkeypatch.setattr(training_state, "choose_device", torch.device)
    with pretended_gpu() as device:
        yield device.type


def read(folder):
    """The last weights of a run."""
    return load_tensors(folder / "last.safetensors")[0]


@pytest.mark.parametrize(
    ("kind", "config"), [("semantic", "cnn"), ("random", "vit"), ("gaussian", "vit"), ("none", "vit"), ("distillation", "vit")]
)
def test_every_objective_trains_on_a_gpu_as_on_a_cpu(images, tmp_path, gpu, kind, config):
    there = list(train(tmp_path / "gpu", images, config, kind, gpu))
    with unpretended():
        here = list(train(tmp_path / "cpu", images, config, kind))
    losses = [[event.losses for event in events if isinstance(event, EpochDone)] for events in (there, here)]
    for one, other in zip(*losses, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(("kind", "stopped"), [("distillation", 1), ("semantic", 2)])
def test_a_run_resumed_on_a_gpu_ends_as_an_uninterrupted_one(images, tmp_path, gpu, kind, stopped):
    list(train(tmp_path / "whole", images, "vit", kind, gpu))
    for event in train(tmp_path / "halves", images, "vit", kind, gpu):
        if isinstance(event, EpochDone) and event.epoch == stopped:
            break
    list(train(tmp_path / "halves", images, "vit", kind, gpu))
    whole, halves = read(tmp_path / "whole"), read(tmp_path / "halves")
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_the_generator_of_a_gpu_goes_on_where_it_was(gpu):
    device, other = torch.device(gpu), torch.Generator().manual_seed(5).get_state()
    module = torch.get_device_module(device)
    before = training_state.random_state(device)
    module.set_rng_state(other, device)
    assert not torch.equal(module.get_rng_state(device), before["random_meta"])
    training_state.restore_random(before, device)
    assert torch.equal(module.get_rng_state(device), before["random_meta"])


def test_what_is_pretended_refuses_to_mix_devices(gpu):
    there = torch.ones(2, device=gpu)
    assert isinstance(there, Pretended)
    assert there[torch.tensor([True, False])].cpu().tolist() == [1]
    assert (there * torch.tensor(2.0)).cpu().tolist() == [2, 2]
    for mix in (lambda: there + torch.ones(2), lambda: torch.ones(2)[there > 0], lambda: torch.cat([there, torch.ones(2)])):
        with pytest.raises(RuntimeError, match="same device"):
            mix()
