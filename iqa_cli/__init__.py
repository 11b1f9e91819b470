"""iqa: how good photographs look to people, without a reference image.

`Scorer` scores whatever a program has: paths, bytes, file objects, Pillow images and arrays. `score_images(["photos"])` yields
a `ScoreRecord` for each image in folders. Both say more in their docstrings; everything else is in the modules.
"""

import os

TYPE_CHECKING = False  # as type checkers know it; importing typing for it would be half of what `iqa` needs to begin

if TYPE_CHECKING:
    from iqa_cli.errors import ClosedError, InputError, IqaError
    from iqa_cli.library import Scorer, score_images
    from iqa_cli.metric import create_metric
    from iqa_cli.options import ScoreOptions
    from iqa_cli.records import ScoreRecord, Status

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# Nothing is ever sent: before any module here imports ONNX Runtime, and inherited by every process that is started.

__version__ = "0.1.0"
__all__ = [
    "ClosedError",
    "InputError",
    "IqaError",
    "ScoreOptions",
    "ScoreRecord",
    "Scorer",
    "Status",
    "__version__",
    "create_metric",
    "score_images",
]

PLACES = {
    "ScoreOptions": "options",
    "ScoreRecord": "records",
    "Scorer": "library",
    "Status": "records",
    "create_metric": "metric",
    "score_images": "library",
}


def __getattr__(name: str) -> object:
    """The public names, loaded at first use: importing the package costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(f"{__name__}.{PLACES.get(name, 'errors')}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from iqa_cli.errors import ExtraMissing

        raise ExtraMissing("train", name) from error
