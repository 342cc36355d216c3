"""
Turn what went wrong into a sentence, its numbers, a way out and an exit code.

    CurateError            1   failed
    ├── DiskError          1   the disk is full, read-only, broken …
    ├── UsageError         2   the command line or a recipe cannot be understood
    │   └── RecipeError    2   a recipe has a mistake: file, key, what it should be
    ├── IntegrityError     3   something is not what it says it is
    ├── InputError         4   an input is damaged, hostile or unsupported
    ├── InfeasibleError    5   the recipe asks for what the pools cannot give
    ├── RemoteError        6   a remote failed after retries
    ├── BusyError          7   the store is in use
    └── MissingExtraError  1   an optional package is not installed

    >>> error = InfeasibleError(
    ...     "pol is too small for 25 % of clean",
    ...     details=["eligible 4,211 tokens, needed 5,024"],
    ...     hint="Set max_epochs = 2 in [component.toxic].",
    ... )
    >>> print(error.render())
    error: pol is too small for 25 % of clean
      eligible 4,211 tokens, needed 5,024
      Set max_epochs = 2 in [component.toxic].
    >>> error.exit_code
    5
"""

from collections.abc import Sequence
from typing import ClassVar


class CurateError(Exception):
    """
    Any failure that is the user's to see.

    `message` is one sentence without a full stop, `details` lines with the numbers, `hint` the
    way out as a line to type. None of them may hold document text or a secret.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "failed"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, details: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = list(details)
        self.hint = hint

    def render(self) -> str:
        """The error as people read it: `error: …`, then two-space indented lines."""
        lines = [f"error: {self.message}", *self.details]
        if self.hint:
            lines.append(self.hint)
        return "\n  ".join(lines)

    def as_json(self) -> dict[str, object]:
        """The error as `--json` prints it."""
        return {
            "error": {
                "code": self.code,
                "exit_code": self.exit_code,
                "message": self.message,
                "details": self.details,
                "hint": self.hint,
                "retryable": self.retryable,
            }
        }

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive pickling by default, and errors cross processes.
        return (_rebuild, (type(self), self.message, self.details, self.hint))


def _rebuild(kind: type[CurateError], message: str, details: list[str], hint: str) -> CurateError:
    return kind(message, details=details, hint=hint)


class DiskError(CurateError):
    """The operating system refused to read or write: no space, no permission, a broken disk."""

    code = "disk"
    retryable = True


class UsageError(CurateError):
    """The command line, or a name given on it, cannot be understood."""

    exit_code = 2
    code = "usage"


class RecipeError(UsageError):
    """A recipe has a mistake; the message names the file and the key."""

    code = "recipe"


class IntegrityError(CurateError):
    """Bytes, counts or models are not what a lock or manifest says."""

    exit_code = 3
    code = "integrity"


class InputError(CurateError):
    """An input is truncated, corrupt, hostile or of an unsupported kind; names file and offset."""

    exit_code = 4
    code = "input"


class InfeasibleError(CurateError):
    """The pools cannot give what the recipe asks; details do the arithmetic."""

    exit_code = 5
    code = "infeasible"


class RemoteError(CurateError):
    """A remote kept failing after bounded retries."""

    exit_code = 6
    code = "remote"
    retryable = True


class BusyError(CurateError):
    """Another process holds the store."""

    exit_code = 7
    code = "busy"
    retryable = True


class MissingExtraError(CurateError):
    """An optional package is missing; the hint is the install line."""

    code = "missing-extra"
