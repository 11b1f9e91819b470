"""What `groups` promises: series of photos are found whole and named rightly, whatever else is there and in whatever order."""

import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from series import MAKERS, Frame, cut_frame, expose, make_preview, record_series

from iqa_cli.culling.grouping.groups import group_records
from iqa_cli.records import Capture, Detail, GroupKind, ScoreRecord, Status

PHOTOS = {path.stem: path for path in sorted((Path(__file__).parents[1] / "photos").glob("*.jpg")) if "-" not in path.stem}
NAMES = {"burst": "burst", "bracket": "bracket", "stack": "focus-stack", "panorama": "panorama"}
SMALL = 4e5  # px of a frame


def read_photo(name: str) -> np.ndarray:
    return np.asarray(Image.open(PHOTOS[name]).convert("RGB"))


def take(kind: str, photo: str, seed: int, start: float = 1000.0) -> list[ScoreRecord]:
    frames = MAKERS[kind](read_photo(photo), np.random.default_rng(seed), SMALL)
    return record_series(f"{photo}/{kind}{seed}", frames, start)


def list_groups(records: list[ScoreRecord]) -> dict[str, list[str]]:
    """Kind and name of each group -> its paths."""
    groups: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record.place:
            groups[f"{record.place.kind} {record.place.group}"].append(record.path)
    return groups


def record_frame(path: str, pixels: np.ndarray, capture: Capture | None = None, score: float = 50.0) -> ScoreRecord:
    return ScoreRecord(path, Status.OK, "toy", score, 50.0, width=4, height=3, preview=make_preview(pixels), capture=capture)


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("kind", NAMES)
def test_a_series_is_one_group_of_its_kind(kind: str, photo: str) -> None:
    if (kind, photo) == ("panorama", "rocket"):
        pytest.skip("much of that photo is black sky, in which neighbours have nothing in common")
    for seed in range(4):
        records = take(kind, photo, seed)
        others = [*take("single", next(name for name in PHOTOS if name != photo), seed, start=records[-1].capture.moment)]
        grouped = group_records([*records, *others])
        assert list_groups(grouped) == {f"{NAMES[kind]} {records[0].path}": [record.path for record in records]}


def test_all_at_once_and_in_any_order() -> None:
    """Series one after the other, shuffled: the same groups, names and ranks."""
    records, start = [], 0.0
    for number, kind in enumerate([*NAMES, "single", *NAMES]):
        photo = "camera" if kind == "single" else ("chelsea", "coffee", "astronaut")[number % 3]
        records += take(kind, photo, number, start)
        start = records[-1].capture.moment + 6
    whole = {record.path: record.place for record in group_records(records)}
    assert sum(place is None for place in whole.values()) == 1
    assert len({place.group for place in whole.values() if place}) == 8
    for seed in range(3):
        shuffled = random.Random(seed).sample(records, len(records))
        again = group_records(shuffled)
        assert [record.path for record in again] == [record.path for record in shuffled]
        assert {record.path: record.place for record in again} == whole


def test_ranks_follow_scores_and_ties_names() -> None:
    records = take("burst", "coffee", 1)
    records = [replace(record, score=score) for record, score in zip(records, [40, 60, 60, *[30] * 9], strict=False)]
    ranks = [record.place.rank for record in group_records(records)]
    assert ranks[:3] == [3, 1, 2]
    assert ranks[3:] == list(range(4, len(records) + 1))
    assert [record.place.best for record in group_records(records)][:3] == [False, True, False]


def test_a_frame_that_is_softer_at_full_size_loses_rank() -> None:
    """Half the detail is worth ten points; as long as that is not known of all frames, scores alone count."""
    records = take("burst", "coffee", 3)[:3]
    scores, details = (52.0, 50.0, 49.0), (40.0, 80.0, 79.0)
    frames = [
        replace(record, score=score, native=Detail(detail, 1.0, 1.0, 1.0))
        for record, score, detail in zip(records, scores, details, strict=True)
    ]
    places = [record.place for record in group_records(frames)]
    assert [place and place.rank for place in places] == [3, 1, 2]
    assert [place and place.sharpness for place in places] == [-1.0, 0.0, pytest.approx(-0.018, abs=1e-3)]
    for span in (1.0, 1000.0):  # as the model's scale is
        scaled = [replace(frame, score=score * span / 100) for frame, score in zip(frames, scores, strict=True)]
        assert [record.place for record in group_records(scaled, span)] == places
    unknown = [*frames[:2], replace(frames[2], native=None)]
    assert [record.place and record.place.rank for record in group_records(unknown)] == [1, 2, 3]


def test_a_small_copy_is_worth_less_than_the_photo() -> None:
    records = [
        replace(record, width=width, height=height, score=score, native=Detail(90.0, 1.0, 1.0, 1.0))
        for record, width, height, score in zip(
            take("burst", "coffee", 3), (4000, 1000), (3000, 750), (50.0, 60.0), strict=False
        )
    ]
    assert [record.place and record.place.rank for record in group_records(records)] == [1, 2]


@pytest.mark.parametrize("kind", ["bracket", "stack", "panorama"])
def test_what_is_kept_whole_is_not_ranked(kind: str) -> None:
    for record in group_records(take(kind, "chelsea", 1)):
        assert record.place.kind.whole
        assert (record.place.rank, record.place.best) == (None, None)


def test_a_camera_that_follows_the_light_makes_no_bracket() -> None:
    photo = read_photo("coffee")
    frames = [Frame(cut_frame(photo, SMALL, at=(0.5 + 0.004 * n, 0.5)), 0.2, {"ExposureTime": 2.0**-n}) for n in range(4)]
    assert {record.place.kind for record in group_records(record_series("a", frames, 0))} == {GroupKind.BURST}


def test_a_light_that_comes_and_goes_makes_no_bracket() -> None:
    photo = cut_frame(read_photo("coffee"), SMALL)
    frames = [Frame(expose(photo, -0.9 * (n % 2)), 0.2, {"ExposureTime": 0.01}) for n in range(4)]
    assert {record.place.kind for record in group_records(record_series("a", frames, 0))} == {GroupKind.BURST}


def test_a_burst_and_a_bracket_of_one_view_are_two_groups() -> None:
    photo = read_photo("chelsea")
    burst = [Frame(cut_frame(photo, SMALL, at=(0.5 + 0.004 * n, 0.5)), 0.2) for n in range(5)]
    bracket = [Frame(expose(cut_frame(photo, SMALL), ev), 10 if n == 0 else 0.3) for n, ev in enumerate((0, -1.5, 1.5))]
    records = group_records(record_series("a", [*burst, *bracket], 0))
    assert [record.place.kind for record in records] == [GroupKind.BURST] * 5 + [GroupKind.BRACKET] * 3


@pytest.mark.parametrize("pause", [10.0, 0.3])
@pytest.mark.parametrize("first", ["burst", "bracket"])
def test_a_bracket_is_what_the_camera_says_of_and_no_burst_beside_it(first: str, pause: float) -> None:
    photo = read_photo("chelsea")
    burst = [Frame(cut_frame(photo, SMALL, at=(0.5 + 0.004 * n, 0.5)), 0.1, {"ExposureMode": 0}) for n in range(8)]
    bracket = [Frame(expose(cut_frame(photo, SMALL), ev), 0.3, {"ExposureMode": 2}) for ev in (0, -1.5, 1.5)]
    frames = [*burst, *bracket] if first == "burst" else [*bracket, *burst]
    frames[len(burst if first == "burst" else bracket)].after = pause
    kinds = [record.place.kind for record in group_records(record_series("a", frames, 0))]
    expected = [GroupKind.BURST] * 8, [GroupKind.BRACKET] * 3
    assert kinds == [kind for part in (expected if first == "burst" else expected[::-1]) for kind in part]


def test_one_frame_that_the_camera_says_is_of_a_bracket_makes_none() -> None:
    photo = read_photo("chelsea")
    modes = (2, 0, 0, 2, 0, 2)
    frames = [Frame(cut_frame(photo, SMALL, at=(0.5 + 0.004 * n, 0.5)), 0.1, {"ExposureMode": m}) for n, m in enumerate(modes)]
    assert {record.place.kind for record in group_records(record_series("a", frames, 0))} == {GroupKind.BURST}


def test_numbers_of_any_length_are_names() -> None:
    """More digits than Python takes for a number, which ended a run whose records were all lost."""
    photo = cut_frame(read_photo("coffee"), SMALL)
    paths = [f"IMG_{digits}.jpg" for digits in ("9" * 5000, "1" + "0" * 5000, "007", "8")]
    groups = list_groups(group_records([record_frame(path, photo) for path in paths]))
    assert groups == {f"duplicates {paths[2]}": paths}


def test_the_same_view_later_on_is_a_duplicate() -> None:
    frames = [Frame(cut_frame(read_photo("coffee"), SMALL, at=(0.5 + 0.01 * n, 0.5)), 20) for n in range(3)]
    assert list_groups(group_records(record_series("a", frames, 0))) == {
        "duplicates a_1.jpg": ["a_1.jpg", "a_2.jpg", "a_3.jpg"]
    }


def test_views_of_other_cameras_are_apart() -> None:
    photo = read_photo("coffee")
    one = record_series("a", [Frame(cut_frame(photo, SMALL), 0)], 0)
    other = record_series("b", [Frame(cut_frame(photo, SMALL, at=(0.45, 0.54)), 0)], 0.5, camera="Nikon")
    assert not list_groups(group_records([*one, *other]))
    assert list_groups(group_records([*one, *(replace(record, capture=one[0].capture) for record in other)]))


def test_copies_without_a_time_are_found_wherever_they_are() -> None:
    photos = {name: read_photo(name) for name in PHOTOS}
    records = [record_frame(f"{name}.jpg", photo, Capture(1e5 * n)) for n, (name, photo) in enumerate(photos.items())]
    small = cv2.resize(photos["coffee"], None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    grey = np.repeat(photos["chelsea"].mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    records += [record_frame("web/export.jpg", small), record_frame("web/grey.jpg", grey)]
    assert list_groups(group_records(records)) == {"duplicates coffee.jpg": ["coffee.jpg", "web/export.jpg"]}


def test_names_tell_the_time_where_exif_does_not() -> None:
    photo = read_photo("astronaut")
    paths = [f"IMG_20250612_14000{n}.jpg" for n in (1, 2)]
    records = [record_frame(path, cut_frame(photo, SMALL, at=(0.5 + 0.01 * n, 0.5))) for n, path in enumerate(paths)]
    assert list_groups(group_records(records)) == {f"burst {paths[0]}": paths}


def test_neighbours_by_name_are_duplicates_where_nothing_tells_the_time() -> None:
    photo = read_photo("astronaut")
    paths = ["a/9.jpg", "a/10.jpg", "b/11.jpg"]
    views = [cut_frame(photo, SMALL, at=(0.5 + 0.03 * n, 0.5)) for n in range(3)]
    grouped = group_records([record_frame(path, view) for path, view in zip(paths, views, strict=True)])
    assert list_groups(grouped) == {"duplicates a/9.jpg": ["a/9.jpg", "a/10.jpg"]}


def test_one_shot_in_two_formats_is_one_frame() -> None:
    records = take("burst", "coffee", 2)
    raws = [replace(record, path=record.path.replace(".jpg", ".heic"), score=record.score - 30) for record in records]
    grouped = {record.path: record.place for record in group_records([*raws, *records])}
    assert {grouped[raw.path] == grouped[record.path] for raw, record in zip(raws, records, strict=True)} == {True}
    assert grouped[records[0].path].size == 2 * len(records)
    assert sorted({place.rank for place in grouped.values()}) == list(range(1, len(records) + 1))
    assert not list_groups(group_records([raws[0], records[0]]))  # which alone is no group


def test_plain_and_failed_images_are_in_no_group() -> None:
    black = np.zeros((300, 400, 3), np.uint8)
    failed = ScoreRecord("d.jpg", Status.DAMAGED, "toy", detail="cut short")
    records = [record_frame("a.jpg", black, Capture(0)), record_frame("b.jpg", black, Capture(1)), failed]
    assert not list_groups(group_records([*records, replace(record_frame("c.jpg", black), preview=b"no JPEG")]))


def test_a_name_that_is_no_utf8_is_spelt_out() -> None:
    photo = cut_frame(read_photo("coffee"), SMALL)
    records = group_records(record_series("\udcff", [Frame(photo, 0.1), Frame(photo, 0.1)], 0))
    assert {record.place.group for record in records} == {r"\xff_1.jpg"}


def test_nothing_of_a_preview_is_kept() -> None:
    assert all(record.preview is None and record.capture is None for record in group_records(take("burst", "coffee", 1)))
