"""A job's container as a process: its folder, /gcs, its Python, its variables, its command."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from .....jobs import container as containers
from .....jobs.container import Container
from ....core.call import Call
from . import gcs_mount, gcs_shim, pip_shim

_OWN_NETWORK = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "HOME",
)


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """The program of a container. An empty `command` means the image's own."""

    image: str
    own: Sequence[str]  # the image's own command here
    command: Sequence[str] = ()
    args: Sequence[str] = ()
    env: Mapping[str, str] = {}

    @property
    def words(self) -> tuple[str, ...]:
        """The words in which a program may name objects: its command, arguments and variables."""
        return (*self.command, *self.args, *self.env.values())


def make_folders(folder: Path, mounted: Path) -> Container:
    """Make the folders of a simulated container below `folder`, and return the container.

    `mounted` is the folder that stands for its /gcs; all replicas of a job share it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / Path(gcs_mount.MOUNT).name).symlink_to(mounted, target_is_directory=True)
    container = containers.make(folder, gcs_mount.MOUNT)
    _put_pip(container)
    if not container.mounted:
        (container.folder / "site" / "sitecustomize.py").write_text(_running(gcs_shim.__file__))
    return container


def differences(container: Container) -> list[str]:
    """Return log lines that say how a container of the stack differs from one on Vertex AI."""
    if container.mounted:
        return []
    words = (
        f"{gcs_mount.MOUNT}/ in command, arguments and variables was replaced by "
        f"{container.root}/, where kfp's artifacts are, too"
    )
    return [
        (
            "[local stack] a private mount namespace is not permitted here: there is no "
            f"{gcs_mount.MOUNT}. {words}"
        )
    ]


def command(container: Container, program: Program) -> list[str]:
    """Return the command line, as words, that starts a program in a container."""
    entrypoint = list(program.command) or list(program.own)
    return containers.command(container, entrypoint, list(program.args))


def environment(
    call: Call, container: Container, program: Program, contract: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment variables of a job's container.

    They are the stack's addresses, `contract` (what Vertex AI sets), the program's own, and those
    that make `pip` install into this container alone.
    """
    env = containers.environment(container, call.env, {**contract, **program.env})
    site = container.folder / "site"
    env["PATH"] = f"{container.folder / 'bin'}:{env['PATH']}"
    env["PYTHONPATH"] = ":".join(filter(None, (str(site), env.get("PYTHONPATH"))))
    env["ISTHMUS_GCS"] = f"{container.root}/"
    env["ISTHMUS_PIP_SITE"] = str(site)
    env["ISTHMUS_PIP_STACK"] = sysconfig.get_path("purelib")
    env["ISTHMUS_PIP_KEPT"] = str(_package_cache())
    env["ISTHMUS_PIP_ENVIRONMENT"] = str(container.folder / "network.json")
    return env


def _put_pip(container: Container) -> None:
    """Install a substitute for `pip` in a container, as a module and as a command.

    An environment that uv made has no pip, and jobs must not install into the stack's own.
    """
    package = container.folder / "site" / "pip"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""The local stack\'s."""\n')
    (package / "__main__.py").write_text(_running(pip_shim.__file__))
    for name in ("pip", "pip3"):
        script = container.folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip "$@"\n')
        script.chmod(0o755)
    own = {
        k: v
        for k, v in os.environ.items()
        if k.upper() in _OWN_NETWORK or k.startswith(("PIP_", "UV_"))
    }
    file = container.folder / "network.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(own))
    _package_cache().mkdir(parents=True, exist_ok=True)


def _running(path: str) -> str:
    """Return the source text of a Python module that runs the file at `path`."""
    return f"from runpy import run_path\n\nrun_path({path!r}, run_name='__main__')\n"


def _package_cache() -> Path:
    """Return the folder that caches the packages containers install, by set of requirements.

    It is in the user's cache, so that the next stack finds it, too.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "isthmus" / "packages"
