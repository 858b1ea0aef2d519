"""Git, run in a project's folder.

Nothing that the repository's own configuration names is run, and nothing is fetched.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec

# A repository may come from somebody else, with its configuration: hooks, a monitor and a remote
# are commands of its own.
_SETTINGS = (
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "protocol.allow=never",
    "core.pager=cat",
)


class Git(msgspec.Struct, frozen=True, kw_only=True):
    """The revision that a folder of a repository is at."""

    revision: str  # short
    dirty: bool  # the folder has changes that are not committed

    def __str__(self) -> str:
        return f"git {self.revision}{' with changes' if self.dirty else ''}"


def git_revision(folder: Path, file: str = ".") -> Git | None:
    """Return a folder's git revision, and whether it or a file of it has uncommitted changes.

    None outside a repository, or without git.
    """

    def ask(*arguments: str) -> str | None:
        try:
            done = run_git(folder, *arguments, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None

    revision = ask("rev-parse", "--short=7", "HEAD")
    return (
        Git(revision=revision, dirty=bool(ask("status", "--porcelain", "--", file)))
        if revision
        else None
    )


def run_git(
    folder: Path, *arguments: str, stdin: bytes = b"", timeout: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder, and return the completed process with its output as bytes.

    Raises:
        OSError: Git is not installed.
        subprocess.TimeoutExpired: It took longer than `timeout` seconds.
    """
    options = [option for setting in _SETTINGS for option in ("-c", setting)]
    environment = os.environ | {
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }
    return subprocess.run(
        ["git", *options, "-C", str(folder), *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=timeout,
        env=environment,
    )
