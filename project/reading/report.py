"""Collect everything that is wrong with its place, so that it is all told at once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import final

from ...errors import Problem
from ..specs.description import ParsedProject, Place
from .yaml import Mapping, Sequence, YamlNode


def child(key: str, name: str) -> str:
    """Return the path of a member in a file: `events` + `click` -> `events.click`.

    After a file's prefix (`models/logistic.yaml:`) no dot is added.
    """
    return f"{key}{name}" if not key or key.endswith(":") else f"{key}.{name}"


def item(key: str, position: int) -> str:
    """Return the path of a list's entry in a file: `rules` + 0 -> `rules[0]`."""
    return f"{key}[{position}]"


@final
class ProblemReport:
    """The problems of a project, and the place of every key that is written.

    Keys are those of `Description.places`: `events.click.owner`,
    `models/logistic.yaml:features[2]`; "" is project.yaml.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.places: dict[str, Place] = {}
        self._wrong: list[str] = []  # the keys of errors

    def with_same_places(self) -> ProblemReport:
        """Return an empty report of the same files, for problems that are reported separately."""
        other = ProblemReport()
        other.places = self.places
        return other

    def locate(self, key: str, node: YamlNode, file: str, line: int | None = None) -> None:
        """Record the file and line of a YAML tree's nodes, by their paths below `key`."""
        self.places[key] = Place(file=file, line=node.line if line is None else line)
        if isinstance(node, Mapping):
            for name, value in node.entries.items():
                self.locate(child(key, name), value, file, node.lines[name])
        elif isinstance(node, Sequence):
            for position, value in enumerate(node.items):
                self.locate(item(key, position), value, file)

    def add(
        self, key: str, message: str, remedy: str | None = None, *, severity: str = "error"
    ) -> None:
        """Record a problem at a path such as `events.click`, with its file and line.

        If the file does not have the path, the line is that of the nearest path above it.
        """
        place = self._place(key)
        shown = key.rsplit(":", 1)[-1]
        text = f"{shown}: {message}" if shown else message
        if severity == "error":
            self._wrong.append(key)
        self.problems.append(
            Problem(
                file=place.file, line=place.line, message=text, remedy=remedy, severity=severity
            )
        )

    def add_file(
        self, file: str, message: str, remedy: str | None = None, *, line: int = 0
    ) -> None:
        """Record a problem of a whole file, or of one that is not YAML."""
        self._wrong.append(f"{file}:")
        self.problems.append(Problem(file=file, line=line, message=message, remedy=remedy))

    def take(self, problems: tuple[Problem, ...], key: str) -> None:
        """Add another report's problems to this one; after an error, `key` has an error, too."""
        self._wrong.extend(key for problem in problems if problem.severity == "error")
        self.problems.extend(problems)

    def sound(self, key: str) -> bool:
        """Return whether a path and all below it have no errors."""
        return not any(_below(wrong, key) for wrong in self._wrong)

    def wrong_keys(self) -> tuple[str, ...]:
        """Return the paths that have an error."""
        return tuple(self._wrong)

    def sorted(self) -> tuple[Problem, ...]:
        """Return the problems without duplicates, sorted: errors, project.yaml, then by line."""
        return sort_problems(self.problems)

    def _place(self, key: str) -> Place:
        """Return the file and line of a path, or of the nearest path above it."""
        while key not in self.places:
            shorter = max(key.rfind("."), key.rfind("["))
            colon = key.rfind(":")
            if shorter > colon:
                key = key[:shorter]
            elif 0 <= colon < len(key) - 1:
                key = key[: colon + 1]
            else:
                return self.places.get("", Place(file=key.rstrip(":") or "project.yaml", line=0))
        return self.places[key]


def sort_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems without duplicates, sorted: errors, project.yaml, then by line."""
    return tuple(
        sorted(
            dict.fromkeys(problems),
            key=lambda p: (p.severity != "error", p.file != "project.yaml", p.file, p.line),
        )
    )


def place(description: ParsedProject, key: str) -> Place:
    """Return the file and line at which a path such as `events.click` is written.

    If the file does not have it, they are those of the nearest path above it.
    """
    while key not in description.places:
        shorter = re.sub(r"(\.[^.\[\]:]+|\[\d+\])$", "", key)
        if shorter == key:
            file, _, _ = key.rpartition(":")
            return Place(file=file or "project.yaml", line=0)
        key = shorter
    return description.places[key]


def problem_at(
    description: ParsedProject, key: str, message: str, remedy: str | None = None
) -> Problem:
    """Return a Problem at a path of a project that was read already, with file and line."""
    written = place(description, key)
    return Problem(file=written.file, line=written.line, message=f"{key}: {message}", remedy=remedy)


def _below(key: str, above: str) -> bool:
    """Return whether a path in a file equals another path (`above`) or lies below it."""
    return key == above or (
        key.startswith(above) and (above == "" or above.endswith(":") or key[len(above)] in ".[")
    )
