"""Would one rated set help for another: what the cosine says of sets that agree, disagree, or have nothing to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from conftest import Run, read_rows, toy_nodes, write_onnx
from PIL import Image
from scipy.stats import spearmanr

from iqa_cli.cli.views.compare import ComparisonView, describe
from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.datasets.labels import Labels
from iqa_cli.datasets.readers import Rating
from iqa_cli.errors import DataError, UsageError
from iqa_cli.evaluation.transfer.compatibility import compare, correlate_features
from iqa_cli.evaluation.transfer.features import RatedFeatures, draw_images, gather_features
from iqa_cli.models.find import released_folder
from iqa_cli.models.onnx_features import OnnxFeatures, add_output, list_nodes

WEIGHTS = np.linspace(-1, 1, 40)
COUNT = 300


def rate(seed: int, weights: npt.NDArray[np.float64], noise: float = 0.5, count: int = COUNT) -> RatedFeatures:
    """A set whose people go by a weighted sum of the features, and by some chance."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, len(weights)))
    mos = features @ weights + noise * rng.normal(size=count)
    ratings = tuple(Rating(f"{i}.bmp", 50.0, None, f"{i}.bmp") for i in range(count))
    labels = Labels(DATASETS["livec"], Path("set"), ratings)
    return RatedFeatures(labels, features, mos, tuple(labels.groups), 0)


def test_a_vector_holds_the_rank_correlation_of_each_feature() -> None:
    rated = rate(0, WEIGHTS)
    (vector,) = correlate_features(rated, np.ones((1, COUNT)))
    expected = [spearmanr(column, rated.mos).statistic for column in rated.features.T]
    assert vector == pytest.approx(expected, abs=1e-9)


def test_a_feature_that_never_changes_counts_for_nothing() -> None:
    rated = rate(0, WEIGHTS)
    rated.features[:, 3] = 7
    (vector,) = correlate_features(rated, np.ones((1, COUNT)))
    assert vector[3] == 0
    assert np.isfinite(vector).all()


def test_weights_count_as_images_drawn_several_times() -> None:
    """But for ties between the copies, which ranks among all images do not know of."""
    rated = rate(0, WEIGHTS)
    times = np.random.default_rng(1).integers(0, 3, COUNT)
    (weighted,) = correlate_features(rated, times[None].astype(float))
    ranks = np.argsort(np.argsort(rated.features, axis=0), axis=0)
    opinions = np.argsort(np.argsort(rated.mos))
    drawn = np.repeat(np.arange(COUNT), times)
    expected = [np.corrcoef(column[drawn], opinions[drawn])[0, 1] for column in ranks.T]
    assert weighted == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("weights", "least", "most"), [(WEIGHTS, 0.8, 1.0), (-WEIGHTS, -1.0, -0.8), (WEIGHTS**2 - 0.35, -0.35, 0.35)]
)
def test_sets_that_agree_disagree_and_have_nothing_to_do(weights: npt.NDArray[np.float64], least: float, most: float) -> None:
    found = compare(rate(0, WEIGHTS), rate(1, weights), rounds=200, seed=0)
    assert least <= found.cosine <= most
    assert found.low < found.cosine < found.high
    assert found.ceiling > 0.7
    assert found == compare(rate(0, WEIGHTS), rate(1, weights), rounds=200, seed=0)  # the seed decides


def test_most_intervals_hold_what_such_samples_have_in_the_mean() -> None:
    pairs = [(rate(2 * i, WEIGHTS, count=100), rate(2 * i + 1, WEIGHTS, count=100)) for i in range(40)]
    found = [compare(*pair, rounds=60, seed=i) for i, pair in enumerate(pairs)]
    mean = np.mean([each.cosine for each in found])
    assert np.mean([each.low <= mean <= each.high for each in found]) >= 0.85


@pytest.mark.parametrize("count", [60, 300])
def test_the_ceiling_is_what_another_sample_of_the_same_study_has(count: int) -> None:
    pairs = [(rate(2 * i, WEIGHTS, 8.0, count), rate(2 * i + 1, WEIGHTS, 8.0, count)) for i in range(30)]
    found = [compare(*pair, rounds=2, seed=i) for i, pair in enumerate(pairs)]
    ceilings, cosines = [each.ceiling for each in found], [each.cosine for each in found]
    assert np.mean(ceilings) == pytest.approx(np.mean(cosines), abs=0.05)
    assert 0.2 <= np.mean([each.cosine > each.ceiling for each in found]) <= 0.8


def test_more_images_make_a_narrower_interval() -> None:
    few, many = (compare(rate(0, WEIGHTS, count=n), rate(1, WEIGHTS, count=n), rounds=200, seed=0) for n in (60, 600))
    assert many.high - many.low < few.high - few.low
    assert many.ceiling > few.ceiling


def test_images_are_drawn_by_the_seed_in_their_order() -> None:
    labels = rate(0, WEIGHTS).labels
    drawn = draw_images(labels, 50, 4)
    numbers = [int(Path(rating.path).stem) for rating in drawn.ratings]
    assert (len(numbers), numbers) == (50, sorted(numbers))
    assert drawn == draw_images(labels, 50, 4) != draw_images(labels, 50, 5)
    assert draw_images(labels, COUNT, 4) is labels


def test_images_that_failed_are_counted_and_left_out() -> None:
    labels = rate(0, WEIGHTS, count=30).labels
    rows = [np.ones(4) * i if i % 3 else None for i in range(30)]
    rated = gather_features(labels, rows)
    assert (rated.features[:, 0].tolist(), rated.failed) == ([i for i in range(30) if i % 3], 10)
    with pytest.raises(DataError, match="10 images could be decoded, and 20 are needed at least"):
        gather_features(labels, [row if i % 3 == 1 else None for i, row in enumerate(rows)])


@pytest.mark.filterwarnings("error")
def test_a_single_group_leaves_gaps_and_says_why() -> None:
    rated = rate(0, WEIGHTS)
    alone = replace(rated, groups=("one",) * COUNT)
    found = compare(alone, rate(1, WEIGHTS), rounds=20, seed=0)
    assert found.cosine > 0.8
    assert np.isnan([found.low, found.high, found.ceiling]).all()
    assert found.warning == "livec: all images are one group, which says nothing of others"
    row = describe(found)
    assert (row["low"], row["high"], row["halves"], row["note"]) == ("", "", "", found.warning)
    other = compare(rated, alone, rounds=20, seed=0)
    assert np.isnan(other.low)
    assert other.ceiling > 0.7
    constant = compare(replace(rated, mos=np.full(COUNT, 50.0)), rate(1, WEIGHTS), rounds=20, seed=0)
    assert (describe(constant)["cosine"], describe(constant)["low"]) == ("", "")
    assert constant.warning == "livec: no feature goes with its ratings, so there is no cosine"


def test_both_sets_have_their_counts_and_failures(capfd: pytest.CaptureFixture[str]) -> None:
    target = replace(rate(0, WEIGHTS), failed=2)
    source = replace(rate(1, WEIGHTS, count=60), labels=replace(rate(1, WEIGHTS).labels, spec=DATASETS["spaq"]))
    view = ComparisonView(quiet=False)
    view.show(compare(target, source, rounds=5, seed=0))
    assert view.failed
    view.print()
    printed = capfd.readouterr()
    (row,) = read_rows(printed.out.encode())
    assert (row["images_A"], row["images_B"]) == (str(COUNT), "60")
    assert printed.err == "livec: 2 images could not be decoded, and have no part in this\n"


# ---- features of a network ----


def test_an_output_is_added_to_a_network_in_memory(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "toy.onnx", toy_nodes())
    assert [node.kind for node in list_nodes(path.read_bytes())] == ["Conv", "Abs", "ReduceMean", "Log", "Sigmoid"]
    session = onnxruntime.InferenceSession(add_output(path.read_bytes(), "mean"))
    crops = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    mean, quality = session.run(["mean", "quality"], {"crops": crops})
    assert quality == pytest.approx(1 / (1 + 1 / mean), rel=1e-5)


@pytest.mark.parametrize("name", ["qfm-iqm-lite", "qfm-iqm"])
def test_released_networks_have_means_and_deviations(name: str) -> None:
    network = OnnxFeatures(released_folder() / f"{name}.onnx")
    crops = np.random.default_rng(0).normal(size=(2, 3, 64, 96)).astype(np.float32)
    features = network.extract(crops)
    assert features.shape[0] == 2
    assert (features[:, features.shape[1] // 2 :] > 0).all()  # the second half are deviations
    assert (features[:, : features.shape[1] // 2] < 0).any()
    assert np.array_equal(network.extract(crops[1:]), features[1:])


def test_a_network_without_pooled_features_says_which_has_some(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"toy\.onnx: has no pooled features to compare by: name a model of iqa models"):
        OnnxFeatures(write_onnx(tmp_path / "toy.onnx", toy_nodes()))


# ---- the command ----


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dozen pictures with more and more noise, rated worse and worse."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    for number in range(24):
        noise = rng.normal(128, 3 + 4 * number, (64, 64, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    rows = "".join(f"{number}.png,{100 - number}\n" for number in range(24))
    (folder / "ratings.csv").write_text(f"image,score\n{rows}")
    return folder / "ratings.csv"


def test_compare_prints_a_row_a_set(iqa: Run, own: Path, sets: Path) -> None:
    chosen = ["--labels", own, "--data-root", sets, "--rounds", "20", "--workers", "1"]
    done = iqa("datasets", "compare", "csv", "kadid10k", "biq2021", *chosen)
    assert done.returncode == 0, done.stderr
    rows = read_rows(done.stdout)
    assert [(row["A"], row["B"]) for row in rows] == [("ratings", "kadid10k"), ("ratings", "biq2021")]
    for row in rows:
        assert -1 <= float(row["low"]) <= float(row["cosine"]) <= float(row["high"]) <= 1
        assert float(row["halves"]) > 0.5
    assert "biq2021: trained on " in rows[1]["note"]  # the default model has learnt from it


def test_own_images_may_lie_below_the_data_root(iqa: Run, own: Path, sets: Path, tmp_path: Path) -> None:
    """Where they are not beside the file; and an image that cannot be decoded is told of either set."""
    (tmp_path / "ratings.csv").write_text(own.read_text() + "broken.png,3\n")
    (own.parent / "broken.png").write_text("no picture")
    chosen = ["--labels", tmp_path / "ratings.csv", "--data-root", own.parent, "--rounds", "5", "--workers", "1"]
    (own.parent / "kadid10k").symlink_to(sets / "kadid10k")
    done = iqa("datasets", "compare", "csv", "kadid10k", *chosen)
    assert done.returncode == 1, done.stderr
    assert [row["images_A"] for row in read_rows(done.stdout)] == ["24"]
    assert done.stderr == b"ratings: 1 images could not be decoded, and have no part in this\n"


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["livec", "spaq", "--labels", "x.csv"], 2, "--labels is for ratings of your own: name csv as one of the sets"),
        (["csv", "spaq", "--score-column", "mos"], 2, "needs the file with the ratings: --labels FILE"),
        (["livec", "livec"], 2, "livec: a set agrees with itself"),
        (["livec", "spaq", "spaq"], 2, "spaq is named twice"),
        (["livec", "ava"], 2, "no data set 'ava'"),
        (["livec", "spaq", "--data-root", "nowhere"], 4, "nowhere: no such folder"),
        (["livec", "spaq", "-m", "nothing"], 3, "nothing: no such model"),
    ],
)
def test_what_is_wrong_with_a_comparison_is_one_line(iqa: Run, sets: Path, args: list[str], code: int, said: str) -> None:
    root = [] if "--data-root" in args else ["--data-root", sets]
    done = iqa("datasets", "compare", *args, *root)
    assert (done.returncode, done.stdout) == (code, b"")
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
