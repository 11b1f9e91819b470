"""What `Scorer` promises: whatever a program has of a picture, the number is that of the command line."""

import doctest
import io
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, read_rows, wait_until, write_photo
from pictures import ADOBE_GAMMA, SRGB_PRIMARIES, make_exif, make_profile
from PIL import Image

import iqa_cli.library
from iqa_cli import ClosedError, InputError, Scorer, ScoreRecord, Status, score_images
from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.options import ScoreOptions
from iqa_cli.scoring.decode_pool import DecoderPool

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "tests" / "photos" / "coffee.jpg"
RGB = np.asarray(Image.open(PHOTO).convert("RGB"))


@pytest.fixture(scope="module")
def scorer() -> Iterator[Scorer]:
    with Scorer() as opened:
        yield opened


def save(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


# ---- the same numbers ----


def test_the_numbers_are_those_of_the_command_line(iqa: Run, scorer: Scorer) -> None:
    photos = sorted((ROOT / "tests" / "photos").glob("*.jpg"))
    rows = read_rows(iqa("score", *photos, "--no-cache").stdout)
    for photo, row in zip(photos, rows, strict=True):
        record = scorer.score(photo)
        assert (f"{record.score:.2f}", f"{record.percentile:.1f}") == (row["score"], row["percentile"])
        assert (record.path, record.model) == (row["path"], row["model"])


def as_named_file(data: bytes, folder: Path) -> io.BufferedReader:
    (folder / "named.bin").write_bytes(data)
    return (folder / "named.bin").open("rb")


FORMS: dict[str, Callable[[bytes, Path], object]] = {
    "bytes": lambda data, _: data,
    "bytearray": lambda data, _: bytearray(data),
    "a slice of memory": lambda data, _: memoryview(b"--" + data)[2:],
    "a file in memory": lambda data, _: io.BytesIO(data),
    "a file": as_named_file,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "data",
    [
        PHOTO.read_bytes(),
        save(Image.fromarray(RGB).resize((2400, 1600)), "JPEG", quality=95, exif=make_exif(6)),
        save(Image.fromarray(RGB), "WEBP"),
        save(Image.fromarray(RGB), "AVIF"),
        save(Image.fromarray(RGB), "TIFF"),
        save(Image.fromarray(RGB).convert("CMYK"), "TIFF"),
        save(Image.fromarray(np.asarray(Image.fromarray(RGB).convert("L")).astype(np.uint16) * 257)),
        PHOTO.read_bytes()[:20_000],
        b"no image",
        b"",
    ],
    ids=["jpeg", "large-turned", "webp", "avif", "tiff", "cmyk", "deep", "cut-short", "text", "empty"],
)
def test_bytes_of_a_file_are_the_file(scorer: Scorer, tmp_path: Path, data: bytes, form: Callable[..., object]) -> None:
    (tmp_path / "photo.jpg").write_bytes(data)
    expected = scorer.score(tmp_path / "photo.jpg")
    given = form(data, tmp_path)
    record = scorer.score(given, name="photo.jpg")
    if isinstance(given, io.IOBase):
        given.close()
    fields = ("status", "score", "percentile", "detail", "width", "height", "model")
    assert [getattr(record, name) for name in fields] == [getattr(expected, name) for name in fields]
    assert record.path == "photo.jpg"


def test_the_suffix_of_a_name_tells_raw_from_tiff(scorer: Scorer) -> None:
    data = save(Image.fromarray(RGB), "TIFF")
    assert scorer.score(data, name="photo.tif").status is Status.OK
    assert scorer.score(data, name="photo.nef").detail.startswith("RAW of a kind")


@pytest.mark.parametrize("size", [(600, 400), (2400, 1600), (40, 30), (900, 200)], ids=str)
def test_pixels_score_as_a_png_of_them(scorer: Scorer, size: tuple[int, int]) -> None:
    picture = Image.fromarray(RGB).resize(size)
    rgb = np.asarray(picture)
    record = scorer.score(save(picture))
    assert record.status is Status.OK
    assert (record.width, record.height) == size
    every_second = np.repeat(np.repeat(rgb, 2, 0), 2, 1)[::2, ::2]
    for form in (rgb, rgb.copy(order="F"), every_second, picture):
        assert scorer.score(form).score == record.score
    assert scorer.score(rgb[..., ::-1], channels="bgr").score == record.score
    assert scorer.score(rgb[..., ::-1]).score != record.score


def test_a_grey_array_scores_as_a_grey_png(scorer: Scorer) -> None:
    grey = Image.fromarray(RGB).convert("L")
    expected = scorer.score(save(grey)).score
    assert scorer.score(np.asarray(grey)).score == scorer.score(np.asarray(grey), channels="bgr").score == expected


ALPHA = Image.fromarray(np.dstack([RGB, np.tile(np.arange(600) % 256, (400, 1)).astype(np.uint8)]))
WIDE = make_profile(b"RGB ", ADOBE_GAMMA, SRGB_PRIMARIES)
GREY_16 = Image.fromarray(np.asarray(Image.fromarray(RGB).convert("L")).astype(np.uint16) * 200)
PILLOW = {
    "grey": save(Image.fromarray(RGB).convert("L")),
    "black and white": save(Image.fromarray(RGB).convert("1")),
    "transparent": save(ALPHA),
    "transparent grey": save(ALPHA.convert("LA")),
    "palette": save(Image.fromarray(RGB).quantize(64)),
    "palette with a hole": save(Image.fromarray(RGB).quantize(64), transparency=3),
    "one transparent colour": save(Image.fromarray(RGB), transparency=tuple(map(int, RGB[200, 300]))),
    "16 bits of grey": save(GREY_16),
    "profile": save(Image.fromarray(RGB), icc_profile=WIDE),
    "grey and a profile": save(Image.fromarray(RGB).convert("L"), icc_profile=make_profile(b"GRAY", 1.0)),
    "turned": save(Image.fromarray(RGB), exif=make_exif(6)),
    "mirrored, with a profile": save(Image.fromarray(RGB), exif=make_exif(7), icc_profile=WIDE),
    "gif": save(Image.fromarray(RGB).quantize(64), "GIF"),
    "cmyk": save(Image.fromarray(RGB).convert("CMYK"), "TIFF"),
    "turned tiff": save(Image.fromarray(RGB), "TIFF", exif=make_exif(6)),
    "webp": save(ALPHA, "WEBP", lossless=True),
}


@pytest.mark.parametrize("data", PILLOW.values(), ids=PILLOW)
def test_what_pillow_opened_scores_as_its_file(scorer: Scorer, data: bytes) -> None:
    expected = scorer.score(data)
    assert expected.status is Status.OK
    lazy, loaded = Image.open(io.BytesIO(data)), Image.open(io.BytesIO(data))
    loaded.load()
    for picture in (lazy, loaded, loaded.copy()):
        record = scorer.score(picture)
        assert (record.score, record.width, record.height) == (expected.score, expected.width, expected.height)


def test_gamma_and_primaries_of_a_png_count(scorer: Scorer) -> None:
    from colors import chrm, gama

    plain = save(Image.fromarray(RGB))
    begin = 8 + 25  # behind the header
    for chunks in (gama(1.0), gama(1 / 1.8) + chrm((0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06))):
        data = plain[:begin] + chunks + plain[begin:]
        record = scorer.score(data)
        assert record.score != scorer.score(plain).score
        assert scorer.score(Image.open(io.BytesIO(data))).score == record.score


def make_rare(mode: str) -> tuple[Image.Image, Image.Image]:
    """A picture of a mode, and what it shows."""
    source = Image.fromarray(RGB)
    if mode == "LAB":
        from PIL import ImageCms

        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        picture = ImageCms.profileToProfile(source, srgb, lab, outputMode="LAB")
        assert picture is not None
        return picture, source
    steps = {"PA": "P", "RGBa": "RGBA", "La": "LA"}
    picture = source.convert(steps[mode]).convert(mode) if mode in steps else source.convert(mode)
    return picture, picture.convert(steps.get(mode, "RGB")).convert("RGB")


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "PA", "RGBa", "La", "RGBX", "LAB"])
def test_rare_modes_score_about_as_what_they_were_made_of(scorer: Scorer, mode: str) -> None:
    picture, shown = make_rare(mode)
    assert picture.mode == mode
    assert scorer.score(picture).score == pytest.approx(scorer.score(shown).score, abs=1.5)


def test_an_own_crop_of_a_lazily_opened_file_is_itself(scorer: Scorer) -> None:
    crop = Image.open(PHOTO).crop((100, 50, 500, 350))
    assert scorer.score(crop).score == scorer.score(np.asarray(crop)).score


def test_the_frame_that_is_shown_counts(scorer: Scorer) -> None:
    frames = [Image.fromarray(RGB), Image.fromarray(RGB).resize((60, 40)).resize((600, 400))]
    animation = Image.open(io.BytesIO(save(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    first = scorer.score(animation).score
    animation.seek(1)
    second = scorer.score(animation).score
    assert first is not None
    assert second is not None
    assert second < first - 5
    assert animation.tell() == 1


# ---- many ----


def test_many_of_mixed_kinds_keep_their_order(scorer: Scorer) -> None:
    items = [PHOTO, str(PHOTO), PHOTO.read_bytes(), io.BytesIO(PHOTO.read_bytes()), RGB, Image.fromarray(RGB), "gone.jpg"] * 3
    records = list(scorer.score_many(items))
    names = [str(PHOTO), str(PHOTO), "<bytes>", "<file>", "<array>", "<image>", "gone.jpg"] * 3
    assert [record.path for record in records] == names
    assert [record.score for record in records] == [scorer.score(item).score for item in items]


def test_images_are_drawn_as_they_are_needed_and_copied_as_they_are_drawn(scorer: Scorer) -> None:
    buffer = np.empty((64, 64, 3), np.uint8)
    drawn = 0

    def draw() -> Iterator[np.ndarray]:
        nonlocal drawn
        while True:
            buffer[:] = RGB[drawn : drawn + 64, drawn : drawn + 64]
            drawn += 1
            yield buffer

    records = scorer.score_many(draw())
    assert drawn == 0
    first = [next(records).score for _ in range(20)]
    time.sleep(0.3)
    assert drawn < 20 + 50
    records.close()
    assert first == [scorer.score(RGB[i : i + 64, i : i + 64]).score for i in range(20)]


def test_an_array_of_several_pictures_is_several(scorer: Scorer) -> None:
    stack = np.stack([RGB[:300, :300], RGB[100:, 300:]])
    assert [record.score for record in scorer.score_many(stack)] == [scorer.score(each).score for each in stack]


@pytest.mark.parametrize("kind", [str, object])
def test_an_array_of_paths_is_a_list_of_them(scorer: Scorer, kind: type) -> None:
    paths = np.array([str(PHOTO), "gone.jpg"], dtype=kind)
    records = list(scorer.score_many(paths))
    assert records == list(scorer.score_many([str(PHOTO), "gone.jpg"]))
    assert {type(record.path) for record in records} == {str}
    assert list(scorer.score_many(paths[:0])) == []
    for other in (paths[None], np.array([b"a.jpg"]), np.zeros(3, np.uint8)):
        with pytest.raises(InputError, match="score_many takes arrays"):
            scorer.score_many(other)


def test_a_path_as_a_file_url_is_that_path(scorer: Scorer, tmp_path: Path) -> None:
    (tmp_path / "a b.jpg").write_bytes(PHOTO.read_bytes())
    expected = scorer.score(tmp_path / "a b.jpg")
    assert expected.status is Status.OK
    for url in (f"file://{tmp_path}/a%20b.jpg", f"local://{tmp_path}/a b.jpg"):
        assert scorer.score(url) == expected
        assert list(scorer.score_many([url])) == [expected]
    assert scorer.score("file:///gone.jpg").status is Status.MISSING


def test_what_is_no_image_ends_many_after_those_before(scorer: Scorer) -> None:
    records = scorer.score_many([PHOTO, PHOTO, RGB / 255, PHOTO])
    assert [next(records).status, next(records).status] == [Status.OK, Status.OK]
    with pytest.raises(InputError, match="of floats"):
        next(records)


@pytest.mark.parametrize("one", ["photo.jpg", b"bytes", PHOTO, io.BytesIO(), RGB, RGB[..., 0]], ids=map(str, range(6)))
def test_one_image_is_not_many(scorer: Scorer, one: object) -> None:
    with pytest.raises(InputError, match="score_many takes"):
        scorer.score_many(one)


# ---- what fails ----


def test_an_image_that_fails_is_a_record(scorer: Scorer, tmp_path: Path) -> None:
    closed = io.BytesIO(b"1")
    closed.close()
    broken = Image.open(io.BytesIO(PHOTO.read_bytes()[:20_000]))
    outcomes = (
        ("gone.jpg", Status.MISSING),
        (str(tmp_path), Status.UNSUPPORTED),
        (b"", Status.DAMAGED),
        (b"text", Status.UNSUPPORTED),
        (closed, Status.DENIED),
        (broken, Status.DAMAGED),
    )
    for given, status in outcomes:
        record = scorer.score(given)
        assert (record.status, record.score) == (status, None)
        assert record.detail


ODD_THINGS = [
    (RGB / 255, r"float64 and shape \[400, 600, 3\]: of floats nobody knows where white is"),
    (RGB.astype(np.float32), "of floats"),
    (RGB.astype(np.uint16), "16 bits"),
    (RGB.astype(np.int64), "values of another kind"),
    (RGB > 9, "values of another kind"),
    (RGB[..., :1], r"one channel: give array\[..., 0\]"),
    (np.dstack([RGB, RGB[..., 0]]), "four channels"),
    (RGB[..., :2], "2 channels"),
    (RGB.transpose(2, 0, 1), r"channels come first: give array.transpose\(1, 2, 0\)"),
    (RGB[None], "no picture has so many axes: of a batch"),
    (RGB[0, 0], "no picture has so many axes"),
    (RGB[:0], "it is empty"),
    (np.array("photo.jpg"), "no picture has so many axes"),
    (np.array(RGB, dtype=object), "values of another kind"),
    (Image.new("F", (9, 9)), "mode F"),
    (Image.new("I", (9, 9)), "mode I"),
    (Image.new("RGB", (0, 9)), "it is empty"),
    (io.StringIO("text"), "open it in binary mode"),
    (io.TextIOWrapper(io.BytesIO(b"\xff\xd8\xff"), "utf-8"), "open it in binary mode"),
    (None, "builtins.NoneType is no image"),
    (7, "builtins.int is no image"),
    ([RGB], "builtins.list is no image"),
    ({"path": "photo.jpg"}, "builtins.dict is no image"),
]


@pytest.mark.parametrize(
    ("given", "words"),
    ODD_THINGS,
    ids=map(str, range(len(ODD_THINGS))),
)
def test_what_can_be_no_image_says_what_to_do(scorer: Scorer, given: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        scorer.score(given)


def test_other_orders_of_channels_are_refused(scorer: Scorer) -> None:
    with pytest.raises(InputError, match="channels are rgb or bgr, not 'rbg'"):
        scorer.score(RGB, channels="rbg")
    with pytest.raises(InputError, match="a name is for what has no path"):
        scorer.score(PHOTO, name="other.jpg")


def test_arrays_have_limits_and_previews_as_files_do(model: Path) -> None:
    with Scorer(model, max_pixels=1000, preview=48) as scorer:
        assert scorer.score(RGB).detail == "600 x 400 px are 0 million, above the limit of 0.001"
        record = scorer.score(RGB[:30, :30])
        assert Image.open(io.BytesIO(record.preview or b"")).size == (30, 30)
    with Scorer(model, preview=48) as scorer:
        pictures = [Image.open(io.BytesIO(scorer.score(each).preview or b"")) for each in (RGB, PHOTO.read_bytes(), PHOTO)]
        assert {picture.size for picture in pictures} == {(48, 32)}
        assert np.array_equal(np.asarray(pictures[1]), np.asarray(pictures[2]))


def test_options_that_make_no_sense_are_refused(model: Path) -> None:
    with pytest.raises(UsageError, match="backend is auto, onnx, torch, not 'tensorflow'"):
        Scorer(model, backend="tensorflow")
    with pytest.raises(UsageError, match="crops is at least 1"):
        Scorer(model, crops=0)
    with pytest.raises(WeightsError, match="no such model"):
        Scorer("nonsense")


@pytest.mark.parametrize("name", ["max_pixels", "workers", "batch_size"])
def test_whole_numbers_may_be_written_as_any_number(model: Path, name: str) -> None:
    value = {"max_pixels": 6e7, "workers": 2.0, "batch_size": np.int64(2)}[name]
    with Scorer(model, **{name: value}) as scorer:  # type: ignore[arg-type]
        assert [record.status for record in scorer.score_many([PHOTO, RGB])] == [Status.OK] * 2
        assert type(getattr(scorer.options, name)) is int


def test_a_limit_of_pixels_may_be_larger_than_any_memory(iqa: Run, model: Path) -> None:
    with Scorer(model, max_pixels=10**18) as scorer:
        assert scorer.score(PHOTO).status is Status.OK
    assert iqa("score", PHOTO, "--model", model, "--max-pixels", str(10**18)).returncode == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_pixels": 1.5}, "max_pixels is a whole number, not 1.5"),
        ({"max_pixels": "5"}, "max_pixels is a whole number, not '5'"),
        ({"workers": float("inf")}, "workers is a whole number, not inf"),
        ({"workers": 10**9}, "workers is at most 4096"),
        ({"batch_size": None}, "batch_size is a whole number, not None"),
        ({"batch_size": 10**20}, "batch_size is at most"),
        ({"max_pixels": 10**5000}, "max_pixels is at most"),
        ({"crops": 10}, "crops is at most 9"),
        ({"preview": -1}, "preview is at least 0, not -1"),
        ({"timeout": 10**400}, "timeout is more than 0 and at most 86400 seconds"),
    ],
)
def test_numbers_that_nothing_can_keep_to_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ScoreOptions(**options)  # type: ignore[arg-type]


def test_a_number_beyond_all_bounds_is_a_line_on_the_command_line(iqa: Run, model: Path) -> None:
    done = iqa("score", PHOTO, "--model", model, "--batch-size", "9" * 20)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"iqa: error: batch_size is at most 9223372036854775807\n"


# ---- closing ----


def test_a_closed_scorer_says_so(model: Path) -> None:
    with Scorer(model) as scorer:
        late = scorer.score_many([PHOTO, PHOTO])
        processes = [decoder.process for decoder in find_pool(scorer).living]
        assert scorer.score(PHOTO).status is Status.OK
    assert all(process.poll() is not None for process in processes)
    for use in (lambda: scorer.score(PHOTO), lambda: scorer.score_many([PHOTO]), lambda: next(late), scorer.__enter__):
        with pytest.raises(ClosedError, match="this Scorer is closed"):
            use()
    scorer.close()


def find_pool(scorer: Scorer) -> DecoderPool:
    assert scorer._pipeline is not None
    return scorer._pipeline.pool


def test_closing_ends_what_other_threads_have_under_way(model: Path, tmp_path: Path) -> None:
    from pictures import forge_png

    slow = tmp_path / "slow.png"
    slow.write_bytes(forge_png(9000, 9000, 8, 0, bytes(9001 * 9000)))
    scorer = Scorer(model, workers=1)
    assert scorer.score(PHOTO).status is Status.OK
    outcomes: list[object] = []

    def work() -> None:
        try:
            outcomes.append(scorer.score(slow))
        except ClosedError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: any(not decoder.in_sync for decoder in list(find_pool(scorer).living)))  # one is at it
    scorer.close()
    for thread in threads:
        thread.join(30)
    assert len(outcomes) == 3
    assert all(isinstance(outcome, ClosedError) for outcome in outcomes)
    assert not find_pool(scorer).living


def test_threads_share_a_scorer(scorer: Scorer) -> None:
    crops = [RGB[i : i + 200, i : i + 300] for i in range(0, 160, 10)]
    expected = [scorer.score(crop).score for crop in crops]
    files = [save(Image.fromarray(crop)) for crop in crops]
    results: dict[int, list[ScoreRecord]] = {}

    def work(number: int) -> None:
        results[number] = list(scorer.score_many(files)) if number % 2 else [scorer.score(file) for file in files]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[record.score for record in results[number]] for number in range(6)] == [expected] * 6


def test_the_cache_is_for_paths_alone(model: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.jpg", 1)
    with Scorer(model, cache=True) as scorer:
        first = [scorer.score(each).score for each in (photo, photo.read_bytes())]
    with Scorer(model, cache=True) as scorer:
        assert [scorer.score(each).score for each in (photo, photo.read_bytes())] == first
        assert scorer._pipeline is not None
        assert scorer._pipeline.cache is not None
        assert scorer._pipeline.cache.hits == 1


def test_a_copy_opens_its_own(model: Path) -> None:
    with Scorer(model, max_pixels=400_000) as scorer:
        copy = pickle.loads(pickle.dumps(scorer))
        with copy:
            assert copy.score(PHOTO) == scorer.score(PHOTO)
            assert copy.score(np.zeros((700, 700, 3), np.uint8)).status is Status.TOO_LARGE
        with pytest.raises(ClosedError):
            copy.score(PHOTO)
        assert scorer.score(PHOTO).status is Status.OK
    with pytest.raises(ClosedError):
        pickle.loads(pickle.dumps(scorer)).score(PHOTO)


# ---- examples ----


@pytest.mark.filterwarnings("ignore:unclosed file")
def test_the_examples_in_docstrings_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    results = doctest.testmod(iqa_cli.library)
    assert results.attempted >= 8
    assert results.failed == 0


def test_score_images_names_what_it_found_in_folders(model: Path, photos: Path) -> None:
    names = [record.path for record in score_images(photos, ScoreOptions(str(model), include=("0[12]*",)))]
    assert names == [str(photos / name) for name in ("01.jpg", "02.jpg")]
