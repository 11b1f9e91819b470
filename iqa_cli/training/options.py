"""Every option of training as plain data, with its meaning and its default. No PyTorch here, so that help is quick.

`recipes` reads and writes them as files, each option with the meaning that stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from iqa_cli.errors import UsageError
from iqa_cli.options import OwnRatings
from iqa_cli.qfm_iqm.options import DistillationOptions, MatchingOptions
from iqa_cli.training.ranges import SUBSET_WEIGHT, check_ranges

Method = Literal["qfm-iqm", "distillation"]
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
class SampleOptions:
    """How crops are drawn, `training.data.samples`. Unlabeled images always come with distorted versions."""

    max_zoom: Annotated[float, "a training crop shows the image at 1 to this many times the size at which it is scored"] = 1.25
    distorted: Annotated[float, "share of the labeled images that come with distorted versions of the same crop"] = 0.0
    versions: Annotated[int, "how many distorted versions"] = 2
    clean_label: Annotated[float, "label above which an image counts as clean: only then are all kinds sure to lower it"] = 1.0
    partial: Annotated[float, "share of the distortions that are confined to a quarter, a half, the frame or the center"] = 0.0
    harmless: Annotated[float, "share of training crops that come grey, resized or as a JPEG too, with the same label"] = 0.0
    distortions: Annotated[tuple[DistortionName, ...], "kinds, of which each view gets one; none named: all"] = ()
    crop_size: Annotated[int, "px of a side of the training crops; 0: size"] = 0
    view_size: Annotated[int, "px of a view before it is resized for the network; 0: that size, or a teacher's largest"] = 0
    held_out: Annotated[float, "share of the unlabeled images kept out, to measure on, by a hash of the file's name"] = 0.0
    subset_weights: Annotated[
        tuple[str, ...], "NAME=WEIGHT: how often a subset is drawn, against 1, where sets are balanced"
    ] = ()
    seed: Annotated[int, "of everything random"] = 0

    @property
    def most_versions(self) -> int:
        """The largest number of versions that a view has, with itself."""
        return 1 + bool(self.harmless) + self.versions


@dataclass(frozen=True)
class LoopOptions:
    """The loop, `training.loop.fit`: the head is trained on cached features of the frozen backbone, then all is fine-tuned.

    Relative rates are a share of each tensor's root mean square, as in Adafactor (ICML 2018): where norms are folded into
    convolutions their weights differ a hundredfold in size, and one step of Adam suits few of them.
    A CPU that does not know bf16 always computes in single precision.
    """

    epochs: Annotated[int, "epochs of fine-tuning of the whole network, but for the frozen share of the backbone"] = 9
    head_epochs: Annotated[int, "epochs before, of everything but the backbone, on features extracted once"] = 12
    views: Annotated[int, "random crops of an image whose features are extracted for that"] = 2
    crops_per_epoch: Annotated[int, "crops of an image that an epoch of fine-tuning shows"] = 1
    batch_size: Annotated[int, "images a step"] = 16
    balanced: Annotated[bool, "as many images of each set in each batch; an epoch is one pass over the smallest set"] = False
    rate: Annotated[float, "peak learning rate of fine-tuning, of all but the backbone"] = 2e-4
    backbone_rate: Annotated[float, "peak learning rate of the backbone's last layer"] = 5e-5
    head_rate: Annotated[float, "peak learning rate of head training"] = 1e-3
    scale_rate: Annotated[float, "peak learning rate of the scales of several sets, in both phases"] = 1e-2
    relative_rate: Annotated[bool, "the backbone's rate is a share of each tensor's root mean square"] = False
    layer_decay: Annotated[float, "factor by which the backbone's rate falls with each layer from the top"] = 1.0
    feature_dropout: Annotated[float, "share of the standardized features of stages that is dropped"] = 0.0
    hidden_dropout: Annotated[float, "share of the attention panel's hidden units that is dropped"] = 0.0
    drop_path: Annotated[float, "share of the backbone's residual branches that are dropped, as timm does it"] = 0.0
    frozen: Annotated[float, "share of the backbone's layers, from the first on, that is never trained"] = 0.0
    schedule: Annotated[Schedule, "rates after their rise: cosine, or thirds of a phase at a tenth each"] = "cosine"
    weight_decay: Annotated[float, "of AdamW"] = 0.05
    clip: Annotated[float, "largest norm of the gradient, as in DEIQT"] = 5.0
    averaging: Annotated[float, "decay of the moving average of the weights that is kept; 0: the last weights"] = 0.99
    patience: Annotated[int, "epochs in a row without a better validation SRCC that end a phase; 0: it never ends early"] = 0
    precision: Annotated[Precision, "auto: bf16 for transformers and on a GPU"] = "auto"
    device: Annotated[str, "auto: the first GPU that is there, else the CPU; or cpu, cuda, cuda:1, mps, ..."] = "auto"
    workers: Annotated[int, "processes that load images; 0: none but this one"] = 0
    threads: Annotated[int, "threads of PyTorch; 0: its own choice"] = 0


@dataclass(frozen=True)
class TrainingOptions:
    """`iqa train`: which data, which network, which part of the data, and where the run is kept.

    Each set's scale, with its direction, is brought to 0..1 by the ends of the scale (`DatasetSpec.score_range`). Of several
    sets each has an affine map from the network's output to its own labels, learnt with it and dropped at the end; that of
    `scale` is the identity, so the network answers on the scale of that set.
    Teachers extend the labels: {fold} in the name of one stands for the number of the fold or of the split, so that no teacher
    saw its student's test images.
    Decoded images that are kept in a folder serve all epochs, loader processes and trainings; reducing them changes what
    training sees of large photos a little; test images are read from the files themselves.
    Repeats are of splits by reference on synthetic sets, by image on others, drawn by the seed, the one after it, and so on;
    of an official split they differ in the seed of all that is random.
    """

    run_dir: Annotated[Path, "where the run is kept"]
    name: Annotated[str, "of the model and its files"] = "model"
    dataset: Annotated[str | tuple[str, ...], "a set of the catalog, csv for your own ratings, or several"] = "livec"
    scale: Annotated[str, "of several sets, the one on whose scale the network answers; unset: the first"] = ""
    data_root: Annotated[Path | tuple[Path, ...] | None, "folder of the set, or one for each; unset: $IQA_DATA"] = None
    unlabeled: Annotated[tuple[Path, ...], "folders of unlabeled clean images, for the ranking and teacher terms"] = ()
    backbone: Annotated[str, "any network of timm"] = "deit3_small_patch16_224.fb_in1k"
    backbone_weights: Annotated[
        str | None, "file of its pretrained weights, or of a trained network; unset: from the hub; none: random"
    ] = None
    initial_model: Annotated[str, "a model of the same network, to start from its weights; {fold}: number of the fold"] = ""
    size: Annotated[int, "px of a side of the crops"] = 224
    fit: Annotated[Literal["whole", "square"], "what of an image a crop shows: the whole, or the largest square"] = "square"
    crops: Annotated[int, "crops of an image when it is scored"] = 1
    width: Annotated[int, "of the tokens behind a convolutional backbone; those of a transformer keep their own"] = 256
    heads: Annotated[int, "of attention; they divide the width; 0: the number that gives each some 64, as in DEIQT"] = 0
    stages: Annotated[int, "stages of a convolutional backbone that are read, from the first on"] = 5
    layers: Annotated[tuple[int, ...], "of a transformer, read as stages are; none: its last tokens"] = ()
    cell: Annotated[int, "px of the cells in which features of stages are pooled"] = 32
    method: Annotated[Method, "distillation fits teacher predictions alone"] = "qfm-iqm"
    teachers: Annotated[tuple[str, ...], "models whose mean prediction extends the labels; {fold}: number of the fold"] = ()
    teacher_scores: Annotated[Path | None, "CSV of path and score of images, labeled or not, in place of teachers"] = None
    teacher_range: Annotated[tuple[float, ...], "ends of their scale; none: the lowest and the highest"] = ()
    teacher_lower_is_better: Annotated[bool, "the direction of their scale"] = False
    teacher_licence: Annotated[str, "for the card: the terms of what made them"] = ""
    teacher_epochs: Annotated[int, "epochs whose crops the teachers predict"] = 4
    decoded: Annotated[Path | None, "folder that keeps decoded images; unset: in memory, per process"] = None
    decoded_side: Annotated[int, "px to which the shorter side of decoded images is reduced there"] = 640
    decoded_gb: Annotated[float, "GB that they may take there"] = 50.0
    features: Annotated[Path | None, "folder that keeps features and teacher predictions for other trainings"] = None
    folds: Annotated[int, "trainings of a cross-validation; 0: one training, or as many as the file of folds has"] = 0
    fold_file: Annotated[
        Path | None, "CSV of image and fold, as predictions.csv of an earlier run; unset: the seed draws them"
    ] = None
    only: Annotated[tuple[int, ...], "of the folds or repeats, those that are trained now; none: all"] = ()
    repeats: Annotated[int, "trainings on as many splits; 0: one training"] = 0
    split: Annotated[SplitKind, "official: the one that came with the set"] = "seeded"
    test_share: Annotated[float, "share of the images in the test part of a seeded split"] = 0.2
    validation: Annotated[float, "share of the training images that chooses the epoch; 0: the last one is kept"] = 0.1
    tensorboard: Annotated[bool, "write event files for TensorBoard into the run folder"] = False
    measured: Annotated[Path | None, "results.json of a cross-validation of the recipe, to be quoted in the card"] = None
    measured_by: Annotated[str, "for the card: the command of that"] = ""
    summary: Annotated[str, "for the card: what the model is"] = ""
    backbone_source: Annotated[str, "for the card: where the backbone's weights are from"] = ""
    unlabeled_source: Annotated[str, "for the card: where the unlabeled images are from"] = ""
    limits: Annotated[tuple[str, ...], "for the card: what the model is not for"] = ()
    resume: Annotated[bool, "go on with the run in the folder"] = False
    own: OwnRatings = field(default_factory=OwnRatings)
    matching: MatchingOptions = field(default_factory=MatchingOptions)
    distillation: DistillationOptions = field(default_factory=DistillationOptions)
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
        return bool(self.has_folds or self.repeats or self.split == "official")

    @property
    def has_folds(self) -> bool:
        """Whether each image is tested on at most once: in the fold that it is in, by number or by a file."""
        return bool(self.folds or self.fold_file)


# ---- what is refused ----


def check_options(options: TrainingOptions) -> None:
    """Raises UsageError where options contradict each other or are out of range."""
    check_ranges(options)
    check_method(options)
    check_beginning(options)
    check_matching(options)
    check_splits(options)
    check_loop(options.loop)
    check_weights(options)
    if options.scale and options.scale not in options.sets:
        raise UsageError(f"--scale {options.scale}: none of the sets that are trained on: {', '.join(options.sets) or 'none'}")


def check_beginning(options: TrainingOptions) -> None:
    """Raises UsageError where two files would be the weights to begin with."""
    if options.initial_model and options.backbone_weights not in (None, "none"):
        raise UsageError("--initial-model has the weights of the backbone, too: leave out --backbone-weights")


def check_weights(options: TrainingOptions) -> None:
    """Raises UsageError for a weight of a subset that is none, and for weights where there is but one set to balance."""
    weights = parse_weights(options.samples.subset_weights)
    if weights and options.loop.balanced and len(options.sets) + bool(options.unlabeled) < 2:
        raise UsageError(
            "samples.subset_weights say what of a larger set is drawn beside a smaller one, and here is one set: leave them"
            " out, or add another set"
        )


def parse_weights(settings: Sequence[str]) -> dict[str, float]:
    """{subset: weight} of "NAME=WEIGHT". Raises UsageError for a weight that is none."""
    weights = {}
    for setting in settings:
        name, _, text = setting.rpartition("=")
        try:
            weights[name] = float(text)
        except ValueError:
            weights[name] = -1.0
        if not name or weights[name] not in SUBSET_WEIGHT:
            raise UsageError(
                f"samples.subset_weights: {setting!r} is no NAME=WEIGHT with a weight of {SUBSET_WEIGHT}, as ss01=1.5"
            )
    return weights


def check_method(options: TrainingOptions) -> None:
    """Raises UsageError where the data does not suit the method."""
    check_teaching(options)
    if not options.sets and (options.method == "qfm-iqm" or not options.unlabeled or options.has_test):
        raise UsageError("without --dataset there are no ratings: distil from a teacher on --images DIR, without folds")
    if any("{fold}" in model for model in (*options.teachers, options.initial_model)) and not (
        options.has_folds or options.repeats
    ):
        raise UsageError("{fold} in the name of a model stands for the number of a fold: add --folds, or --repeats")


def check_matching(options: TrainingOptions) -> None:
    """Raises UsageError where the memory holds less than the noise is made of."""
    o = options.matching
    if options.method != "qfm-iqm" or o.noise == "none":
        return
    if not o.memory:
        raise UsageError(f"matching.memory is 1 or more, not 0, but for matching.noise=none: {o.noise} noise comes from it")
    if o.noise in ("semantic", "similar") and o.k > o.memory:
        raise UsageError(f"matching.k is 1 to matching.memory, which is {o.memory}, not {o.k}")


def check_teaching(options: TrainingOptions) -> None:
    """Raises UsageError where it is not clear who teaches."""
    if options.method == "distillation" and not options.teachers and options.teacher_scores is None:
        raise UsageError("distillation needs a teacher: --teacher MODEL, or --teacher-scores FILE")
    if options.teacher_scores is None:
        alone = [name for name in ("teacher_range", "teacher_lower_is_better", "teacher_licence") if getattr(options, name)]
        if alone:
            raise UsageError(f"{alone[0]} is about scores in a file: add --teacher-scores FILE, or leave it out")
        return
    if options.teachers:
        raise UsageError("--teacher-scores takes the place of --teacher: name one of them")
    if not options.unlabeled and not options.sets:
        raise UsageError("--teacher-scores says something about images: add --images DIR, or a set by --dataset")
    if len(options.teacher_range) not in (0, 2):
        raise UsageError(f"teacher_range is the lower and the upper end of the scale, not {len(options.teacher_range)} numbers")


def check_splits(options: TrainingOptions) -> None:
    """Raises UsageError where splits contradict each other."""
    if options.has_folds and (options.repeats or options.split == "official"):
        given = "--folds draws" if options.folds else "--fold-file has"
        raise UsageError(f"{given} splits of its own: leave out --repeats and --split official")
    if options.only and not (options.has_folds or options.repeats):
        raise UsageError("--only chooses among folds or repeats: add --folds or --repeats")
    if options.loop.patience and not options.validation and options.split != "official":
        raise UsageError("patience is for a validation SRCC that gets no better: it needs a validation part")


def check_loop(options: LoopOptions) -> None:
    """Raises UsageError where nothing is trained."""
    if not options.epochs + options.head_epochs:
        raise UsageError("loop.epochs and loop.head_epochs are both 0: there is nothing to train")
