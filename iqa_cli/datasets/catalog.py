"""The public sets of rated images, each a row of facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from iqa_cli.datasets.readers import (
    Rating,
    read_biq2021,
    read_csiq,
    read_kadid10k,
    read_koniq10k,
    read_live,
    read_livec,
    read_livefb,
    read_spaq,
    read_tid2013,
)

NATIVE = "native size"


@dataclass(frozen=True)
class DatasetSpec:
    """The facts of one set.

    images: how many the whole set has. score: which of the published columns is read. score_range: the scale that ratings are
    brought from to 0..1. higher_is_better: the direction of the scale (DMOS grows as quality falls). synthetic: made from few
    references, so that it is split by reference. reference: what tells which one an image was made from. official_split: the
    set came with a split into training and test images. layout: how its folder lies, official names. customary_input: what
    most papers show their networks. folders: what its folder is called, in any case. markers: any of these files tells its
    folder. read: the reader of its labels. notes: where sources contradict each other, and what is done about it. caveat: what
    to know of figures on the test part of the official split. shares: other sets with the same photos, which leak where one
    is trained on and the other is measured.
    """

    name: str
    title: str
    images: int
    score: str
    score_range: tuple[float, float]
    higher_is_better: bool
    synthetic: bool
    reference: str
    home: str
    licence: str
    paper: str
    layout: str
    customary_input: str
    folders: tuple[str, ...]
    markers: tuple[str, ...]
    read: Callable[[Path], list[Rating]]
    official_split: bool = False
    notes: tuple[str, ...] = ()
    caveat: str = ""
    shares: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """Name in papers: the abbreviation in the title, else its first word."""
        abbreviation = re.search(r"\(([^(),]+)\)", self.title)
        return abbreviation[1] if abbreviation else self.title.split()[0]

    @property
    def split_rule(self) -> str:
        """Rule of the split into training and test images, in words."""
        seeded = f"80/20 by {'reference' if self.synthetic else 'image'}, drawn by a seed"
        return "the official one that came with the set" if self.official_split else seeded


ROWS = (
    DatasetSpec(
        name="livec",
        title="LIVE In the Wild Image Quality Challenge (LIVE-C)",
        images=1162,  # and seven for practice
        score="AllMOS_release",
        score_range=(0, 100),  # MOS 3.4 to 92.4
        higher_is_better=True,
        synthetic=False,
        reference="none: each photo is its own",
        home="https://live.ece.utexas.edu/research/ChallengeDB/",
        licence="free to use, copy and distribute with its copyright notice; papers acknowledge the source",
        paper="Ghadiyaram and Bovik, Massive Online Crowdsourced Study of Subjective and Objective Picture Quality, "
        "IEEE Transactions on Image Processing 25(1), 2016",
        layout="ChallengeDB_release/ with Images/ and Data/AllImages_release.mat, AllMOS_release.mat, AllStdDev_release.mat",
        customary_input=NATIVE,
        folders=("ChallengeDB_release", "livec", "clive"),
        markers=("Data/AllImages_release.mat", "Data/AllMOS_release.mat"),
        read=read_livec,
        notes=(
            "AllImages_release.mat lists 1,169 images: the first seven, t1 to t7, were for practice, lie apart in "
            "Images/trainingImages/ and are no part of the set.",
        ),
    ),
    DatasetSpec(
        name="koniq10k",
        title="KonIQ-10k",
        images=10073,
        score="MOS_zscore",
        score_range=(0, 100),  # MOS_zscore 3.9 to 88.4
        higher_is_better=True,
        synthetic=False,
        reference="none: each photo is its own",
        home="https://database.mmsp-kn.de/koniq-10k-database.html",
        licence="photos of YFCC100M under their authors' Creative Commons licences",
        paper="Hosu, Lin, Sziranyi and Saupe, KonIQ-10k: An Ecologically Valid Database for Deep Learning of Blind Image "
        "Quality Assessment, IEEE Transactions on Image Processing 29, 2020",
        layout="koniq10k/ with 1024x768/ (or 512x384/), koniq10k_scores_and_distributions.csv and, for the official split, "
        "koniq10k_distributions_sets.csv (https://github.com/subpic/koniq)",
        customary_input="512 x 384, the aspect ratio kept",
        folders=("koniq10k", "KonIQ-10k", "koniq"),
        markers=("koniq10k_scores_and_distributions.csv", "koniq10k_distributions_sets.csv"),
        read=read_koniq10k,
        official_split=True,
        notes=(
            "MOS is on 1 to 5 in koniq10k_scores_and_distributions.csv, but in koniq10k_distributions_sets.csv the column of "
            "that name has what the other file calls MOS_zscore (3.9 to 88.4), which papers use: it is read, from either.",
            "SD is on 1 to 5 in both files, so it is no deviation of MOS_zscore and is left out.",
            "Some papers draw 80/20 splits of their own, others use the official 7,058 + 1,000 + 2,015 images.",
        ),
    ),
    DatasetSpec(
        name="spaq",
        title="Smartphone Photography Attribute and Quality (SPAQ)",
        images=11125,
        score="MOS",
        score_range=(0, 100),
        higher_is_better=True,
        synthetic=False,
        reference="none: each photo is its own",
        home="https://github.com/h4nwei/SPAQ",
        licence="none stated at its home",
        paper="Fang, Zhu, Zeng, Ma and Wang, Perceptual Quality Assessment of Smartphone Photography, CVPR 2020",
        layout="SPAQ/ with TestImage/ and Annotations/MOS and Image attribute scores.xlsx (or .csv)",
        customary_input="the short side at 512 px",
        folders=("SPAQ",),
        markers=tuple(f"Annotations/MOS and Image attribute scores{suffix}" for suffix in (".xlsx", ".csv")),
        read=read_spaq,
        notes=(
            'The workbook names the column "Image name"; saved as CSV, it begins with a byte-order mark. Both are read.',
            "Photos are of many megapixels: papers reduce them, the authors to 512 px on the short side.",
        ),
    ),
    DatasetSpec(
        name="livefb",
        title="LIVE-FB Large-Scale Social Picture Quality (FLIVE, PaQ-2-PiQ), whole images",
        images=39810,
        score="mos",
        score_range=(0, 100),
        higher_is_better=True,
        synthetic=False,
        reference="none: each photo is its own",
        home="https://github.com/niu-haoran/FLIVE_Database",
        licence="the photos' own: AVA, PASCAL VOC, EMOTIC and the CUHK blur set, which they are downloaded from",
        paper="Ying, Niu, Gupta, Mahajan, Ghadiyaram and Bovik, From Patches to Pictures (PaQ-2-PiQ): Mapping the Perceptual "
        "Space of Picture Quality, CVPR 2020",
        layout="FLIVE_Database/ with database/voc_emotic_ava/, database/blur_dataset/, database/EE371R/ and labels_image.csv",
        customary_input=NATIVE,
        folders=("FLIVE_Database", "livefb_database", "livefb", "FLIVE"),
        markers=("labels_image.csv", "database/labels_image.csv"),
        read=read_livefb,
        official_split=True,
        notes=(
            "The label file lies beside the folder database/ in the authors' repository, in it in other copies: found in both.",
            "The official test images are those with a side over 640 px, about 1.8 thousand. The authors' list of them, "
            "labels>640.csv, decides where it is there, else the images' sizes do. Some papers draw 80/20 splits instead.",
            "Labels of patches (labels_patch.csv) are not read.",
        ),
    ),
    DatasetSpec(
        name="live",
        title="LIVE Image Quality Assessment Database, release 2",
        images=779,  # without 203 copies of the 29 references
        score="dmos_new",
        score_range=(-3, 112),  # nominally 0 to 100; realigned, DMOS run from -2.64 to 111.77
        higher_is_better=False,
        synthetic=True,
        reference="refnames_all",
        home="https://live.ece.utexas.edu/research/quality/subjective.htm",
        licence="free to use, copy and distribute with its copyright notice; papers acknowledge the source",
        paper="Sheikh, Sabir and Bovik, A Statistical Evaluation of Recent Full Reference Image Quality Assessment Algorithms, "
        "IEEE Transactions on Image Processing 15(11), 2006",
        layout="databaserelease2/ with jp2k/, jpeg/, wn/, gblur/, fastfading/, refimgs/, dmos_realigned.mat, refnames_all.mat",
        customary_input=NATIVE,
        folders=("databaserelease2", "LIVEIQA_release2", "live"),
        markers=("dmos_realigned.mat", "refnames_all.mat"),
        read=read_live,
        notes=(
            "dmos.mat has the DMOS of the release (0 to 100), dmos_realigned.mat those after the realignment of 2006, which "
            "nearly all papers on this task use: they are read, -2.64 to 111.77.",
            "The folders hold 982 images, 203 of them copies of the 29 references (orgs is 1), which are left out.",
        ),
        shares=("tid2013",),
    ),
    DatasetSpec(
        name="csiq",
        title="Categorical Subjective Image Quality (CSIQ)",
        images=866,  # 30 references; five levels of six kinds, but three or four of contrast
        score="dmos",
        score_range=(0, 1),
        higher_is_better=False,
        synthetic=True,
        reference="image",
        home="https://s2.smu.edu/~eclarson/csiq.html",
        licence="none stated",
        paper="Larson and Chandler, Most Apparent Distortion: Full-Reference Image Quality Assessment and the Role of "
        "Strategy, Journal of Electronic Imaging 19(1), 2010",
        layout="CSIQ/ with src_imgs/, dst_imgs/awgn/ and so on, and csiq.DMOS.xlsx",
        customary_input=NATIVE,
        folders=("CSIQ",),
        markers=("csiq.DMOS.xlsx",),
        read=read_csiq,
        notes=(
            "Folders and files are spelt awgn/1600.AWGN.1.png in the official archive, in other cases elsewhere: found in any.",
            "One reference is called 1600, which the workbook stores as a number.",
        ),
    ),
    DatasetSpec(
        name="tid2013",
        title="Tampere Image Database 2013 (TID2013)",
        images=3000,  # 25 references, 24 kinds, five levels
        score="the number before each name",
        score_range=(0, 9),  # MOS 0.2 to 7.2
        higher_is_better=True,
        synthetic=True,
        reference="the first part of each name, I01 to I25",
        home="http://www.ponomarenko.info/tid2013.htm",
        licence="see the readme that comes with it",
        paper="Ponomarenko et al., Image Database TID2013: Peculiarities, Results and Perspectives, "
        "Signal Processing: Image Communication 30, 2015",
        layout="tid2013/ with distorted_images/, reference_images/, mos_with_names.txt, mos_std.txt",
        customary_input=NATIVE,
        folders=("tid2013",),
        markers=("mos_with_names.txt",),
        read=read_tid2013,
        notes=(
            "mos_with_names.txt says I01_01_1.bmp where the file is called i01_01_1.bmp in some copies: found in any case.",
            "Reference 25 is computer-made; some papers leave it out. It is read.",
        ),
        shares=("live",),
    ),
    DatasetSpec(
        name="kadid10k",
        title="Konstanz Artificially Distorted Image Quality Database (KADID-10k)",
        images=10125,  # 81 references, 25 kinds, five levels
        score="dmos",
        score_range=(1, 5),
        higher_is_better=True,  # though the column is called dmos: 5 is imperceptible distortion, 1 very annoying
        synthetic=True,
        reference="ref_img",
        home="https://database.mmsp-kn.de/kadid-10k-database.html",
        licence="references from Pixabay; see its home",
        paper="Lin, Hosu and Saupe, KADID-10k: A Large-Scale Artificially Distorted IQA Database, QoMEX 2019",
        layout="kadid10k/ with images/ and dmos.csv",
        customary_input=NATIVE,
        folders=("kadid10k", "KADID-10k", "kadid"),
        markers=("dmos.csv",),
        read=read_kadid10k,
        notes=(
            "The column dmos is a MOS, 5 is best, whatever its name says.",
            "The column var is a standard deviation, as a check against all raw ratings found, though it reads as a variance.",
        ),
    ),
    DatasetSpec(
        name="biq2021",
        title="Blind Image Quality Assessment Database (BIQ2021)",
        images=12000,
        score="MOS",
        score_range=(0, 1),
        higher_is_better=True,
        synthetic=False,
        reference="none: each photo is its own",
        home="https://github.com/nisarahmedrana/BIQ2021",
        licence="no licence file; the paper calls images and scores freely available for use and benchmarking; "
        "ss03 is Unsplash's",
        paper="Ahmed and Asif, BIQ2021: A Large-Scale Blind Image Quality Assessment Database, "
        "Journal of Electronic Imaging 31(5) 053010, 2022",
        layout="BIQ2021/ with Images/, Train (Images and MOS).csv and Test (Images and MOS).csv",
        customary_input="512 x 512, as published",
        folders=("BIQ2021",),
        markers=("Train (Images and MOS).csv", "Test (Images and MOS).csv"),
        read=read_biq2021,
        official_split=True,
        notes=(
            "Three subsets: ss01, 2,000 photos of the authors'; ss02, 2,000 spoilt while shooting (ISO, shutter, focus); ss03, "
            "8,000 from Unsplash. Their scores differ much in mean (.43, .49, .74).",
            "Nearly all photos were saved at one JPEG quality, so the set says nothing about compression.",
        ),
        caveat="200 images of the official test part have a near duplicate in the training part, so figures of models that "
        "were trained on that are a little kind",
    ),
)
DATASETS: Mapping[str, DatasetSpec] = {spec.name: spec for spec in ROWS}
