"""${NAME} in a value of profiles.yaml, replaced by the environment's variable.

It becomes a text, or the number or the flag that belongs there. No defaults, no commands, and
never a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from ..reading import yaml
from ..reading.report import ProblemReport, child, item
from .options import NO_SECRETS, secret_key, secret_value

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE = re.compile(r"\$\{([^}]*\}?)")  # with its end, where it has one


def unset(node: yaml.YamlNode) -> bool:
    """Return whether a YAML value names an environment variable that is not set."""
    return any(
        written[:-1] not in os.environ
        for scalar in _scalars(node)
        for written in _VARIABLE.findall(scalar.text)
    )


def substitute(node: yaml.YamlNode, key: str, report: ProblemReport) -> yaml.YamlNode | None:
    """Return a YAML tree with each ${NAME} replaced by the environment variable's value.

    `key` is the tree's path. What cannot be replaced is reported at its line and left out.
    """
    if isinstance(node, yaml.Mapping):
        entries = {
            name: substitute(value, child(key, name), report)
            for name, value in node.entries.items()
        }
        return yaml.Mapping(
            entries={name: value for name, value in entries.items() if value},
            lines=node.lines,
            line=node.line,
        )
    if isinstance(node, yaml.Sequence):
        items = (
            substitute(value, item(key, position), report)
            for position, value in enumerate(node.items)
        )
        return yaml.Sequence(items=tuple(value for value in items if value), line=node.line)
    return _scalar(node, key, report)


def _scalar(node: yaml.Scalar, key: str, report: ProblemReport) -> yaml.Scalar | None:
    """Return a YAML scalar with its variables replaced; report those that are not set."""
    variables = _VARIABLE.findall(node.text)
    if not variables:
        return node
    problem = next(filter(None, map(_problem, variables)), None)
    text = "" if problem else _VARIABLE.sub(lambda match: os.environ[match[1][:-1]], node.text)
    if secret_value(text):
        problem = "what its variable holds looks like a secret", NO_SECRETS
    if problem:
        report.add(key, *problem)
        return None
    return yaml.Scalar(value=text, text=text, line=node.line, variable=True)


def _problem(written: str) -> tuple[str, str] | None:
    """Return (problem, remedy) if a ${NAME} cannot be replaced, else None."""
    name = written.removesuffix("}")
    if not re.fullmatch(f"{NAME}}}", written):
        return (
            f"${{{written} is not a variable",
            "write ${NAME}: letters, digits and _; there are no defaults",
        )
    if secret_key(name):
        return f"${{{name}}} looks like a secret", NO_SECRETS
    if name not in os.environ:
        return f"the environment has no {name}", f"export {name}=..., or write the value here"
    return None


def _scalars(node: yaml.YamlNode) -> Iterator[yaml.Scalar]:
    """Yield every scalar in a YAML tree."""
    if isinstance(node, yaml.Scalar):
        yield node
    else:
        for below in node.entries.values() if isinstance(node, yaml.Mapping) else node.items:
            yield from _scalars(below)
