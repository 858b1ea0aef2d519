"""Projects: Vertex AI takes both ids and numbers in names, and answers with numbers."""

from __future__ import annotations

import functools
import hashlib
import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .call import Call

_PROJECT = re.compile(r"projects/([^/]+)")
_DIGITS = 12


class Projects:
    """The project ids that requests have named, by their numbers."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._lock = threading.Lock()

    def note(self, project: str) -> None:
        """Record the id of a project that a request names, to find it by its number later."""
        number = number_of(project)
        if number not in self._ids:  # what every request does
            with self._lock:
                self._ids[number] = project

    def ids(self) -> list[str]:
        """Return the ids of all projects that requests have named, sorted."""
        with self._lock:
            return sorted(self._ids.values())

    def id_of(self, number: str) -> str:
        """Return the id of a project's number, or the number if no request has named its id."""
        return self._ids.get(number, number)


@functools.lru_cache(maxsize=256)
def number_of(project: str) -> str:
    """Return a project's number: 12 digits derived from its id, or the argument if it is one."""
    if project.isdecimal():
        return project
    digest = int.from_bytes(hashlib.sha256(project.encode()).digest()[:8])
    return str(10 ** (_DIGITS - 1) + digest % (9 * 10 ** (_DIGITS - 1)))


def canonical(call: Call, name: str) -> str:
    """Return a resource's name with its project as a number, and remember the project."""
    match = _PROJECT.match(name)
    if match is None:
        return name
    if not match[1].isdecimal():
        call.store(Projects).note(match[1])
    return f"projects/{number_of(match[1])}{name[match.end() :]}"


def with_project_id(call: Call, name: str) -> str:
    """Return a resource's name with its project as an id, if a request has named that id."""
    match = _PROJECT.match(name)
    return (
        name
        if match is None
        else f"projects/{call.store(Projects).id_of(match[1])}{name[match.end() :]}"
    )
