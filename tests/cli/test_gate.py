"""`iqa gate` as uploads meet it: bands, messages, exit codes, bytes on stdin, and policies made from photos."""

import io
import json
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, wait_until
from in_process import environment, run_at_terminal
from PIL import Image
from shards import write_tar

from iqa_cli.gate.policy import read_policy
from iqa_cli.models.find import released_folder

FOLDER = Path(__file__).parents[1] / "photos"
GOOD, BLURRED = FOLDER / "coffee.jpg", FOLDER / "astronaut-blur.jpg"
SHA256 = json.loads((released_folder() / "qfm-iqm-lite.json").read_text())["files"]["onnx"]["sha256"]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(
        "schema_version = 1\n[size]\nmin_short_side = 300\n[score]\nfail_under = 30\nreview_under = 60\n"
        '[reasons]\ntoo-dark = "fail"\nlow-contrast = "review"\n'
    )
    return path


def read_lines(data: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in data.splitlines()]


def darken(path: Path) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(Image.open(path)) // 12).save(file, "PNG")
    return file.getvalue()


def test_bands_and_exit_codes(iqa: Run, policy: Path) -> None:
    done = iqa("gate", GOOD, "--policy", policy)
    (verdict,) = read_lines(done.stdout)
    assert (done.returncode, verdict["band"], verdict["reasons"], verdict["message"]) == (0, "pass", [], "")
    assert verdict["model_sha256"] == SHA256
    for path, band, reason in ((BLURRED, "fail", "low-score"), (FOLDER / "astronaut-noise.jpg", "review", "low-score")):
        done = iqa("gate", path, "--policy", policy)
        (verdict,) = read_lines(done.stdout)
        assert (done.returncode, verdict["band"]) == (5, band)
        assert [each["reason"] for each in verdict["reasons"]] == [reason]


def test_the_score_is_that_of_iqa_score(iqa: Run, policy: Path) -> None:
    (row,) = json.loads(iqa("score", GOOD, "--format", "json").stdout)
    (verdict,) = read_lines(iqa("gate", GOOD, "--policy", policy).stdout)
    assert {name: row[name] for name in ("score", "percentile", "width", "height")}.items() <= verdict["values"].items()


def test_bytes_on_stdin_are_judged_as_the_file(iqa: Run, policy: Path) -> None:
    (of_file,) = read_lines(iqa("gate", GOOD, "--policy", policy).stdout)
    (of_bytes,) = read_lines(iqa("gate", "--stdin", "--name", str(GOOD), "--policy", policy, input=GOOD.read_bytes()).stdout)
    assert of_bytes == of_file
    done = iqa("gate", "--stdin", "--policy", policy, input=darken(GOOD))
    (verdict,) = read_lines(done.stdout)
    assert (done.returncode, verdict["path"], verdict["band"]) == (5, "<stdin>", "fail")
    assert "too dark: take it in better light" in verdict["message"]
    for data, status in ((b"", "damaged"), (b"text", "unsupported"), (GOOD.read_bytes()[:9000], "damaged")):
        done = iqa("gate", "--stdin", "--policy", policy, input=data)
        (verdict,) = read_lines(done.stdout)
        assert (done.returncode, verdict["status"], verdict["reasons"][0]["reason"]) == (5, status, status)


def test_a_folder_is_counted_by_reason(iqa: Run, policy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    shutil.copy(GOOD, folder)
    shutil.copy(BLURRED, folder)
    (folder / "dark.png").write_bytes(darken(GOOD))
    Image.open(GOOD).resize((200, 130)).save(folder / "small.png")
    (folder / "cut.jpg").write_bytes(GOOD.read_bytes()[:5000])
    done = iqa("gate", folder, tmp_path / "gone.jpg", "--policy", policy)
    verdicts = {Path(str(each["path"])).name: each for each in read_lines(done.stdout)}
    assert {name: each["band"] for name, each in verdicts.items()} == {
        "coffee.jpg": "pass",
        **dict.fromkeys(["astronaut-blur.jpg", "cut.jpg", "dark.png", "gone.jpg", "small.png"], "fail"),
    }
    assert "(short side 130, at least 300 needed)" in verdicts["small.png"]["message"]
    assert done.returncode == 5
    said = done.stderr.decode()
    assert "judged 6 photos: 1 pass, 0 review, 5 fail" in said
    for count in ("1 too-small", "1 too-dark", "1 damaged", "1 missing", "low-score"):
        assert count in said
    assert iqa("gate", folder, "--policy", policy, "--quiet").stderr == b""


def test_a_photo_beyond_the_limits_of_decoding_fails_unopened(iqa: Run, policy: Path) -> None:
    with Image.open(GOOD) as picture:
        pixels = picture.width * picture.height
    done = iqa("gate", GOOD, "--policy", policy, "--max-pixels", str(pixels - 1))
    (verdict,) = read_lines(done.stdout)
    assert (done.returncode, verdict["band"], verdict["status"]) == (5, "fail", "too-large")
    assert verdict["thresholds"]["decoding"] == {"max_pixels": pixels - 1}
    policy.write_text(policy.read_text() + f"[decoding]\nmax_pixels = {pixels - 1}\ntimeout = 30\n")
    for given, code in (([], 5), (["--max-pixels", str(pixels)], 0)):  # the command line is over the policy
        assert iqa("gate", GOOD, "--policy", policy, *given).returncode == code


def test_at_a_terminal_a_line_a_photo(policy: Path) -> None:
    code, shown = run_at_terminal("gate", GOOD, BLURRED, "--policy", policy)
    assert code == 5
    lines = shown.splitlines()
    assert lines[0].startswith("pass    ")
    assert lines[1].startswith("fail    ")
    assert "hold still" in lines[1]
    assert "judged 2 photos: 1 pass, 0 review, 1 fail" in shown


def test_verdicts_go_into_a_file_that_is_none_of_the_inputs(iqa: Run, policy: Path, tmp_path: Path) -> None:
    out = tmp_path / "verdicts.jsonl"
    for _ in range(2):
        done = iqa("gate", GOOD, "--policy", policy, "--jsonl", out)
        assert (done.returncode, done.stdout) == (0, b"")
        assert read_lines(out.read_bytes())[0]["band"] == "pass"
    before = policy.read_bytes()
    done = iqa("gate", GOOD, "--policy", policy, "--jsonl", policy)
    assert (done.returncode, policy.read_bytes()) == (2, before)
    assert b"this is also an input" in done.stderr


def test_names_that_are_no_utf8_survive(iqa: Run, policy: Path, tmp_path: Path) -> None:
    path = bytes(tmp_path) + b"/\xff.jpg"
    Path(path.decode("utf-8", "surrogateescape")).write_bytes(GOOD.read_bytes())
    done = iqa("gate", path, "--policy", policy)
    (verdict,) = read_lines(done.stdout)
    assert verdict["band"] == "pass"
    assert str(verdict["path"]).endswith("/\ufffd.jpg")
    assert "path_base64" in verdict


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["photo.jpg"], "by which policy?"),
        (["--policy", "POLICY"], "name photos, or give the bytes"),
        (["photo.jpg", "--stdin", "--policy", "POLICY"], "one of both"),
        (["photo.jpg", "--name", "x", "--policy", "POLICY"], "--name is for the photo on stdin"),
        (["photo.jpg", "--policy", "POLICY", "-o", "x"], "are for --calibrate GOOD BAD"),
        (["photo.jpg", "--calibrate", "a", "b"], "--calibrate GOOD BAD makes a policy"),
        (["--calibrate", "a", "b", "--false-reject", "2"], "promise shares"),
    ],
)
def test_what_makes_no_sense_is_refused(iqa: Run, policy: Path, arguments: list[str], words: str) -> None:
    done = iqa("gate", *(str(policy) if argument == "POLICY" else argument for argument in arguments))
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_a_policy_of_other_weights_is_refused(iqa: Run, policy: Path) -> None:
    text = policy.read_text()
    policy.write_text(text.replace("[size]", f'sha256 = "{"0" * 64}"\n[size]', 1))
    done = iqa("gate", GOOD, "--policy", policy)
    assert done.returncode == 2
    assert f"whose SHA-256 is {SHA256}" in done.stderr.decode()
    policy.write_text(text.replace("[size]", f'model = "qfm-iqm-lite"\nsha256 = "{SHA256}"\n[size]', 1))
    assert iqa("gate", GOOD, "--policy", policy).returncode == 0
    policy.write_text(text.replace("review_under = 60", "review_under = 101"))
    assert b"no photo could ever pass" in iqa("gate", GOOD, "--policy", policy).stderr


def test_a_policy_is_made_from_photos_and_keeps_its_promise(iqa: Run, model: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    rng = np.random.default_rng(1)
    for i in range(60):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(good / f"{i}.png")
        if i < 10:
            Image.fromarray(np.full((64, 64, 3), 123 + i, np.uint8)).save(bad / f"{i}.png")
    policy = tmp_path / "made.toml"
    command = ["gate", "--calibrate", good, bad, "-m", model, "--false-reject", "0.05", "--false-review", "0.2"]
    done = iqa(*command, "-o", policy)
    assert done.returncode == 0, done.stderr
    assert "good photos that fail: " in done.stderr.decode()
    assert "95 % interval" in done.stderr.decode()
    made = read_policy(policy)
    assert made.model == str(model)
    assert made.calibration["good_fail"]["of"] == 30
    assert made.calibration["bad_fail"] == {"photos": 10, "of": 10, "low": 0.6915, "high": 1.0}
    verdicts = read_lines(iqa("gate", good, "--policy", policy).stdout)
    failed = sum(each["band"] == "fail" for each in verdicts)
    assert failed <= 0.15 * len(verdicts)
    assert {each["band"] for each in read_lines(iqa("gate", bad, "--policy", policy).stdout)} == {"fail"}
    assert tomllib.loads(iqa(*command, "--quiet").stdout.decode()) == tomllib.loads(policy.read_text())
    assert iqa(*command, "-o", policy).returncode == 0, "over an earlier proposal"
    policy.write_text("schema_version = 1\n# my own\n")
    assert iqa(*command, "-o", policy).returncode == 2
    assert iqa(*command, "-o", policy, "--force").returncode == 0


def test_calibration_says_what_is_missing(iqa: Run, tmp_path: Path, model: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    shutil.copy(BLURRED, tmp_path / "bad")
    done = iqa("gate", "--calibrate", FOLDER, tmp_path / "bad", "-m", model)
    assert done.returncode == 4
    assert b"20 good photos are too few" in done.stderr
    done = iqa("gate", "--calibrate", tmp_path / "empty", FOLDER, "-m", model)
    assert done.returncode == 4
    assert b"no photos found there" in done.stderr


def test_no_photo_is_good_and_bad(iqa: Run, tmp_path: Path, model: Path) -> None:
    for folder in ("good/deep", "bad"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(GOOD, tmp_path / "good" / "deep" / "a.jpg")
    (tmp_path / "bad" / "b.jpg").symlink_to(tmp_path / "good" / "deep" / "a.jpg")
    (tmp_path / "link").symlink_to("good")
    for good, bad, words in (
        ("good", "good", "a photo may lie in both"),
        ("good", "good/deep", "a photo may lie in both"),
        ("link/deep", "good", "a photo may lie in both"),
        ("good", "bad", "bad/b.jpg: this is the same photo as good/deep/a.jpg"),
    ):
        done = iqa("gate", "--calibrate", good, bad, "-m", model, cwd=tmp_path)
        assert done.returncode == 2
        assert words in done.stderr.decode()


def test_a_policy_whose_pixels_are_no_int_lets_photos_pass(iqa: Run, model: Path, policy: Path) -> None:
    policy.write_text("schema_version = 1\n[decoding]\nmax_pixels = 6e7\n")
    done = iqa("gate", GOOD, "-m", model, "--policy", policy)
    assert (done.returncode, read_lines(done.stdout)[0]["status"]) == (0, "ok")


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_photos_in_archives_are_judged_one_and_all(iqa: Run, model: Path, policy: Path, tmp_path: Path, name: str) -> None:
    files = [(f"{i}.jpg", GOOD.read_bytes()) for i in range(3)]
    archive = write_tar(tmp_path / name, [*files, ("notes.txt", b"none"), ("x.png", b"none")], f"w:{name[6:]}")
    policy.write_text("schema_version = 1\n")
    command = ["gate", "-m", model, "--policy", policy]
    done = iqa(*command, f"{archive}::*.jpg")
    assert [each["path"] for each in read_lines(done.stdout)] == [f"{archive}::{i}.jpg" for i in range(3)]
    assert done.returncode == 0
    whole = iqa(*command, archive)
    assert whole.returncode == 5
    assert [each["status"] for each in read_lines(whole.stdout)] == ["ok"] * 3 + ["unsupported"]
    assert b"left out: 1 *.txt" in whole.stderr
    assert [each["status"] for each in read_lines(iqa(*command, f"{archive}::gone*").stdout)] == ["missing"]
    before = archive.read_bytes()
    lost = iqa(*command, f"{archive}::*.jpg", "--jsonl", archive)
    assert (lost.returncode, archive.read_bytes()) == (2, before)
    assert b"this is also an input" in lost.stderr


@pytest.mark.process
def test_ctrl_c_keeps_what_is_judged(policy: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "many", tmp_path / "verdicts.jsonl"
    folder.mkdir()
    for i in range(3000):
        (folder / f"{i}.jpg").symlink_to(GOOD)
    command = [sys.executable, "-m", "iqa_cli", "gate", folder, "--policy", policy, "--jsonl", out]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment()) as process:
        lines = 2  # the last may just be being written
        wait_until(lambda: [path for path in tmp_path.glob("*verdicts*") if path.read_bytes().count(b"\n") >= lines])
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130
    kept = read_lines(out.read_bytes())
    assert 0 < len(kept) < 3000
    assert any(f"judged {number} " in said for number in (len(kept) - 1, len(kept)))
    assert "Traceback" not in said


@pytest.mark.process
def test_a_reader_that_has_gone_ends_it_as_in_any_pipe(policy: Path) -> None:
    command = f"{sys.executable} -m iqa_cli gate {FOLDER} {FOLDER} {FOLDER} --policy {policy}"
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -1; exit ${{PIPESTATUS[0]}}"], capture_output=True, check=False, env=environment()
    )
    assert done.returncode in (141, 5)
    assert b"Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == 1
