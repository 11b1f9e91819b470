"""remember_photos: a kernel regression is not trained in steps, but fitted at once to all rated photos as scoring sees them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import cast

import torch

from iqa_cli.nn.features import ViewMeasured
from iqa_cli.nn.kernels import KernelRegression
from iqa_cli.nn.network import QfmIqm
from iqa_cli.nn.runs import RunFolder, Snapshot
from iqa_cli.nn.samples import Photo, PhotoCrops, load_scoring_crops
from iqa_cli.nn.teams import ALONE, Team
from iqa_cli.nn.training import EpochDone, validate
from iqa_cli.recipes import StudyOptions


def remember_photos(
    network: QfmIqm,
    dataset: PhotoCrops,
    validation: Sequence[Photo],
    options: StudyOptions,
    run: RunFolder,
    team: Team = ALONE,
) -> Iterator[ViewMeasured | EpochDone]:
    """Measure the photos of the set and have the network's kernel regression remember them; the run folder keeps it, and a run
    that is resumed after that has nothing left to do.

    Several processes share the photos out. Raises DataError for images that cannot be decoded.
    """
    if run.read_snapshot() is not None:
        return
    began = time.perf_counter()
    regression = cast("KernelRegression", network.decoder)
    device = torch.device(options.loop.device)
    network.to(device).eval()
    own = team.share(dataset.photos)
    measured = []
    for done, crops in enumerate(load_scoring_crops(own, dataset.scoring_crops, dataset.pixels), 1):
        with torch.no_grad():
            seen = crops[:1].to(device)  # the first of several crops is the middle one, or the whole
            measured.append(regression.describe(network.measure(seen), network.lay_out(seen)).cpu())
        yield ViewMeasured(0, done, len(own))
    statistics = torch.cat(team.gather(torch.cat(measured)))
    network.cpu()
    quality = torch.tensor([photo.quality for photo in dataset.photos])
    regression.remember(statistics, quality, options.kernel.ridge)
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
