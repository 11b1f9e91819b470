"""Teachers: what trained networks think of the training crops. They are asked once; their answers are kept in the run folder.

Several teachers answer with their mean: an ensemble of different networks errs less than any of them (label extension, in the
terms of QFM-IQM). Each sees the same view as the student, cut to its own input.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from iqa_cli.images.crops import CUT, CropSpec, cut_crop, normalise
from iqa_cli.models.card import ModelCard
from iqa_cli.models.find import find_model, verify_file
from iqa_cli.networks.checkpoint import load_network, load_tensors, save_tensors
from iqa_cli.networks.ensemble import Blend
from iqa_cli.networks.network import QfmIqm
from iqa_cli.options import BackendChoice
from iqa_cli.training.feature_cache import FeatureStore, ViewMeasured
from iqa_cli.training.optim import knows_bf16
from iqa_cli.training.options import LoopOptions
from iqa_cli.training.samples import PhotoCrops, Views

GROUP = 8  # photos at once: enough to keep a processor busy, few enough for its cache


@dataclass(frozen=True)
class Teacher:
    """A trained network and how it looks at a view."""

    network: QfmIqm | Blend
    card: ModelCard
    device: torch.device

    def list_looks(self) -> list[tuple[QfmIqm, CropSpec]]:
        """Each network that looks for itself, and the crops that it wants."""
        if isinstance(self.network, QfmIqm):
            return [(self.network, self.card.crops)]
        crops, members = self.card.crops, self.network.members
        return [
            (network, replace(crops, size=members[n].input_size or crops.size, mean=members[n].mean, std=members[n].std))
            for n, network in self.network.unique_inputs()
        ]

    @torch.no_grad()
    def judge_features(self, features: Sequence[Tensor]) -> Tensor:
        """The quality [n] by what was measured in each of its looks, [n, t, f] each."""
        placed = [part.to(self.device) for part in features]
        quality = self.network.predict(placed) if isinstance(self.network, Blend) else self.network.predict(placed[0])
        return quality.float().cpu()

    @torch.no_grad()
    def judge(self, views: Sequence[Views]) -> Tensor:
        """The quality [n] of every version of some views, in order."""
        crops = torch.from_numpy(
            normalise([fit_view(v, self.card.crops) for each in views for v in each.versions], self.card.crops)
        )
        with torch.autocast(self.device.type, torch.bfloat16, enabled=knows_bf16(self.device)):
            quality: Tensor = self.network(crops.to(self.device).contiguous(memory_format=torch.channels_last))
        return quality.float().cpu()


@dataclass(frozen=True)
class ViewAsked:
    """The teachers have been asked about this many photos of one epoch: for a progress bar."""

    epoch: int
    done: int
    photos: int


def fit_view(view: Any, crops: CropSpec) -> Any:
    """A square view as a teacher sees it: uint8 [side, side, 3]."""
    side = len(view)
    return cut_crop(view, (0, 0, side, side), (crops.size, crops.size), crops)


def open_teachers(references: Sequence[str], device: str) -> list[Teacher]:
    """Models by name, card, folder or file. Raises WeightsError for one that is not there, not intact or has no safetensors."""
    teachers = []
    for reference in references:
        found = find_model(reference, BackendChoice.TORCH)
        network = load_network(found.card, verify_file(found.card, found.folder, BackendChoice.TORCH))
        place = torch.device(device)
        teachers.append(Teacher(network.eval().to(place).to(memory_format=torch.channels_last), found.card, place))
    return teachers


def ask_teachers(
    teachers: Sequence[Teacher], dataset: PhotoCrops, epochs: int, folder: Path, loop: LoopOptions | None = None
) -> Iterator[ViewMeasured | ViewAsked]:
    """Ask about the crops of some epochs and give the dataset the answers, [epochs, photos, versions]; nan where no crop is.

    A file in the folder, named by the question, keeps them: nobody is asked twice about the same crops, and a run that was
    stopped goes on where it was. loop: with it what the teachers' backbones measure is kept there, too, so that other teachers
    on the same backbones answer at once.
    """
    facts = describe_question(teachers, dataset)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"answers-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}.safetensors"
    answers = read_answers(path, facts)
    stores = [[FeatureStore(folder, *trunk) for trunk in view_looks(teacher, dataset)] for teacher in teachers if loop]
    for epoch in range(len(answers), epochs):
        for teacher, kept in zip(teachers, stores, strict=False):
            for (network, _), store in zip(teacher.list_looks(), kept, strict=True):
                yield from store.fill(network, epoch, loop or LoopOptions())
        answer = torch.full((len(dataset), 1 + dataset.options.versions), torch.nan)
        for start in range(0, len(dataset), GROUP):
            places = range(start, min(start + GROUP, len(dataset)))
            judged, rows = (
                judge_kept(teachers, stores, epoch, places) if stores else judge_views(teachers, dataset, epoch, places)
            )
            for place, part in zip(places, torch.split(judged, rows), strict=True):
                answer[place, : len(part)] = part
            yield ViewAsked(epoch, places.stop, len(dataset))
        answers.append(answer)
        save_tensors(path, {"answers": torch.stack(answers)}, facts)
    dataset.targets = torch.stack(answers[:epochs])


def view_looks(teacher: Teacher, dataset: PhotoCrops) -> list[tuple[QfmIqm, PhotoCrops]]:
    """Each of its networks that look for themselves with the crops that it sees of the views."""
    return [(network, dataset.seen_by(crops)) for network, crops in teacher.list_looks()]


def judge_views(
    teachers: Sequence[Teacher], dataset: PhotoCrops, epoch: int, places: Sequence[int]
) -> tuple[Tensor, list[int]]:
    """The mean answer [n] about every version of some photos in an epoch, and how many versions each has."""
    views = [dataset.draw_views(epoch, place) for place in places]
    return torch.stack([teacher.judge(views) for teacher in teachers]).mean(0), [len(view.levels) for view in views]


def judge_kept(
    teachers: Sequence[Teacher], stores: Sequence[Sequence[FeatureStore]], epoch: int, places: Sequence[int]
) -> tuple[Tensor, list[int]]:
    """The same from features that are kept."""
    loaded = [[[store.load(epoch, place) for place in places] for store in kept] for kept in stores]
    joined = [[torch.cat([cast("Tensor", photo.features) for photo in photos]) for photos in kept] for kept in loaded]
    judged = [teacher.judge_features(features) for teacher, features in zip(teachers, joined, strict=True)]
    return torch.stack(judged).mean(0), [len(photo) for photo in loaded[0][0]]


def describe_question(teachers: Sequence[Teacher], dataset: PhotoCrops) -> dict[str, Any]:
    """All that the answers depend on."""
    photos = json.dumps([[Path(photo.path).name, photo.number, photo.quality == photo.quality] for photo in dataset.photos])
    return {
        "teachers": [teacher.card.files["safetensors"].sha256 for teacher in teachers],
        "cut": CUT,
        "samples": asdict(dataset.options),
        "side": dataset.options.side or dataset.crops.size,
        "photos": hashlib.sha256(photos.encode()).hexdigest(),
    }


def read_answers(path: Path, facts: dict[str, Any]) -> list[Tensor]:
    """The answers that a file holds to the same question, one [photos, versions] an epoch; else none."""
    if not path.exists():
        return []
    tensors, asked = load_tensors(path)
    return list(tensors["answers"]) if asked == json.loads(json.dumps(facts)) else []
