"""Who may import whom. A new room needs a row here; a row is a decision, so write it before the import."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import iqa_cli

PACKAGE = Path(iqa_cli.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "released" not in path.parts)

MAY_IMPORT = {
    "": "options scoring",  # __init__, lazily
    "__main__": "cli",
    "errors": "",
    "records": "",
    "crops": "",
    "work": "crops",
    "launching": "errors",
    "metrics": "",
    "embedded": "",
    "flags": "",
    "locks": "errors",
    "options": "errors",
    "shared_flags": "options",
    "evaluation_flags": "options shared_flags",
    "score_flags": "options shared_flags",
    "study_options": "",
    "recipes": "errors study_options",
    "study_flags": "recipes shared_flags study_options",
    "tables": "errors",
    "formats": "",
    "finding": "formats",
    "pixels": "",
    "tiffs": "pixels",
    "jpegs": "",
    "orientation": "crops",
    "images": "crops formats jpegs options orientation pixels records tiffs",
    "labels": "errors images records tables",
    "catalogue": "labels",
    "datasets": "catalogue errors labels options",
    "splits": "datasets errors tables",
    "corpus": "datasets errors finding options splits study_options",
    "parts": "corpus errors options splits study_options weights",
    "card": "crops embedded errors options",
    "weights": "card errors options",
    "backend": "card crops embedded errors options weights nn.backend",
    "decoder": "crops images records work",
    "process": "crops errors launching records work",
    "pool": "launching process records work",
    "conveyor": "",
    "cache": "",
    "scoring": "backend cache card conveyor crops errors finding launching options pool process records weights work",
    "targets": "errors locks",
    "sinks": "errors records targets",
    "published": "",
    "bootstrap": "metrics",
    "evaluation": "bootstrap datasets errors metrics records splits",
    "plots": "errors evaluation metrics targets",
    "exposure": "card catalogue",
    "workbench": "card datasets errors evaluation exposure options published records scoring splits weights",
    "results": "errors evaluation plots sinks targets workbench",
}
"""Commands (cli, cli_*) may import anything but each other, except that cli gathers them; screens (console, console_*) anything
but commands. Nobody else imports either.
"""

BELOW_NN = (
    "backend card corpus crops errors finding images locks metrics options parts plots records splits study_options weights"
)
"""What the torch line may import from above it, besides itself."""

ONLY_IN = {  # a package, and the modules that may import it
    "torch": "nn.",
    "timm": "nn.",
    "safetensors": "nn.",
    "onnx": "nn.",
    "onnxruntime": "backend nn.export",
    "rich": "console",
    "typer": "cli score_flags study_flags evaluation_flags shared_flags",
    "huggingface_hub": "weights",
    "cv2": "tiffs nn.damage",
    "PIL": "images jpegs orientation pixels tiffs crops nn.damage",
    "scipy": "tables",
    "openpyxl": "tables",
    "matplotlib": "plots",
}


def name_module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def name_room(module: str) -> str:
    """A module, or for a part of the commands or of the screens, the whole: cli_train -> cli."""
    return module.split("_")[0] if module.startswith(("cli", "console")) else module


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
def test_a_module_imports_downwards_only(path: Path) -> None:
    module = name_module(path)
    own = find_own(path)
    room, rooms = name_room(module), {name_room(name) for name in own}
    assert "cli" not in rooms or module in ("cli", "__main__"), "nobody imports the commands"
    assert "console" not in rooms or room in ("cli", "console"), "only commands show things: the core yields and raises"
    if room in ("cli", "console"):
        return
    if module.split(".")[0] == "nn":
        allowed = {*BELOW_NN.split(), *(name_module(other) for other in MODULES if name_module(other).startswith("nn"))}
    else:
        assert module in MAY_IMPORT, f"{module} is a new room: say in MAY_IMPORT what it may import"
        allowed = set(MAY_IMPORT[module].split())
    assert own <= allowed, f"{module} imports {', '.join(sorted(own - allowed))}"


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_a_package_is_imported_in_its_room_only(path: Path) -> None:
    module = name_module(path)
    for name in find_imports(path, lazy=True):
        rooms = ONLY_IN.get(name.split(".")[0])
        if rooms is not None:
            here = {module, name_room(module), f"{module.split('.')[0]}."}
            assert here & set(rooms.split()), f"{module} imports {name}"


@pytest.mark.parametrize("path", [path for path in MODULES if not name_module(path).startswith("nn")], ids=name_module)
def test_the_torch_line_is_crossed_inside_functions_only(path: Path) -> None:
    assert not any(name.startswith("nn") for name in find_own(path, lazy=False))


def test_every_row_has_its_room() -> None:
    assert set(MAY_IMPORT) <= {name_module(path) for path in MODULES}


def test_the_table_has_no_circle() -> None:
    done: set[str] = set()
    rest = {module: set(row.split()) - {"nn.backend", "cli"} for module, row in MAY_IMPORT.items()}
    while rest:
        ready = {module for module, row in rest.items() if row <= done}
        assert ready, f"a circle among {', '.join(rest)}"
        done |= ready
        rest = {module: row for module, row in rest.items() if module not in ready}
