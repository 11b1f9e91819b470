"""Every public set is read from small folders in its official format, with the traps that the real files hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iqa_cli.datasets import readers
from iqa_cli.datasets.tables import index_names
from iqa_cli.errors import DataError

BOM = "\ufeff"


def write_image(path: Path, size: tuple[int, int] = (8, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def write_matrices(path: Path, variables: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pytest.importorskip("scipy.io").savemat(path, variables)


def as_cells(names: Sequence[str], *, column: bool) -> np.ndarray:
    cells = np.empty(len(names), dtype=object)
    cells[:] = list(names)
    return cells[:, None] if column else cells[None, :]


def write_sheets(path: Path, sheets: Mapping[str, Sequence[Sequence[object]]]) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)


# ---- LIVE-C ----


def write_livec(root: Path, names: Sequence[str], scores: Sequence[float]) -> None:
    write_matrices(root / "Data/AllImages_release.mat", {"AllImages_release": as_cells(names, column=True)})
    write_matrices(root / "Data/AllMOS_release.mat", {"AllMOS_release": np.array([scores])})
    write_matrices(root / "Data/AllStdDev_release.mat", {"AllStdDev_release": np.array([scores]) / 4})


def test_livec_leaves_out_the_seven_practice_images(tmp_path: Path) -> None:
    write_livec(tmp_path, [*(f"t{i}.bmp" for i in range(1, 8)), "3.bmp", "1024.JPG"], [50.0] * 7 + [63.9634, 3.42])
    assert readers.read_livec(tmp_path) == [
        readers.Rating("Images/3.bmp", 63.9634, 63.9634 / 4, "3.bmp"),
        readers.Rating("Images/1024.JPG", 3.42, 3.42 / 4, "1024.JPG"),
    ]


def test_livec_files_of_different_lengths_do_not_belong_together(tmp_path: Path) -> None:
    write_livec(tmp_path, ["3.bmp", "4.bmp"], [50.0, 60.0, 70.0])
    with pytest.raises(DataError, match=r"AllMOS_release\.mat: 3 entries where 2 are expected"):
        readers.read_livec(tmp_path)


def test_livec_score_that_is_no_number(tmp_path: Path) -> None:
    write_livec(tmp_path, ["3.bmp", "4.bmp"], [50.0, float("nan")])
    with pytest.raises(DataError, match=r"AllMOS_release\.mat: what stands for 4\.bmp is no number: nan"):
        readers.read_livec(tmp_path)


def test_livec_cell_that_is_no_name(tmp_path: Path) -> None:
    write_livec(tmp_path, ["3.bmp", "4.bmp"], [50.0, 60.0])
    names = as_cells(["3.bmp", "4.bmp"], column=True)
    for wrong, said in (
        ("", "entry 2 of AllImages_release holds 0 values where one is expected"),
        (np.array([["a.bmp", "b.bmp"]], dtype=object), "entry 2 of AllImages_release holds 2 values where one is expected"),
        (7.0, "entry 2 is no name of an image: 7.0"),
    ):
        names[1, 0] = wrong
        write_matrices(tmp_path / "Data/AllImages_release.mat", {"AllImages_release": names})
        with pytest.raises(DataError, match=rf"AllImages_release\.mat: {said}"):
            readers.read_livec(tmp_path)


# ---- KonIQ-10k ----

KONIQ_SCORES = (
    '"image_name","c1","c2","c3","c4","c5","c_total","MOS","SD","MOS_zscore"\n"1.jpg",0,0,25,73,7,105,3.83,0.527,77.38\n'
)
KONIQ_MORE = '"2.jpg",0,3,45,47,1,96,3.48,0.58,68.73\n'
KONIQ_SETS = "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set\n2.jpg,0,0.03,0.47,0.49,0.01,96,68.73,0.58,test\n"
KONIQ_SETS_MORE = "1.jpg,0,0,0.24,0.69,0.07,105,77.38,0.527,training\n"


def test_koniq_takes_zscores_and_the_official_split_whatever_the_order(tmp_path: Path) -> None:
    (tmp_path / "1024x768").mkdir()
    (tmp_path / "512x384").mkdir()
    (tmp_path / "koniq10k_scores_and_distributions.csv").write_text(KONIQ_SCORES + KONIQ_MORE)
    (tmp_path / "koniq10k_distributions_sets.csv").write_text(KONIQ_SETS + KONIQ_SETS_MORE)
    assert readers.read_koniq10k(tmp_path) == [
        readers.Rating("1024x768/1.jpg", 77.38, None, "1.jpg", "training"),
        readers.Rating("1024x768/2.jpg", 68.73, None, "2.jpg", "test"),
    ]


def test_koniq_without_the_split(tmp_path: Path) -> None:
    (tmp_path / "512x384").mkdir()
    (tmp_path / "koniq10k_scores_and_distributions.csv").write_text(KONIQ_SCORES)
    assert readers.read_koniq10k(tmp_path) == [readers.Rating("512x384/1.jpg", 77.38, None, "1.jpg")]


def test_koniq_with_nothing_but_the_split_means_the_same_scores(tmp_path: Path) -> None:
    (tmp_path / "koniq10k_distributions_sets.csv").write_text(KONIQ_SETS)
    assert readers.read_koniq10k(tmp_path) == [readers.Rating("1024x768/2.jpg", 68.73, None, "2.jpg", "test")]


def test_koniq_with_an_image_in_two_parts_of_the_split(tmp_path: Path) -> None:
    (tmp_path / "koniq10k_distributions_sets.csv").write_text(
        KONIQ_SETS + KONIQ_SETS.splitlines()[1].replace("test", "training")
    )
    with pytest.raises(DataError, match=r"koniq10k_distributions_sets\.csv: 2\.jpg is in two parts of the split"):
        readers.read_koniq10k(tmp_path)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (KONIQ_SETS_MORE.replace("training", "Test"), "1.jpg is in a part of the split that is called Test, not training, "),
        ("", "no part of the split for 1 of 2 images, the first: 1.jpg"),
    ],
)
def test_koniq_with_a_split_that_is_not_whole(tmp_path: Path, more: str, said: str) -> None:
    (tmp_path / "koniq10k_scores_and_distributions.csv").write_text(KONIQ_SCORES + KONIQ_MORE)
    (tmp_path / "koniq10k_distributions_sets.csv").write_text(KONIQ_SETS + more)
    with pytest.raises(DataError) as raised:
        readers.read_koniq10k(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / 'koniq10k_distributions_sets.csv'}: {said}")


# ---- SPAQ ----

SPAQ_HEAD = ["Image name", "MOS", "Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness"]
SPAQ_STEM = "Annotations/MOS and Image attribute scores"


def test_spaq_workbook(tmp_path: Path) -> None:
    rows = [SPAQ_HEAD, ["00001.jpg", 40.67, 53, 48, 53, 52, 43], ["00002.jpg", 0, 1, 1, 1, 1, 1], [None] * 7]
    write_sheets(tmp_path / f"{SPAQ_STEM}.xlsx", {"Sheet1": rows})
    assert readers.read_spaq(tmp_path) == [
        readers.Rating("TestImage/00001.jpg", 40.67, None, "00001.jpg"),
        readers.Rating("TestImage/00002.jpg", 0.0, None, "00002.jpg"),
    ]


def test_spaq_saved_as_csv_begins_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / f"{SPAQ_STEM}.csv"
    path.parent.mkdir()
    path.write_text(f"{BOM}{','.join(SPAQ_HEAD)}\r\n00001.jpg,40.67,53,48,53,52,43\r\n", encoding="utf-8", newline="")
    assert readers.read_spaq(tmp_path) == [readers.Rating("TestImage/00001.jpg", 40.67, None, "00001.jpg")]


def test_spaq_workbook_with_other_columns_says_which_there_are(tmp_path: Path) -> None:
    write_sheets(tmp_path / f"{SPAQ_STEM}.xlsx", {"Sheet1": [["Image", "MOS"], ["00001.jpg", 40]]})
    with pytest.raises(DataError, match="no row with the columns Image name, MOS; it begins with Image, MOS"):
        readers.read_spaq(tmp_path)


def test_spaq_workbook_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    rows = [["Image name", "MOS", "MOS"], ["00001.jpg", 40, 60]]
    write_sheets(tmp_path / f"{SPAQ_STEM}.xlsx", {"Sheet1": rows})
    with pytest.raises(DataError, match=r"scores\.xlsx: 2 columns are called MOS; rename or remove all but one"):
        readers.read_spaq(tmp_path)


def test_spaq_row_without_a_score_is_not_passed_over(tmp_path: Path) -> None:
    write_sheets(tmp_path / f"{SPAQ_STEM}.xlsx", {"Sheet1": [SPAQ_HEAD, ["00001.jpg"], ["00002.jpg", 1]]})
    with pytest.raises(DataError, match=r"what stands for 00001\.jpg is no number: $"):
        readers.read_spaq(tmp_path)


# ---- LIVE-FB ----

LIVEFB = "name,mos\nblur_dataset/motion0044.jpg,75.4437\nvoc_emotic_ava/AVA__1.jpg,0.0\nvoc_emotic_ava/gone.jpg,55\n"


def write_livefb(root: Path) -> None:
    (root / "labels_image.csv").write_text(LIVEFB)
    write_image(root / "database/blur_dataset/motion0044.jpg", (640, 480))
    write_image(root / "database/voc_emotic_ava/AVA__1.jpg", (480, 641))


def test_livefb_tests_on_what_is_longer_than_640(tmp_path: Path) -> None:
    write_livefb(tmp_path)
    assert readers.read_livefb(tmp_path) == [
        readers.Rating("database/blur_dataset/motion0044.jpg", 75.4437, None, "blur_dataset/motion0044.jpg", "training"),
        readers.Rating("database/voc_emotic_ava/AVA__1.jpg", 0.0, None, "voc_emotic_ava/AVA__1.jpg", "test"),
        readers.Rating("database/voc_emotic_ava/gone.jpg", 55.0, None, "voc_emotic_ava/gone.jpg", None),
    ]


@pytest.mark.parametrize("name", ["labels640.csv", "labels>640.csv"])
def test_livefb_official_list_overrules_sizes(tmp_path: Path, name: str) -> None:
    if sys.platform == "win32" and ">" in name:
        pytest.skip("no such file name on Windows")
    write_livefb(tmp_path)
    (tmp_path / name).write_text("mos_image,name_image,width_image\n55,voc_emotic_ava/gone.jpg,1024\n")
    assert [rating.split for rating in readers.read_livefb(tmp_path)] == ["training", "training", "test"]


def test_livefb_labels_may_lie_among_the_images(tmp_path: Path) -> None:
    write_livefb(tmp_path)
    (tmp_path / "labels_image.csv").rename(tmp_path / "database/labels_image.csv")
    assert [rating.split for rating in readers.read_livefb(tmp_path)] == ["training", "test", None]
    assert readers.read_livefb(tmp_path / "database")[0].path == "blur_dataset/motion0044.jpg"


# ---- LIVE ----


def write_live(root: Path, count: int = 982) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    scores, copies = rng.uniform(-2, 111, count), np.arange(count) % 5 == 4
    variables = {"dmos_new": scores[None], "dmos_std": scores[None] / 10, "orgs": copies[None].astype(np.uint8)}
    write_matrices(root / "dmos_realigned.mat", variables)
    names = [f"photo{i % 29}.bmp" for i in range(count)]
    write_matrices(root / "refnames_all.mat", {"refnames_all": as_cells(names, column=False)})
    return scores, copies


def test_live_leaves_out_the_copies_of_references(tmp_path: Path) -> None:
    scores, copies = write_live(tmp_path)
    ratings = readers.read_live(tmp_path)
    assert len(ratings) == 982 - copies.sum()
    assert [rating.value for rating in ratings] == scores[~copies].tolist()
    assert ratings[0] == readers.Rating("jp2k/img1.bmp", scores[0], scores[0] / 10, "photo0.bmp")
    by_path = {rating.path: rating.value for rating in ratings}
    assert "jp2k/img5.bmp" not in by_path
    for place, path in {226: "jp2k/img227.bmp", 227: "jpeg/img1.bmp", 460: "wn/img1.bmp", 635: "gblur/img2.bmp"}.items():
        assert by_path[path] == scores[place]
    assert ratings[-1].path == "fastfading/img174.bmp"
    assert ratings[-1].value == scores[981]


def test_live_of_another_length_is_refused(tmp_path: Path) -> None:
    write_live(tmp_path, 981)
    with pytest.raises(DataError, match=r"dmos_realigned\.mat: 981 entries where 982 are expected"):
        readers.read_live(tmp_path)


# ---- CSIQ ----

CSIQ_ROWS = [
    [None] * 9,
    [None] * 9,
    [None] * 9,
    [None, None, None, "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"],
    [None, None, None, 1600, 1, "noise", 1, 0.078, 0.061989],
    [None, None, None, "boston", 2, "jpeg", 2, 0.05, 0],
    [None, None, None, "boston", 3, "jpeg 2000", 3, 0.05, 1],
    [None, None, None, "boston", 4, "fnoise", 4, 0.05, 0.4],
    [None, None, None, "boston", 5, "blur", 5, 0.05, 0.5],
    [None, None, None, "boston", 6, "contrast", 1, 0.05, 0.6],
]


def write_csiq(root: Path, rows: Sequence[Sequence[object]] = CSIQ_ROWS) -> None:
    write_sheets(root / "csiq.DMOS.xlsx", {"all_by_distortion": [["nothing of use"]], "all_by_image": rows})


def test_csiq_kinds_become_folders_and_file_names(tmp_path: Path) -> None:
    write_csiq(tmp_path)
    ratings = readers.read_csiq(tmp_path)
    assert ratings[0] == readers.Rating("dst_imgs/awgn/1600.AWGN.1.png", 0.061989, 0.078, "1600.png")
    assert [rating.path for rating in ratings[1:]] == [
        "dst_imgs/jpeg/boston.JPEG.2.png",
        "dst_imgs/jpeg2000/boston.jpeg2000.3.png",
        "dst_imgs/fnoise/boston.fnoise.4.png",
        "dst_imgs/blur/boston.BLUR.5.png",
        "dst_imgs/contrast/boston.contrast.1.png",
    ]
    assert [rating.value for rating in ratings] == [0.061989, 0, 1, 0.4, 0.5, 0.6]


def test_csiq_files_are_found_in_any_case(tmp_path: Path) -> None:
    write_csiq(tmp_path)
    write_image(tmp_path / "dst_imgs/AWGN/1600.awgn.1.png")
    assert readers.read_csiq(tmp_path)[0].path == "dst_imgs/AWGN/1600.awgn.1.png"


def test_files_are_found_by_name_but_for_thumbnails_and_what_is_no_image(tmp_path: Path) -> None:
    for place in ("AWGN/1600.awgn.1.png", "AWGN/@eaDir/1600.awgn.1.png", "AWGN/__MACOSX/1600.AWGN.1.png", "b/2.PNG"):
        write_image(tmp_path / "dst_imgs" / place)
    (tmp_path / "dst_imgs" / "b" / "notes.txt").write_text("read me")
    found = index_names(tmp_path, "dst_imgs")
    assert found == {"1600.awgn.1.png": "dst_imgs/AWGN/1600.awgn.1.png", "2.png": "dst_imgs/b/2.PNG"}
    assert index_names(tmp_path, "nowhere") == {}


def test_csiq_unknown_kind_of_distortion(tmp_path: Path) -> None:
    write_csiq(tmp_path, [*CSIQ_ROWS, [None, None, None, "boston", 7, "haze", 1, 0.05, 0.6]])
    with pytest.raises(DataError, match="unknown kind of distortion 'haze' for boston"):
        readers.read_csiq(tmp_path)


# ---- TID2013 ----


def write_tid(root: Path, stds: str = "0.130\n0.114\n") -> None:
    (root / "mos_with_names.txt").write_text("5.51429 I01_01_1.bmp\r\n0.24242 i25_24_5.bmp\r\n", newline="")
    (root / "mos_std.txt").write_text(stds)


def test_tid_names_are_matched_in_any_case(tmp_path: Path) -> None:
    write_tid(tmp_path)
    write_image(tmp_path / "distorted_images/i01_01_1.bmp")
    write_image(tmp_path / "distorted_images/I25_24_5.BMP")
    assert readers.read_tid2013(tmp_path) == [
        readers.Rating("distorted_images/i01_01_1.bmp", 5.51429, 0.130, "I01"),
        readers.Rating("distorted_images/I25_24_5.BMP", 0.24242, 0.114, "I25"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_tid_labels_may_begin_with_a_mark(tmp_path: Path, encoding: str) -> None:
    write_tid(tmp_path)
    plain = readers.read_tid2013(tmp_path)
    path = tmp_path / "mos_with_names.txt"
    path.write_text(path.read_text(), encoding=encoding)
    assert readers.read_tid2013(tmp_path) == plain


def test_tid_names_of_missing_files_stay_as_they_are(tmp_path: Path) -> None:
    write_tid(tmp_path)
    assert readers.read_tid2013(tmp_path)[0].path == "distorted_images/I01_01_1.bmp"


def test_tid_deviations_of_another_length_are_refused(tmp_path: Path) -> None:
    write_tid(tmp_path, "0.130\n")
    with pytest.raises(DataError, match=r"mos_std\.txt: 1 entries where 2 are expected"):
        readers.read_tid2013(tmp_path)


def test_tid_line_that_is_not_a_score_and_a_name(tmp_path: Path) -> None:
    write_tid(tmp_path, "1\n")
    (tmp_path / "mos_with_names.txt").write_text("5.51429 I01 01\n")
    with pytest.raises(DataError, match=r"not a score and a name: 5\.51429 I01 01"):
        readers.read_tid2013(tmp_path)


# ---- KADID-10k ----


def test_kadid_scores_and_deviations(tmp_path: Path) -> None:
    (tmp_path / "dmos.csv").write_text("dist_img,ref_img,dmos,var\nI01_01_01.png,I01.png,4.57,0.496\n")
    assert readers.read_kadid10k(tmp_path) == [readers.Rating("images/I01_01_01.png", 4.57, 0.496, "I01.png")]


def test_kadid_references_have_one_spelling(tmp_path: Path) -> None:
    rows = "I01_01_01.png,I01.png,4.57,0.496\n I01_01_02.png ,I01.png ,4,0.5\n"
    (tmp_path / "dmos.csv").write_text(f"dist_img,ref_img,dmos,var\n{rows}")
    found = readers.read_kadid10k(tmp_path)
    assert [(rating.path, rating.reference) for rating in found] == [
        ("images/I01_01_01.png", "I01.png"),
        ("images/I01_01_02.png", "I01.png"),
    ]


# ---- files that are not what they should be ----


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (readers.read_livec, "Data/AllImages_release.mat"),
        (readers.read_koniq10k, "koniq10k_scores_and_distributions.csv"),
        (readers.read_spaq, f"{SPAQ_STEM}.xlsx"),
        (readers.read_livefb, "labels_image.csv"),
        (readers.read_live, "dmos_realigned.mat"),
        (readers.read_csiq, "csiq.DMOS.xlsx"),
        (readers.read_tid2013, "mos_with_names.txt"),
        (readers.read_kadid10k, "dmos.csv"),
    ],
)
def test_an_empty_folder_says_which_file_it_lacks(
    tmp_path: Path, read: Callable[[Path], list[readers.Rating]], name: str
) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}: no label file {name}")


@pytest.mark.parametrize("name", ["dmos_realigned.mat", "csiq.DMOS.xlsx", "dmos.csv"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", bytes(range(256)) * 40])
def test_a_file_of_another_kind_is_refused_in_words(tmp_path: Path, name: str, content: bytes) -> None:
    pytest.importorskip("scipy.io")
    pytest.importorskip("openpyxl")
    (tmp_path / name).write_bytes(content)
    (tmp_path / "refnames_all.mat").touch()
    read = {"dmos_realigned.mat": readers.read_live, "csiq.DMOS.xlsx": readers.read_csiq, "dmos.csv": readers.read_kadid10k}
    with pytest.raises(DataError, match=name):
        read[name](tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "dist_img,ref_img,dmos\na.png,r.png,4\n",
            "no column var; there are dist_img, ref_img, dmos (separated by commas, semicolons or tabs)",
        ),
        ("dist_img,ref_img,dmos,var\na.png,r.png,4,1\nb.png\n", "row 3 has fewer cells (1) than the header (4); fill it up"),
        ("dist_img,ref_img,dmos,var\na.png,r.png,good,1\n", "row 2, column dmos: good is no number"),
        ("dist_img,ref_img,dmos,var\na.png,r.png,inf,1\n", "row 2, column dmos: inf is no number"),
        ("dist_img,ref_img,dmos,var\na.png,r.png,,1\n", "row 2 has nothing in column dmos; fill it in, or remove the row"),
    ],
)
def test_a_table_that_is_wrong_says_where(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "dmos.csv").write_text(content)
    with pytest.raises(DataError) as raised:
        readers.read_kadid10k(tmp_path)
    assert str(raised.value) == f"{tmp_path / 'dmos.csv'}: {said}"


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    for name in ("dmos_realigned.mat", "refnames_all.mat", "csiq.DMOS.xlsx"):
        (tmp_path / name).touch()
    code = f"""
import sys
sys.modules |= dict.fromkeys(["scipy", "openpyxl"])  # as if not installed
from pathlib import Path
from iqa_cli.datasets import readers
for read in (readers.read_live, readers.read_csiq):
    try:
        read(Path({str(tmp_path)!r}))
    except readers.DataError:
        raise
    except Exception as error:
        print(type(error).__name__, error.exit_code, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ExtraMissing 2 reading dmos_realigned.mat needs the [train] extra")
    assert lines[1].startswith("ExtraMissing 2 reading csiq.DMOS.xlsx needs the [train] extra")


# ---- sizes ----


def test_sizes_come_from_headers_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_image(path, (700, 30))
    path.write_bytes(path.read_bytes()[:60])  # the header, and hardly more
    assert readers.read_size(path) == (700, 30)
    (tmp_path / "b.jpg").write_bytes(b"no image")
    assert readers.read_size(tmp_path / "b.jpg") == "not an image"
    assert isinstance(readers.read_size(tmp_path / "none.jpg"), str)


# ---- BIQ2021 ----


def test_biq2021_has_an_official_split_subsets_and_a_name_in_another_case(tmp_path: Path) -> None:
    (tmp_path / "Images").mkdir()
    (tmp_path / "Images/ss02 (1014).JPG").touch()
    (tmp_path / "Train (Images and MOS).csv").write_text("Image Name,MOS,,\nss01 (1).jpg,0.4779,,\nss02 (1014).jpg,0.25,,\n")
    (tmp_path / "Test (Images and MOS).csv").write_text("Image Name,MOS,,\nss03 (7).jpg,0.8,,\n")
    assert readers.read_biq2021(tmp_path) == [
        readers.Rating("Images/ss01 (1).jpg", 0.4779, None, "ss01 (1).jpg", "training", subset="ss01"),
        readers.Rating("Images/ss02 (1014).JPG", 0.25, None, "ss02 (1014).jpg", "training", subset="ss02"),
        readers.Rating("Images/ss03 (7).jpg", 0.8, None, "ss03 (7).jpg", "test", subset="ss03"),
    ]


def test_biq2021_with_an_image_in_both_parts_of_the_split(tmp_path: Path) -> None:
    (tmp_path / "Train (Images and MOS).csv").write_text("Image Name,MOS,,\nss01 (1).jpg,0.4779,,\n")
    (tmp_path / "Test (Images and MOS).csv").write_text("Image Name,MOS,,\nss01 (1).JPG,0.8,,\n")
    with pytest.raises(DataError, match=r"Test \(Images and MOS\)\.csv: ss01 \(1\)\.JPG is in both parts of the split"):
        readers.read_biq2021(tmp_path)
