"""Training for real, on a set of twelve small pictures in LIVE-C's official layout."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="needs the [train] extra")
savemat = pytest.importorskip("scipy.io", reason="needs the [train] extra").savemat

from iqa_cli.cli.app import app
from iqa_cli.errors import DataError, UsageError, WeightsError
from iqa_cli.export.onnx import export_model
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.card import ModelCard, WeightFile, read_card, write_card
from iqa_cli.models.find import find_model
from iqa_cli.networks.checkpoint import load_network, load_tensors, save_tensors, save_weights
from iqa_cli.networks.network import NetworkConfig, build_network
from iqa_cli.networks.pretrained import load_backbone
from iqa_cli.options import BackendChoice, ScoreOptions
from iqa_cli.qfm_iqm.options import DistillationOptions, MatchingOptions
from iqa_cli.records import Status
from iqa_cli.scoring.pipeline import open_pipeline
from iqa_cli.training import run
from iqa_cli.training.data.batches import draw_epoch
from iqa_cli.training.data.samples import CropDataset, TrainingImage
from iqa_cli.training.distill import list_asked, open_teachers, predict_with_teachers
from iqa_cli.training.events import EpochDone, StepDone, TeachersPredicted, TrialDone
from iqa_cli.training.optim import build_optimizer, set_rates
from iqa_cli.training.options import LoopOptions, SampleOptions, TrainingOptions
from iqa_cli.training.plan import make_plan

RECIPE = {
    "matching": MatchingOptions(memory=8, tolerance=0.5, ranking_weight=0.5),
    "samples": SampleOptions(distorted=0.5, versions=1, seed=3),
    "loop": LoopOptions(epochs=2, head_epochs=2, views=2, batch_size=4, averaging=0.9),
}


@pytest.fixture(scope="module")
def livec(tmp_path_factory):
    """Twelve pictures, noisier and noisier, and worse and worse in opinion."""
    root = tmp_path_factory.mktemp("data") / "ChallengeDB_release"
    (root / "Images").mkdir(parents=True)
    (root / "Data").mkdir()
    chance, names, scores = np.random.default_rng(0), [], []
    for number in range(12):
        waves = 120 + 80 * np.sin(np.linspace(0, 6 + number, 96))[:, None, None] * np.ones((96, 80, 3))
        picture = np.clip(waves + chance.normal(0, 6 * number, waves.shape), 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(root / "Images" / f"{number}.bmp")
        names.append(f"{number}.bmp")
        scores.append(85.0 - 6 * number)
    cells = np.empty((12, 1), dtype=object)
    cells[:, 0] = names
    savemat(root / "Data" / "AllImages_release.mat", {"AllImages_release": cells})
    savemat(root / "Data" / "AllMOS_release.mat", {"AllMOS_release": np.array([scores])})
    savemat(root / "Data" / "AllStdDev_release.mat", {"AllStdDev_release": np.full((1, 12), 20.0)})
    return root


def study(livec, run_dir, **changes):
    options = TrainingOptions(
        run_dir=run_dir, dataset="livec", data_root=livec, backbone="test_efficientnet", backbone_weights="none",
        size=64, fit="whole", width=16, heads=2, validation=0.25, **RECIPE,
    )  # fmt: skip
    return replace(options, **changes)


def train(options):
    return run.train(make_plan(options))


@pytest.fixture(scope="module")
def finished(livec, tmp_path_factory):
    """A run from end to end: its folder and its events."""
    folder = tmp_path_factory.mktemp("run")
    return folder, list(train(study(livec, folder)))


def test_a_run_keeps_options_split_and_a_line_an_epoch(finished):
    folder, events = finished
    epochs = [event for event in events if isinstance(event, EpochDone)]
    lines = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4] == [epoch.epoch for epoch in epochs]
    assert [line["phase"] for line in lines] == ["head training", "head training", "fine-tuning", "fine-tuning"]
    assert {"label", "noisy", "sensitivity", "ranking"} <= set(lines[-1]["losses"])
    assert lines[-1]["images_per_second"] > 0
    assert all(-1 <= line["srcc"] <= 1 and -1 <= line["plcc"] <= 1 for line in lines)
    split = json.loads((folder / "split.json").read_text())
    assert len(split["train"]) == 9
    assert len(split["validation"]) == 3
    assert not set(split["train"]) & set(split["validation"])
    assert json.loads((folder / "options.json").read_text())["samples"]["seed"] == 3


def test_the_best_epoch_is_the_one_of_the_best_validation_srcc(finished):
    folder, _ = finished
    lines = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    best, last = load_tensors(folder / "best.safetensors")[0], load_tensors(folder / "last.safetensors")[0]
    if lines[-1]["srcc"] > max(line["srcc"] for line in lines[:-1]):
        assert all(torch.equal(best[name], last[name]) for name in last)
    else:
        assert any(not torch.equal(best[name], last[name]) for name in last)


def test_the_card_rebuilds_the_network_and_has_the_labels_for_its_scale(finished):
    folder, events = finished
    card = read_card(events[-1].card)
    network = load_network(card, folder / card.files["safetensors"].name)
    assert card.opinions[0] == pytest.approx(19.0, abs=0.01)
    assert card.opinions[-1] == pytest.approx(85.0, abs=0.01)
    assert list(card.opinions) == sorted(card.opinions)
    assert next(network.parameters()).dtype == torch.float32


def test_the_command_exports_what_agrees_and_the_file_carries_its_card(finished, tmp_path):
    _, events = finished
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (90, 200, 3), dtype=np.uint8)).save(photo)
    path = tmp_path / "small.onnx"
    made = CliRunner().invoke(app, ["export-onnx", str(events[-1].card), "-o", str(path), "--photo", str(photo)])
    assert made.exit_code == 0, made.output
    assert float(made.output.partition("the largest difference from PyTorch is ")[2].split()[0]) < 1e-4
    assert not list(tmp_path.glob(".*"))
    assert read_card(tmp_path / "small.json").files["onnx"].bytes == path.stat().st_size
    assert not any(place in path.read_bytes() for place in (b"/iqa_cli/", b"site-packages"))  # whose machine is that of?
    scores = [
        next(open_pipeline(ScoreOptions(model=str(each), backend=kind)).score([str(photo)])).score
        for each, kind in ((tmp_path / "small.json", BackendChoice.ONNX), (events[-1].card, BackendChoice.TORCH))
    ]
    assert scores[0] == pytest.approx(scores[1], abs=0.1)
    (tmp_path / "small.json").unlink()
    assert next(open_pipeline(ScoreOptions(model=str(path))).score([str(photo)])).score == scores[0]


def test_a_transformer_is_exported_too_for_crops_of_its_size(tmp_path):
    torch.manual_seed(0)
    config = NetworkConfig("test_vit", {"img_size": 32, "depth": 2}, heads=2)
    save_weights(tmp_path / "small.safetensors", build_network(config))
    files = {"safetensors": WeightFile.of(tmp_path / "small.safetensors")}
    crops = CropSpec(32, "square", multiple=16, count=3)
    opinions = tuple(float(n) for n in range(101))
    write_card(ModelCard("small", "a test", "Apache-2.0", asdict(config), crops, opinions, files=files), tmp_path)
    photo = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (90, 200, 3), dtype=np.uint8)).save(photo)
    path, difference = export_model(find_model(str(tmp_path), BackendChoice.TORCH), None, [str(photo)])
    assert difference < 1e-4
    assert set(read_card(tmp_path / "small.json").files) == {"safetensors", "onnx"}
    assert next(open_pipeline(ScoreOptions(model=str(path))).score([str(photo)])).status is Status.OK


def test_no_export_without_a_photo_to_show_parity_on(finished, tmp_path):
    _, events = finished
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="on real images"):
        export_model(find_model(str(events[-1].card), BackendChoice.TORCH), tmp_path / "out.onnx", [str(tmp_path / "empty")])
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("stop_in_epoch", [1, 2, 3])
def test_a_resumed_run_ends_as_an_uninterrupted_one(finished, livec, tmp_path, stop_in_epoch):
    for event in train(study(livec, tmp_path)):
        if isinstance(event, StepDone) and event.epoch == stop_in_epoch and event.step == 2:
            break  # in the middle of an epoch
    list(train(study(livec, tmp_path, resume=True)))
    expected, resumed = (load_tensors(folder / "last.safetensors")[0] for folder in (finished[0], tmp_path))
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    keep = ("epoch", "phase", "losses", "rates", "srcc", "plcc")
    lines = [[json.loads(line) for line in (f / "stats.jsonl").read_text().splitlines()] for f in (finished[0], tmp_path)]
    assert [[row[k] for k in keep] for row in lines[0]] == [[row[k] for k in keep] for row in lines[1]]


def test_a_folder_with_a_run_is_not_written_over(finished, livec):
    folder, _ = finished
    with pytest.raises(UsageError, match="--resume"):
        list(train(study(livec, folder)))
    with pytest.raises(UsageError, match="begun with other options"):
        list(train(study(livec, folder, resume=True, width=32)))


def test_folds_share_no_image_and_each_is_tested_by_the_others(livec, tmp_path):
    quick = dict(RECIPE, loop=replace(RECIPE["loop"], epochs=0, head_epochs=1))
    done = [e for e in train(study(livec, tmp_path, folds=3, validation=0, **quick)) if isinstance(e, TrialDone)]
    tested = [place for event in done for place in event.trial.test]
    assert sorted(tested) == list(range(12))
    assert all(not set(event.trial.test) & set(event.trial.train) for event in done)
    (summary,) = json.loads((tmp_path / "results.json").read_text())["summary"]
    assert summary["srcc"]["median"] == pytest.approx(np.median([event.measurements[0].srcc.value for event in done]))
    rows = (tmp_path / "fold0" / "test.csv").read_text().splitlines()
    assert rows[0] == "image,opinion,score"
    assert len(rows) == 5
    assert not list(tmp_path.glob("*/features"))  # which nobody has a use for


@pytest.fixture
def photos(tmp_path):
    """A folder of three pictures without labels."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (90, 90 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_a_teacher_extends_the_labels_from_the_first_epoch_on(finished, livec, photos, tmp_path):
    _, events = finished
    quick = dict(RECIPE, loop=replace(RECIPE["loop"], epochs=1, head_epochs=1))
    events = list(
        train(study(livec, tmp_path / "run", teachers=(str(events[-1].card),), unlabeled=(photos,), teacher_epochs=1, **quick))
    )
    epochs = [event for event in events if isinstance(event, EpochDone)]
    assert len(epochs) == 2
    assert all(epoch.losses["teacher"] > 0 for epoch in epochs)


def distilling(teacher, photos, run_dir, **changes):
    """Options that learn from a teacher on photos alone."""
    loop = replace(RECIPE["loop"], epochs=1, head_epochs=1, batch_size=2)
    begin = TrainingOptions(
        run_dir=run_dir, dataset="", unlabeled=(photos,), teachers=(str(teacher),), method="distillation", teacher_epochs=2,
        size=64, fit="whole", width=16, heads=2, validation=0.0, backbone="test_efficientnet", backbone_weights="none",
        loop=loop, samples=replace(RECIPE["samples"], view_size=96, distortions=("jpeg", "white_noise")),
    )  # fmt: skip
    return replace(begin, **changes)


def test_distillation_needs_no_labels_and_takes_over_the_scale_of_its_teacher(finished, photos, tmp_path):
    _, events = finished
    teacher = events[-1].card
    done = list(train(distilling(teacher, photos, tmp_path / "run")))
    card = read_card(done[-1].card)
    assert not done[-1].measurements
    assert card.opinions == read_card(teacher).opinions
    assert [facts.images for facts in card.provenance.unlabeled] == [3]
    assert str(tmp_path) not in (tmp_path / "run" / "model.json").read_text()
    scores = [
        record.score
        for record in open_pipeline(ScoreOptions(model=str(done[-1].card))).score(
            sorted(str(path) for path in photos.iterdir())
        )
    ]
    assert len(scores) == 3
    assert all(0 <= score <= 100 for score in scores)


def test_labels_without_a_weight_are_no_scale(finished, livec, photos, tmp_path):
    teacher = replace(read_card(finished[1][-1].card), score_meaning="what this teacher says")
    (tmp_path / "teacher").mkdir()
    weights = teacher.files["safetensors"].name
    (tmp_path / "teacher" / weights).write_bytes((finished[0] / weights).read_bytes())
    write_card(teacher, tmp_path / "teacher")
    rated = distilling(tmp_path / "teacher", photos, tmp_path / "run", dataset="livec", data_root=livec, unlabeled=())
    for weight, meaning in ((0.0, "what this teacher says"), (0.5, "the mean opinion score of LIVE In the Wild")):
        options = replace(rated, run_dir=tmp_path / f"run{weight}", distillation=DistillationOptions(label_weight=weight))
        card = read_card(list(train(options))[-1].card)
        assert card.score_meaning.startswith(meaning)
        assert [facts.images for facts in card.provenance.trained_on] == [12]
    scores = replace(
        rated, teachers=(), teacher_scores=tmp_path / "scores.csv", distillation=DistillationOptions(label_weight=0.0)
    )
    assert run.choose_objective(scores).scales.teacher is None
    assert run.choose_objective(replace(scores, distillation=DistillationOptions())).scales.teacher == 1


def test_teacher_predictions_are_computed_once(finished, photos, tmp_path):
    _, events = finished
    options = distilling(events[-1].card, photos, tmp_path / "run")
    first = [event for event in train(options) if isinstance(event, TeachersPredicted)]
    answers = load_tensors(next((tmp_path / "run").glob("teacher-*")))[0]["predictions"]
    assert [(event.epoch, event.done) for event in first] == [(0, 3), (1, 3)]
    assert answers.shape == (2, 3, 2)  # epochs, photos, versions
    assert bool(answers.isfinite().all())
    more = replace(options, resume=True)
    assert not [event for event in train(more) if isinstance(event, TeachersPredicted)]
    kept = replace(options, run_dir=tmp_path / "other", features=tmp_path / "kept")
    assert [event for event in train(kept) if isinstance(event, TeachersPredicted)]
    again = replace(kept, run_dir=tmp_path / "third", loop=replace(kept.loop, head_rate=1e-4))
    assert not [event for event in train(again) if isinstance(event, TeachersPredicted)]


def finish(events):
    """What a generator returns at its end, and what it yields before."""
    seen = []
    while True:
        try:
            seen.append(type(next(events)).__name__)
        except StopIteration as end:
            return end.value, seen


def ask_all(dataset, epochs):
    """All images in each epoch."""
    return [range(len(dataset))] * epochs


def test_predictions_are_the_teacher_s_for_the_crop_and_of_several_teachers_the_mean(finished, photos, tmp_path):
    _, events = finished
    teacher = open_teachers([str(events[-1].card)], "cpu")[0]
    paths = [TrainingImage(str(path)) for path in sorted(photos.iterdir())]
    dataset = CropDataset(paths, teacher.card.crops, SampleOptions(versions=0))
    mine, _ = finish(predict_with_teachers([teacher], dataset, ask_all(dataset, 1), tmp_path))
    crops = torch.cat([dataset[0, index].crops for index in range(3)])
    with torch.no_grad():
        expected = load_network(teacher.card, events[-1].card.parent / teacher.card.files["safetensors"].name)(crops)
    assert torch.allclose(mine.targets[0, :, 0], expected, atol=0.02)  # bf16 where the processor knows it
    other = replace(teacher, network=build_network(NetworkConfig("test_efficientnet", width=16, heads=2)).eval())
    theirs, _ = finish(predict_with_teachers([other], dataset, ask_all(dataset, 1), tmp_path / "other"))
    both, _ = finish(predict_with_teachers([teacher, other], dataset, ask_all(dataset, 1), tmp_path / "both"))
    assert torch.allclose(both.targets, (mine.targets + theirs.targets) / 2)
    assert dataset.targets is None


def test_teacher_predictions_that_were_interrupted_go_on_where_they_were(finished, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("iqa_cli.training.distill.GROUP", 1)
    monkeypatch.setattr("iqa_cli.training.distill.KEPT", 2)
    teacher = open_teachers([str(finished[1][-1].card)], "cpu")[0]
    paths = [TrainingImage(str(path)) for path in sorted(photos.iterdir())]
    dataset = CropDataset(paths, teacher.card.crops, SampleOptions(versions=1))
    whole, _ = finish(predict_with_teachers([teacher], dataset, ask_all(dataset, 2), tmp_path / "whole"))
    for event in predict_with_teachers([teacher], dataset, ask_all(dataset, 2), tmp_path / "halves"):
        if (event.epoch, event.done) == (1, 2):
            break
    halves, rest = finish(predict_with_teachers([teacher], dataset, ask_all(dataset, 2), tmp_path / "halves"))
    assert rest == ["TeachersPredicted"]
    assert torch.equal(halves.targets, whole.targets)
    assert len(list((tmp_path / "halves").iterdir())) == 1


def test_a_teacher_predicts_from_cached_features_as_from_crops_even_for_a_smaller_student(finished, photos, tmp_path):
    _, events = finished
    teacher = open_teachers([str(events[-1].card)], "cpu")[0]
    paths = [TrainingImage(str(path)) for path in sorted(photos.iterdir())]
    options = SampleOptions(versions=1, view_size=teacher.card.crops.size)
    student = replace(teacher.card.crops, size=teacher.card.crops.size - 32)
    dataset = CropDataset(paths, student, options)
    plain, _ = finish(predict_with_teachers([teacher], dataset, ask_all(dataset, 2), tmp_path / "plain"))
    cached, seen = finish(predict_with_teachers([teacher], dataset, ask_all(dataset, 2), tmp_path / "kept", LoopOptions()))
    assert seen == ["FeaturesExtracted", "TeachersPredicted"] * 2
    assert torch.allclose(plain.targets, cached.targets, atol=0.02)
    next((tmp_path / "kept").glob("teacher-*")).unlink()
    again, seen = finish(predict_with_teachers([teacher], dataset, ask_all(dataset, 2), tmp_path / "kept", LoopOptions()))
    assert seen == ["TeachersPredicted"] * 2
    assert torch.equal(again.targets, cached.targets)
    assert cached[0, 0].crops.shape[-1] == student.size


def test_of_balanced_sets_teachers_are_asked_about_what_an_epoch_draws_alone(finished, photos, tmp_path):
    teacher = open_teachers([str(finished[1][-1].card)], "cpu")[0]
    paths = [TrainingImage(str(path), 0.5, source=min(number, 1)) for number, path in enumerate(sorted(photos.iterdir()))]
    dataset = CropDataset(paths, teacher.card.crops, SampleOptions(versions=0))  # one image of the first set, two of the other
    loop = LoopOptions(epochs=3, head_epochs=0, batch_size=2, balanced=True)
    asked = list_asked(dataset, loop, 4)
    assert [len(images) for images in asked] == [2, 2, 2, 0]
    assert asked[:3] == [sorted(i for batch in draw_epoch(dataset, loop, epoch) for _, i in batch) for epoch in range(3)]
    whole, _ = finish(predict_with_teachers([teacher], dataset, ask_all(dataset, 4), tmp_path))
    some, _ = finish(predict_with_teachers([teacher], dataset, asked, tmp_path))
    for epoch, images in enumerate(asked):
        assert some.targets[epoch, :, 0].isfinite().nonzero()[:, 0].tolist() == images
        assert torch.allclose(some.targets[epoch, images], whole.targets[epoch, images], atol=0.02)  # in other company
    for shown_again in (replace(loop, head_epochs=1), replace(loop, epochs=5), replace(loop, balanced=False)):
        assert list_asked(dataset, shown_again, 4) == ask_all(dataset, 4)


def test_a_teacher_of_whole_images_sees_training_crops_of_the_student_s_size(finished, photos, tmp_path):
    teacher = open_teachers([str(finished[1][-1].card)], "cpu")[0]
    paths = [TrainingImage(str(path)) for path in sorted(photos.iterdir())]
    dataset = CropDataset(paths, teacher.card.crops, SampleOptions(versions=0, crop_size=96))
    predicted, _ = finish(predict_with_teachers([teacher], dataset, ask_all(dataset, 1), tmp_path))
    crops = torch.cat([dataset[0, index].crops for index in range(len(paths))])
    assert crops.shape[-1] == 96
    with torch.no_grad():
        assert torch.allclose(predicted.targets[0, :, 0], teacher.network(crops), atol=0.02)


def test_contradictions_of_distillation_are_named(finished, livec, photos, tmp_path):
    for changes, problem in (
        ({"teachers": ()}, "needs a teacher"),
        ({"method": "qfm-iqm"}, "no ratings"),
        ({"unlabeled": (), "dataset": ""}, "no ratings"),
        ({"dataset": "livec", "data_root": livec, "teachers": ("runs/fold{fold}",)}, "--folds"),
    ):
        with pytest.raises(UsageError, match=problem):
            list(train(replace(distilling("any", photos, tmp_path / "run"), **changes)))
    with pytest.raises(DataError, match="no images"):
        list(train(distilling(finished[1][-1].card, photos, tmp_path / "run", samples=SampleOptions(held_out=1.0))))


def test_kept_features_give_what_measured_ones_give(livec, tmp_path):
    quick = dict(RECIPE, loop=replace(RECIPE["loop"], epochs=0, head_epochs=2))
    kept = tmp_path / "features"
    for name, folder in (("none", None), ("first", kept), ("second", kept)):
        list(train(study(livec, tmp_path / name, features=folder, **quick)))
    results = [load_tensors(tmp_path / name / "last.safetensors")[0] for name in ("none", "first", "second")]
    assert all(torch.equal(one[key], results[0][key]) for one in results[1:] for key in one)
    assert len(list(kept.rglob("*.safetensors"))) == 18  # nine photos in two views


def test_folds_share_features_for_photos_are_numbered_over_the_whole_set(livec, tmp_path):
    quick = dict(RECIPE, loop=replace(RECIPE["loop"], epochs=0, head_epochs=1, views=1))
    list(train(study(livec, tmp_path / "run", folds=3, validation=0, features=tmp_path / "features", **quick)))
    assert len(list((tmp_path / "features").rglob("*.safetensors"))) == 12


def test_rates_rise_then_fall_to_nothing_and_no_decay_falls_on_biases():
    network = build_network(NetworkConfig("test_efficientnet", width=16, heads=2))
    optimizer = build_optimizer(
        network, LoopOptions(rate=1e-3, backbone_rate=1e-4, layer_decay=0.25, frozen=0.5), head_only=False
    )
    peaks = {group["peak"] for group in optimizer.param_groups}
    assert max(peaks) == 1e-3
    assert min(peaks) < 1e-5
    assert all(p.ndim > 1 for g in optimizer.param_groups if g["weight_decay"] for p in g["params"])
    scale = torch.nn.Parameter(torch.ones(1))
    for head_only in (False, True):
        groups = build_optimizer(network, LoopOptions(scale_rate=0.5), head_only=head_only, others=[scale]).param_groups
        assert [(group["peak"], group["weight_decay"]) for group in groups if group["params"][0] is scale] == [(0.5, 0.0)]
    build_optimizer(network, LoopOptions(frozen=0.5), head_only=False)
    frozen = [name for name, p in network.named_parameters() if not p.requires_grad]
    assert frozen
    assert all(name.startswith("encoder.backbone.") for name in frozen)
    rates = []
    for step in range(100):
        set_rates(optimizer, step, 100)
        rates.append(max(group["lr"] for group in optimizer.param_groups))
    assert rates[0] < rates[9] <= 1e-3
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] < 1e-5


def test_a_relative_rate_moves_each_tensor_of_the_backbone_by_a_share_of_its_size():
    torch.manual_seed(0)
    network = build_network(NetworkConfig("test_efficientnet", width=16, heads=2))
    with torch.no_grad():
        for parameter in network.encoder.backbone.parameters():
            parameter.mul_(torch.rand(()) * 100)
    options = LoopOptions(rate=1e-3, backbone_rate=1e-2, weight_decay=0.0, relative_rate=True)
    optimizer = build_optimizer(network, options, head_only=False)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.where(torch.rand_like(parameter) < 0.5, -1.0, 1.0)
    set_rates(optimizer, 10, 100)  # at the peak
    optimizer.step()
    for name, parameter in network.named_parameters():
        moved = float((parameter.detach() - before[name]).abs().mean())
        size = float(before[name].square().mean().sqrt())
        share = 1e-2 * max(size, 1e-3) if name.startswith("encoder.backbone.") else 1e-3
        assert moved == pytest.approx(share * np.cos(np.pi / 20) ** 2, rel=0.02), name


@pytest.mark.parametrize("stopped", [1, 3], ids=["head training", "fine-tuning"])
@pytest.mark.parametrize(
    "changes",
    [
        {"relative_rate": True, "backbone_rate": 1e-2},
        {"precision": "bf16"},
        {"feature_dropout": 0.3, "hidden_dropout": 0.5, "drop_path": 0.2},
    ],
)
def test_a_resumed_run_ends_as_an_uninterrupted_one_in_whatever_way_it_is_tuned(livec, tmp_path, changes, stopped):
    loop = replace(RECIPE["loop"], **changes)
    list(train(study(livec, tmp_path / "whole", loop=loop)))
    for event in train(study(livec, tmp_path / "halves", loop=loop)):
        if isinstance(event, StepDone) and event.epoch == stopped and event.step == 2:
            break
    list(train(study(livec, tmp_path / "halves", loop=loop, resume=True)))
    expected, resumed = (load_tensors(tmp_path / folder / "last.safetensors")[0] for folder in ("whole", "halves"))
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def test_files_that_are_no_weights_are_refused_and_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (exec, ("raise SystemExit('unpickled')",))

    torch.save({"a": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(WeightsError, match="not a plain state dict"):
        load_backbone(tmp_path / "trap.pth")
    (tmp_path / "trap.safetensors").write_bytes((tmp_path / "trap.pth").read_bytes())
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_backbone(tmp_path / "trap.safetensors")
    with pytest.raises(WeightsError, match="no such file"):
        load_backbone(tmp_path / "none.pth")
    save_tensors(tmp_path / "plain.safetensors", {"a": torch.ones(2)}, {"b": 1})
    tensors, facts = load_tensors(tmp_path / "plain.safetensors")
    assert tensors["a"].tolist() == [1, 1]
    assert facts == {"b": 1}
