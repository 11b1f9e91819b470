"""Everything that stops a run, drawn as a tree; each leaf knows its exit code.

One image that fails never raises out of the core: it is a `ScoreRecord` with a status. What stands here ends the run,
and its text says what happened, where, and what to do about it. `cli.run_command` alone turns it into a line and an exit code.

    IqaError
    ├── UsageError      2   the command was asked for something that makes no sense
    │   ├── ExtraMissing    2   the command needs an extra that is not installed
    │   ├── InputError      2   what a program gives to be scored is no image: a wrong type, or an array of a wrong kind
    │   ├── ClosedError     2   a Scorer that was closed is used
    │   └── PolicyError     2   a policy of iqa gate has unknown keys, contradicts itself, or can never be passed
    ├── WeightsError    3   a model cannot be found, read or trusted
    └── DataError       4   labels, folders or outputs cannot be read or written
        └── WriteError      4   an output cannot be written, be it that the disk is full
"""


class IqaError(Exception):
    """The run cannot go on. `str(error)` is one readable line (or a few) for the person at the terminal."""

    exit_code = 1


class UsageError(IqaError):
    exit_code = 2


class ExtraMissing(UsageError):  # noqa: N818  it names what is missing
    """A part of the package was left out at installation."""

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the [{extra}] extra, which is not installed. Install it with: pip install 'iqa-cli[{extra}]'"
        )


class InputError(UsageError):
    """What a Python program gives is nothing that could be an image, whatever its pixels are."""


class ClosedError(UsageError):
    """A Scorer was closed, by whoever opened it, before it was done."""


class PolicyError(UsageError):
    """A policy is none, or makes no sense."""


class WeightsError(IqaError):
    exit_code = 3


class DataError(IqaError):
    exit_code = 4


class WriteError(DataError):
    """What was to be written to an output did not get there, or not all of it."""


NO_THREADS = "the system lets this process start no thread: raise its limit of processes (ulimit -u; pids.max of a container)"
