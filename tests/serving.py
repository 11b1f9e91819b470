"""A real `iqa serve` on loopback for tests and benchmarks, and requests to it."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from in_process import environment

STARTED = re.compile(r"listening on http://127\.0\.0\.1:(\d+);")


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        """Its JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of its error; empty where it is none."""
        return str(self.data.get("error", {}).get("code", ""))


@dataclass
class Server:
    """A server that runs. said: the lines on its stderr, once it has stopped."""

    process: subprocess.Popen[str]
    port: int
    said: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, body: Any = None, timeout: float = 60, **headers: str) -> Answer:
        """One request. body: bytes, or an iterable of bytes, which is sent in chunks."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers.items()), response.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        """One POST."""
        return self.ask("POST", path, body, **headers)

    def post_form(self, path: str, *files: tuple[str, bytes]) -> Answer:
        """Files in a form, each with its name."""
        parts = [
            f'--cut\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n"
            for name, data in files
        ]
        return self.post(path, b"".join(parts) + b"--cut--\r\n", Content_Type="multipart/form-data; boundary=cut")

    def connect(self) -> socket.socket:
        """A connection of its own."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def stop(self) -> int:
        """Its exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert self.process.stderr is not None
        self.said += self.process.stderr.read().splitlines()
        return code


@contextmanager
def serving(*arguments: str | Path) -> Iterator[Server]:
    """A server on a port that was free. At the end it is stopped."""
    command = [sys.executable, "-m", "iqa_cli", "serve", "--port", "0", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment())
    assert process.stderr is not None
    try:
        first = process.stderr.readline()
        found = STARTED.match(first)
        assert found, first + process.stderr.read()
        server = Server(process, int(found[1]))
        wait_ready(server)
        yield server
        if process.poll() is None:
            server.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stderr.close()


def wait_ready(server: Server) -> None:
    """Until it answers: its socket is open before it does."""
    assert server.ask("GET", "/healthz").status == 200
