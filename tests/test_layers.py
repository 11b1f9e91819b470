"""Who may import whom. A new room needs a row here; a row is a decision, so write it before the import."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import iqa_cli

PACKAGE = Path(iqa_cli.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "released" not in path.parts)

MAY_IMPORT = {
    "": "errors library metric options records",  # __init__, lazily
    "__main__": "cli",
    "errors": "",
    "records": "",
    "options": "errors",
    "files": "errors",
    "images": "errors options records",
    "models": "errors files images options",
    "datasets": "errors files images options records",
    "detail": "errors files images models options records",
    "explain": "errors images options records",
    "networks": "errors files images models",
    "scoring": "detail errors explain images models networks options records files",
    "remote": "errors images options records scoring",
    "tables": "errors files records remote scoring",
    "filtering": "errors files remote scoring tables",
    "distributed": "errors files images models options records remote scoring tables",
    "library": "errors explain images models options records remote scoring",
    "operators": "errors images library",
    "data_juicer_filter": "operators options",
    "gate": "errors explain files images library options records scoring",
    "server": "errors gate images library options records scoring",
    "doctor": "detail errors images library models options records scoring",
    "culling": "errors files images options records scoring",
    "metric": "errors library records",
    "reports": "errors files options records scoring",
    "watching": "errors files images options records scoring",
    "evaluation": "datasets errors images models options records scoring files",
    "qfm_iqm": "errors networks",
    "training": "datasets detail errors evaluation files images models networks options qfm_iqm records",
    "export": "detail errors files images models networks options records",
    "cli": "culling datasets detail distributed doctor errors evaluation explain export filtering gate images library models"
    " files options records remote reports scoring server tables training watching",
}
"""A folder, or a module beside the folders, and what of this package it may import besides itself, lazily or not."""

ONLY_IN = {  # a package, and the folders, or modules in them, that may import it
    "torch": "networks qfm_iqm training export metric",
    "timm": "networks training export",
    "safetensors": "networks training export",
    "onnx": "export",
    "onnxruntime": "models.onnx_backend export doctor",
    "rich": "cli",
    "typer": "cli",
    "huggingface_hub": "models",
    "cv2": "culling detail explain images",
    "PIL": "culling.grouping.signatures explain.picture images",
    "starlette": "server",
    "uvicorn": "server",
    "h11": "server",
    "python_multipart": "server",
    "scipy": "datasets",
    "openpyxl": "datasets",
    "matplotlib": "evaluation.plots",
    "lxml": "culling.xmp",
    "pyarrow": "distributed.ray_engine tables",
    "ray": "distributed.ray_engine",
    "fsspec": "remote.stores",
    "aiohttp": "remote.stores",
}

NEED_TORCH = {"networks", "qfm_iqm", "training", "export"}
TORCH_FREE = {
    *(
        "qfm_iqm.options",
        "training.options",
        "training.ranges",
        "training.data.content",
        "training.recipes",
        "training.data",
        "training.data.labeled",
        "training.data.sides",
        "training.data.teacher_scores",
        "training.plan",
        "training.detail",
        "training.detail.options",
        "training.detail.samples",
        "training.detail.views",
        "training.events",
    ),
}
"""Of those folders, what refuses a training before PyTorch is imported."""


def name_module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def name_folder(module: str) -> str:
    """The folder of a module, or its own name where it stands beside the folders."""
    return module.split(".")[0]


def find_imports(path: Path, *, lazy: bool) -> Iterator[str]:
    """What a module imports, full names; lazy: also inside functions and for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute here"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if is_module(name) else str(node.module) for name in names)


def is_module(name: str) -> bool:
    base = PACKAGE.parent.joinpath(*name.split("."))
    return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()


def find_own(path: Path, *, lazy: bool = True) -> set[str]:
    """The modules of this package that a module imports, without the package's name."""
    return {name.removeprefix("iqa_cli.") for name in find_imports(path, lazy=lazy) if name.startswith("iqa_cli.")}


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_a_folder_imports_downwards_only(path: Path) -> None:
    folder = name_folder(name_module(path))
    assert folder in MAY_IMPORT, f"{folder} is a new room: say in MAY_IMPORT what it may import"
    allowed = {*MAY_IMPORT[folder].split(), folder}
    own = find_own(path)
    assert {name_folder(name) for name in own} <= allowed, f"{name_module(path)} imports {', '.join(sorted(own))}"


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_a_package_is_imported_in_its_room_only(path: Path) -> None:
    module = name_module(path)
    for name in find_imports(path, lazy=True):
        rooms = ONLY_IN.get(name.split(".")[0])
        assert rooms is None or {module, name_folder(module)} & set(rooms.split()), f"{module} imports {name}"


def needs_torch(module: str) -> bool:
    return name_folder(module) in NEED_TORCH - {module} and module not in TORCH_FREE


@pytest.mark.parametrize("path", [path for path in MODULES if not needs_torch(name_module(path))], ids=name_module)
def test_what_needs_pytorch_is_imported_inside_functions_only(path: Path) -> None:
    assert not [name for name in find_own(path, lazy=False) if needs_torch(name)]


def test_every_row_has_its_room() -> None:
    assert set(MAY_IMPORT) == {name_folder(name_module(path)) for path in MODULES}


def find_circle(arrows: dict[str, set[str]]) -> set[str]:
    """What is left of a graph once everything that stands on firm ground is taken away."""
    rest, done = dict(arrows), set[str]()
    while ready := {room for room, below in rest.items() if below <= done}:
        done |= ready
        rest = {room: below for room, below in rest.items() if room not in ready}
    return set(rest)


def test_the_folders_have_no_circle() -> None:
    assert not find_circle({room: set(row.split()) for room, row in MAY_IMPORT.items()})


def test_the_modules_have_no_circle() -> None:
    assert not find_circle({name_module(path): find_own(path, lazy=False) for path in MODULES})
