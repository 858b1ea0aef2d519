"""Find the line of profiles.yaml on which a target's option stands."""

from __future__ import annotations

from collections.abc import Sequence

from ..reading import yaml
from ..specs.description import Description
from .profiles import FILE


def option_line(description: Description, target: str, keys: Sequence[str]) -> str:
    """Return where an option of a target is written, as `profiles.yaml:12`.

    An option that the target takes from one that it extends has that one's line. The file's name
    alone is returned if the option is not written there.

    Args:
        description: The project.
        target: The target's name.
        keys: The option's keys, from the outermost: `("jobs", "budget")`.
    """
    root, _ = yaml.read(description.profiles or "", FILE)
    targets = _entry(root, "targets")
    name, looked = target, set[str]()
    while name and name not in looked:
        looked.add(name)
        node = _entry(targets, name)
        if (line := _line(node, keys)) is not None:
            return f"{FILE}:{line}"
        parent = _entry(node, "extends")
        name = parent.text if isinstance(parent, yaml.Scalar) else ""
    return FILE


def _entry(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return the value of a key of a mapping, or None."""
    return node.entries.get(key) if isinstance(node, yaml.Mapping) else None


def _line(node: yaml.Node | None, keys: Sequence[str]) -> int | None:
    """Return the line of nested keys below a node, or None if they are not there."""
    line = None
    for key in keys:
        if not isinstance(node, yaml.Mapping) or key not in node.entries:
            return None
        line, node = node.lines.get(key, node.line), node.entries[key]
    return line
