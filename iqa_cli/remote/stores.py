"""Stores: buckets, hosts and hubs that URLs name, read with patience. fsspec knows how, and where credentials usually are.

An object that cannot be had is an Undecodable, for a row of its own; a store that cannot be had at all is a DataError.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from iqa_cli.errors import DataError, ExtraMissing, UsageError
from iqa_cli.records import Status, Undecodable
from iqa_cli.remote.failures import Failure, judge, quieten_libraries, say
from iqa_cli.remote.members import refuse_large
from iqa_cli.remote.names import HTTP, scheme_of
from iqa_cli.scoring.sources import LazyFile

DELAYS = (0.5, 1.0, 2.0, 4.0)  # seconds before each further attempt, give or take a half
PATIENCE = 20.0  # seconds after which there is no further attempt
READ_TIMEOUT = 120.0  # seconds without an end of one request
POLL_INTERVAL = 0.1  # seconds between checks of whether the run was stopped
HOPELESS = 32  # objects in a row that cannot be read, after which the store is given up
HUB = "hf"
HUB_KINDS = ("datasets", "spaces", "buckets")  # before owner and name; models have none
BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", HUB)


class Store:
    """One bucket or host. For many threads. root: its URL; files: fsspec's file system; stop: set when the run ends."""

    def __init__(self, root: str, files: Any, stop: Event) -> None:
        self.root, self.files, self.stop = root, files, stop
        self.scheme = scheme_of(root)
        self.is_web = self.scheme in HTTP
        self.lock = Lock()
        self.reached = self.checked = False  # whether anything was ever answered, the bucket looked for
        self.failures = 0  # in a row

    def ask(self, request: Callable[[], Any]) -> Any:
        """The answer to a request, which may be a coroutine of the file system; with further attempts where those may help.

        Raises Undecodable for an object that cannot be had, DataError for a store that cannot.
        """
        began = monotonic()
        for delay in (*DELAYS, None):
            try:
                answer = self._wait(request())
            except Undecodable:
                raise
            except Exception as error:  # of any of a dozen libraries
                failure = judge(error)
                self._refuse(error, failure)
                if delay is None or monotonic() - began > PATIENCE:
                    self._give_up(error, failure)
                elif self.stop.wait(delay * (0.5 + random.random())):
                    raise Undecodable(Status.DENIED, "the run was stopped") from error
            else:
                self._note_answer()
                return answer
        raise AssertionError("the last attempt returns or raises")

    def _refuse(self, error: BaseException, failure: Failure) -> None:
        """Raises Undecodable and DataError for a failure that lasts."""
        if failure is Failure.FATAL:
            raise DataError(f"{self.root}: cannot be read: {say(error)}") from error
        if failure is Failure.UNNAMEABLE:
            raise Undecodable(Status.MISSING, f"nothing can be called so: {say(error)}") from error
        if failure not in (Failure.MISSING, Failure.DENIED):
            return
        if failure is Failure.MISSING and not self.reached:
            self.check_bucket()
        if failure is Failure.DENIED and not self.reached:
            self.check_keys()
        self._note_answer()
        if failure is Failure.MISSING:
            raise Undecodable(Status.MISSING, "no such object") from error
        raise Undecodable(Status.DENIED, f"cannot be read: {say(error)}") from error

    def _wait(self, answer: Any) -> Any:
        """The result of a coroutine, unless the run is stopped meanwhile; anything else as it is."""
        if not hasattr(answer, "__await__"):
            return answer
        import asyncio

        future = asyncio.run_coroutine_threadsafe(answer, self.files.loop)
        end = monotonic() + READ_TIMEOUT
        while not future.done():
            with suppress(TimeoutError):
                future.exception(POLL_INTERVAL)
            if self.stop.is_set() and not future.done():
                future.cancel()
                raise Undecodable(Status.DENIED, "the run was stopped")
            if monotonic() > end and future.cancel():
                raise TimeoutError(f"no answer within {READ_TIMEOUT:g} s")
        return future.result()

    def check_bucket(self) -> None:
        """Where nothing was found, look for the bucket itself, once. Raises DataError where there is none."""
        with self.lock:
            needed, self.checked = not self.checked, True
        if not needed or self.scheme not in BUCKETS:
            return
        name = "_info" if getattr(self.files, "async_impl", False) else "info"
        try:
            self._wait(getattr(self.files, name)(self.files._strip_protocol(self.root)))
        except FileNotFoundError as error:
            kind = "repository" if self.scheme == HUB else "bucket"
            raise DataError(f"{self.root}: no such {kind}, or not for these credentials") from error
        except Exception:  # one may read objects of a bucket without being allowed to ask about it
            return

    def check_keys(self) -> None:
        """Where S3 refused something without a word, as it does for HEAD, ask why. Raises DataError for wrong credentials."""
        if not hasattr(self.files, "_call_s3"):
            return
        bucket = urlsplit(self.root).netloc
        try:
            self._wait(self.files._call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1))
        except Exception as error:
            if judge(error) is Failure.FATAL:
                raise DataError(f"{self.root}: cannot be read: {say(error)}") from error

    def _note_answer(self) -> None:
        with self.lock:
            self.reached, self.failures = True, 0

    def _give_up(self, error: BaseException, failure: Failure) -> None:
        """Raises Undecodable for one object; DataError where the store never answered, or does not any more."""
        with self.lock:
            self.failures += 1
            hopeless = self.failures >= HOPELESS or (failure is Failure.UNREACHABLE and not self.reached)
        if hopeless:
            raise DataError(f"{self.root}: cannot be reached: {say(error)}") from error
        raise Undecodable(Status.DENIED, f"cannot be read: {say(error)}") from error

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """The answer of a method of the file system. Raises as `ask` does."""
        name = f"_{method}" if getattr(self.files, "async_impl", False) else method
        return self.ask(lambda: getattr(self.files, name)(*arguments, **named))

    def read(self, path: str, size: int | None = None) -> bytes:
        """All of an object. size: bytes, where it is known. Raises as `ask` does, and Undecodable for one that is too large."""
        if self.is_web:
            return bytes(self.ask(lambda: read_page(self.files, path)))
        size = self.call("info", path)["size"] if size is None else size
        refuse_large(size)
        return self.read_range(path, 0, size)

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Some bytes of an object, as far as it has them. Raises as `ask` does."""
        return bytes(self.call("cat_file", path, start=start, end=end)) if end > start else b""


async def read_page(files: Any, url: str) -> bytes:
    """All that a web server gives for a URL, by one request. Raises Undecodable for too much, and what aiohttp raises."""
    session = await files.set_session()
    parts, size = [], 0
    async with session.get(files.encode_url(url), **files.kwargs) as response:
        files._raise_not_found_for_status(response, url)
        async for part in response.content.iter_chunked(1 << 20):
            parts.append(part)
            size += len(part)
            refuse_large(size)
    return b"".join(parts)


class Stores:
    """The stores of a run, each opened once. stop: set when the run ends."""

    def __init__(self, stop: Event) -> None:
        self.stop = stop
        self.opened: dict[str, Store] = {}

    def open(self, url: str) -> tuple[Store, str] | None:
        """The store of a URL, and the path in it; None where nothing is known of its kind.

        Raises ExtraMissing, DataError, and UsageError for a pattern of stores.
        """
        scheme, root = scheme_of(url), root_of(url)
        if scheme in BUCKETS and "*" in root_of(url.replace("?", "*")):
            kind = "repository" if scheme == HUB else "bucket"
            raise UsageError(f"{url}: a pattern may not stand for a {kind}: name one, as {scheme}://NAME/*.jpg")
        store = self.opened.get(root)
        if store is None:
            files = open_files(url, scheme)
            if files is None:
                return None
            store = self.opened[root] = Store(root, files, self.stop)
        return store, str(store.files._strip_protocol(url))

    def find(self, root: str) -> Store:
        """The store of a root, as `Store.root` names it. Raises ExtraMissing, DataError."""
        opened = self.open(root)
        if opened is None:
            raise DataError(f"{root}: nothing is known of URLs of this kind")
        return opened[0]


def root_of(url: str) -> str:
    """The URL of what is there or not as a whole: a bucket, a host, or a repository of the hub."""
    parts, scheme = urlsplit(url), scheme_of(url)
    if scheme != HUB:
        return f"{scheme}://{parts.netloc}"
    names = [parts.netloc, *parts.path.split("/")[1:]]
    return f"{scheme}://{'/'.join(names[: 3 if names[0] in HUB_KINDS else 2])}"


def open_files(url: str, scheme: str) -> Any:
    """The file system of fsspec for a URL; None where it has none. Raises ExtraMissing, DataError."""
    try:
        import fsspec

        quieten_libraries()
        options: dict[str, Any] = {}
        if scheme in HTTP:
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=60)
            options["client_kwargs"] = {"timeout": timeout, "trust_env": True}
        return fsspec.core.url_to_fs(url, skip_instance_cache=True, **options)[0]
    except ImportError as error:
        raise ExtraMissing("remote", f"{scheme}://") from error
    except ValueError as error:
        if "Protocol not known" in str(error):
            return None
        raise DataError(f"{url}: {say(error)}") from error
    except Exception as error:  # as a host that is not found while a session is opened
        raise DataError(f"{url}: cannot be reached: {say(error)}") from error


def make_lazy(name: str, store: Store, path: str, size: int | None = None) -> LazyFile:
    """An object of a store, read when its turn comes. name: its URL; size: bytes, where it is known."""
    return LazyFile(name, lambda: store.read(path, size))
