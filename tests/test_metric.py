"""What `create_metric` promises to a script that was written for pyiqa."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from in_process import environment
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli import InputError, Scorer
from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.metric import Metric, create_metric

PHOTO = Path(__file__).parent / "photos" / "coffee.jpg"
RGB = np.asarray(Image.open(PHOTO).convert("RGB"))


@pytest.fixture(scope="module")
def metric(model: Path) -> Iterator[Metric]:
    made = create_metric(model)
    yield made
    made.scorer.close()


@pytest.fixture(scope="module")
def scorer(model: Path) -> Iterator[Scorer]:
    with Scorer(model) as opened:
        yield opened


def to_tensor(*pictures: np.ndarray) -> "torch.Tensor":
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def test_a_path_scores_as_on_the_command_line(metric: Metric, scorer: Scorer) -> None:
    expected = scorer.score(PHOTO).score
    assert metric(str(PHOTO)).item() == metric(PHOTO).item() == pytest.approx(expected, abs=1e-5)
    assert metric(Image.open(PHOTO)).item() == pytest.approx(scorer.score(RGB).score, abs=1e-5)


def test_a_batch_scores_as_its_pictures(metric: Metric, scorer: Scorer) -> None:
    pictures = [RGB, RGB[::-1].copy(), (RGB // 2).astype(np.uint8)]
    scores = metric(to_tensor(*pictures))
    assert scores.shape == (3,)
    assert scores.dtype == torch.float32
    assert scores.tolist() == pytest.approx([scorer.score(picture).score for picture in pictures], abs=1e-5)
    assert not scores.requires_grad
    with torch.inference_mode():
        assert torch.equal(metric(to_tensor(*pictures)), scores)


def test_grey_and_half_precision_are_pictures_too(metric: Metric, scorer: Scorer) -> None:
    grey = to_tensor(RGB)[:, :1]
    assert metric(grey).item() == pytest.approx(scorer.score(RGB[..., 0]).score, abs=1e-5)
    assert metric(to_tensor(RGB).half()).item() == pytest.approx(scorer.score(RGB).score, abs=1)


def test_it_says_of_itself_what_pyiqas_metrics_do(metric: Metric) -> None:
    assert metric.lower_better is False
    assert metric.score_range == "0, 100"
    assert metric.metric_mode == "NR"
    assert metric.metric_name == "toy"
    assert metric.eval().to("cpu") is metric
    assert metric.state_dict() == {}
    assert list(metric.parameters()) == []


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (lambda: to_tensor(RGB)[0], r"shape \[3, 400, 600\]: wanted is \[n, 3, h, w\]"),
        (lambda: to_tensor(RGB).permute(0, 2, 3, 1), r"wanted is \[n, 3, h, w\]"),
        (lambda: to_tensor(RGB)[:0], "wanted is"),
        (lambda: (255 * to_tensor(RGB)).to(torch.uint8), "wanted are floats in 0..1; divide 8 bits by 255"),
        (lambda: 255 * to_tensor(RGB), "values from 0 to 255: wanted are 0..1"),
        (lambda: to_tensor(RGB) - 0.5, "not normalised"),
        (lambda: to_tensor(RGB) * float("nan"), "values from nan"),
        (lambda: "gone.jpg", "gone.jpg: missing"),
        (lambda: 7, "builtins.int is no image"),
    ],
)
def test_what_is_no_batch_says_what_to_do(metric: Metric, batch: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        metric(batch())  # type: ignore[operator]


@pytest.mark.parametrize(("device", "asked"), [(None, "cpu"), (0, "cuda:0"), (1, "cuda:1"), ("cpu", "cpu")])
def test_a_number_is_a_gpu(monkeypatch: pytest.MonkeyPatch, device: object, asked: str) -> None:
    def refuse(*_: object, **options: object) -> None:
        raise UsageError(f"asked for {options['device']}, {options.get('backend')}")

    monkeypatch.setattr("iqa_cli.metric.Scorer", refuse)
    with pytest.raises(UsageError, match=f"asked for {asked}, {'None' if asked == 'cpu' else 'torch'}"):
        create_metric("qfm-iqm", device=device)


def test_a_script_changes_its_import_alone(model: Path, metric: Metric) -> None:
    import iqa_cli as pyiqa

    assert pyiqa.create_metric(str(model), device=torch.device("cpu"))(str(PHOTO)).item() == metric(str(PHOTO)).item()


def test_without_pytorch_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None; import iqa_cli; iqa_cli.Scorer; iqa_cli.create_metric"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=environment())
    assert b"ExtraMissing: create_metric needs the [train] extra" in done.stderr


def test_references_losses_and_unknown_models_are_refused(metric: Metric) -> None:
    with pytest.raises(InputError, match="toy is a no-reference metric"):
        metric(to_tensor(RGB), to_tensor(RGB))
    with pytest.raises(UsageError, match="no gradient here"):
        create_metric("qfm-iqm", as_loss=True)
    with pytest.raises(WeightsError, match="no such model"):
        create_metric("nonsense")
