"""The image and the job file: what they name is there."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

import iqa_cli.distributed
from iqa_cli.cli.app import app
from iqa_cli.distributed.parts import DEFAULT_SIZE

FOLDER = Path(iqa_cli.distributed.__file__).parent
ROOT = Path(__file__).parents[2]


def read_job() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    job: dict[str, Any] = yaml.safe_load((FOLDER / "rayjob.yaml").read_text())
    return job


def test_the_command_of_the_job_is_one_that_iqa_understands() -> None:
    program, command, *arguments = shlex.split(read_job()["spec"]["entrypoint"])
    assert (program, command) == ("iqa", "score")
    score = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    values = score.make_context("score", list(arguments)).params
    assert (values["place"], str(values["engine"]), values["ray_address"]) == ("s3://bucket/scores/", "ray", "auto")
    assert values["part_size"] == DEFAULT_SIZE
    assert list(values["paths"]) == ["s3://bucket/photos"]
    with pytest.raises(Exception, match="No such option"):
        score.make_context("score", [*arguments, "--actor-cpus", "1"])


def test_the_cluster_has_the_cores_that_its_actors_take() -> None:
    spec = read_job()["spec"]
    arguments = shlex.split(spec["entrypoint"])
    actors, workers = (int(arguments[arguments.index(name) + 1]) for name in ("--actors", "--workers"))
    (group,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert group["replicas"] * int(container["resources"]["requests"]["cpu"]) == actors * workers
    assert spec["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_the_image_installs_extras_that_there_are_from_files_that_there_are() -> None:
    text = (FOLDER / "Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extras,) = re.findall(r'pip install .*"\.\[(.+)\]"', text)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split())
    (lowest,) = re.findall(r">=3\.(\d+)", project["requires-python"])
    assert all(int(version) >= int(lowest) for version in re.findall(r"python:3\.(\d+)", text))
