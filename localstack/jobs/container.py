"""A container of a job or a model as a process: its folder, its variables, its command.

What a cloud promises to be in a container is the cloud's own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import msgspec

from ..core.downloads import place
from . import mount_namespace

_INHERITED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "PYTHONPYCACHEPREFIX",
    "VIRTUAL_ENV",
    "SSL_CERT_FILE",
    "OMP_NUM_THREADS",  # what a container computes with, it takes of this machine
    "OPENBLAS_NUM_THREADS",
)  # of the stack's environment


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A container's folder.

    What lies in `files` is at `mount` for the command, where a mount namespace is permitted.
    """

    folder: Path
    mount: str  # such as /opt/ml
    mounted: bool

    @property
    def files(self) -> Path:
        """The folder that the command sees at `mount`."""
        return self.folder / PurePosixPath(self.mount).name

    @property
    def work(self) -> Path:
        """The command's working directory."""
        return self.folder / "work"

    @property
    def root(self) -> str:
        """The path `mount` as the command sees it."""
        return self.mount if self.mounted else str(self.files)

    def host(self, path: str) -> Path:
        """Return the local path of a path below `mount` in the container.

        Raises:
            downloads.Refused: The path leads out of it.
        """
        below = path.removeprefix(self.mount).strip("/")
        return place(self.files, below) if below else self.files


def make(folder: Path, mount: str) -> Container:
    """Create the folders of a container that runs as a local process, and return it.

    Its program expects them at the path `mount`.
    """
    container = Container(
        folder=folder,
        mount=mount,
        mounted=mount_namespace.prefix(str(PurePosixPath(mount).parent)) is not None,
    )
    for path in (container.files, container.work, folder / "home", folder / "bin"):
        path.mkdir(parents=True, exist_ok=True)
    pip = folder / "bin" / "pip3"
    pip.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m pip "$@"\n'
    )  # an interpreter made by uv has no pip beside it
    pip.chmod(0o755)
    return container


def write_json(container: Container, path: str, value: object) -> None:
    """Write a value as a JSON file at a path in the container."""
    target = container.host(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(value, indent=1))


def environment(
    container: Container, stack: Mapping[str, str], more: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of a container's command.

    It is a few of our own variables, `stack` (how to reach the stack), then `more`, which wins.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    inherited["PATH"] = ":".join(
        (
            str(Path(sys.executable).parent),
            inherited.get("PATH", os.defpath),
            str(container.folder / "bin"),
        )
    )
    home = {"HOME": str(container.folder / "home"), "PYTHONUNBUFFERED": "1"}
    return {
        **inherited,
        **home,
        **stack,
        **{name: local(container, value) for name, value in more.items()},
    }


def command(container: Container, entrypoint: list[str], arguments: list[str]) -> list[str]:
    """Return the command line that starts a container's program as a local process.

    `python` is the stack's interpreter by PATH; without a mount, `mount` in the words is the
    container's folder.
    """
    words = [local(container, word) for word in (*entrypoint, *arguments)]
    if words and words[0] in ("python", "python3"):
        words[0] = sys.executable
    if not container.mounted:
        return words
    return mount_namespace.inside(
        words,
        folder=container.folder,
        files=container.files,
        mount=container.mount,
        work=container.work,
    )


def local(container: Container, word: str) -> str:
    """Replace the path `mount` in a word of a command by what a local process must use."""
    return word if container.mounted else word.replace(f"{container.mount}/", f"{container.root}/")
