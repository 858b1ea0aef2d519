"""Projects: Vertex AI answers names with their numbers, and takes both."""

from __future__ import annotations

import functools
import hashlib
import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .registry import Call

_PROJECT = re.compile(r"projects/([^/]+)")
_DIGITS = 12


class Projects:
    """The ids that were seen, by number."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._lock = threading.Lock()

    def note(self, project: str) -> None:
        number = number_of(project)
        if number not in self._ids:  # what every request does
            with self._lock:
                self._ids[number] = project

    def known(self) -> list[str]:
        with self._lock:
            return sorted(self._ids.values())

    def id_of(self, number: str) -> str:
        return self._ids.get(number, number)


@functools.lru_cache(maxsize=256)
def number_of(project: str) -> str:
    """12 digits that follow from the id; a number is its own."""
    if project.isdecimal():
        return project
    digest = int.from_bytes(hashlib.sha256(project.encode()).digest()[:8])
    return str(10 ** (_DIGITS - 1) + digest % (9 * 10 ** (_DIGITS - 1)))


def canonical(call: Call, name: str) -> str:
    """A resource's name, or one that begins with a project, with the project's number."""
    match = _PROJECT.match(name)
    if match is None:
        return name
    if not match[1].isdecimal():
        call.store(Projects).note(match[1])
    return f"projects/{number_of(match[1])}{name[match.end() :]}"


def by_id(call: Call, name: str) -> str:
    """The same with the project's id, where somebody has used it."""
    match = _PROJECT.match(name)
    return (
        name
        if match is None
        else f"projects/{call.store(Projects).id_of(match[1])}{name[match.end() :]}"
    )
