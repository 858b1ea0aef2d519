"""Complete the names of a project's targets, models, runs and endpoints in a shell.

They are read from the project's files alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
)

from .console import PROJECT, project_file

SHELLS: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}
VARIABLE = "_ISTHMUS_COMPLETE"


def source(shell: str, command: click.Command) -> str:
    """Return the shell script that sets up completion of our commands in a shell."""
    return SHELLS[shell](command, {}, "isthmus", VARIABLE).source()


class Name(click.types.StringParamType):
    """A text that is one of the project's names; any other text is taken, too."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002  click passes it
        incomplete: str,
    ) -> list[CompletionItem]:
        """List the project's names of one kind that begin with the typed text."""
        if folder := ctx.find_root().params.get("folder"):  # isthmus -C DIR ...
            os.chdir(folder)
        path = Path(
            project_file(
                str(ctx.params.get("project_path") or os.environ.get("ISTHMUS_PROJECT") or PROJECT),
                above=True,
            )
        )
        return [
            CompletionItem(name)
            for name in _NAMES[self.kind](path.parent)
            if name.startswith(incomplete)
        ]


def _keys(file: str, section: str, folder: Path) -> Iterable[str]:
    """Return the keys of a section in a YAML file of the folder; empty if it cannot be read."""
    from ...project.reading import yaml

    try:
        top, _ = yaml.read((folder / file).read_text(encoding="utf-8"), file)
    except (OSError, ValueError):  # not there, or not UTF-8
        return ()
    names = top.entries.get(section) if isinstance(top, yaml.Mapping) else None
    return names.entries if isinstance(names, yaml.Mapping) else ()


def _targets(folder: Path) -> Iterable[str]:
    """Return the names of the targets in profiles.yaml, for completion."""
    from ...project.profiles.profiles import DEFAULT, FILE

    return dict.fromkeys([DEFAULT, *_keys(FILE, "targets", folder)])


def _files(pattern: str, folder: Path) -> Iterable[str]:
    """Return the project's files that match a glob pattern, as paths from the working folder."""
    return (os.path.relpath(path) for path in sorted(folder.glob(pattern)))


def _runs(folder: Path) -> Iterable[str]:
    """Return the names of the training runs stored on this machine, without calling a cloud."""
    from ...core.user_state import FOLDER, is_known

    own = folder / FOLDER
    return (
        (path.parent.name for path in sorted(own.glob("runs/*/record.json")))
        if is_known(own)
        else ()
    )


_NAMES: dict[str, Callable[[Path], Iterable[str]]] = {  # of a project's folder
    "target": _targets,
    "endpoint": partial(_keys, PROJECT, "endpoints"),
    "event": partial(_keys, PROJECT, "events"),
    "view": partial(_keys, PROJECT, "feature_views"),
    "experiment": partial(_keys, PROJECT, "experiments"),
    "model": partial(_files, "models/*.yaml"),
    "run": _runs,
}
# a parameter's name -> what it names
_PARAMETERS = {
    "target": "target",
    "endpoint": "endpoint",
    "endpoints": "endpoint",
    "event": "event",
    "view": "view",
    "views": "view",
    "consumer": "view",
    "consumers": "view",
    "config": "model",
    "configs": "model",
    "run": "run",
    "runs": "run",
}


def complete_names(click_command: click.Command, *, group: str) -> None:
    """Set up a shell's completion for those of a command's parameters that take a known name.

    `group` is the name of the command's group, such as `experiment`.
    """
    for parameter in click_command.params:
        kind = (
            "experiment"
            if (group, parameter.name) == ("experiment", "name")
            else _PARAMETERS.get(parameter.name or "")
        )
        if kind and isinstance(parameter.type, click.types.StringParamType):
            parameter.type = Name(kind)
