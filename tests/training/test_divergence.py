"""What a training says of weights that are lost, and of validation parts that tell nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import write_photo

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli.errors import DataError, UsageError
from iqa_cli.images.crops import CropSpec
from iqa_cli.networks.checkpoint import load_tensors
from iqa_cli.networks.network import NetworkConfig, build_network
from iqa_cli.qfm_iqm.objective import QualityMatching
from iqa_cli.qfm_iqm.options import MatchingOptions
from iqa_cli.qfm_iqm.semantic_noise import Memory
from iqa_cli.training.data.samples import CropDataset, TrainingImage
from iqa_cli.training.events import EpochDone, Noted
from iqa_cli.training.loop import fit
from iqa_cli.training.options import LoopOptions, SampleOptions
from iqa_cli.training.report import quote_results
from iqa_cli.training.run_folder import RunFolder, Snapshot
from iqa_cli.training.state import Run

TUNING = LoopOptions(head_epochs=0, epochs=1, batch_size=4, precision="fp32", device="cpu")
TRAINED = 4
Rated = Sequence[tuple[float, int]]  # label and number of the set


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("photos")
    return [str(write_photo(folder / f"{seed}.png", seed, (80, 64))) for seed in range(12)]


def make_run(folder: Path, photos: Sequence[str], loop: LoopOptions, held: Rated = ()) -> Run:
    """A run on four photos, one step an epoch, validated on some others."""
    torch.manual_seed(0)
    images = [TrainingImage(path, 0.2 * number) for number, path in enumerate(photos[:TRAINED])]
    validation = [
        TrainingImage(path, label, source=source)
        for path, (label, source) in zip(photos[TRAINED:], held, strict=False)
    ]  # fmt: skip
    dataset = CropDataset(images, CropSpec(64, fit="square"), SampleOptions(versions=0))
    network = build_network(NetworkConfig("test_efficientnet", width=16, heads=2))
    return Run(network, dataset, validation, loop, RunFolder(folder))


def choose(noise: str = "none", memory: int = 4) -> QualityMatching:
    return QualityMatching(MatchingOptions(noise=noise, memory=memory), Memory(memory))  # type: ignore[arg-type]


# ---- weights that are lost ----


@pytest.mark.parametrize("held", [[], [(0.1, 0), (0.5, 0), (0.9, 0)]], ids=["alone", "validated"])
@pytest.mark.parametrize("rate", [1e30, 1e36])
def test_what_the_last_step_of_an_epoch_loses_is_not_kept(photos: list[str], tmp_path: Path, rate: float, held: Rated) -> None:
    loop = replace(TUNING, rate=rate, backbone_rate=rate)
    with pytest.raises(
        UsageError, match=r"training diverged in epoch 1, whose last weights .*; train anew with lower rates$"
    ) as caught:
        list(fit(make_run(tmp_path, photos, loop, held), choose()))
    assert "are kept there" not in str(caught.value)
    assert not list(tmp_path.glob("*.safetensors"))


def test_the_epoch_before_is_kept_and_the_epoch_is_named_as_it_is_counted(photos: list[str], tmp_path: Path) -> None:
    """Head training ends early, so that the epochs before are fewer than their numbers."""
    loop = replace(TUNING, head_epochs=5, head_rate=0.0, patience=1, rate=1e36, backbone_rate=1e36, views=1)
    with pytest.raises(UsageError) as caught:
        list(fit(make_run(tmp_path, photos, loop, [(0.1, 0), (0.5, 0), (0.9, 0)]), choose()))
    assert str(caught.value) == (
        f"{tmp_path}: training diverged in epoch 6, whose last weights predict no number; the weights of the epoch before it"
        " are kept there; train anew with lower rates"
    )
    assert [json.loads(line)["epoch"] for line in (tmp_path / "stats.jsonl").read_text().splitlines()] == [1, 2]
    for name in ("best", "last", "state"):
        kept = load_tensors(tmp_path / f"{name}.safetensors")[0]
        kept.pop("objective.label", None)  # of an empty memory
        assert all(value.isfinite().all() for value in kept.values())


def test_a_gradient_that_is_not_finite_is_not_stepped_along(photos: list[str], tmp_path: Path) -> None:
    run = make_run(tmp_path, photos, TUNING)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    first = next(parameter for name, parameter in run.network.named_parameters() if name.startswith("encoder.backbone."))
    first.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(UsageError, match=r"diverged in epoch 1, whose gradient has the norm (nan|inf); train anew"):
        list(fit(run, choose()))
    weights = dict(run.network.named_parameters())
    assert all(torch.equal(before[name], value) for name, value in weights.items())


def test_a_network_that_predicts_no_number_is_named_with_the_image(photos: list[str], tmp_path: Path) -> None:
    run = make_run(tmp_path, photos, TUNING)
    with torch.no_grad():
        for parameter in run.network.parameters():
            parameter.fill_(torch.nan)
    with pytest.raises(
        UsageError, match=rf"training diverged: its network predicts nan for {photos[0]}; train anew with lower"
    ):
        run.predict(run.network, run.dataset.images, run.dataset.pixels)


# ---- validation parts that tell nothing ----


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ([(0.5, 0)] * 4, False),
        ([(0.5, 0)] * 3 + [(0.4, 1), (0.6, 1)], False),
        ([(0.5, 0)] * 3 + [(0.4, 0)], True),
        ([(0.5, 0)] * 3 + [(0.4, 1), (0.6, 1), (0.8, 1)], True),
    ],
    ids=["one label", "one label and too few", "two labels", "one label in a set of two"],
)
def test_a_set_of_equal_labels_is_not_validated_on(photos: list[str], tmp_path: Path, held: Rated, told: bool) -> None:
    loop = replace(TUNING, epochs=2, averaging=0.0)
    events = list(fit(make_run(tmp_path, photos, loop, held), choose()))
    assert ["no set has enough different labels to validate on" in e.text for e in events if isinstance(e, Noted)] == (
        [] if told else [True]
    )
    epochs = [event for event in events if isinstance(event, EpochDone)]
    if told:
        assert all(-1 <= each <= 1 for epoch in epochs for each in (epoch.srcc, epoch.plcc) if each is not None)
    assert [epoch.srcc is None for epoch in epochs] == [not told] * 2
    best, last = (load_tensors(tmp_path / f"{name}.safetensors")[0] for name in ("best", "last"))
    assert told or all(torch.equal(best[name], last[name]) for name in last)


def test_too_few_images_for_the_noise_are_told_of(photos: list[str], tmp_path: Path) -> None:
    loop = replace(TUNING, head_epochs=2, views=1, epochs=1, crops_per_epoch=2)
    for memory, told in ((15, False), (16, True)):
        events = fit(make_run(tmp_path / str(memory), photos, loop), choose("semantic", memory))
        first = next(event for event in events)
        assert isinstance(first, Noted) == told
        assert not told or "all epochs show no more than 16" in first.text  # two epochs of four, one of eight


def test_until_a_validation_srcc_is_known_the_last_weights_are_the_best(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for epoch, srcc in enumerate((np.nan, np.nan, 0.5, np.nan, 0.4), 1):
        run = make_run(tmp_path, [], TUNING)
        with torch.no_grad():
            next(run.network.parameters()).fill_(epoch)
        stats = EpochDone(epoch, 5, "fine-tuning", {}, {}, srcc, srcc, 1.0, 1.0)
        folder.keep_epoch(stats, run.network, Snapshot(epoch, 1, {}))
        name, _ = next(run.network.named_parameters())
        assert float(load_tensors(tmp_path / "best.safetensors")[0][name].flatten()[0]) == (1, 2, 3, 3, 3)[epoch - 1]


# ---- results that are quoted ----


@pytest.mark.parametrize(
    "text",
    [
        '{"summary": [0.9]}',
        '{"protocol": "", "trials": [], "summary": [{"dataset": "a", "images": 1, "srcc": 0.9}]}',
        "[" * 10**5,
    ],
)
def test_results_that_cannot_be_quoted_are_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(DataError, match=r"results\.json: not the results of a cross-validation: "):
        list(quote_results(tmp_path / "results.json", "a command"))
