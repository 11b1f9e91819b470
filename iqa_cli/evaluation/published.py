"""Figures of papers, to print beside our own; none of them was measured by this project.

They stand beside a figure of ours only where both follow one protocol. Papers seldom say whether a PLCC is of raw predictions
or after a fitted curve. Splits differ from paper to paper, so a difference in the third decimal says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from iqa_cli.evaluation.protocol import Protocol


@dataclass(frozen=True, slots=True)
class Published:
    """One result of one paper. dataset, trained_on: names of the catalog, the same for SPLITS. None: not to be had."""

    model: str
    dataset: str
    trained_on: str
    protocol: Protocol
    srcc: float | None
    plcc: float | None

    @property
    def title(self) -> str:
        """Name of the row in a table, so that nobody takes it for a measurement of ours."""
        return f"{self.model} (published)"

    @property
    def paper(self) -> str:
        """The paper that it is from."""
        return PAPERS[self.model]


PAPERS = {
    "QFM-IQM": "Adaptive Feature Selection for No-Reference Image Quality Assessment by Mitigating Semantic Noise Sensitivity, "
    "ICML 2024, arXiv 2312.06158",
    "DEIQT": "Data-Efficient Image Quality Assessment with Attention-Panel Decoder, AAAI 2023, arXiv 2304.04952",
    "LoDa": "Boosting Image Quality Assessment through Efficient Transformer Adaptation with Local Feature Enhancement, "
    "CVPR 2024, arXiv 2308.12001",
    "DR.Experts": "DR.Experts: Differential Refinement of Distortion-Aware Experts for Blind Image Quality Assessment, "
    "AAAI 2026, arXiv 2602.09531",
}

SPLIT_FIGURES: dict[str, dict[str, tuple[float | None, float | None]]] = {  # model -> set -> SRCC, PLCC
    "QFM-IQM": {
        "livec": (0.891, 0.913),
        "koniq10k": (0.922, 0.936),
        "spaq": (0.920, 0.924),
        "livefb": (0.567, 0.667),
        "tid2013": (None, 0.932),
    },
    "DEIQT": {
        "livec": (0.875, 0.894),
        "koniq10k": (0.921, 0.934),
        "spaq": (0.919, 0.923),
        "livefb": (0.571, 0.663),
        "tid2013": (0.892, 0.908),
    },
    "LoDa": {
        "livec": (0.876, 0.899),
        "koniq10k": (0.932, 0.944),
        "spaq": (0.925, 0.928),
        "livefb": (0.578, 0.679),
        "tid2013": (0.869, 0.901),
    },
    "DR.Experts": {
        "livec": (0.914, 0.926),
        "koniq10k": (0.941, 0.954),
        "spaq": (0.928, 0.933),
        "livefb": (0.585, 0.690),
    },
}
CROSS_FIGURES = {  # model -> (trained on, measured on) -> SRCC
    "DEIQT": {("livec", "koniq10k"): 0.744, ("koniq10k", "livec"): 0.794},
    "DR.Experts": {("livec", "koniq10k"): 0.785, ("koniq10k", "livec"): 0.841},
}

ROWS = (
    *(
        Published(model, dataset, dataset, Protocol.SPLITS, *figures)
        for model, row in SPLIT_FIGURES.items()
        for dataset, figures in row.items()
    ),
    *(
        Published(model, dataset, trained_on, Protocol.CROSS, srcc, None)
        for model, row in CROSS_FIGURES.items()
        for (trained_on, dataset), srcc in row.items()
    ),
)


def find_published(dataset: str, protocol: Protocol, trained_on: str | None = None) -> list[Published]:
    """Results on that set that may stand beside ours: of that protocol, for CROSS also of that training."""
    wanted = dataset, protocol, dataset if protocol is Protocol.SPLITS else trained_on
    return [row for row in ROWS if (row.dataset, row.protocol, row.trained_on) == wanted]
