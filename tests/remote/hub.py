"""A hub of Hugging Face on loopback, as far as `hf://datasets/owner/set` asks it: one repository of files."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

REPOSITORY = "owner/set"


class HubHandler(http.server.BaseHTTPRequestHandler):
    """Answers about the files in a folder; of other repositories it knows nothing."""

    def __init__(self, *args: object, folder: Path, **options: object) -> None:
        self.folder = folder
        super().__init__(*args, **options)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        tree, files = f"/api/datasets/{REPOSITORY}/tree/main", f"/datasets/{REPOSITORY}/resolve/main/"
        if path.startswith(tree):
            place = self.folder / path.removeprefix(tree).strip("/")
            found = sorted(place.iterdir()) if place.is_dir() else []
            self.answer(200 if found else 404, json.dumps([self.describe(each) for each in found]).encode(), "EntryNotFound")
        elif path.startswith(files) and (self.folder / path.removeprefix(files)).is_file():
            self.answer(200, (self.folder / path.removeprefix(files)).read_bytes())
        elif path == f"/api/datasets/{REPOSITORY}":
            self.answer(200, json.dumps({"id": REPOSITORY, "sha": "1" * 40, "private": False}).encode())
        else:
            self.answer(404, b"{}", "EntryNotFound" if REPOSITORY in path else "RepoNotFound")

    do_HEAD = do_GET  # noqa: N815  as the library calls it

    def describe(self, path: Path) -> dict[str, object]:
        """A file or a folder as the hub lists it."""
        kind, size = ("directory", 0) if path.is_dir() else ("file", path.stat().st_size)
        return {"type": kind, "oid": "0" * 40, "size": size, "path": path.relative_to(self.folder).as_posix()}

    def answer(self, status: int, body: bytes, error: str = "") -> None:
        """Send all of an answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("X-Repo-Commit", "1" * 40)
        if status != 200:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@contextmanager
def serving_hub(folder: Path) -> Iterator[str]:
    """The URL of a hub whose one data set is a folder."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(HubHandler, folder=folder))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
