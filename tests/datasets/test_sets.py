"""Which sets, and where: one answer, and one sentence for what is wrong, for every command."""

from __future__ import annotations

from pathlib import Path

import pytest
from official import write_set

from iqa_cli.datasets.sets import is_placed, read_set, read_sets
from iqa_cli.errors import DataError, UsageError
from iqa_cli.options import OwnRatings, RatedSets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder with two public sets, and ratings of one's own elsewhere."""
    write_set("tid2013", tmp_path / "sets")
    write_set("kadid10k", tmp_path / "sets")
    image = min((tmp_path / "sets" / "tid2013" / "distorted_images").iterdir())
    (tmp_path / "own").mkdir()
    for name in ("a.bmp", "b.bmp"):
        (tmp_path / "own" / name).write_bytes(image.read_bytes())
    (tmp_path / "own" / "mine.csv").write_text("image,score\na.bmp,1\nb.bmp,2\n")
    return tmp_path


def test_one_folder_holds_the_public_sets_and_own_ratings_lie_beside_their_file(folder: Path) -> None:
    chosen = RatedSets(("tid2013", "csv", "kadid10k"), (folder / "sets",), OwnRatings(folder / "own" / "mine.csv"))
    read = read_sets(chosen)
    assert list(read) == ["tid2013", "csv", "kadid10k"]
    assert [labels.root for labels in read.values()] == [folder / "sets/tid2013", folder / "own", folder / "sets/kadid10k"]


def test_a_folder_each(folder: Path) -> None:
    (folder / "elsewhere.csv").write_text("image,score\na.bmp,1\nb.bmp,2\n")
    chosen = RatedSets(("csv", "tid2013"), (folder / "own", folder / "sets" / "tid2013"), OwnRatings(folder / "elsewhere.csv"))
    assert [labels.root for labels in read_sets(chosen).values()] == [folder / "own", folder / "sets/tid2013"]
    alone = RatedSets(("csv",), (folder / "own",), OwnRatings(folder / "elsewhere.csv"))
    assert read_sets(alone)["csv"].root == folder / "own"


@pytest.mark.parametrize("names", [("tid2013", "csv"), ("csv",)])
def test_own_images_lie_below_the_data_root_or_beside_their_file(folder: Path, names: tuple[str, ...]) -> None:
    (folder / "lists").mkdir()
    (folder / "lists" / "mine.csv").write_text("image,score\nown/a.bmp,1\nown/b.bmp,2\n")
    (folder / "tid2013").symlink_to(folder / "sets" / "tid2013")
    below = RatedSets(names, (folder,), OwnRatings(folder / "lists" / "mine.csv"))
    assert read_sets(below)["csv"].root == folder
    beside = RatedSets(names, (folder,), OwnRatings(folder / "own" / "mine.csv"))
    assert read_sets(beside)["csv"].root == folder / "own"


def test_the_environment_says_where_public_sets_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IQA_DATA", raising=False)
    own = OwnRatings(folder / "own" / "mine.csv")
    assert [is_placed("tid2013", None, own), is_placed("csv", None, own), is_placed("csv", folder, OwnRatings())] == [
        False,
        True,
        False,
    ]
    monkeypatch.setenv("IQA_DATA", str(folder / "sets"))
    assert is_placed("tid2013", None, own)
    assert read_set("tid2013", None, own).root == folder / "sets" / "tid2013"


def test_missing_images_are_an_error_unless_allowed(folder: Path) -> None:
    (folder / "own" / "b.bmp").unlink()
    chosen = RatedSets(("csv",), own=OwnRatings(folder / "own" / "mine.csv"))
    with pytest.raises(DataError, match=r"1 of 2 images are missing, the first: b\.bmp"):
        read_sets(chosen)
    assert len(read_sets(chosen, allow_missing=True)["csv"].ratings) == 2


@pytest.mark.parametrize(
    ("names", "roots", "own", "said"),
    [
        (("livec", "livec"), (), OwnRatings(), "livec is named twice"),
        (("livec",), (Path("a"), Path("b")), OwnRatings(), "2 times --data-root for 1 sets: give one for each"),
        (("livec",), (), OwnRatings(Path("mine.csv")), r"mine\.csv is for ratings of your own: add --dataset csv"),
        (("ava",), (), OwnRatings(), "no data set 'ava'; there are livec"),
        (("csv",), (), OwnRatings(), "needs the file with the ratings: --labels FILE"),
    ],
)
def test_what_makes_no_sense(names: tuple[str, ...], roots: tuple[Path, ...], own: OwnRatings, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_sets(RatedSets(names, roots, own))
