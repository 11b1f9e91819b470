"""The method's properties, one by one, on tokens made by hand and on a small network."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli.errors import UsageError
from iqa_cli.networks.network import NetworkConfig, build_network
from iqa_cli.qfm_iqm.batch import Batch
from iqa_cli.qfm_iqm.objective import (
    Distillation,
    QualityMatching,
    cap_targets,
    correlation_loss,
    correlation_losses,
    ranking_loss,
    relation_loss,
    steadiness_loss,
)
from iqa_cli.qfm_iqm.options import DistillationOptions, MatchingOptions
from iqa_cli.qfm_iqm.semantic_noise import Memory, average_matches, draw_noise, find_candidates, match_contents, perturb
from iqa_cli.qfm_iqm.set_scales import SetScales

OPTIONS = MatchingOptions(memory=6)


def make_batch(quality, *, image=None, reference=None, chain=None, level=None, sets=None, seed=0):
    rows = len(quality)
    source = torch.Generator().manual_seed(seed)
    return Batch(
        crops=torch.randn(rows, 3, 64, 64, generator=source),
        label=torch.tensor(quality, dtype=torch.float32),
        image=torch.tensor(image or list(range(rows))),
        reference=torch.tensor(reference or image or list(range(rows))),
        chain=torch.tensor(chain or [-1] * rows),
        level=torch.tensor(level or [0.0] * rows),
        source=None if sets is None else torch.tensor(sets),
    )


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network(NetworkConfig("test_efficientnet", width=16, heads=2))


@pytest.fixture
def memory():
    """Six entries with contents at known angles; tokens [6, 3, 4]."""
    filled = Memory(6)
    tokens = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(1))
    tokens[:, 0] = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [-1, 0, 0, 0], [1, 1, 0, 0], [-1, 0.1, 0, 0], [-1, 0, 0, 0]])
    filled.add(
        tokens, make_batch([0.50, 0.52, 0.90, 0.48, 0.53, 0.51], image=[10, 11, 12, 13, 14, 7], reference=[0, 1, 2, 3, 4, 5])
    )
    return filled


def test_a_candidate_is_of_similar_quality_of_another_image_and_of_another_reference(memory):
    batch = make_batch([0.5, 0.9], image=[7, 99], reference=[0, 98])
    found = find_candidates(batch, memory, tolerance=0.05)
    assert found.tolist() == [[False, True, False, True, True, False], [False, False, True, False, False, False]]


def test_a_match_is_the_candidate_least_similar_in_content(memory):
    content = torch.tensor([[1.0, 0, 0, 0]])
    candidates = torch.tensor([[True, True, False, True, True, False]])
    places, real = match_contents(content, memory, candidates, k=2)
    assert places.tolist() == [[4, 1]]  # entries 2 and 5 are less similar, but no candidates
    assert real.all()


def test_the_control_of_alike_content_takes_the_candidate_most_similar(memory):
    content = torch.tensor([[1.0, 0.1, 0, 0]])
    candidates = torch.tensor([[False, True, False, True, True, False]])
    assert match_contents(content, memory, candidates, k=1, similar=True)[0].item() == 3  # entry 0 is nearer, but no candidate
    lonely = torch.zeros(1, 6, dtype=torch.bool)
    assert not match_contents(content, memory, lonely, k=1, similar=True)[1].any()


def test_content_similarity_is_of_direction_not_of_length(memory):
    every = torch.ones(1, 6, dtype=torch.bool)
    for factor in (0.01, 100.0):
        assert match_contents(factor * torch.tensor([[1.0, 0, 0, 0]]), memory, every, k=1)[0].item() in (2, 5)


def test_an_unlabeled_crop_has_no_candidates(memory):
    assert not find_candidates(make_batch([float("nan")], image=[50]), memory, 0.05).any()


def test_several_matches_are_averaged_and_missing_ones_do_not_count(memory):
    both = average_matches(memory, torch.tensor([[0, 1]]), torch.tensor([[True, True]]))
    one = average_matches(memory, torch.tensor([[0, 1]]), torch.tensor([[True, False]]))
    assert torch.allclose(both[0], (memory.tokens[0].float() + memory.tokens[1].float()) / 2, atol=1e-3)
    assert torch.allclose(one[0], memory.tokens[0].float(), atol=1e-3)


@pytest.mark.parametrize("strength", [0.1, 0.5, 2.0])
def test_the_perturbation_has_the_stated_norm(strength):
    tokens, noise = torch.randn(5, 7, 8), 30 * torch.randn(5, 7, 8)
    added = perturb(tokens, noise, strength) - tokens
    assert torch.allclose(added.flatten(1).norm(dim=1), strength * tokens.flatten(1).norm(dim=1), rtol=1e-4)


@pytest.mark.parametrize(("which", "disturbed"), [("content", slice(1)), ("patches", slice(1, None))])
def test_noise_may_go_to_some_tokens_alone_with_the_stated_norm_there(which, disturbed):
    tokens, noise = torch.randn(5, 7, 8), 30 * torch.randn(5, 7, 8)
    added = perturb(tokens, noise, 0.5, which) - tokens
    assert torch.allclose(
        added[:, disturbed].flatten(1).norm(dim=1), 0.5 * tokens[:, disturbed].flatten(1).norm(dim=1), rtol=1e-4
    )
    assert int((added.abs().sum((0, 2)) > 0).sum()) == tokens[:, disturbed].shape[1]


def test_an_empty_candidate_set_adds_no_noise(memory):
    lonely = make_batch([0.1, 0.2], image=[77, 78])
    noise, found = draw_noise(torch.randn(2, 3, 4), lonely, memory, OPTIONS)
    assert not found.any()
    tokens = torch.randn(2, 3, 4)
    assert torch.equal(perturb(tokens, noise, 0.5), tokens)


def test_no_gradient_flows_into_the_noise(memory):
    tokens = torch.randn(2, 3, 4, requires_grad=True)
    noise, _ = draw_noise(tokens, make_batch([0.5, 0.5], image=[77, 78]), memory, OPTIONS)
    perturb(tokens, noise, 0.5).sum().backward()
    assert torch.equal(tokens.grad, torch.ones_like(tokens))  # the noise's scale is a constant too
    assert not memory.tokens.requires_grad


def test_the_memory_is_first_in_first_out_and_keeps_labelled_crops_only():
    memory = Memory(4)
    for quality in (0.1, 0.2, float("nan"), 0.3, 0.4, 0.5):
        assert memory.is_full == (quality == 0.5)
        memory.add(
            torch.full((1, 2, 3), quality), make_batch([quality], image=[int(10 * quality) if quality == quality else 99])
        )
    assert memory.is_full
    assert memory.label.tolist() == pytest.approx([0.5, 0.2, 0.3, 0.4])
    assert memory.tokens[:, 0, 0].tolist() == pytest.approx([0.5, 0.2, 0.3, 0.4], abs=1e-3)
    assert 99 not in memory.image.tolist()


def test_of_a_batch_that_is_larger_than_the_memory_the_last_crops_are_kept_whole():
    memory, qualities = Memory(4), [0.0, 0.1, float("nan"), 0.3, 0.4, 0.5, 0.6]
    for batch in (qualities[:1], qualities):
        tokens = torch.tensor(batch)[:, None, None].expand(-1, 197, 64)
        memory.add(tokens, make_batch(batch, image=[int(10 * each) if each == each else 99 for each in batch]))
    assert memory.count == 7
    assert memory.label.tolist() == pytest.approx([0.4, 0.5, 0.6, 0.3])
    assert memory.image.tolist() == [4, 5, 6, 3]
    assert torch.allclose(memory.tokens.float(), memory.label[:, None, None].expand(-1, 197, 64), atol=1e-3)


def test_a_memory_that_finds_no_room_is_named_with_its_size():
    with pytest.raises(UsageError, match=r"^matching\.memory is 1048576, which takes \d+\.\d GB: set fewer$"):
        Memory(2**20).add(torch.empty(1, 1, 1).expand(1, 2**16, 2**16), make_batch([0.5]))


def test_a_training_too_short_to_fill_the_memory_is_told_that_there_will_be_no_noise():
    matching = QualityMatching(OPTIONS, Memory(6))
    assert matching.describe_idle(7) == ""
    assert matching.describe_idle(6) == (
        "there will be no semantic noise: matching.memory, which must be full first, holds 6 crops, and all epochs show no more"
        " than 6; set a smaller one, or train longer"
    )
    assert QualityMatching(replace(OPTIONS, noise="none"), Memory(6)).describe_idle(0) == ""
    assert Distillation(DistillationOptions()).describe_idle(0) == ""


def test_the_memory_is_used_once_it_is_full_and_the_match_rate_is_told(network):
    matching = QualityMatching(OPTIONS, Memory(6))
    first = matching(network, make_batch([0.5, 0.51, 0.52]))
    assert set(first.losses) == {"label"}
    matching(network, make_batch([0.5, 0.51, 0.9], image=[10, 11, 12]))
    third = matching(network, make_batch([0.5, 0.2], image=[20, 21]))
    assert set(third.losses) == {"label", "noisy", "sensitivity"}
    assert third.rates == {"matched": 0.5}


@pytest.mark.parametrize("noise", ["semantic", "similar", "random", "gaussian"])
def test_every_kind_of_noise_is_scaled_alike(memory, noise):
    tokens, batch = torch.randn(2, 3, 4), make_batch([0.5, 0.52], image=[77, 78])
    added = perturb(tokens, draw_noise(tokens, batch, memory, replace(OPTIONS, noise=noise))[0], 0.5) - tokens
    assert torch.allclose(added.flatten(1).norm(dim=1), 0.5 * tokens.flatten(1).norm(dim=1), rtol=1e-4)


def test_without_noise_the_memory_stays_empty(network):
    matching = QualityMatching(replace(OPTIONS, noise="none"), Memory(2))
    for _ in range(2):
        assert set(matching(network, make_batch([0.5, 0.6])).losses) == {"label"}
    assert matching.memory.count == 0


def test_the_sensitivity_term_pulls_on_the_disturbed_prediction_alone(network):
    matching = QualityMatching(replace(OPTIONS, noisy_weight=0, strength=0.5), Memory(2))
    matching(network, make_batch([0.5, 0.5], image=[1, 2]))
    outcome = matching(network, make_batch([0.5], image=[3]))
    assert outcome.losses["noisy"].item() == 0
    assert outcome.losses["sensitivity"].item() > 0


@pytest.mark.parametrize(
    "objective", [QualityMatching(OPTIONS, Memory(6)), Distillation(DistillationOptions())], ids=["matching", "distillation"]
)
def test_the_answers_of_teachers_stand_in_for_labels(network, objective):
    batch = replace(make_batch([float("nan")] * 3), teacher=torch.tensor([0.9, float("nan"), 0.1]))
    outcome = objective(network, batch)
    assert set(outcome.losses) == {"teacher"}
    outcome.losses["teacher"].backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in network.parameters())
    network.zero_grad()
    with torch.no_grad():
        answers = network(batch.crops)
    exact = replace(batch, teacher=answers.masked_fill(torch.tensor([False, True, False]), float("nan")))
    assert objective(network, exact).losses["teacher"].item() == pytest.approx(0, abs=1e-10)


def test_distillation_weighs_labels_order_and_correlation(network):
    batch = replace(
        make_batch([0.5, float("nan"), 0.2], chain=[0, 0, -1], level=[0.0, 3.0, 0.0]), teacher=torch.tensor([0.9, 0.5, 0.1])
    )
    one = Distillation(DistillationOptions(label_weight=1, ranking_weight=1, correlation_weight=1))(network, batch).losses
    half = Distillation(DistillationOptions(label_weight=0.5, ranking_weight=0.5, correlation_weight=0.5))(
        network, batch
    ).losses
    assert set(one) == {"teacher", "label", "ranking", "correlation"}
    for name in ("label", "ranking", "correlation"):
        assert half[name].item() == pytest.approx(one[name].item() / 2)
    assert half["teacher"].item() == one["teacher"].item()
    assert set(Distillation(DistillationOptions(label_weight=0, ranking_weight=0))(network, batch).losses) == {"teacher"}


def test_at_inference_neither_memory_nor_teacher_exists(network):
    assert not [name for name in network.state_dict() if "memory" in name or "teacher" in name]
    matching = QualityMatching(OPTIONS, Memory(2))
    before = set(network.state_dict())
    for _ in range(3):
        matching(network, make_batch([0.5, 0.5]))
    assert set(network.state_dict()) == before


def test_order_loss_is_zero_once_each_level_falls_by_the_margin():
    batch = make_batch([float("nan")] * 4, chain=[3, 3, 3, -1], level=[0.0, 1.0, 3.0, 0.0])
    assert float(ranking_loss(torch.tensor([0.9, 0.85, 0.7, 0.0]), batch, 0.02)) == 0
    assert float(ranking_loss(torch.tensor([0.5, 0.5, 0.5, 9.0]), batch, 0.02)) == pytest.approx(0.02 * (1 + 3 + 2) / 3)
    assert float(ranking_loss(torch.tensor([0.5]), make_batch([0.5]), 0.02)) == 0


def test_steadiness_loss_is_between_versions_of_one_level_alone():
    batch = make_batch([0.5, 0.5, float("nan"), 0.9, 0.9], chain=[3, 3, 3, -1, -1], level=[0.0, 0.0, 2.0, 0.0, 0.0])
    assert float(steadiness_loss(torch.tensor([0.5, 0.46, 0.1, 0.9, 0.2]), batch)) == pytest.approx(0.04)
    assert float(steadiness_loss(torch.tensor([0.5, 0.5, 0.1, 0.9, 0.2]), batch)) == 0
    assert float(steadiness_loss(torch.tensor([0.5, 0.1]), make_batch([0.5, 0.5]))) == 0  # none has a version


def test_steadiness_is_a_term_once_it_has_a_weight(network):
    batch = make_batch([0.5, 0.5, 0.4], chain=[0, 0, -1])
    assert "steadiness" not in QualityMatching(OPTIONS, Memory(2))(network, batch).losses
    losses = QualityMatching(replace(OPTIONS, steadiness_weight=2.0), Memory(2))(network, batch).losses
    predicted = network(batch.crops)
    assert losses["steadiness"].item() == pytest.approx(2 * abs(predicted[0] - predicted[1]).item(), rel=1e-4)


def test_correlation_loss_is_one_minus_plcc():
    assert float(correlation_loss(torch.tensor([1.0, 2, 3]), torch.tensor([2.0, 4, 6]))) == pytest.approx(0, abs=1e-6)
    assert float(correlation_loss(torch.tensor([1.0, 2, 3]), torch.tensor([3.0, 2, 1]))) == pytest.approx(2)
    assert float(correlation_loss(torch.tensor([1.0, 2]), torch.tensor([1.0, 2]))) == 0


def test_relation_loss_knows_differences_alone():
    nan = float("nan")
    taught = torch.tensor([0.2, 0.5, nan, 0.7])
    assert float(relation_loss(torch.tensor([0.3, 0.6, 9.0, 0.8]), taught, 0.1)) == pytest.approx(0, abs=1e-6)  # a bias is none
    swapped = relation_loss(torch.tensor([0.5, 0.2, 9.0, 0.7]), taught, 0.1)  # differences are .6, .3 and .3 off, each twice
    assert float(swapped) == pytest.approx(2 * (0.55 + 0.25 + 0.25) / 9)
    assert float(relation_loss(torch.tensor([0.3, 0.6]), torch.tensor([nan, 0.1]), 0.1)) == 0


def test_both_objectives_learn_the_relations_of_the_teacher_on_demand(network):
    batch = replace(make_batch([0.5, 0.4]), teacher=torch.tensor([0.4, 0.9]))
    matching = QualityMatching(MatchingOptions(noise="none", teacher_weight=0.0, relation_weight=0.5), Memory(8))
    for objective in (matching, Distillation(DistillationOptions(relation_weight=0.5))):
        alone = Distillation(DistillationOptions(relation_weight=1.0))(network, batch).losses["relation"]
        torch.testing.assert_close(objective(network, batch).losses["relation"], 0.5 * alone)
        assert "relation" not in objective(network, make_batch([0.5, 0.4])).losses
    assert "teacher" not in matching(network, batch).losses


def test_teachers_who_like_damage_are_capped():
    nan = float("nan")
    taught = torch.tensor([0.6, 0.7, 0.3, 0.5, nan, 0.9, 0.8, 0.9])
    batch = replace(
        make_batch([nan] * 8, chain=[0, 0, 0, 1, 1, 1, -1, -1], level=[0.0, 2.0, 5.0, 0.0, 1.0, 3.0, 0.0, 4.0]), teacher=taught
    )
    capped = cap_targets(batch, 0.02)
    expected = torch.tensor([0.6, 0.56, 0.3, 0.5, nan, 0.44, 0.8, 0.9])  # a worse answer stays; so does one outside any chain
    torch.testing.assert_close(capped, expected, equal_nan=True)
    torch.testing.assert_close(batch.teacher, taught, equal_nan=True)


def test_both_objectives_cap_on_demand(network):
    batch = replace(make_batch([0.5, float("nan")], chain=[0, 0], level=[0.0, 4.0]), teacher=torch.tensor([0.4, 0.9]))
    low = replace(batch, teacher=torch.tensor([0.4, 0.32]))
    plain, capped = DistillationOptions(), DistillationOptions(cap_targets=True)
    assert Distillation(capped)(network, batch).losses["teacher"] == Distillation(plain)(network, low).losses["teacher"]
    assert Distillation(plain)(network, batch).losses["teacher"] != Distillation(plain)(network, low).losses["teacher"]
    memory = Memory(8)
    one, other = (QualityMatching(MatchingOptions(noise="none", cap_targets=each), memory) for each in (True, False))
    assert one(network, batch).losses["teacher"] == other(network, low).losses["teacher"]


# ---- several sets ----


def test_a_candidate_is_of_the_same_set():
    memory = Memory(2)
    memory.add(torch.randn(2, 3, 4), make_batch([0.5, 0.5], image=[10, 11], sets=[0, 1]))
    batch = make_batch([0.5, 0.5, 0.5], image=[1, 2, 3], sets=[1, 0, 1])
    assert find_candidates(batch, memory, 0.05).tolist() == [[False, True], [True, False], [False, True]]


def test_each_set_has_a_scale_and_the_network_keeps_that_of_the_reference():
    scales = SetScales(3, reference=1)
    with torch.no_grad():
        scales.gain.copy_(torch.tensor([2.0, 5.0, 0.5]))
        scales.shift.copy_(torch.tensor([0.1, 5.0, 0.0]))
    predicted = torch.tensor([0.6, 0.6, 0.6, 0.6])
    assert scales(predicted, torch.tensor([0, 1, 2, -1])).tolist() == pytest.approx([0.8, 0.6, 0.55, 0.6])
    assert scales(predicted, None) is predicted


def test_teacher_scores_have_a_scale_of_their_own_beside_labels():
    scales = SetScales(3, teacher=2)
    with torch.no_grad():
        scales.gain.copy_(torch.tensor([1.0, 1.0, 0.5]))
        scales.shift.copy_(torch.tensor([0.0, 0.0, 0.1]))
    predicted = torch.tensor([0.6, 0.7])
    assert scales.of_teacher(predicted).tolist() == pytest.approx([0.65, 0.7])
    assert SetScales(2).of_teacher(predicted) is predicted
    batch = replace(make_batch([0.6, float("nan")], sets=[0, -1]), teacher=torch.tensor([0.65, 0.7]))
    objective = Distillation(DistillationOptions(label_weight=1.0, ranking_weight=0.0), scales)
    losses = objective(SimpleNamespace(encode=torch.flatten, decode=lambda _: predicted), batch).losses
    assert float(losses["teacher"].detach()) == pytest.approx(0.0, abs=1e-6)
    assert float(losses["label"].detach()) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("kind", ["matching", "distillation"])
def test_labels_on_two_scales_teach_one_quality(kind):
    """The scale of the second set is learnt beside the network; what is learnt of it comes back with the state."""
    objective = QualityMatching(replace(OPTIONS, noise="none"), Memory(2), SetScales(2))
    if kind == "distillation":
        objective = Distillation(DistillationOptions(label_weight=1.0), SetScales(2))
    quality = torch.linspace(0.2, 0.8, 8)
    batch = make_batch((0.5 * quality + 0.4).tolist(), sets=[1] * 8)
    fixed = SimpleNamespace(encode=torch.flatten, decode=lambda _: quality)
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.02)
    for _ in range(600):
        optimizer.zero_grad()
        sum(objective(fixed, batch).losses.values()).backward()
        optimizer.step()
    assert objective.scales(quality, torch.ones(8, dtype=int)).tolist() == pytest.approx(batch.label.tolist(), abs=0.01)
    twin = replace(objective, scales=SetScales(2))
    twin.restore(objective.state())
    assert twin.scales.gain.tolist() == objective.scales.gain.tolist()


def test_correlation_is_within_a_set():
    predicted = torch.tensor([0.1, 0.2, 0.3, 0.9, 0.8, 0.7])
    target = torch.tensor([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    options = MatchingOptions(correlation_weight=1.0)
    apart = correlation_losses(predicted, target, torch.tensor([0, 0, 0, 1, 1, 1]), options)["correlation"]
    assert float(apart) == pytest.approx(1.0)  # the mean of 0 and 2
    assert float(correlation_losses(predicted, target, None, options)["correlation"]) < 0.1
