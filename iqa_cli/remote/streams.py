"""Streams: objects of a store as files, to be read from beginning to end, or anywhere."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, Any

from iqa_cli.remote.stores import Store
from iqa_cli.scoring.ordered_map import map_ordered

BLOCK = 8 << 20  # bytes a request
BLOCKS_AHEAD = 3  # of each object that is read from beginning to end
BUFFER = 1 << 20  # bytes a request where it is read anywhere


class BlockFile(io.RawIOBase):
    """A file of blocks as they come."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks = blocks
        self.rest = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes; none at the end. Raises what drawing a block raises."""
        while not self.rest:
            block = next(self.blocks, None)
            if block is None:
                return 0
            self.rest = memoryview(block)
        target = memoryview(buffer)
        count = min(len(target), len(self.rest))
        target[:count], self.rest = self.rest[:count], self.rest[count:]
        return count


class RangeFile(io.RawIOBase):
    """An object that is read where it is needed. size: bytes."""

    def __init__(self, store: Store, path: str, size: int) -> None:
        self.store, self.path, self.size = store, path, size
        self.place = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere."""
        self.place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence]
        return self.place

    def readinto(self, buffer: Any) -> int:
        """The next bytes; none at the end. Raises as `Store.read_range` does."""
        target = memoryview(buffer)
        data = self.store.read_range(self.path, self.place, min(self.place + len(target), self.size))
        target[: len(data)] = data
        self.place += len(data)
        return len(data)


def measure(store: Store, path: str) -> int | None:
    """The size of an object in bytes, if parts of it can be asked for. Raises as `Store.ask` does."""
    facts = store.call("info", path)
    size = facts.get("size")
    partial = not store.is_web or facts.get("partial")
    return int(size) if size is not None and partial else None


@contextmanager
def open_stream(store: Store, path: str) -> Iterator[IO[bytes]]:
    """An object from its beginning to its end, a few blocks read ahead; in memory, where its server gives all or nothing.

    Raises as `Store.ask` does, also while it is read.
    """
    size = measure(store, path)
    if size is None:
        yield io.BytesIO(store.read(path))
        return
    blocks = map_ordered(
        range(0, size, BLOCK),
        lambda start, _: store.read_range(path, start, min(start + BLOCK, size)),
        threads=BLOCKS_AHEAD,
        name="read",
    )
    with closing(blocks):
        yield io.BufferedReader(BlockFile(blocks), BUFFER)


def open_ranges(store: Store, path: str) -> IO[bytes]:
    """An object to be read anywhere; in memory, where its server gives all or nothing. Raises as `Store.ask` does."""
    size = measure(store, path)
    if size is None:
        return io.BytesIO(store.read(path))
    return io.BufferedReader(RangeFile(store, path, size), BUFFER)
