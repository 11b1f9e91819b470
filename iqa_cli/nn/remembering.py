"""remember_photos: a kernel regression is not trained in steps, but fitted at once: to all rated photos as scoring sees them,
and to what teachers say of views of other photos and of damaged versions of these.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from iqa_cli.nn.features import ViewMeasured
from iqa_cli.nn.kernels import KernelRegression
from iqa_cli.nn.network import QfmIqm
from iqa_cli.nn.objectives import choose_answers
from iqa_cli.nn.runs import RunFolder, Snapshot
from iqa_cli.nn.samples import Photo, PhotoCrops, load_scoring_crops
from iqa_cli.nn.teams import ALONE, Team
from iqa_cli.nn.training import EpochDone, validate
from iqa_cli.recipes import KernelOptions, StudyOptions


class Shown(NamedTuple):
    """Something to learn from. view: of those that teachers have judged; None: what scoring sees of a rated photo.
    shrunk: whether the photo is reduced a little before.
    """

    place: int
    view: int | None = None
    shrunk: bool = False


def list_shown(dataset: PhotoCrops, options: KernelOptions) -> list[Shown]:
    """What there is to learn from: rated photos first, the judged views of others, and these once more, shrunk."""
    rated = [photo.quality == photo.quality for photo in dataset.photos]
    judged = range(0 if dataset.targets is None else len(dataset.targets))
    others = [Shown(place, view) for view in judged for place, known in enumerate(rated) if not known]
    again = [shown._replace(shrunk=True) for shown in others if options.shrunk]
    return [Shown(place) for place, known in enumerate(rated) if known] + others + again


def show(dataset: PhotoCrops, shown: Shown, options: KernelOptions) -> tuple[Tensor, Tensor]:
    """Crops [n, 3, h, w], and [n, 2]: their quality, and how little that counts. Of a rated photo it is one crop: of several
    that scoring sees the first, which is the middle one. Of a shrunk one the damaged versions are left out.
    """
    photo = dataset.photos[shown.place]
    if shown.view is None:
        crops = next(load_scoring_crops([photo], dataset.scoring_crops, dataset.pixels))[:1]
        return crops, torch.tensor([[photo.quality, options.ridge]])
    batch = (dataset.shrunk(options.shrunk) if shown.shrunk else dataset)[shown.view, shown.place]
    taught = choose_answers(batch, cast("Tensor", batch.taught), options)
    count = 1 if shown.shrunk else len(batch)
    return batch.crops[:count], torch.stack([taught, torch.full_like(taught, options.taught)], dim=1)[:count]


def remember_photos(
    network: QfmIqm,
    dataset: PhotoCrops,
    validation: Sequence[Photo],
    options: StudyOptions,
    run: RunFolder,
    team: Team = ALONE,
) -> Iterator[ViewMeasured | EpochDone]:
    """Measure the photos of the set and fit the network's kernel regression to them; the run folder keeps it, and a run that is
    resumed after that has nothing left to do.

    Several processes share the photos out. Raises DataError for images that cannot be decoded.
    """
    if run.read_snapshot() is not None:
        return
    began = time.perf_counter()
    regression = cast("KernelRegression", network.decoder)
    device = torch.device(options.loop.device)
    network.to(device).eval()
    described, known = [], []
    own = team.share(list_shown(dataset, options.kernel))
    for done, shown in enumerate(own, 1):
        crops, answers = show(dataset, shown, options.kernel)
        with torch.no_grad():
            described.append(regression.describe(network.measure(crops.to(device))).cpu())
        known.append(answers)
        yield ViewMeasured(shown.view or 0, done, len(own))
    statistics, answers = (torch.cat(team.gather(torch.cat(rows))) for rows in (described, known))
    quality, ridge = answers.T
    network.cpu()
    regression.remember(statistics, quality, ridge)
    missed = (regression.recall(statistics) - quality).abs().mean()
    network.to(device)
    correlations = validate(network, validation, dataset, options.loop, team)
    seconds = time.perf_counter() - began
    speed = round(len(dataset) / seconds, 2)
    stats = EpochDone(1, 1, "kernel", {"quality": round(float(missed), 6)}, {}, *correlations, speed, round(seconds, 1))
    if team.leads:
        run.keep_epoch(stats, network, Snapshot(1, 0, {}))
    team.wait()
    yield stats
