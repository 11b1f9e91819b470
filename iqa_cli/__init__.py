"""iqa: how good photographs look to people, without a reference image.

`score_images(["photos"], ScoreOptions(crops=3))` yields a `ScoreRecord` an image; everything else is in the modules.
"""

import os

TYPE_CHECKING = False  # as type checkers know it; importing typing for it would be half of what `iqa` needs to begin

if TYPE_CHECKING:
    from iqa_cli.options import ScoreOptions
    from iqa_cli.scoring.scorer import Scorer, score_images

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# Nothing is ever sent: before any module here imports ONNX Runtime, and inherited by every process that is started.

__version__ = "0.1.0"
__all__ = ["ScoreOptions", "Scorer", "__version__", "score_images"]


def __getattr__(name: str) -> object:
    """The public names, loaded at first use: importing the package costs nothing."""
    if name == "ScoreOptions":
        from iqa_cli import options

        return options.ScoreOptions
    if name in ("Scorer", "score_images"):
        from iqa_cli.scoring import scorer

        return getattr(scorer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
