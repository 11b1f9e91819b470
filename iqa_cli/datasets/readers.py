"""Readers of the files that ratings are published in, in the sets' official layouts.

Each reader takes the folder of a set and gives its ratings in the order of the label file, as published. It names
every image that the label file names, whether or not the image is there. All raise DataError where a label file is missing
or is not what it should be, and ExtraMissing where reading it needs a package of the [train] extra.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iqa_cli.datasets.delimited import read_names
from iqa_cli.datasets.tables import (
    check_length,
    check_names,
    find_file,
    index_names,
    is_file,
    is_folder,
    parse_number,
    read_matrices,
    read_sheet,
    read_words,
)
from iqa_cli.errors import DataError
from iqa_cli.images.decode import decode_image
from iqa_cli.records import Undecodable


@dataclass(frozen=True, slots=True)
class Rating:
    """The mean rating of one image.

    path: of the image, relative to the folder of the set, with forward slashes.
    value: as published (MOS or DMOS), on the set's own scale and in its own direction.
    std: the standard deviation of the single ratings on the same scale; None where it is not published on it.
    reference: what may not stand on both sides of a split: the pristine photo on synthetic sets, else the image itself.
    split: "training", "validation" or "test" where the set has an official split.
    rows: of how many rows of the label file the value is the mean; 1 where the set publishes means.
    subset: of which part of the set it is, where the set has parts of different kinds.
    """

    path: str
    value: float
    std: float | None
    reference: str
    split: str | None = None
    rows: int = 1
    subset: str | None = None


PRACTICE = re.compile(r"t[1-7]\.\w+")  # shown to every rater before the study began


def read_livec(root: Path) -> list[Rating]:
    """Read LIVE-C. Names come as [n, 1] cells, numbers as [1, n]; the seven practice images are no part of it."""
    names_file, scores_file, stds_file = (
        find_file(root, f"Data/{name}_release.mat") for name in ("AllImages", "AllMOS", "AllStdDev")
    )
    (names,) = read_matrices(names_file, "AllImages_release")
    (scores,) = read_matrices(scores_file, "AllMOS_release")
    (stds,) = read_matrices(stds_file, "AllStdDev_release")
    check_length(scores_file, len(names), scores)
    check_length(stds_file, len(names), stds)
    return [
        Rating(f"Images/{name}", parse_number(score, scores_file, name), parse_number(std, stds_file, name), name)
        for name, score, std in zip(check_names(names_file, names), scores, stds, strict=True)
        if not PRACTICE.fullmatch(name)
    ]


def read_koniq10k(root: Path) -> list[Rating]:
    """Read KonIQ-10k: MOS_zscore, and the official split where the file with it is there.

    Sources contradict each other: `MOS` is 1 to 5 in ..._scores_and_distributions.csv, but in ..._distributions_sets.csv it is
    what the other calls MOS_zscore (3.9 to 88.4), which papers use. `SD` is on the scale of 1 to 5 in both: no std, therefore.
    """
    path = find_file(root, "koniq10k_scores_and_distributions.csv", "koniq10k_distributions_sets.csv")
    sets = root / "koniq10k_distributions_sets.csv"
    column = "MOS" if path == sets else "MOS_zscore"
    folder = "512x384" if not is_folder(root / "1024x768") and is_folder(root / "512x384") else "1024x768"  # as rated
    rows = read_names(path, ("image_name",), numbers=(column,))
    splits = read_sides(sets, [row["image_name"] for row in rows]) if is_file(sets) else {}
    return [
        Rating(f"{folder}/{name}", parse_number(row[column], path, name), None, name, splits.get(name))
        for row in rows
        for name in (row["image_name"],)
    ]


SIDES = ("training", "validation", "test")


def read_sides(path: Path, images: Sequence[str]) -> dict[str, str]:
    """Read KonIQ-10k's official split: image -> side. Raises DataError where an image is on two, on none, or on another."""
    sides: dict[str, str] = {}
    for row in read_names(path, ("image_name", "set")):
        image, side = row["image_name"], row["set"]
        if side not in SIDES:
            raise DataError(f"{path}: {image} is in a part of the split that is called {side}, not {', '.join(SIDES)}")
        if sides.setdefault(image, side) != side:
            raise DataError(f"{path}: {image} is in two parts of the split")
    missing = [image for image in images if image not in sides]
    if missing:
        raise DataError(f"{path}: no part of the split for {len(missing)} of {len(images)} images, the first: {missing[0]}")
    return sides


def read_spaq(root: Path) -> list[Rating]:
    """Read SPAQ: the workbook as it comes, or saved as CSV."""
    stem = "MOS and Image attribute scores"
    path = find_file(root, *(f"{folder}{stem}{suffix}" for folder in ("Annotations/", "") for suffix in (".xlsx", ".csv")))
    name, score = "Image name", "MOS"
    rows = read_sheet(path, (name, score)) if path.suffix == ".xlsx" else read_names(path, (name,), numbers=(score,))
    return [Rating(f"TestImage/{row[name]}", parse_number(row[score], path, row[name]), None, row[name]) for row in rows]


LIVEFB_LIMIT = 640  # px: images with a longer side are the test set; from the authors' own preparation of the labels


def read_livefb(root: Path) -> list[Rating]:
    """Read LIVE-FB's whole images (not its patches); names have a folder. What is longer than 640 px is the official test set.

    The authors' list of the test images decides, where it is there; else the images' sizes, which is the rule behind the list.
    Sources contradict each other on where the label file lies: beside the folder `database` of images, or in it.
    """
    path = find_file(root, "labels_image.csv", "database/labels_image.csv")
    folder = "database/" if is_folder(root / "database") else ""
    listed = [path.parent / name for name in ("labels640.csv", "labels>640.csv") if is_file(path.parent / name)]
    test = {row["name_image"] for row in read_names(listed[0], ("name_image",))} if listed else None
    return [
        Rating(f"{folder}{name}", parse_number(row["mos"], path, name), None, name, split)
        for row in read_names(path, ("name",), numbers=("mos",))
        for name in (row["name"],)
        for split in (split_by_size(root / folder / name) if test is None else "test" if name in test else "training",)
    ]


def split_by_size(path: Path) -> str | None:
    """LIVE-FB's side of the split, from the image's header; None where there is no readable image."""
    size = read_size(path)
    return None if isinstance(size, str) else "test" if max(size) > LIVEFB_LIMIT else "training"


def read_size(path: Path) -> tuple[int, int] | str:
    """Width and height in px from an image's header, or in words why it cannot be read. No pixel is decoded."""
    try:
        picture = decode_image(str(path), max_pixels=0)  # whatever has a pixel is refused by its header
    except Undecodable as failure:
        return str(failure) if failure.width is None or failure.height is None else (failure.width, failure.height)
    return picture.width, picture.height


LIVE_FOLDERS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}  # in the order of the labels


def read_live(root: Path) -> list[Rating]:
    """Read LIVE release 2, without the copies of references that lie among the distorted images (`orgs` is 1).

    Sources contradict each other: dmos.mat has the DMOS of the release, dmos_realigned.mat those after the realignment study
    of Sheikh et al. (2006), which nearly all papers on this task use, and so does this reader.
    """
    path = find_file(root, "dmos_realigned.mat")
    names_file = find_file(root, "refnames_all.mat")
    scores, stds, copies = read_matrices(path, "dmos_new", "dmos_std", "orgs")
    (references,) = read_matrices(names_file, "refnames_all")
    images = [f"{folder}/img{number}.bmp" for folder, count in LIVE_FOLDERS.items() for number in range(1, count + 1)]
    check_length(path, len(images), scores, stds, copies)
    check_length(names_file, len(images), references)
    return [
        Rating(image, parse_number(score, path, image), parse_number(std, path, image), str(reference))
        for image, score, std, copy, reference in zip(images, scores, stds, copies, references, strict=True)
        if not copy
    ]


CSIQ_KINDS = {  # what the workbook calls a kind -> its folder, and how files spell it
    "noise": ("awgn", "AWGN"),
    "blur": ("blur", "BLUR"),
    "contrast": ("contrast", "contrast"),
    "fnoise": ("fnoise", "fnoise"),
    "jpeg": ("jpeg", "JPEG"),
    "jpeg 2000": ("jpeg2000", "jpeg2000"),
}


def read_csiq(root: Path) -> list[Rating]:
    """Read CSIQ. The table begins at cell D4; one image is called 1600, stored as a number.

    Sources contradict each other on the case of folder names (awgn, AWGN), so files are found by name whatever the case.
    """
    path = find_file(root, "csiq.DMOS.xlsx")
    files = index_names(root, "dst_imgs")
    ratings = []
    for row in read_sheet(path, ("image", "dst_type", "dst_lev", "dmos_std", "dmos"), "all_by_image"):
        if row["dst_type"] not in CSIQ_KINDS:
            raise DataError(f"{path}: unknown kind of distortion {row['dst_type']!r} for {row['image']}")
        folder, kind = CSIQ_KINDS[row["dst_type"]]
        name = f"{row['image']}.{kind}.{row['dst_lev']}.png"
        score, std = (parse_number(row[column], path, name) for column in ("dmos", "dmos_std"))
        ratings.append(Rating(files.get(name.lower(), f"dst_imgs/{folder}/{name}"), score, std, f"{row['image']}.png"))
    return ratings


def read_tid2013(root: Path) -> list[Rating]:
    """Read TID2013. Names in the label file (I01_01_1.bmp) and of files (i01_01_1.bmp) differ in case in some copies."""
    path = find_file(root, "mos_with_names.txt")
    stds_file = find_file(root, "mos_std.txt")
    lines, stds = read_words(path), [std for line in read_words(stds_file) for std in line]
    check_length(stds_file, len(lines), stds)
    wrong = next((line for line in lines if len(line) != 2), None)
    if wrong:
        raise DataError(f"{path}: a line is not a score and a name: {' '.join(wrong)}")
    files = index_names(root, "distorted_images")
    return [
        Rating(
            files.get(name.lower(), f"distorted_images/{name}"),
            parse_number(score, path, name),
            parse_number(std, stds_file, name),
            name.partition("_")[0].upper(),  # I01 to I25
        )
        for (score, name), std in zip(lines, stds, strict=True)
    ]


def read_kadid10k(root: Path) -> list[Rating]:
    """Read KADID-10k.

    The names of the columns mislead: `dmos` is a MOS, 5 is best; `var` is a standard deviation, as a public check
    against all raw ratings found, though others take it for a variance.
    """
    path = find_file(root, "dmos.csv")
    return [
        Rating(f"images/{name}", parse_number(row["dmos"], path, name), parse_number(row["var"], path, name), row["ref_img"])
        for row in read_names(path, ("dist_img", "ref_img"), numbers=("dmos", "var"))
        for name in (row["dist_img"],)
    ]


BIQ2021_PARTS = {"training": "Train (Images and MOS).csv", "test": "Test (Images and MOS).csv"}  # side -> its label file


def read_biq2021(root: Path) -> list[Rating]:
    """Read BIQ2021. Its two label files are its official split; the first word of a name tells the subset.

    Sources contradict each other on the case of one name (ss02 (1014).jpg in the label file, .JPG on disk), so files are found
    by name whatever the case. The label files end in two nameless, empty columns. Raises DataError where an image is in both.
    """
    files = index_names(root, "Images")
    ratings = []
    sides: dict[str, str] = {}
    for side, table in BIQ2021_PARTS.items():
        path = find_file(root, table)
        for row in read_names(path, ("Image Name",), numbers=("MOS",)):
            name = row["Image Name"]
            if sides.setdefault(name.lower(), side) != side:
                raise DataError(f"{path}: {name} is in both parts of the split")
            image = files.get(name.lower(), f"Images/{name}")
            ratings.append(Rating(image, parse_number(row["MOS"], path, name), None, name, side, subset=name.split()[0]))
    return ratings
