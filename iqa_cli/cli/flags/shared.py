"""Options of the command line: groups that a command takes by one parameter, and the options that several commands share.

A group is a dataclass whose fields are options that belong together, each declared once:

    @dataclass(frozen=True)
    class OutputFlags:
        csv: Annotated[Path | None, typer.Option(help="Write CSV.")] = None
        quiet: Annotated[bool, typer.Option("--quiet", "-q")] = False

    @spread
    def score(*, images: Annotated[list[str], typer.Argument()], output: OutputFlags) -> None: ...

Typer reads a command's options from its signature; `spread` shows it one in which the fields stand where the group stood.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer
from typer.models import OptionInfo

from iqa_cli.errors import UsageError
from iqa_cli.options import MAX_CROPS, BackendChoice, OwnRatings, ScoreOptions
from iqa_cli.options import OWN as OWN_SET

DATA, OWN, OUTPUT, MODEL = "Data", "Ratings of your own", "Output", "Model and speed"  # panels of the help
STREAM = Path("-")  # for an input stdin, for an output stdout

Group = TypeVar("Group")

# ---- groups ----


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command as one that takes the fields of its groups; they are put together again when it is called."""
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    groups = {p.name: p.annotation for p in parameters if is_dataclass(p.annotation)}

    @functools.wraps(command)
    def gathered(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{f.name: values.pop(f.name) for f in fields(group)})  # type: ignore[operator]
        command(**values)

    shown = [part for p in parameters for part in (list_fields(p.annotation) if p.name in groups else [p])]
    gathered.__signature__ = inspect.Signature([p.replace(kind=Parameter.KEYWORD_ONLY) for p in shown])  # type: ignore[attr-defined]
    gathered.__annotations__ = {p.name: p.annotation for p in shown}
    return gathered


def list_fields(group: Any) -> Iterator[Parameter]:
    """The fields of a group as parameters of a function."""
    kinds = get_type_hints(group, include_extras=True)
    for f in fields(group):
        default = Parameter.empty if f.default is MISSING else f.default
        yield Parameter(f.name, Parameter.KEYWORD_ONLY, default=default, annotation=kinds[f.name])


def declare_optional(options: type, arguments: Mapping[str, OptionInfo]) -> Callable[[type[Group]], type[Group]]:
    """A class decorator: those fields of `options` as options of the command line, each None where it is not given."""

    def decorate(group: type[Group]) -> type[Group]:
        kinds = get_type_hints(options)
        names = [f.name for f in fields(options) if f.name in arguments]
        group.__annotations__ = {name: Annotated[kinds[name] | None, arguments[name]] for name in names}
        for name in names:
            setattr(group, name, None)
        return group

    return decorate


# ---- options that several commands share ----

DataRoots = Annotated[
    list[Path] | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        help="The folder of the set, or of all sets, or one for each in order; else $IQA_DATA.",
        rich_help_panel=DATA,
    ),
]


def parse_path(text: str) -> Path:
    """A path that is named on the command line. Raises UsageError for an empty one, which would be the working folder."""
    if not text:
        raise UsageError("a path is empty: is the variable set that it was to come from?")
    return Path(text)


parse_path.__name__ = "path"  # what the help of an argument calls its kind


def parse_output(text: str) -> Path:
    """A file that is named on the command line; - alone is a standard stream, and ./- a file of that name.

    Raises UsageError as `parse_path` does.
    """
    path = parse_path(text)
    return path.absolute() if path == STREAM and text != "-" else path


DataRoot = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The folder of the set, or one that holds it; else $IQA_DATA.", rich_help_panel=DATA),
]
CsvFile = Annotated[
    Path | None,
    typer.Option(
        "--csv", metavar="FILE", parser=parse_output, help="Write CSV, a line an image; - is stdout.", rich_help_panel=OUTPUT
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", parser=parse_output, help="Write one JSON array; - is stdout.", rich_help_panel=OUTPUT),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Write over files that are inputs, or no earlier outputs, too.", rich_help_panel=OUTPUT),
]


@dataclass(frozen=True)
class DeviceFlags:
    """What runs a network, and on how much of an image. The groups below add to it what a command has use for."""

    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...", rich_help_panel=MODEL)] = ScoreOptions.device
    crops: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_CROPS,
            help=r"Views an image; more are slower and steadier.  \[default: the model's]",
            rich_help_panel=MODEL,
        ),
    ] = ScoreOptions.crops

    def gather(self) -> ScoreOptions:
        """How images are scored, whatever the model. Raises UsageError where that makes no sense."""
        return ScoreOptions(**{field.name: getattr(self, field.name) for field in fields(self)})


@dataclass(frozen=True)
class NetworkFlags(DeviceFlags):
    """The same for one image after the other, by ONNX Runtime or PyTorch."""

    backend: Annotated[
        BackendChoice, typer.Option(help="What runs the network; auto prefers ONNX Runtime.", rich_help_panel=MODEL)
    ] = ScoreOptions.backend


@dataclass(frozen=True)
class WorkerFlags(DeviceFlags):
    """The same for many images, by ONNX Runtime."""

    workers: Annotated[
        int | None, typer.Option(min=1, help=r"Images at a time.  \[default: one a core]", rich_help_panel=MODEL)
    ] = ScoreOptions.workers


@dataclass(frozen=True)
class RuntimeFlags(WorkerFlags, NetworkFlags):
    """The same for many images, each as it comes."""


@dataclass(frozen=True)
class BatchFlags(RuntimeFlags):
    """The same for many images that are there from the beginning."""

    batch_size: Annotated[
        int, typer.Option(min=1, help="Images a run of the network; helps on a GPU only.", rich_help_panel=MODEL)
    ] = ScoreOptions.batch_size


OWN_OPTIONS: dict[str, Any] = {
    "labels": typer.Option("--labels", metavar="FILE", help="CSV with a header, for csv.", rich_help_panel=OWN),
    "image_column": typer.Option(
        metavar="NAME",
        help=rf"Its paths, below --data-root or beside the file.  \[default: {OwnRatings.image_column}]",
        rich_help_panel=OWN,
    ),
    "score_column": typer.Option(
        metavar="NAME", help=rf"Its ratings.  \[default: {OwnRatings.score_column}]", rich_help_panel=OWN
    ),
    "group_column": typer.Option(metavar="NAME", help="What no split may part, as the reference.", rich_help_panel=OWN),
    "score_range": typer.Option(
        metavar="LOW HIGH", help=r"Ends of the scale.  \[default: of the ratings]", rich_help_panel=OWN
    ),
    "lower_is_better": typer.Option("--lower-is-better", help="Low ratings mean good images, as DMOS do.", rich_help_panel=OWN),
    "subset_column": typer.Option(metavar="NAME", help="Its subsets.", rich_help_panel=OWN),
}
"""How each field of `OwnRatings` is given on the command line."""


@dataclass(frozen=True)
@declare_optional(OwnRatings, OWN_OPTIONS)
class OwnFlags:
    """Ratings of one's own, for the set that is called csv: fields of `OwnRatings`, None where they are not given."""

    def gather(self) -> OwnRatings:
        """Where the ratings are. Raises UsageError where that makes no sense."""
        return OwnRatings(**self.given)

    def gather_for(self, names: Collection[str], remedy: str) -> OwnRatings:
        """The same for sets of these names. Raises UsageError, with what to do, where none of them are ratings of one's own."""
        if self.given and OWN_SET not in names:
            are = "is" if len(self.given) == 1 else "are"
            raise UsageError(f"{' and '.join(self.options)} {are} for ratings of your own: {remedy}")
        return self.gather()

    @property
    def given(self) -> dict[str, Any]:
        """What was given, by the fields of `OwnRatings`."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    @property
    def options(self) -> list[str]:
        """What was given, as the command line calls it."""
        return [f"--{name.replace('_', '-')}" for name in self.given]
