"""Programs that use the package are type-checked against it: it says that it is typed, also once it is installed."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]
SCRIPT = """
from pathlib import Path

from iqa_cli import ScoreOptions, score_images

best: dict[str, float] = {}
for record in score_images([Path("photos"), "more/x.jpg"], ScoreOptions(crops=1)):
    if record.score is not None:
        best[record.path] = record.score
print(max(best.values()))
"""
WRONG = "from iqa_cli import ScoreOptions\nScoreOptions(crops='one')\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install` installs."""
    pytest.importorskip("hatchling", reason="needs the [dev] extra")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, timeout=120)
    return next(folder.glob("*.whl"))


def test_the_wheel_says_that_it_is_typed_and_holds_the_models(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"iqa_cli/py.typed", "iqa_cli/released/qfm-iqm-lite.onnx", "iqa_cli/released/qfm-iqm-lite.json"} <= names
    assert not [name for name in names if name.startswith("tests/")]


@pytest.mark.skipif(sys.platform == "win32", reason="environments lie otherwise there")
def test_scripts_are_checked_against_the_installed_package(wheel: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="needs the [dev] extra")
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    place = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, capture_output=True, text=True
    )
    zipfile.ZipFile(wheel).extractall(place.stdout.strip())
    (tmp_path / "right.py").write_text(SCRIPT)
    (tmp_path / "wrong.py").write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "right.py", "wrong.py"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert done.returncode == 1, done.stdout + done.stderr
    assert all(line.startswith("wrong.py:") for line in errors)
    assert any("incompatible type" in line for line in errors)
