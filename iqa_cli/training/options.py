"""Every knob of training as plain data, with its default and its reason. No PyTorch here, so that help is quick.

`recipes` reads and writes them as files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

NoiseKind = Literal["semantic", "alike", "random", "gaussian", "none"]
Disturbed = Literal["all", "content", "patches"]
Precision = Literal["auto", "fp32", "bf16"]
FinePrecision = Literal["same", "auto", "fp32", "bf16"]
Schedule = Literal["cosine", "thirds"]
SplitKind = Literal["seeded", "official"]
Damage = Literal[
    "gaussian_blur", "motion_blur", "lens_blur", "white_noise", "colour_noise", "impulse_noise", "sensor_noise",
    "jpeg", "jpeg2000", "avif", "downscale", "pixelation", "overexposure", "underexposure",
    "low_contrast", "high_contrast", "colour_cast", "oversaturation", "banding", "oversharpening", "denoise",
]  # fmt: skip
"""What of `images.distortions` is trained on; the rest is kept out, to measure on."""


@dataclass(frozen=True)
class MatchingOptions:
    """The method, `qfm_iqm.objective.QualityMatching`; the symbols stand in that module's docstring.

    The numbers are our reconstruction's, not the paper's. correlation and order are terms of ours, off by default.

    noise: "semantic" is the method. Its controls: "alike", of similar quality too, but of the most similar content; "random",
        anything of the memory; "gaussian"; "none". All have the same strength.
    disturbed: which tokens it is added to, and over which it has its strength.
    """

    noise: NoiseKind = "semantic"
    disturbed: Disturbed = "all"
    memory: int = 1024  # entries; used once it is full
    tolerance: float = 0.05  # of the label range: what counts as similar quality
    k: int = 1  # how many matches are averaged
    strength: float = 0.5  # the noise's norm, in norms of the tokens it is added to
    noisy: float = 0.5
    sensitivity: float = 0.5
    taught: float = 0.5
    beta: float = 0.1  # where SmoothL1 turns from square to straight, in label units
    correlation: float = 0.0
    order: float = 0.0
    margin: float = 0.02  # label units by which one level of damage must lower the quality
    capped: bool = False  # whether that holds for what teachers say of damaged versions, too


@dataclass(frozen=True)
class DistillationOptions:
    """Learning from teachers, `qfm_iqm.objective.Distillation`: the weights of its terms, and its constants as in matching.

    labelled: of the human labels, beside the teachers' answers, which count 1.
    """

    labelled: float = 0.5
    beta: float = 0.1
    correlation: float = 0.0
    order: float = 0.5
    margin: float = 0.02
    capped: bool = False


@dataclass(frozen=True)
class PerceptronOptions:
    """Perceptrons, `networks.heads`: how many, of how many hidden units each, and how they are trained.

    They may learn from teachers, too, about photos without ratings and damaged versions.
    margin, capped: as in matching.
    shrunk: by what share of its sides a photo is reduced, to count with the same answer once more; 0: it does not. So it learns
        not to mind that photos come in sizes.
    taught: what a teacher's answer counts; a rating counts 1. dropout, hidden_dropout: of the means, and of the hidden units.
    """

    margin: float = 0.02
    capped: bool = True
    shrunk: float = 0.1
    count: int = 4
    units: int = 512
    taught: float = 0.15
    epochs: int = 15
    batch_size: int = 32
    rate: float = 1e-3
    weight_decay: float = 0.05
    dropout: float = 0.3
    hidden_dropout: float = 0.5
    beta: float = 0.1  # as in matching


@dataclass(frozen=True)
class SampleOptions:
    """How crops are drawn, `training.samples`.

    enlarge: a training crop shows the image at 1 to this many times the size at which it is scored.
    damaged: the share of labelled photos that come with damaged versions of the same crop, for the order term; unlabelled
        photos always do.
    versions: how many damaged versions. kinds: the kinds of damage, `images.distortions`, of which each view gets one; none
        named: all that are trained on.
    side: in px of a view when it is damaged and shown to teachers, before it is cut to the network's size; 0: that size, or in
        a distillation the largest that a teacher looks at.
    held_out: the share of the unlabelled photos that are kept out, to measure on, chosen by a hash of the file's name.
    """

    enlarge: float = 1.25
    damaged: float = 0.0
    versions: int = 2
    kinds: tuple[Damage, ...] = ()
    side: int = 0
    held_out: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class LoopOptions:
    """The loop, `training.loop.fit`.

    warm_epochs: of everything but the backbone, on features measured once, from `views` random crops a photo.
    epochs: of the whole network, but for the first `frozen` share of the backbone's layers.
    rate, backbone_rate: peak learning rates; the backbone's falls by `layer_decay` with each layer from the top.
    relative: the backbone's rate is a share of each tensor's root mean square, as in Adafactor (ICML 2018): where norms are
        folded into convolutions their weights differ a hundredfold in size, and one step of Adam suits few of them.
    draws: how many crops of a photo an epoch of fine-tuning shows.
    unlabelled: the share of the photos without labels that such an epoch shows, other ones each time.
    vary: such an epoch leaves out up to this share of the sides of each crop and mirrors half of them: fresh crops for answers
        that teachers gave once.
    fine_batch_size: of fine-tuning, whose batches must fit into memory; 0: as in the warm-up.
    precision, fine_precision: of the warm-up and of fine-tuning; "auto" is bf16 for transformers and on a GPU. On a CPU that
        knows it (AVX-512 or AMX with bf16) it makes fine-tuning of convolutions faster, too, see `training.optim`; on any other
        CPU all is in single precision, whatever is asked for.
    schedule: of the rates after their rise: "cosine" down to nothing, or "thirds": each third of a phase at a tenth of the
        rates of the one before.
    averaging: decay of the moving average of the weights, which is what is validated and kept; 0 keeps the last weights.
    patience: a phase ends once so many epochs in a row have not bettered its validation SRCC; 0: it never ends early.
    """

    epochs: int = 9
    warm_epochs: int = 12
    views: int = 2
    draws: int = 1
    unlabelled: float = 1.0
    vary: float = 0.0
    batch_size: int = 16
    fine_batch_size: int = 0
    rate: float = 2e-4
    backbone_rate: float = 5e-5
    warm_rate: float = 1e-3
    relative: bool = False
    layer_decay: float = 1.0
    frozen: float = 0.0
    schedule: Schedule = "cosine"
    weight_decay: float = 0.05
    clip: float = 5.0  # gradient norm, as DEIQT
    averaging: float = 0.99
    patience: int = 0
    precision: Precision = "auto"
    fine_precision: FinePrecision = "same"
    device: str = "cpu"
    workers: int = 0
    threads: int = 0  # of PyTorch; 0 leaves its own choice


@dataclass(frozen=True)
class StudyOptions:
    """`iqa train`: which data, which network, which part of the data, and where the run is kept.

    dataset: a set of the catalogue, "csv" for ratings of one's own, or several at once; each set's scale, with its direction,
        is brought to 0..1 by the ends of the scale (`DatasetSpec.score_range`), so that 0 and 1 are the worst and the best
        that could be said in each; what stands between is not matched.
    data_root: the folder of the set, or one for each, or a folder that holds them; None: the environment variable IQA_DATA.
    labels, image_column, score_column, group_column: of "csv": the file and its columns. Images of one group never stand on
        two sides of a split. score_range: the ends of its scale; none: its lowest and its highest score.
        lower_is_better: the direction of its scale.
    photos: folders of unlabelled clean photos that join the training, for the order and teacher terms.
    backbone_weights: a local file; None: from the hub that timm names; "none": random weights.
    size, fit: of the crops. width, heads, stages: of the network, see `networks.network`.
    layers: of a transformer whose layers are read as stages; none: its last tokens. cell: in px, of a stage's windows.
    middle: in px of a side: a network looks only at that square in the middle of the view that a crop would be; 0: all of it.
    method: what is trained for: "matching", QFM-IQM; "distillation", to answer as the teachers do; or "perceptrons":
        an MLP head on a frozen backbone is fitted to the ratings, and to what teachers say.
    teachers: models whose mean answer extends the labels, asked about the crops of `asked` epochs; {fold} in a name stands for
        the number of the fold or of the split, so that no teacher saw what its student is judged by.
    decoded: a folder that keeps decoded images for all epochs, loader processes and trainings, up to `decoded_gb`; None: in
        memory, per process. There a shorter side of more than `decoded_side` px is reduced to it, which changes what training
        sees of large photos a little; test images are judged from the files themselves.
    features: a folder that keeps the features of a frozen backbone and the answers of teachers for other trainings; None: the
        run folder, for this one.
    folds: 0: one training; else that many folds, by `fold_file` (CSV: image, fold) or drawn by the seed; `only` some of them.
    repeats: 0: one training; else that many, each on another split with `test_share` for the test: by reference on synthetic
        sets, by image on others; the splits are drawn by the seed, the one after it, and so on.
    split: "official": the one that came with the set; repeats of it differ in the seed of all that is random.
    validation: the share of the training images on which the best epoch is chosen; 0 keeps the last epoch's weights.
    tensorboard: write event files for TensorBoard into the run folder.
    measured: results.json of a cross-validation of the same recipe, to be quoted in the card; measured_by: its command.
    summary, backbone_source, photos_source, limits: what the card says of the model, of its first weights, of the
        photos without labels, and what it is not for.
    """

    run_dir: Path
    name: str = "model"
    dataset: str | tuple[str, ...] = "livec"
    data_root: Path | tuple[Path, ...] | None = None
    labels: Path | None = None
    image_column: str = "image"
    score_column: str = "score"
    group_column: str | None = None
    score_range: tuple[float, ...] = ()
    lower_is_better: bool = False
    photos: tuple[Path, ...] = ()
    backbone: str = "deit3_small_patch16_224.fb_in1k"
    backbone_weights: str | None = None
    size: int = 224
    fit: Literal["whole", "square"] = "square"
    crops: int = 1
    width: int = 256
    heads: int = 6
    stages: int = 5
    layers: tuple[int, ...] = ()
    cell: int = 32
    middle: int = 0
    method: Literal["matching", "distillation", "perceptrons"] = "matching"
    teachers: tuple[str, ...] = ()
    asked: int = 4
    decoded: Path | None = None
    decoded_side: int = 640  # more than a view of 448 px needs, enlarged by 1.25
    decoded_gb: float = 50.0
    features: Path | None = None
    folds: int = 0
    fold_file: Path | None = None
    only: tuple[int, ...] = ()
    repeats: int = 0
    split: SplitKind = "seeded"
    test_share: float = 0.2
    validation: float = 0.1
    tensorboard: bool = False
    measured: Path | None = None
    measured_by: str = ""
    summary: str = ""
    backbone_source: str = ""
    photos_source: str = ""
    limits: tuple[str, ...] = ()
    resume: bool = False
    matching: MatchingOptions = field(default_factory=MatchingOptions)
    distillation: DistillationOptions = field(default_factory=DistillationOptions)
    perceptrons: PerceptronOptions = field(default_factory=PerceptronOptions)
    samples: SampleOptions = field(default_factory=SampleOptions)
    loop: LoopOptions = field(default_factory=LoopOptions)

    @property
    def sets(self) -> tuple[str, ...]:
        """The names of the sets; none where nothing is labelled."""
        named = (self.dataset,) if isinstance(self.dataset, str) else self.dataset
        return tuple(name for name in named if name)

    @property
    def roots(self) -> tuple[Path, ...]:
        """Where they are: nothing said, one for all, or one for each."""
        if self.data_root is None:
            return ()
        return (self.data_root,) if isinstance(self.data_root, Path) else self.data_root
