"""Teachers: what trained networks think of the training crops. They are asked once; their answers are kept in the run folder.

Several teachers answer with their mean: an ensemble of different networks errs less than any of them (label extension, in the
terms of QFM-IQM). Each sees the same view as the student, cut to its own input.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iqa_cli.crops import CropSpec, cut_box, normalise
from iqa_cli.nn.checkpoint import load_network, load_tensors, save_tensors
from iqa_cli.nn.samples import PhotoCrops, Views
from iqa_cli.options import BackendChoice
from iqa_cli.weights import ModelCard, find_model, verify_file

GROUP = 8  # photos at once: enough to keep a processor busy, few enough for its cache


@dataclass(frozen=True)
class Teacher:
    """A trained network and how it looks at a view."""

    network: nn.Module
    card: ModelCard
    device: torch.device

    @torch.no_grad()
    def judge(self, views: Sequence[Views]) -> Tensor:
        """The quality [n] of every version of some views, in order."""
        crops = torch.from_numpy(
            normalise([fit_view(v, self.card.crops) for each in views for v in each.versions], self.card.crops)
        )
        quick = self.device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=quick):
            quality: Tensor = self.network(crops.to(self.device).contiguous(memory_format=torch.channels_last))
        return quality.float().cpu()


@dataclass(frozen=True)
class ViewAsked:
    """The teachers have been asked about this many photos of one epoch: for a progress bar."""

    epoch: int
    done: int
    photos: int


def fit_view(view: Any, crops: CropSpec) -> Any:
    """A square view at a teacher's size: uint8 [size, size, 3]."""
    side = len(view)
    return view if side == crops.size else cut_box(view, (0, 0, side, side), (crops.size, crops.size))


def open_teachers(references: Sequence[str], device: str) -> list[Teacher]:
    """Models by name, card, folder or file. Raises WeightsError for one that is not there, not intact or has no safetensors."""
    teachers = []
    for reference in references:
        found = find_model(reference, BackendChoice.TORCH)
        network = load_network(found.card, verify_file(found.card, found.folder, BackendChoice.TORCH))
        place = torch.device(device)
        teachers.append(Teacher(network.eval().to(place).to(memory_format=torch.channels_last), found.card, place))
    return teachers


def ask_teachers(teachers: Sequence[Teacher], dataset: PhotoCrops, epochs: int, folder: Path) -> Iterator[ViewAsked]:
    """Ask about the crops of some epochs and give the dataset the answers, [epochs, photos, versions]; nan where no crop is.

    A file in the folder, named by the question, keeps them: nobody is asked twice about the same crops, and a run that was
    stopped goes on where it was.
    """
    facts = describe_question(teachers, dataset)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"answers-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}.safetensors"
    answers = read_answers(path, facts)
    for epoch in range(len(answers), epochs):
        answer = torch.full((len(dataset), 1 + dataset.options.versions), torch.nan)
        for start in range(0, len(dataset), GROUP):
            places = range(start, min(start + GROUP, len(dataset)))
            views = [dataset.draw_views(epoch, place) for place in places]
            judged = torch.stack([teacher.judge(views) for teacher in teachers]).mean(0)
            for place, part in zip(places, torch.split(judged, [len(view.levels) for view in views]), strict=True):
                answer[place, : len(part)] = part
            yield ViewAsked(epoch, places.stop, len(dataset))
        answers.append(answer)
        save_tensors(path, {"answers": torch.stack(answers)}, facts)
    dataset.targets = torch.stack(answers[:epochs])


def describe_question(teachers: Sequence[Teacher], dataset: PhotoCrops) -> dict[str, Any]:
    """All that the answers depend on."""
    photos = json.dumps([[Path(photo.path).name, photo.number, photo.quality == photo.quality] for photo in dataset.photos])
    return {
        "teachers": [teacher.card.files["safetensors"].sha256 for teacher in teachers],
        "samples": asdict(dataset.options),
        "side": dataset.options.side or dataset.crops.size,
        "photos": hashlib.sha256(photos.encode()).hexdigest(),
    }


def read_answers(path: Path, facts: dict[str, Any]) -> list[Tensor]:
    """The answers that a file holds to the same question, one [photos, versions] an epoch; else none."""
    if not path.exists():
        return []
    tensors, asked = load_tensors(path)
    return list(tensors["answers"]) if asked == facts else []
