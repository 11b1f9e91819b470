"""remember_photos: a regression on means of features is fitted at once: to all rated photos as scoring sees them, and to what
teachers say of views of other photos and of damaged versions of these.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor

from iqa_cli.networks.checkpoint import load_tensors, save_tensors
from iqa_cli.networks.heads import Perceptrons
from iqa_cli.networks.kernels import KernelRegression
from iqa_cli.networks.network import QfmIqm
from iqa_cli.networks.regressions import MeansRegression
from iqa_cli.qfm_iqm.objective import choose_answers
from iqa_cli.training.distributed import ALONE, Team
from iqa_cli.training.feature_cache import FeatureStore, PhotoStore, ViewMeasured, name_features
from iqa_cli.training.loop import EpochDone, validate
from iqa_cli.training.options import FittedOptions, KernelOptions, PerceptronOptions, StudyOptions
from iqa_cli.training.run_folder import RunFolder, Snapshot
from iqa_cli.training.samples import Photo, PhotoCrops, load_scoring_crops


class Shown(NamedTuple):
    """Something to learn from. view: of those that teachers have judged; None: what scoring sees of a rated photo.
    shrunk: whether the photo is reduced a little before.
    """

    place: int
    view: int | None = None
    shrunk: bool = False


def list_shown(dataset: PhotoCrops, options: FittedOptions) -> list[Shown]:
    """What there is to learn from: rated photos first, the judged views of others, and these once more, shrunk."""
    rated = [photo.quality == photo.quality for photo in dataset.photos]
    judged = range(0 if dataset.targets is None else len(dataset.targets))
    others = [Shown(place, view) for view in judged for place, known in enumerate(rated) if not known]
    again = [shown._replace(shrunk=True) for shown in others if options.shrunk]
    return [Shown(place) for place, known in enumerate(rated) if known] + others + again


def show(dataset: PhotoCrops, shown: Shown, share: float) -> tuple[Tensor, list[float]]:
    """Crops [n, 3, h, w] and their levels of damage. Of a rated photo it is one crop: of several that scoring sees the first,
    which is the middle one. A shrunk one is reduced by that share of its sides, and has no damaged versions.
    """
    if shown.view is None:
        photo = dataset.photos[shown.place]
        return next(load_scoring_crops([photo], dataset.scoring_crops, dataset.pixels))[:1], [0.0]
    source = dataset.shrunk(share) if shown.shrunk else dataset
    views = source.cut_views(shown.view, shown.place)
    return source.present(shown.view, shown.place, views).crops, views.levels


def tell(dataset: PhotoCrops, shown: Shown, levels: Sequence[float], options: KernelOptions | PerceptronOptions) -> Tensor:
    """What is to be learnt of that, [n, 2]: its quality, and how little that counts in a kernel regression, or how much it does
    with perceptrons.
    """
    if shown.view is None:
        counts = options.ridge if isinstance(options, KernelOptions) else 1.0
        return torch.tensor([[dataset.photos[shown.place].quality, counts]])
    batch = dataset.describe(shown.view, shown.place, levels, torch.empty(len(levels), 3, 0, 0))
    taught = choose_answers(batch, cast("Tensor", batch.taught), options)
    return torch.stack([taught, torch.full_like(taught, options.taught)], dim=1)


class StatisticsStore(PhotoStore):
    """What a regression sees of photos, measured once, below a folder, for those of other folds, kinds and options."""

    def __init__(self, folder: Path, network: QfmIqm, dataset: PhotoCrops, share: float) -> None:
        super().__init__(folder / f"statistics-{dataset.scoring_crops.fit}-{name_features(network, dataset)}", dataset)
        self.features = FeatureStore(folder, network, dataset)
        self.network = network
        self.share = share  # by which shrunk photos are reduced

    def load_shown(self, shown: Shown, device: torch.device) -> tuple[Tensor, list[float]]:
        """Statistics [n, s] and levels of damage [n]; those of a view from its features, where these were measured already."""
        view = -1 if shown.view is None else shown.view
        plain = self.locate(view, shown.place)
        path = plain.with_name(f"{self.share:g}-{plain.name}") if shown.shrunk else plain
        if not path.exists() and not shown.shrunk and self.features.holds(view, shown.place):
            batch = self.features.load(view, shown.place)
            return judge_by(self.network).describe(cast("Tensor", batch.features)), batch.level.tolist()
        if not path.exists():
            statistics, levels = describe(self.network, self.dataset, shown, self.share, device)
            save_tensors(path, {"statistics": statistics.half()}, [float(level) for level in levels])
        tensors, levels = load_tensors(path)
        return tensors["statistics"].float(), levels


def judge_by(network: QfmIqm) -> MeansRegression:
    """What judges in a network whose method is fitted at once."""
    return cast("MeansRegression", network.decoder)


def describe(
    network: QfmIqm, dataset: PhotoCrops, shown: Shown, share: float, device: torch.device
) -> tuple[Tensor, list[float]]:
    """What the regression of a network sees: statistics [n, s] and levels of damage [n]."""
    crops, levels = show(dataset, shown, share)
    with torch.no_grad():
        return judge_by(network).describe(network.measure(crops.to(device))).cpu(), levels


def remember_photos(
    network: QfmIqm,
    dataset: PhotoCrops,
    validation: Sequence[Photo],
    options: StudyOptions,
    run: RunFolder,
    features: Path | None = None,
    team: Team = ALONE,
) -> Iterator[ViewMeasured | EpochDone]:
    """Measure the photos of the set and fit the network's regression to them; the run folder keeps it, and a run that is
    resumed after that has nothing left to do.

    features: a folder that keeps what was measured, for other trainings; None: in the run folder, until the regression is
    fitted, so that a run that was stopped goes on where it was. Several processes share the photos out.
    Raises DataError for images that cannot be decoded.
    """
    if run.read_snapshot() is not None:
        return
    began = time.perf_counter()
    regression = cast("KernelRegression | Perceptrons", judge_by(network))
    chosen = cast("KernelOptions | PerceptronOptions", options.fitted)
    device = torch.device(options.loop.device)
    network.to(device).eval()
    described, known, share = [], [], chosen.shrunk
    store = StatisticsStore(features or run.path / "features", network, dataset, share)
    own = team.share(list_shown(dataset, chosen))
    for done, shown in enumerate(own, 1):
        seen, levels = store.load_shown(shown, device)
        described.append(seen)
        known.append(tell(dataset, shown, levels, chosen))
        yield ViewMeasured(shown.view or 0, done, len(own))
    statistics, answers = (torch.cat(team.gather(torch.cat(rows))) for rows in (described, known))
    quality, counts = answers.T
    network.cpu()
    if isinstance(regression, Perceptrons):
        regression.learn(statistics, quality, counts, options.perceptrons, options.samples.seed)
    else:
        regression.remember(statistics, quality, counts)
    with torch.no_grad():
        missed = (regression.recall(statistics) - quality).abs().mean()
    network.to(device)
    correlations = validate(network, validation, dataset, options.loop, team)
    seconds = time.perf_counter() - began
    speed = round(len(dataset) / seconds, 2)
    stats = EpochDone(1, 1, options.method, {"quality": round(float(missed), 6)}, {}, *correlations, speed, round(seconds, 1))
    if team.leads:
        run.keep_epoch(stats, network, Snapshot(1, 0, {}))
        if features is None:
            shutil.rmtree(run.path / "features", ignore_errors=True)
    team.wait()
    yield stats
