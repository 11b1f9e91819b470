"""What a server answers on loopback, and that hostile requests cost nobody but themselves."""

import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, wait_until
from in_process import environment
from pictures import forge_png
from PIL import Image
from test_processes import find_children

pytest.importorskip("starlette", reason="needs the [serve] extra")
pytest.importorskip("uvicorn", reason="needs the [serve] extra")
pytest.importorskip("python_multipart", reason="needs the [serve] extra")

from serving import Server, serving

pytestmark = pytest.mark.process

PHOTOS = Path(__file__).parents[1] / "photos"
GOOD = (PHOTOS / "coffee.jpg").read_bytes()
BOMB = forge_png(20_000, 20_000, 8, 0, bytes(20_001 * 20_000))
SLOW = forge_png(9_000, 9_000, 8, 0, bytes(9_001 * 9_000))


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    path.write_text('schema_version = 1\n[size]\nmin_width = 300\n[reasons]\ntoo-dark = "fail"\nnoisy = "review"\n')
    return path


@pytest.fixture(scope="module")
def server(model: Path, policy: Path) -> Iterator[Server]:
    limits = ["--max-body", "2", "--max-images", "4", "--body-timeout", "5", "--workers", "2"]
    with serving("-m", model, "--policy", policy, *limits) as running:
        yield running
        assert running.stop() == 0
        assert running.said == [], "nothing that a request does is worth a line"


def take_score(server: Server) -> object:
    answer = server.post("/score", GOOD)
    assert answer.status == 200
    return answer.data["results"][0]["score"]


# ---- what it answers ----


def test_scores_are_those_of_the_command_line(server: Server, iqa: Run, model: Path) -> None:
    paths = sorted(PHOTOS.glob("*.jpg"))[:4]
    rows = json.loads(iqa("score", *paths, "-m", model, "--format", "json").stdout)
    answer = server.post_form("/score", *((path.name, path.read_bytes()) for path in paths))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    kept = ("score", "percentile", "status", "width", "height")
    assert [{name: each[name] for name in kept} for each in answer.data["results"]] == [
        {name: row[name] for name in kept} for row in rows
    ]
    assert [each["name"] for each in answer.data["results"]] == [path.name for path in paths]
    single = server.post("/score?name=coffee.jpg", GOOD)
    assert single.data["results"][0]["name"] == "coffee.jpg"
    assert single.data["model"] == "toy"


def test_verdicts_are_those_of_the_gate(server: Server, iqa: Run, model: Path, policy: Path, tmp_path: Path) -> None:
    dark = io.BytesIO()
    Image.fromarray(np.asarray(Image.open(io.BytesIO(GOOD))) // 12).save(dark, "PNG")
    noisy = (PHOTOS / "coffee-noise.jpg").read_bytes()
    uploads = {"good.jpg": GOOD, "dark.png": dark.getvalue(), "cut.jpg": GOOD[:9000], "noisy.jpg": noisy}
    for name, data in uploads.items():
        (tmp_path / name).write_bytes(data)
    answer = server.post_form("/gate", *uploads.items())
    assert answer.status == 200
    assert [each["band"] for each in answer.data["results"]] == ["pass", "fail", "fail", "review"]
    assert answer.data["results"][3]["message"] == "noisy: take it in better light"
    lines = iqa("gate", *(tmp_path / name for name in uploads), "-m", model, "--policy", policy).stdout.splitlines()
    for line, result in zip(lines, answer.data["results"], strict=True):
        assert {**json.loads(line), "path": result["path"]} == result


def test_one_image_without_a_score_is_an_error_with_a_record(server: Server) -> None:
    answer = server.post("/score", b"no image")
    assert (answer.status, answer.code) == (422, "unreadable")
    assert answer.data["results"][0]["status"] == "unsupported"
    several = server.post_form("/score", ("a", b"no image"), ("b", GOOD))
    assert several.status == 200
    assert [each["status"] for each in several.data["results"]] == ["unsupported", "ok"]


def test_health_metrics_and_description(server: Server) -> None:
    take_score(server)
    assert server.ask("GET", "/healthz").data["status"] == "ok"
    text = server.ask("GET", "/metrics")
    assert text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'iqa_images_total{status="ok"} ' in text.body.decode()
    assert 'iqa_request_seconds_bucket{path="/score",le="+Inf"}' in text.body.decode()
    api = server.ask("GET", "/openapi.json").data
    assert api["openapi"] == "3.1.0"
    assert {"/score", "/gate", "/healthz", "/metrics"} == set(api["paths"])
    page = server.ask("GET", "/docs").body.decode()
    assert "POST /score" in page
    assert "http://" not in page.replace("http://127.0.0.1:8000", "")
    assert "https://" not in page


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("POST", "/score/", 404, "not-found"),
        ("GET", "/score", 405, "method-not-allowed"),
        ("DELETE", "/gate", 405, "method-not-allowed"),
        ("POST", "/score", 400, "empty-body"),
        ("POST", "/../../etc/passwd", 404, "not-found"),
    ],
)
def test_other_addresses_and_methods_get_json_too(server: Server, method: str, path: str, status: int, code: str) -> None:
    answer = server.ask(method, path)
    assert (answer.status, answer.code) == (status, code)


def test_without_a_policy_there_is_no_gate(model: Path) -> None:
    with serving("-m", model) as other:
        answer = other.post("/gate", GOOD)
    assert (answer.status, answer.code) == (404, "no-policy")


# ---- hostile requests ----


CUT = {"Content_Type": "multipart/form-data; boundary=cut"}
FORM = b'--cut\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n' + GOOD

HOSTILE = {
    "bomb": (BOMB, {}, 422, "unreadable"),
    "cut short": (GOOD[:20_000], {}, 422, "unreadable"),
    "a path": (b"/etc/passwd", {}, 422, "unreadable"),
    "JSON with a path": (b'{"path": "/etc/passwd"}', {"Content_Type": "application/json"}, 422, "unreadable"),
    "compressed": (GOOD, {"Content_Encoding": "gzip"}, 415, "encoded-body"),
    "too large": (bytes(2_000_001), {}, 413, "body-too-large"),
    "too large, in chunks": ([bytes(100_000)] * 30, {}, 413, "body-too-large"),
    "form without a boundary": (GOOD, {"Content_Type": "multipart/form-data"}, 400, "bad-multipart"),
    "form that is none": (GOOD, {"Content_Type": "multipart/form-data; boundary=cut"}, 400, "bad-multipart"),
    "form cut in a file": (FORM[:-20], CUT, 400, "bad-multipart"),
    "form cut behind a file": (FORM + b"\r\n", CUT, 400, "bad-multipart"),
    "empty form": (b"--cut--\r\n", {"Content_Type": "multipart/form-data; boundary=cut"}, 400, "no-image"),
}


@pytest.mark.parametrize(("body", "headers", "status", "code"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_bodies_get_an_error_of_their_own(
    server: Server, body: object, headers: dict[str, str], status: int, code: str
) -> None:
    before = take_score(server)
    answer = server.post("/score", iter(body) if isinstance(body, list) else body, **headers)
    assert (answer.status, answer.code) == (status, code)
    assert take_score(server) == before


def test_a_field_that_is_no_file_is_no_path(server: Server) -> None:
    form = b'--cut\r\nContent-Disposition: form-data; name="image"\r\n\r\n/etc/passwd\r\n--cut--\r\n'
    answer = server.post("/score", form, Content_Type="multipart/form-data; boundary=cut")
    assert (answer.status, answer.code) == (400, "no-image")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", r"C:\\photos\\passwd", "pass\x1bwd"])
def test_names_lead_nowhere(server: Server, name: str) -> None:
    (result,) = server.post_form("/score", (name, GOOD)).data["results"]
    assert result["name"] == "passwd"


def test_too_many_files_are_refused(server: Server) -> None:
    answer = server.post_form("/score", *[("a.jpg", b"x")] * 5)
    assert (answer.status, answer.code) == (413, "too-many-images")


def test_a_body_announced_too_large_is_refused_before_it_is_sent(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_slow_senders_cost_themselves_only(server: Server) -> None:
    begin = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nslow"
    slow = [server.connect() for _ in range(50)]
    try:
        assert take_score(server)  # and its processes have been started
        for connection in slow:
            connection.sendall(begin)
        began = time.monotonic()
        assert take_score(server)
        assert time.monotonic() - began < 4.9, "others do not wait for them"
        for connection in slow:
            assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")
    finally:
        for connection in slow:
            connection.close()


def test_who_leaves_in_the_middle_is_missed_by_nobody(server: Server) -> None:
    half = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf"
    for sent in (b"POST /sco", half, b"\0\1\2\3garbage\r\n\r\n"):
        with server.connect() as connection:
            connection.sendall(sent)
    for _ in range(5):
        with server.connect() as connection:
            head = f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode()
            connection.sendall(head + GOOD)  # and never reads what comes back
    assert take_score(server)
    wait_until(lambda: "iqa_body_bytes 0\n" in server.ask("GET", "/metrics").body.decode(), 60)


def test_what_is_no_http_is_told_so(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


# ---- load ----


def test_beyond_the_queue_requests_are_refused_and_none_is_lost(model: Path) -> None:
    with serving("-m", model, "--workers", "1", "--queue", "3", "--max-images", "2") as running:
        statuses: list[int] = []

        def ask() -> None:
            answer = running.post("/score", SLOW)
            statuses.append(answer.status)
            if answer.status == 429:
                assert answer.code == "queue-full"
                assert answer.headers["retry-after"] == "1"

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(statuses) == 12
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 3
        assert take_score(running), "and there is room again"
        wait_until(lambda: "iqa_queue_images 0\n" in running.ask("GET", "/metrics").body.decode(), 60)


def test_a_request_that_takes_too_long_is_told_so(model: Path) -> None:
    with serving("-m", model, "--workers", "1", "--timeout", "0.05") as running:
        answer = running.post("/score", SLOW)
        assert (answer.status, answer.code) in ((503, "timeout"), (422, "unreadable"))
        wait_until(lambda: "iqa_queue_images 0\n" in running.ask("GET", "/metrics").body.decode(), 30)


HEARD = pytest.mark.skipif(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="the suite runs under nohup")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, pytest.param(signal.SIGHUP, marks=HEARD)])
def test_it_stops_after_what_is_under_way(model: Path, number: signal.Signals) -> None:
    with serving("-m", model, "--workers", "1") as running:
        take_score(running)
        decoders = find_children(running.process.pid) if sys.platform == "linux" else []
        for decoder in decoders:
            os.kill(decoder, signal.SIGSTOP)  # so that none is done before all are there
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(running.post("/score", SLOW))) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: "iqa_queue_images 3\n" in running.ask("GET", "/metrics").body.decode(), 30)
        running.process.send_signal(number)
        for decoder in decoders:
            os.kill(decoder, signal.SIGCONT)
        for thread in threads:
            thread.join()
        assert [answer.status for answer in answers] == [200] * 3
        assert running.process.wait(30) == 0
        with pytest.raises(ConnectionRefusedError):
            running.connect()


def test_it_does_not_wait_for_ever_for_what_is_under_way(model: Path) -> None:
    with serving("-m", model, "--workers", "1", "--timeout", "1", "--queue", "40") as running:

        def ask() -> None:
            with suppress(OSError, http.client.HTTPException):
                running.post("/score", SLOW)

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        wait_until(lambda: "iqa_queue_images 0\n" not in running.ask("GET", "/metrics").body.decode(), 30)
        assert running.stop() == 0
        assert not [line for line in running.said if "Traceback" in line or "Exception" in line], running.said
        for thread in threads:
            thread.join()


def test_a_port_in_use_and_a_host_that_is_none_are_errors_in_a_line(iqa_process: Run, model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = iqa_process("serve", "-m", model, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 4
    assert b"cannot listen there: Address already in use; choose another --port" in done.stderr
    done = iqa_process("serve", "-m", model, "--host", "no.such.host.invalid")
    assert done.returncode == 4
    assert b"cannot listen there" in done.stderr


def test_policies_and_limits_that_make_no_sense_are_refused(iqa_process: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("schema_version = 1\ncolour = 7\n")
    done = iqa_process("serve", "-m", model, "--policy", tmp_path / "policy.toml", "--port", "0")
    assert done.returncode == 2
    assert b"unknown key colour" in done.stderr
    for option in ("--max-body", "--timeout", "--body-timeout"):
        assert iqa_process("serve", option, "-1").returncode == 2


def test_others_are_let_in_only_when_told_and_with_a_warning() -> None:
    from iqa_cli.cli.services.serve import describe_start

    assert len(describe_start(("127.0.0.1", 8000), None)) == len(describe_start(("::1", 8000), None)) == 1
    assert describe_start(("0.0.0.0", 8000), None)[1] == "others can reach it: there is no password and no encryption"


def test_a_head_that_never_ends_is_not_waited_for(model: Path) -> None:
    from iqa_cli.server.limits import Limits

    with serving("-m", model) as running, running.connect() as silent, running.connect() as slow:
        slow.sendall(b"POST /score HTTP/1.1\r\nHo")
        began = time.monotonic()
        assert silent.recv(10) == b""
        assert slow.recv(10) == b""
        assert time.monotonic() - began < Limits.head_timeout + 30


@pytest.mark.parametrize("request_", [b"POST /score", b"GET /healthz"])
def test_a_body_whose_request_is_answered_is_not_taken_for_ever(model: Path, request_: bytes) -> None:
    """A byte now and then kept the connection, of which there are only so many."""
    with serving("-m", model, "--body-timeout", "0.5") as running, running.connect() as connection:
        connection.settimeout(0.1)
        connection.sendall(request_ + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                if not connection.recv(10_000):
                    return
            except TimeoutError:
                connection.sendall(b"x")
            except ConnectionError:
                return
    pytest.fail("the connection is still open")


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "python_multipart"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['iqa', 'serve']; from iqa_cli.cli.app import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=environment())
    assert done.returncode == 2
    assert b"iqa serve needs the [serve] extra" in done.stderr
