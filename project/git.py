"""Git, run in a project's folder.

Nothing that the repository's own configuration names is run, and nothing is fetched.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# A repository may come from somebody else, with its configuration: hooks, a monitor and a remote
# are commands of its own.
_SETTINGS = (
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "protocol.allow=never",
    "core.pager=cat",
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
