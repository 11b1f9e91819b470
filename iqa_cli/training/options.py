"""Every option of training as plain data, with its default and its reason. No PyTorch here, so that help is quick.

`recipes` reads and writes them as files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from iqa_cli.qfm_iqm.options import DistillationOptions, MatchingOptions

Method = Literal["qfm-iqm", "distillation", "mlp"]
Precision = Literal["auto", "fp32", "bf16"]
Schedule = Literal["cosine", "thirds"]
SplitKind = Literal["seeded", "official"]
DistortionName = Literal[
    "gaussian_blur", "motion_blur", "lens_blur", "white_noise", "colour_noise", "impulse_noise", "sensor_noise",
    "jpeg", "jpeg2000", "avif", "downscale", "pixelation", "overexposure", "underexposure",
    "low_contrast", "high_contrast", "colour_cast", "oversaturation", "banding", "oversharpening", "denoise",
]  # fmt: skip
"""What of `images.distortions` is trained on; the rest is held out, to measure on."""


@dataclass(frozen=True)
class MlpOptions:
    """An ensemble of MLPs on pooled features, `training.fit_heads`: how many, of how many hidden units each, and their
    training.

    It may learn from teacher predictions for unlabeled images, too.
    margin, cap_targets, beta: as in matching.
    rescale: by what share of its sides an unlabeled image is reduced, to count once more with the same target; 0: it does not.
        So the head learns not to mind that photos come in sizes.
    teacher_weight: of a teacher prediction; a label's is 1.
    dropout, hidden_dropout: of the pooled features, and of the hidden units.
    """

    margin: float = 0.02
    cap_targets: bool = True
    rescale: float = 0.1
    count: int = 4
    units: int = 512
    teacher_weight: float = 0.15
    epochs: int = 15
    batch_size: int = 32
    rate: float = 1e-3
    weight_decay: float = 0.05
    dropout: float = 0.3
    hidden_dropout: float = 0.5
    beta: float = 0.1


@dataclass(frozen=True)
class SampleOptions:
    """How crops are drawn, `training.samples`.

    max_zoom: a training crop shows the image at 1 to this many times the size at which it is scored.
    distorted: the share of labeled images that come with distorted versions of the same crop, for the ranking loss; unlabeled
        images always do.
    versions: how many distorted versions.
    distortions: the kinds, `images.distortions`, of which each view gets one; none named: all that are trained on.
    view_size: in px of a view when it is distorted and shown to teachers, before it is resized for the network; 0: the
        network's size, or in a distillation the largest input of a teacher.
    held_out: the share of the unlabeled images that are kept out, to measure on, chosen by a hash of the file's name.
    """

    max_zoom: float = 1.25
    distorted: float = 0.0
    versions: int = 2
    distortions: tuple[DistortionName, ...] = ()
    view_size: int = 0
    held_out: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class LoopOptions:
    """The loop, `training.loop.fit`: the head is trained on cached features of the frozen backbone, then all is fine-tuned.

    head_epochs, head_rate: of head training, on features of `views` random crops an image.
    epochs: of fine-tuning the network but for the first `frozen` share of the backbone's layers.
    rate, backbone_rate: peak learning rates of fine-tuning; the backbone's falls by `layer_decay` with each layer from the top.
    relative_rate: the backbone's rate is a share of each tensor's root mean square, as in Adafactor (ICML 2018): where norms
        are folded into convolutions their weights differ a hundredfold in size, and one step of Adam suits few of them.
    crops_per_epoch: of an image, in fine-tuning.
    precision: "auto" is bf16 for transformers and on a GPU. A CPU that does not know bf16 always computes in single precision.
    schedule: of the rates after their rise: "cosine" down to nothing, or "thirds": each third of a phase at a tenth of the
        rates of the one before.
    clip: of the gradient norm, as DEIQT.
    averaging: decay of the moving average of the weights, which is what is validated and kept; 0 keeps the last weights.
    patience: a phase ends once so many epochs in a row have not bettered its validation SRCC; 0: it never ends early.
    threads: of PyTorch; 0 leaves its own choice.
    """

    epochs: int = 9
    head_epochs: int = 12
    views: int = 2
    crops_per_epoch: int = 1
    batch_size: int = 16
    rate: float = 2e-4
    backbone_rate: float = 5e-5
    head_rate: float = 1e-3
    relative_rate: bool = False
    layer_decay: float = 1.0
    frozen: float = 0.0
    schedule: Schedule = "cosine"
    weight_decay: float = 0.05
    clip: float = 5.0
    averaging: float = 0.99
    patience: int = 0
    precision: Precision = "auto"
    device: str = "cpu"
    workers: int = 0
    threads: int = 0


@dataclass(frozen=True)
class TrainingOptions:
    """`iqa train`: which data, which network, which part of the data, and where the run is kept.

    dataset: a set of the catalog, "csv" for ratings of one's own, or several at once; each set's scale, with its direction,
        is brought to 0..1 by the ends of the scale (`DatasetSpec.score_range`), so that 0 and 1 are the worst and the best
        that could be said in each; sets are not otherwise aligned.
    data_root: the folder of the set, or one for each, or a folder that holds them; None: the environment variable IQA_DATA.
    labels, image_column, score_column, group_column: of "csv": the file and its columns. Images of one group never stand on
        two sides of a split. score_range: the ends of its scale; none: its lowest and its highest score.
        lower_is_better: the direction of its scale.
    unlabeled: folders of unlabeled, undistorted images that join the training, for the ranking and teacher terms.
    backbone_weights: a local file; None: from the hub that timm names; "none": random weights.
    size, fit, crops: of the network's input, see `images.crops.CropSpec`. width, heads, stages: of the network, see
        `networks.network`.
    layers: of a transformer whose layers are read as stages; none: its last tokens. cell: in px, of pooled features.
    center_crop: in px of a side: of each crop only that square in the center is the input; 0: all of it.
    method: what is trained for: "qfm-iqm"; "distillation", to predict what the teachers predict; or "mlp": an MLP head on the
        frozen backbone is fitted to the labels, and to teacher predictions.
    teachers: models whose mean prediction extends the labels, computed once for the crops of `teacher_epochs` epochs; {fold} in
        a name stands for the number of the fold or of the split, so that no teacher saw its student's test images.
    decoded: a folder that keeps decoded images for all epochs, loader processes and trainings, up to `decoded_gb`; None: in
        memory, per process. There a shorter side of more than `decoded_side` px is reduced to it, which changes what training
        sees of large photos a little; test images are read from the files themselves.
    features: a folder that keeps the features of a frozen backbone and teacher predictions for other trainings; None: the
        run folder, for this one.
    folds: 0: one training; else that many folds, by `fold_file` (CSV: image, fold) or drawn by the seed; `only` some of them.
    repeats: 0: one training; else that many, each on another split with `test_share` for the test: by reference on synthetic
        sets, by image on others; the splits are drawn by the seed, the one after it, and so on.
    split: "official": the one that came with the set; repeats of it differ in the seed of all that is random.
    validation: the share of the training images on which the best epoch is chosen; 0 keeps the last epoch's weights.
    tensorboard: write event files for TensorBoard into the run folder.
    measured: results.json of a cross-validation of the same recipe, to be quoted in the card; measured_by: its command.
    summary, backbone_source, unlabeled_source, limits: what the card says of the model, of its first weights, of the
        unlabeled images, and what it is not for.
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
    unlabeled: tuple[Path, ...] = ()
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
    center_crop: int = 0
    method: Method = "qfm-iqm"
    teachers: tuple[str, ...] = ()
    teacher_epochs: int = 4
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
    unlabeled_source: str = ""
    limits: tuple[str, ...] = ()
    resume: bool = False
    matching: MatchingOptions = field(default_factory=MatchingOptions)
    distillation: DistillationOptions = field(default_factory=DistillationOptions)
    mlp: MlpOptions = field(default_factory=MlpOptions)
    samples: SampleOptions = field(default_factory=SampleOptions)
    loop: LoopOptions = field(default_factory=LoopOptions)

    @property
    def sets(self) -> tuple[str, ...]:
        """The names of the sets; none where nothing is labeled."""
        named = (self.dataset,) if isinstance(self.dataset, str) else self.dataset
        return tuple(name for name in named if name)

    @property
    def roots(self) -> tuple[Path, ...]:
        """Where they are: nothing named, one for all, or one for each."""
        if self.data_root is None:
            return ()
        return (self.data_root,) if isinstance(self.data_root, Path) else self.data_root

    @property
    def has_test(self) -> bool:
        """Whether part of the labeled images is kept for a test."""
        return bool(self.folds or self.repeats or self.split == "official")
