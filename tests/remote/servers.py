"""Servers on loopback for tests: plain web servers, with faults on request."""

from __future__ import annotations

import functools
import http.server
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class FaultyHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; `answer` may answer instead, by the path and how often it was asked for: a status, None for the file."""

    def __init__(self, *args: object, answer: Callable[[str, int], int | None], seen: Counter[str], **options: object) -> None:
        self.answer, self.seen = answer, seen
        super().__init__(*args, **options)

    def do_GET(self) -> None:
        self.seen[self.path] += 1
        status = self.answer(self.path, self.seen[self.path])
        if status is None:
            super().do_GET()
        elif status == 0:  # all but the end of the file
            data = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
        else:
            self.send_error(status)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


class QuietServer(http.server.ThreadingHTTPServer):
    """Says nothing of clients that go away."""

    def handle_error(self, *_: object) -> None:
        """Nothing on stderr."""


@contextmanager
def serving(folder: Path, answer: Callable[[str, int], int | None] = lambda *_: None) -> Iterator[tuple[str, Counter[str]]]:
    """The URL of a server of a folder, without a slash at its end, and how often each path was asked for."""
    seen = Counter[str]()
    handler = functools.partial(FaultyHandler, directory=str(folder), answer=answer, seen=seen)
    server = QuietServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
