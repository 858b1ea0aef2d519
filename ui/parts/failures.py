"""Draw the page of an error: which error, where, and what to do. Pure."""

from __future__ import annotations

from urllib.parse import quote

from ...endpoints.http.door import Refusal
from ...errors import (
    AlreadyExists,
    Busy,
    Conflict,
    Denied,
    Invalid,
    IsthmusError,
    NotFound,
    Problem,
    ProjectError,
    Refused,
    Throttled,
    Unavailable,
    Unsupported,
)
from ...reports import page
from .view import PageContent

_STATUSES: dict[type[Exception], int] = {
    NotFound: 404,
    Invalid: 400,
    Denied: 403,
    Refused: 409,
    Conflict: 409,
    Busy: 409,
    AlreadyExists: 409,
    ProjectError: 409,
    Unsupported: 501,
    Throttled: 503,
    Unavailable: 503,
}


def status(error: Exception) -> int:
    """Return the HTTP status code for an exception; 500 for one that is not ours."""
    return next((code for kind, code in _STATUSES.items() if isinstance(error, kind)), 500)


def view(error: Exception) -> PageContent:
    """Return the page that explains an exception; one that is not Isthmus's shows no details."""
    if isinstance(error, ProjectError):
        return _wrong_files(error)
    if isinstance(error, IsthmusError):
        return _view(type(error).__name__, error.message, error.remedy)
    return _view(
        "Error",
        f"a mistake in Isthmus: {type(error).__name__}",
        "its traceback is where `isthmus ui` runs: please report it",
    )


def refusal_view(refusal: Refusal) -> PageContent:
    """Return the page that says why a request was refused."""
    return _view(refusal.error, refusal.message, None)


def at_the_door(path: str, query: str) -> PageContent:
    """Return the page for a request that follows another site's link: it has a link to go on.

    `path` and `query` are those of the request.
    """
    address = "/" + quote(path.lstrip("/"))  # two of them would lead to another host
    to = f"{address}?{query}" if query else address
    return PageContent(
        title="You come from another site",
        below="Its link leads here. Nothing was asked of the project yet.",
        parts=(page.links([("Open the page", to)]),),
        data={},
    )


def _view(kind: str, message: str, remedy: str | None) -> PageContent:
    """Return an error page, which says what was wrong and what to do (`remedy`).

    `kind` is the error's title.
    """
    return PageContent(
        title="There is nothing to show" if kind == "NotFound" else "This was not done",
        below="",
        parts=(page.verdict([message, *(remedy or "").splitlines()], "fail"),),
        data={"error": {"kind": kind, "message": message, "remedy": remedy}},
    )


def _wrong_files(error: ProjectError) -> PageContent:
    """Return the page that lists the mistakes in the project's files in a table."""
    rows = [
        [_problem_place(problem), problem.message, problem.remedy or ""]
        for problem in error.problems
    ]
    return PageContent(
        title="The project's files are wrong",
        below="These pages show what the files say. They come back once `isthmus validate` has "
        "nothing to say.",
        parts=(page.table(["where", "what", "what to do"], rows, wordy=(1, 2)),),
        data={
            "error": {
                "kind": type(error).__name__,
                "message": error.message,
                "problems": error.problems,
            }
        },
    )


def _problem_place(problem: Problem) -> str:
    """Return where a problem is, as text: `file:line`."""
    return f"{problem.file}:{problem.line}" if problem.line else problem.file
