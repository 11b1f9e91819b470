"""A folder that is filled takes the place of an empty one as whole files take that of files."""

import os
import stat
from pathlib import Path

import pytest

from iqa_cli.errors import DataError
from iqa_cli.files import folders
from iqa_cli.files.folders import filling
from iqa_cli.files.replacing import name_aside


def fill(folder: Path) -> None:
    with filling(folder) as aside:
        (aside / "a").write_text("new")


def test_the_mode_of_an_empty_folder_stays_and_one_that_may_only_be_read(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o700)
    fill(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(DataError, match="may only be read"):
        fill(tmp_path / "locked")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["locked", "out"]


def test_what_a_process_of_the_same_number_left_is_no_obstacle(tmp_path: Path) -> None:
    left = tmp_path / f".out.{os.getpid()}.part"
    left.mkdir()  # without a claim, as where a run was killed at once
    fill(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [left.name, "out"]


def test_a_folder_that_cannot_be_begun_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "create_claimed", fail)
    with pytest.raises(DataError, match="No space left on device"):
        fill(tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_name_may_be_as_long_as_the_file_system_has_them(tmp_path: Path) -> None:
    folder = tmp_path / ("写" * 85)
    left = name_aside(folder, 4_000_000_000)
    left.mkdir()
    (left / folders.CLAIM).touch()
    fill(folder)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_link_in_a_circle_is_said(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(DataError, match="Too many levels of symbolic links"):
        fill(tmp_path / "circle")
