"""Every knob of training as plain data, with its meaning and its default. No PyTorch here, so that help is quick.

`recipes` reads and writes them as files, each option with the meaning that stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

NoiseKind = Literal["semantic", "alike", "random", "gaussian", "none"]
Disturbed = Literal["all", "content", "patches"]
Precision = Literal["auto", "fp32", "bf16"]
FinePrecision = Literal["same", "auto", "fp32", "bf16"]
Schedule = Literal["cosine", "thirds"]
SplitKind = Literal["seeded", "official"]
Method = Literal["matching", "distillation", "kernel", "perceptrons"]
Damage = Literal[
    "gaussian_blur", "motion_blur", "lens_blur", "white_noise", "colour_noise", "impulse_noise", "sensor_noise",
    "jpeg", "jpeg2000", "avif", "downscale", "pixelation", "overexposure", "underexposure",
    "low_contrast", "high_contrast", "colour_cast", "oversaturation", "banding", "oversharpening", "denoise",
]  # fmt: skip
"""What of `images.distortions` is trained on; the rest is kept out, to measure on."""


@dataclass(frozen=True)
class MatchingOptions:
    """The method, `qfm_iqm.objective.QualityMatching`; the symbols stand in that module's docstring.

    The numbers are our reconstruction's, not the paper's. correlation and order are terms of ours, off by default. Controls of
    the semantic noise: "alike", of similar quality too, but of the most similar content; "random", anything of the memory;
    "gaussian"; "none". All have the same strength.
    """

    noise: Annotated[NoiseKind, "what disturbs the tokens: semantic is the method, the others are its controls"] = "semantic"
    disturbed: Annotated[Disturbed, "the tokens that noise is added to, and over which it has its strength"] = "all"
    memory: Annotated[int, "entries of the memory of tokens; it is used once it is full"] = 1024
    tolerance: Annotated[float, "what counts as similar quality, as a share of the label range"] = 0.05
    k: Annotated[int, "how many matches of the memory are averaged to a noise"] = 1
    strength: Annotated[float, "norm of the noise, in norms of the tokens it is added to"] = 0.5
    noisy: Annotated[float, "weight of the loss of predictions from disturbed tokens"] = 0.5
    sensitivity: Annotated[float, "weight of the loss of sensitivity to the noise"] = 0.5
    taught: Annotated[float, "weight of the loss against predictions of the teachers"] = 0.5
    beta: Annotated[float, "where SmoothL1 turns from square to straight, in label units"] = 0.1
    correlation: Annotated[float, "weight of the correlation loss; 0: none"] = 0.0
    order: Annotated[float, "weight of the loss of the order of damaged versions; 0: none"] = 0.0
    margin: Annotated[float, "label units by which one level of damage must lower the quality"] = 0.02
    capped: Annotated[bool, "whether that holds for what teachers say of damaged versions, too"] = False


@dataclass(frozen=True)
class DistillationOptions:
    """Learning from teachers, `qfm_iqm.objective.Distillation`: the weights of its terms, and its constants as in matching."""

    labelled: Annotated[float, "weight of the human labels, beside the teachers' predictions, which count 1"] = 0.5
    beta: Annotated[float, "where SmoothL1 turns from square to straight, in label units"] = 0.1
    correlation: Annotated[float, "weight of the correlation loss; 0: none"] = 0.0
    order: Annotated[float, "weight of the loss of the order of damaged versions; 0: none"] = 0.5
    margin: Annotated[float, "label units by which one level of damage must lower the quality"] = 0.02
    capped: Annotated[bool, "whether that holds for what teachers say of damaged versions, too"] = False


@dataclass(frozen=True)
class FittedOptions:
    """What is fitted at once to the means of features, `training.fit_heads`. It may learn from teachers, too, about photos
    without ratings and damaged versions.
    """

    margin: Annotated[float, "label units by which one level of damage must lower the quality"] = 0.02
    capped: Annotated[bool, "whether that holds for what teachers say of damaged versions, too"] = True
    views: Annotated[int, "crops of each photo without a rating, of those asked about, whose features a kernel keeps"] = 1
    shrunk: Annotated[float, "share of the sides by which a photo is reduced, to count once more; 0: it is not"] = 0.1


@dataclass(frozen=True)
class KernelOptions(FittedOptions):
    """Kernel regression, `networks.kernels`."""

    ridge: Annotated[float, "share of the variance of ratings that features cannot explain"] = 0.03
    taught: Annotated[float, "the same of teachers' predictions; the larger, the less they count"] = 0.1


@dataclass(frozen=True)
class PerceptronOptions(FittedOptions):
    """Perceptrons, `networks.heads`."""

    count: Annotated[int, "how many perceptrons, whose mean is the prediction"] = 4
    units: Annotated[int, "hidden units of each"] = 512
    taught: Annotated[float, "what a teacher's prediction counts; a rating counts 1"] = 0.15
    epochs: Annotated[int, "epochs over all features"] = 15
    batch_size: Annotated[int, "rows of features a step"] = 32
    rate: Annotated[float, "peak learning rate"] = 1e-3
    weight_decay: Annotated[float, "of AdamW"] = 0.05
    dropout: Annotated[float, "share of the features that is dropped"] = 0.3
    hidden_dropout: Annotated[float, "share of the hidden units that is dropped"] = 0.5
    beta: Annotated[float, "where SmoothL1 turns from square to straight, in label units"] = 0.1


@dataclass(frozen=True)
class SampleOptions:
    """How crops are drawn, `training.samples`. Photos without labels always come with damaged versions."""

    enlarge: Annotated[float, "a training crop shows the image at 1 to this many times the size at which it is scored"] = 1.25
    damaged: Annotated[float, "share of the labelled photos that come with damaged versions of the same crop"] = 0.0
    versions: Annotated[int, "how many damaged versions"] = 2
    kinds: Annotated[tuple[Damage, ...], "kinds of damage, of which each view gets one; none named: all"] = ()
    side: Annotated[int, "px of a view before it is cut to the network's size; 0: that size, or the largest of a teacher"] = 0
    held_out: Annotated[float, "share of the photos without labels kept out, to measure on, by a hash of the file's name"] = 0.0
    seed: Annotated[int, "of everything random"] = 0


@dataclass(frozen=True)
class LoopOptions:
    """The loop, `training.loop.fit`.

    Relative rates are a share of each tensor's root mean square, as in Adafactor (ICML 2018): where norms are folded into
    convolutions their weights differ a hundredfold in size, and one step of Adam suits few of them.
    Precision "auto" is bf16 for transformers and on a GPU. On a CPU that knows it (AVX-512 or AMX with bf16) it makes
    fine-tuning of convolutions faster, too, see `training.optim`; on any other CPU all is in single precision,
    whatever is asked for.
    """

    epochs: Annotated[int, "epochs of fine-tuning of the whole network, but for the frozen share of the backbone"] = 9
    warm_epochs: Annotated[int, "epochs before, of everything but the backbone, on features extracted once"] = 12
    views: Annotated[int, "random crops of a photo whose features are extracted for that"] = 2
    draws: Annotated[int, "crops of a photo that an epoch of fine-tuning shows"] = 1
    unlabelled: Annotated[float, "share of the photos without labels that such an epoch shows, others each time"] = 1.0
    vary: Annotated[float, "share of its sides that a crop judged by teachers may leave out, anew in each such epoch"] = 0.0
    batch_size: Annotated[int, "crops a step"] = 16
    fine_batch_size: Annotated[int, "crops a step of fine-tuning, which must fit into memory; 0: batch_size"] = 0
    rate: Annotated[float, "peak learning rate of fine-tuning, of all but the backbone"] = 2e-4
    backbone_rate: Annotated[float, "peak learning rate of the backbone's last layer"] = 5e-5
    warm_rate: Annotated[float, "peak learning rate of the warm-up"] = 1e-3
    relative: Annotated[bool, "the backbone's rate is a share of each tensor's root mean square"] = False
    layer_decay: Annotated[float, "factor by which the backbone's rate falls with each layer from the top"] = 1.0
    frozen: Annotated[float, "share of the backbone's layers, from the first on, that stays as it came"] = 0.0
    schedule: Annotated[Schedule, "rates after their rise: cosine, or thirds of a phase at a tenth each"] = "cosine"
    weight_decay: Annotated[float, "of AdamW"] = 0.05
    clip: Annotated[float, "largest norm of the gradient, as in DEIQT"] = 5.0
    averaging: Annotated[float, "decay of the moving average of the weights that is kept; 0: the last weights"] = 0.99
    patience: Annotated[int, "epochs in a row without a better validation SRCC that end a phase; 0: it never ends early"] = 0
    precision: Annotated[Precision, "auto: bf16 for transformers and on a GPU"] = "auto"
    fine_precision: Annotated[FinePrecision, "of fine-tuning; same: as precision"] = "same"
    device: Annotated[str, "auto: the first GPU that is there, else the CPU; or cpu, cuda, cuda:1, mps, ..."] = "auto"
    workers: Annotated[int, "processes that load images; 0: none but this one"] = 0
    threads: Annotated[int, "threads of PyTorch; 0: its own choice"] = 0


@dataclass(frozen=True)
class StudyOptions:
    """`iqa train`: which data, which network, which part of the data, and where the run is kept.

    Each set's scale, with its direction, is brought to 0..1 by the ends of the scale (`DatasetSpec.score_range`), so that 0 and
    1 are the worst and the best that could be said in each; what stands between is not matched.
    Teachers extend the labels: {fold} in the name of one stands for the number of the fold or of the split, so that no teacher
    saw what its student is judged by.
    Decoded images that are kept in a folder serve all epochs, loader processes and trainings; reducing them changes what
    training sees of large photos a little; test images are judged from the files themselves.
    Repeats are of splits by reference on synthetic sets, by image on others, drawn by the seed, the one after it, and so on;
    of an official split they differ in the seed of all that is random.
    """

    run_dir: Annotated[Path, "where the run is kept"]
    name: Annotated[str, "of the model and its files"] = "model"
    dataset: Annotated[str | tuple[str, ...], "a set of the catalogue, csv for ratings of your own, or several"] = "livec"
    data_root: Annotated[Path | tuple[Path, ...] | None, "folder of the set, or one for each; unset: $IQA_DATA"] = None
    labels: Annotated[Path | None, "of csv: the file of ratings"] = None
    image_column: Annotated[str, "of csv: its column of paths"] = "image"
    score_column: Annotated[str, "of csv: its column of ratings"] = "score"
    group_column: Annotated[str | None, "of csv: images of one group never stand on two sides of a split"] = None
    score_range: Annotated[tuple[float, ...], "of csv: ends of the scale; none: its lowest and its highest rating"] = ()
    lower_is_better: Annotated[bool, "of csv: the direction of the scale"] = False
    photos: Annotated[tuple[Path, ...], "folders of clean photos without labels, for the order and teacher terms"] = ()
    backbone: Annotated[str, "any network of timm"] = "deit3_small_patch16_224.fb_in1k"
    backbone_weights: Annotated[str | None, "file of its pretrained weights; unset: from the hub; none: random"] = None
    size: Annotated[int, "px of a side of the crops"] = 224
    fit: Annotated[Literal["whole", "square"], "what of an image a crop shows: the whole, or the largest square"] = "square"
    crops: Annotated[int, "crops of an image when it is scored"] = 1
    width: Annotated[int, "of the tokens behind a convolutional backbone; those of a transformer keep their own"] = 256
    heads: Annotated[int, "of attention; they divide the width; 0: the number that gives each some 64, as in DEIQT"] = 0
    stages: Annotated[int, "stages of a convolutional backbone that are read, from the first on"] = 5
    layers: Annotated[tuple[int, ...], "of a transformer, read as stages are; none: its last tokens"] = ()
    cell: Annotated[int, "px of the cells in which statistics of stages are taken"] = 32
    middle: Annotated[int, "px of the square in the middle of a view that alone is looked at; 0: all of it"] = 0
    method: Annotated[Method, "matching is QFM-IQM; perceptrons and kernel are fitted to frozen features"] = "matching"
    teachers: Annotated[tuple[str, ...], "models whose mean prediction extends the labels; {fold}: number of the fold"] = ()
    asked: Annotated[int, "epochs whose crops the teachers are asked about"] = 4
    decoded: Annotated[Path | None, "folder that keeps decoded images; unset: in memory, per process"] = None
    decoded_side: Annotated[int, "px to which the shorter side of decoded images is reduced there"] = 640
    decoded_gb: Annotated[float, "GB that they may take there"] = 50.0
    features: Annotated[Path | None, "folder that keeps features and predictions of teachers for other trainings"] = None
    folds: Annotated[int, "trainings of a cross-validation; 0: one training"] = 0
    fold_file: Annotated[Path | None, "CSV of image and fold; unset: the seed draws them"] = None
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
    photos_source: Annotated[str, "for the card: where the photos without labels are from"] = ""
    limits: Annotated[tuple[str, ...], "for the card: what the model is not for"] = ()
    resume: Annotated[bool, "go on with the run in the folder"] = False
    matching: MatchingOptions = field(default_factory=MatchingOptions)
    distillation: DistillationOptions = field(default_factory=DistillationOptions)
    kernel: KernelOptions = field(default_factory=KernelOptions)
    perceptrons: PerceptronOptions = field(default_factory=PerceptronOptions)
    samples: SampleOptions = field(default_factory=SampleOptions)
    loop: LoopOptions = field(default_factory=LoopOptions)

    @property
    def fitted(self) -> KernelOptions | PerceptronOptions | None:
        """The options of the method where it is one that is fitted at once."""
        return self.kernel if self.method == "kernel" else self.perceptrons if self.method == "perceptrons" else None

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
