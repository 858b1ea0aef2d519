"""Every error that Isthmus raises on purpose.

IsthmusError
├── ProjectError          the project's files are wrong: a list of problems, each with file, line,
key and remedy
├── NotFound
├── AlreadyExists
├── Invalid               the provider's words and our key
├── Denied
├── LimitExceeded
├── Unsupported           the target cannot do it; names the capability
├── Conflict              the `expect` token is stale: somebody else wrote. Re-read, decide again
├── Busy                  the resource is in mid-change, or another command holds the project. Try
later
├── ModelError            the model answered with an error: status and body
├── NotSettled            the metric window is too young
├── Throttled             not done; try again
├── Unavailable           not done; try again
├── OutcomeUnknown        sent, but the reply was lost: it may have happened. Observe, then decide
├── MissingDependency     an optional package is not installed; names the pip line
├── Refused               a rule of the product says no (quarantine share, gate, breaking change);
names the way on
└── DryRun                `--dry-run` stopped before this call
"""

from __future__ import annotations

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a project's files."""

    file: str
    line: int  # 1-based; 0 when it is about the file as a whole
    message: str
    remedy: str | None = None
    severity: str = "error"  # or "warning"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        first = f"{self.severity}  {place:<25} {self.message}"
        return first if self.remedy is None else f"{first}\n       {self.remedy}"


class IsthmusError(Exception):
    """The base of all. `remedy` says what the reader can do next, or is None."""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return self.message


class ProjectError(IsthmusError):
    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class IsthmusWarning(UserWarning):
    """A warning of something that a verb could not do beside its work, which is whole."""


class NotFound(IsthmusError): ...


class AlreadyExists(IsthmusError): ...


class Invalid(IsthmusError): ...


class Denied(IsthmusError): ...


class LimitExceeded(IsthmusError): ...


class Unsupported(IsthmusError):
    def __init__(self, message: str, *, capability: str, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.capability = capability


class Conflict(IsthmusError): ...


class Busy(IsthmusError): ...


class ModelError(IsthmusError):
    def __init__(self, message: str, *, status: int, body: str, remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.body = body


class NotSettled(IsthmusError): ...


class Throttled(IsthmusError): ...


class Unavailable(IsthmusError): ...


class OutcomeUnknown(IsthmusError): ...


class MissingDependency(IsthmusError): ...


class Refused(IsthmusError): ...


class DryRun(IsthmusError): ...
