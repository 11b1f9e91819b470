"""Small made-up copies of all nine public sets, file by file as the official ones lie: names, columns, types, oddities.

Images are noise, stronger where the made-up opinion is lower, so that scores of a toy have something to agree with.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write_picture(path: Path, quality: float, size: tuple[int, int] = (24, 20)) -> None:
    """A grey picture with noise; quality is 0 to 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(int(quality * 1e6))
    noise = rng.normal(128, 4 + 60 * (1 - quality), (size[1], size[0], 3))
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(path)


def write_rows(path: Path, rows: Iterable[Sequence[object]], *, encoding: str = "utf-8", ends: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, lineterminator=ends).writerows(rows)


def write_matrix(path: Path, **variables: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pytest.importorskip("scipy.io").savemat(path, variables)


def as_cells(names: Sequence[str], *, column: bool) -> np.ndarray:
    """A MATLAB cell array of texts, [n, 1] or [1, n]."""
    cells = np.empty(len(names), dtype=object)
    cells[:] = list(names)
    return cells[:, None] if column else cells[None, :]


def write_book(path: Path, sheets: dict[str, list[list[object]]]) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)


def spread(count: int) -> list[float]:
    """Qualities from 0.02 to 0.98, well mixed."""
    return [float(q) for q in np.random.default_rng(count).permutation(np.linspace(0.02, 0.98, count))]


def write_livec(root: Path) -> None:
    practice = [f"t{i}.bmp" for i in range(1, 8)]
    names = [*practice, *(f"{i}.bmp" if i % 3 else f"{i}.JPG" for i in range(3, 23))]
    scores = [100 * q for q in [0.5] * 7 + spread(20)]
    for name, score in zip(names, scores, strict=True):
        write_picture(root / "Images" / ("trainingImages" if name in practice else "") / name, score / 100)
    write_matrix(root / "Data/AllImages_release.mat", AllImages_release=as_cells(names, column=True))
    write_matrix(root / "Data/AllMOS_release.mat", AllMOS_release=np.array([scores]))
    write_matrix(root / "Data/AllStdDev_release.mat", AllStdDev_release=np.array([scores]) / 4)


def write_koniq10k(root: Path) -> None:
    qualities = spread(25)
    names = [f"{826373 * i}.jpg" for i in range(1, 26)]
    head = ["image_name", "c1", "c2", "c3", "c4", "c5", "c_total", "MOS", "SD"]
    scores, sets = [[*head, "MOS_zscore"]], [[*head, "set"]]
    for place, (name, q) in enumerate(zip(names, qualities, strict=True)):
        write_picture(root / "1024x768" / name, q, (32, 24))
        scores.append([name, "0", "0", "25", "73", "7", "105", f"{1 + 4 * q:.3f}", "0.527", f"{88 * q:.3f}"])
        side = ("training", "training", "training", "validation", "test")[place % 5]
        sets.append([name, "0", "0", "0.24", "0.69", "0.07", "105", f"{88 * q:.3f}", "0.527", side])
    write_rows(root / "koniq10k_scores_and_distributions.csv", scores)
    write_rows(root / "koniq10k_distributions_sets.csv", [sets[0], *sets[:0:-1]])  # in another order


def write_spaq(root: Path) -> None:
    rows: list[list[object]] = [["Image name", "MOS", "Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness"]]
    for number, q in enumerate(spread(15), 1):
        rows.append([f"{number:05}.jpg", round(100 * q, 2), 53, 48, 53, 52, 43])
        write_picture(root / f"TestImage/{number:05}.jpg", q, (40, 30))
    write_book(root / "Annotations/MOS and Image attribute scores.xlsx", {"Sheet1": rows})


def write_livefb(root: Path) -> None:
    rows: list[list[object]] = [["name", "mos"]]
    for number, q in enumerate(spread(16)):
        folder = ("blur_dataset", "voc_emotic_ava", "EE371R")[number % 3]
        name = f"{folder}/motion{number:04}.jpg"
        rows.append([name, f"{100 * q:.4f}"])
        write_picture(root / "database" / name, q, (641, 20) if number % 4 == 0 else (30, 640) if number % 4 == 1 else (30, 20))
    write_rows(root / "labels_image.csv", rows)


def write_live(root: Path) -> None:
    counts = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
    paths = [f"{folder}/img{i}.bmp" for folder, count in counts.items() for i in range(1, count + 1)]
    qualities, copies = np.array(spread(982)), np.zeros(982, dtype=np.uint8)
    copies[::5][:203] = 1
    copies[4::40][: 203 - int(copies.sum())] = 1
    for path, q in zip(paths, qualities, strict=True):
        write_picture(root / path, q, (12, 10))
    dmos = np.where(copies == 1, 0.0, -2.6 + 114.3 * (1 - qualities))
    write_matrix(root / "dmos_realigned.mat", dmos_new=dmos[None], dmos_std=dmos[None] / 10, orgs=copies[None])
    write_matrix(root / "refnames_all.mat", refnames_all=as_cells([f"photo{i % 29}.bmp" for i in range(982)], column=False))


def write_csiq(root: Path) -> None:
    rows: list[list[object]] = [[None] * 9] * 3
    rows.append([None, None, None, "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"])
    kinds = {"noise": "awgn/{}.AWGN", "blur": "blur/{}.BLUR", "jpeg 2000": "jpeg2000/{}.jpeg2000"}
    cases = [(name, kind) for name in (1600, "boston", "elk", "log_seaside", "snow_leaves") for kind in kinds]
    for (name, kind), q in zip(cases, spread(len(cases)), strict=True):
        rows.append([None, None, None, name, 1, kind, 2, 0.078, round(1 - q, 6)])
        write_picture(root / "dst_imgs" / f"{kinds[kind].format(name)}.2.png", q)
    write_book(root / "csiq.DMOS.xlsx", {"all_by_distortion": [["nothing of use"]], "all_by_image": rows})


def write_tid2013(root: Path) -> None:
    cases = [(reference, kind) for reference in range(1, 11) for kind in (1, 9)]
    lines = []
    for (reference, kind), q in zip(cases, spread(len(cases)), strict=True):
        lines.append(f"{9 * q:.5f} I{reference:02}_{kind:02}_1.bmp\r\n")
        write_picture(root / f"distorted_images/i{reference:02}_{kind:02}_1.bmp", q)
    (root / "mos_with_names.txt").write_text("".join(lines), newline="")
    (root / "mos_std.txt").write_text("0.13013\r\n" * len(cases), newline="")


def write_kadid10k(root: Path) -> None:
    cases = [(reference, level) for reference in range(1, 11) for level in (1, 5)]
    rows: list[list[object]] = [["dist_img", "ref_img", "dmos", "var"]]
    for (reference, level), q in zip(cases, spread(len(cases)), strict=True):
        name = f"I{reference:02}_07_{level:02}.png"
        rows.append([name, f"I{reference:02}.png", f"{1 + 4 * q:.2f}", "0.5"])
        write_picture(root / "images" / name, q)
    write_rows(root / "dmos.csv", rows)


def write_biq2021(root: Path) -> None:
    head = ["Image Name", "MOS", "", ""]
    for part, first in (("Train", 1), ("Test", 13)):
        rows: list[list[object]] = [head]
        for number, q in enumerate(spread(12), first):
            name = f"ss0{1 + number % 3} ({number}).jpg"
            rows.append([name, f"{q:.4f}", "", ""])
            write_picture(root / "Images" / (name if number % 5 else name.replace(".jpg", ".JPG")), q)
        write_rows(root / f"{part} (Images and MOS).csv", rows)


WRITERS: dict[str, Callable[[Path], None]] = {
    "livec": write_livec,
    "koniq10k": write_koniq10k,
    "spaq": write_spaq,
    "livefb": write_livefb,
    "live": write_live,
    "csiq": write_csiq,
    "tid2013": write_tid2013,
    "kadid10k": write_kadid10k,
    "biq2021": write_biq2021,
}


def write_set(name: str, top: Path) -> Path:
    """One of the sets in a folder of its name below `top`; that folder."""
    root = top / name
    root.mkdir(parents=True)
    WRITERS[name](root)
    return root
