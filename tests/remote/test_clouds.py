"""Stores other than S3: Google Cloud Storage by an emulator, Azure by Azurite where there is one, the hub by a copy."""

from __future__ import annotations

import http.server
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import BUCKET, Run, read_rows, wait_until
from hub import REPOSITORY, serving_hub
from in_process import environment
from shards import read_files

KEY = "a2V5"  # of Azure's accounts, any base64
KNOWN_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # Azurite's, documented


def find_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody listens at a port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """A server in a process of its own, from when it listens at the port on."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: server.poll() is not None or listens(port))
            assert server.poll() is None, "it has ended"
            yield
        finally:
            server.terminate()


def check_folder(iqa: Run, model: Path, photos: Path, files: Any, root: str) -> None:
    """A prefix scores as the folder does; what is missing or damaged is a row; a bucket that is not there is one line."""
    given = read_files(photos)[:3]
    for name, data in [*given, ("z #1 %20.jpg", given[0][1]), ("zz.jpg", given[0][1][:200])]:
        files.pipe(f"{BUCKET}/set/{name}", data)
    rows = read_rows(iqa("score", f"{root}/set", f"{root}/set/none.jpg", "-m", model).stdout)
    local = read_rows(iqa("score", photos, "-m", model).stdout)
    assert [row["score"] for row in rows[:3]] == [row["score"] for row in local[:3]]
    assert [row["path"] for row in rows[:3]] == [f"{root}/set/{name}" for name, _ in given]
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "ok", "damaged", "missing"]
    assert rows[3]["path"] == f"{root}/set/z #1 %20.jpg"
    written = iqa("score", f"{root}/set", "-m", model, "--output", f"{root}/out")
    assert written.returncode == 1, written.stderr
    parts = [path for path in files.find(f"{BUCKET}/out") if path.endswith(".parquet")]
    assert len(parts) == 1
    check_refusal(iqa("score", f"{root}-none/set", "-m", model), b"no such bucket")


def check_refusal(done: subprocess.CompletedProcess[bytes], what: bytes) -> None:
    assert done.returncode == 4, done.stdout
    assert what in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


# ---- Google Cloud Storage ----


@pytest.fixture
def gcsfs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, without gRPC, which the emulator lacks."""
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # read on import
    return pytest.importorskip("gcsfs", reason="needs the [remote] extra")


@pytest.fixture
def google(gcsfs: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The file system of an emulator on loopback, with an empty bucket."""
    pytest.importorskip("gcp_storage_emulator", reason="needs gcp-storage-emulator")
    port = find_port()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    start = [sys.executable, "-m", "gcp_storage_emulator", "start", "--in-memory", "--default-bucket", BUCKET]
    with running([*start, "--host", "127.0.0.1", "--port", str(port)], port):
        yield gcsfs.GCSFileSystem(token="anon", skip_instance_cache=True)


def test_google_cloud_storage_scores_as_a_folder_does(iqa: Run, model: Path, photos: Path, google: Any) -> None:
    check_folder(iqa, model, photos, google, f"gs://{BUCKET}")


@pytest.mark.slow  # half a minute of gcsfs's own attempts
@pytest.mark.usefixtures("gcsfs")
def test_google_cloud_storage_out_of_reach_is_one_line(iqa: Run, model: Path) -> None:
    env = environment(STORAGE_EMULATOR_HOST="http://127.0.0.1:9", GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT="false")
    check_refusal(iqa("score", f"gs://{BUCKET}/set", "-m", model, env=env), b"cannot be reached: ")


# ---- Azure ----


def connect(port: int, key: str) -> str:
    """The connection string of an account on loopback."""
    parts = ["DefaultEndpointsProtocol=http", "AccountName=devstoreaccount1", f"AccountKey={key}"]
    return ";".join([*parts, f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1"])


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The file system of Azurite on loopback, with an empty container."""
    adlfs = pytest.importorskip("adlfs", reason="needs the [remote] extra")
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("needs azurite-blob, of npm's azurite")
    port = find_port()
    options = ["--location", str(tmp_path / "azurite"), "--blobPort", str(port), "--skipApiVersionCheck", "--disableTelemetry"]
    with running([program, *options], port):
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connect(port, KNOWN_KEY))
        files = adlfs.AzureBlobFileSystem(connection_string=connect(port, KNOWN_KEY), skip_instance_cache=True)
        files.mkdir(BUCKET)
        yield files


def test_azure_scores_as_a_folder_does(iqa: Run, model: Path, photos: Path, azure: Any) -> None:
    check_folder(iqa, model, photos, azure, f"az://{BUCKET}")


class RefusingHandler(http.server.BaseHTTPRequestHandler):
    """Answers every request as Azure does where the key is wrong."""

    def do_GET(self) -> None:
        body = b"<Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate the request.</Message></Error>"
        self.send_response(403)
        self.send_header("x-ms-error-code", "AuthenticationFailed")
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  as the library calls it

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def test_a_wrong_key_of_azure_is_one_line(iqa: Run, model: Path) -> None:
    pytest.importorskip("adlfs", reason="needs the [remote] extra")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RefusingHandler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        env = environment(AZURE_STORAGE_CONNECTION_STRING=connect(server.server_port, KEY))
        for url in ("set/01.jpg", "set/", "set/*.jpg", "0.tar"):
            check_refusal(iqa("score", f"az://{BUCKET}/{url}", "-m", model, env=env), b"cannot be read: ")
    finally:
        server.shutdown()
        server.server_close()


def test_a_connection_string_of_azure_that_is_none_is_one_line(iqa: Run, model: Path) -> None:
    pytest.importorskip("adlfs", reason="needs the [remote] extra")
    done = iqa("score", f"az://{BUCKET}/set", "-m", model, env=environment(AZURE_STORAGE_CONNECTION_STRING="nonsense"))
    check_refusal(done, b"Connection string")


# ---- the hub ----


@pytest.mark.process
def test_a_data_set_of_the_hub_scores_as_a_folder_does(iqa_process: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for name, data in [*read_files(photos)[:3], ("zz.jpg", b"text")]:
        (folder / name).write_bytes(data)
    local = read_rows(iqa_process("score", photos, "-m", model).stdout)
    with serving_hub(tmp_path) as url:
        env, root = environment(HF_ENDPOINT=url), f"hf://datasets/{REPOSITORY}"
        for named in ("set", "", "set/*"):
            rows = read_rows(iqa_process("score", f"{root}/{named}", f"{root}/set/none.jpg", "-m", model, env=env).stdout)
            assert [row["path"] for row in rows[:3]] == [f"{root}/set/{name}" for name, _ in read_files(photos)[:3]]
            assert [row["score"] for row in rows[:3]] == [row["score"] for row in local[:3]]
            assert [row["status"] for row in rows[3:]] == ["unsupported", "missing"]
        for other in ("owner/other", "owner/other/set", "owner/other/0.tar"):
            done = iqa_process("score", f"hf://datasets/{other}", "-m", model, env=env)
            check_refusal(done, b"hf://datasets/owner/other: no such repository")
