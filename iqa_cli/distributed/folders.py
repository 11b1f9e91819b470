"""Folders: where files of parts are kept, on a disk or in a bucket. Each file appears whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event
from typing import Protocol

from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.atomic import SealedFile, open_target
from iqa_cli.records import Status, Undecodable
from iqa_cli.remote.names import HTTP, is_archive, is_url, plainly
from iqa_cli.remote.objects import list_prefix
from iqa_cli.remote.stores import Store, Stores


class Folder(Protocol):
    """Files by their names. Raises DataError where it cannot be reached."""

    def list(self) -> list[str]:
        """The names of what is there; none of a folder that is not there yet."""

    def read(self, name: str) -> bytes | None:
        """All of a file; None where there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Make or replace a file, whole or not at all."""

    def remove(self, name: str) -> None:
        """Remove a file."""


def open_folder(place: str) -> Folder:
    """A folder by its path or its URL. Raises UsageError for what is none, ExtraMissing and DataError."""
    place = plainly(place)
    if is_archive(place):
        raise UsageError(f"--output {place}: the name of an archive: name a folder")
    if not is_url(place):
        return LocalFolder(Path(place).absolute())
    opened = Stores(Event()).open(place)
    if opened is None or opened[0].scheme in HTTP:
        raise UsageError(
            f"--output {place}: nothing can be written there: name a folder, or a bucket such as s3://bucket/scores/"
        )
    return StoreFolder(place.rstrip("/"), *opened)


class LocalFolder:
    """A folder on a disk, made with its first file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def list(self) -> list[str]:
        """As `Folder.list`; without what is being written."""
        try:
            return sorted(each for each in os.listdir(self.path) if not each.startswith("."))  # noqa: PTH208  # names
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DataError(f"--output {self.path}: cannot be read: {error.strerror}") from error

    def read(self, name: str) -> bytes | None:
        """As `Folder.read`; a folder is no file."""
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as error:
            raise DataError(f"{self.path / name}: cannot be read: {error.strerror}") from error

    def write(self, name: str, data: bytes) -> None:
        """As `Folder.write`."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"--output {self.path}: cannot be made: {error.strerror}") from error
        with open_target(self.path / name, SealedFile) as target:
            target.write(data)
            if isinstance(target, SealedFile):
                target.seal()

    def remove(self, name: str) -> None:
        """As `Folder.remove`."""
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"{self.path / name}: cannot be removed: {error.strerror}") from error


class StoreFolder:
    """A prefix of a bucket, where an object appears with its last byte. place: its URL."""

    def __init__(self, place: str, store: Store, path: str) -> None:
        self.place, self.store, self.path = place, store, path.rstrip("/")

    def list(self) -> list[str]:
        """As `Folder.list`."""
        try:
            return [str(entry["name"]).rpartition("/")[2] for entry in list_prefix(self.store, self.path)]
        except Undecodable as failure:
            if failure.status is Status.MISSING:
                return []
            raise DataError(f"--output {self.place}: {failure}") from failure

    def read(self, name: str) -> bytes | None:
        """As `Folder.read`."""
        try:
            return self.store.read(f"{self.path}/{name}")
        except Undecodable as failure:
            if failure.status is Status.MISSING:
                return None
            raise DataError(f"{self.place}/{name}: {failure}") from failure

    def write(self, name: str, data: bytes) -> None:
        """As `Folder.write`."""
        try:
            self.store.call("pipe_file", f"{self.path}/{name}", data)
        except Undecodable as failure:
            raise DataError(f"{self.place}/{name}: cannot be written: {failure}") from failure

    def remove(self, name: str) -> None:
        """As `Folder.remove`."""
        try:
            self.store.call("rm_file", f"{self.path}/{name}")
        except Undecodable as failure:
            raise DataError(f"{self.place}/{name}: cannot be removed: {failure}") from failure
