"""From photos to the networks for detail: draw patches and views, fit, and tell how it went."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from iqa_cli.detail.native import SIDE
from iqa_cli.detail.outputs import OFFSETS
from iqa_cli.errors import DataError
from iqa_cli.images.find import find_images
from iqa_cli.networks.detail import DetailNetwork
from iqa_cli.networks.spectrum import SpectrumNetwork
from iqa_cli.training.detail.fit import Fitted, Stepped, fit, open_samples, split_samples
from iqa_cli.training.detail.fit_spectrum import Spectra, fit_spectrum, measure_error
from iqa_cli.training.detail.options import DetailTraining
from iqa_cli.training.detail.samples import Sources, mark_sources, measure_photos, plan_sources, write_samples
from iqa_cli.training.detail.views import draw_views

__all__ = ["Drawn", "Fitted", "Plan", "Stepped", "make_network", "make_plan", "make_spectrum", "train_detail", "train_spectrum"]

A_REPORT = 500  # views


@dataclass(frozen=True)
class Plan:
    """What is drawn of which photos. found: all of them, be they too small; patches, views: what each of the others gives."""

    found: tuple[str, ...]
    patches: Sources
    views: Sources


@dataclass(frozen=True)
class Drawn:
    """How many patches or views are drawn, of how many."""

    done: int
    wanted: int
    what: str = "patches"


def make_plan(options: DetailTraining) -> Plan:
    """Look for the photos of a training, and share out what is drawn of them. Raises DataError where there are none."""
    paths = find_photos(options)
    sizes = measure_photos(paths)
    return Plan(tuple(paths), plan_sources(sizes, options.patches), plan_sources(sizes, options.views))


def train_detail(network: DetailNetwork, options: DetailTraining, plan: Plan) -> Iterator[Drawn | Stepped | Fitted]:
    """Train a new network in place, and tell how far it is. Raises DataError where there is no room for patches.

    The same photos, options and seed give the same patches, and, on one thread, the same network. Raises UsageError where the
    training diverges.
    """
    with open_file(options) as file:
        try:
            yield from draw(file, options, plan)
        except OSError as error:
            raise DataError(f"{error.filename or file}: cannot be read: {error.strerror}") from error
        yield from fit(network, file, options)


def make_network(seed: int) -> DetailNetwork:
    """An untrained network for patches. The same seed gives the same."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DetailNetwork(len(OFFSETS))


def make_spectrum(seed: int) -> SpectrumNetwork:
    """An untrained network for spectra. The same seed gives the same."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SpectrumNetwork(SIDE)


def train_spectrum(network: SpectrumNetwork, options: DetailTraining, plan: Plan) -> Iterator[Drawn | Stepped | Fitted]:
    """Train a new network for spectra in place, and tell how far it is. Raises DataError where there is no room for views."""
    spectra = Spectra(options.views, network.power)
    for view in draw_views(plan.views, options.seed):
        spectra.add(view)
        if spectra.count % A_REPORT == 0 or spectra.count == options.views:
            yield Drawn(spectra.count, options.views, "views")
    learnt, held = split_samples(spectra.photos, options.validation)
    step = 0
    for stepped in fit_spectrum(network, spectra.take(learnt), options.seed):
        step = stepped.step
        yield stepped
    if len(held):
        yield Fitted(step, {"reduction": measure_error(network, spectra.take(held))})


@contextmanager
def open_file(options: DetailTraining) -> Iterator[Path]:
    """Where the patches go: the file of the options, or one that is gone after the block."""
    if options.samples is not None:
        yield options.samples
        return
    with tempfile.TemporaryDirectory(prefix="iqa-detail-") as folder:
        yield Path(folder) / "patches.npy"


def draw(file: Path, options: DetailTraining, plan: Plan) -> Iterator[Drawn]:
    """Write the patches, unless an earlier training has left the same. Raises DataError, and OSError for what cannot be read.

    Several trainings may begin with one file at a time: each draws its own patches, and the last that is done leaves them.
    """
    mark = mark_sources(plan.found, options.seed)
    if file.exists():
        check_samples(file, options.patches, mark)
        yield Drawn(options.patches, options.patches)
        return
    for done in write_samples(plan.patches, file, options.seed, mark):
        yield Drawn(done, options.patches)


def check_samples(file: Path, patches: int, mark: bytes) -> None:
    """Raises DataError for a file with other patches than are wanted, OSError."""
    try:
        found = len(open_samples(file))
    except ValueError as error:
        raise DataError(f"{file}: {error}: name another file for the patches") from error
    if found != patches:
        raise DataError(f"{file}: holds {found} patches, and {patches} are wanted: name another file")
    with file.open("rb") as opened:
        opened.seek(-len(mark), os.SEEK_END)
        if opened.read() != mark:
            raise DataError(f"{file}: its patches are of other photos, or of another seed: name another file")


def find_photos(options: DetailTraining) -> list[str]:
    """The photos to train on. Raises DataError where there are none."""
    paths = list(find_images(options.photos, Counter()))
    if not paths:
        raise DataError(f"no photos found in {', '.join(options.photos)}")
    return paths
