"""The code that serves: a digest of the files of router and model server.

By it `deploy` knows processes of an earlier version.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

# in a model server's environment: the digest of the code that it was started with
CODE = "ISTHMUS_SERVING_CODE"
_PACKAGE = Path(__file__).parents[3]
_PARTS = ("endpoints", "adapters/local", "pipelines/models")


def digest_of_files() -> str:
    """Return a digest of the serving code on disk, which may be newer than the code that runs.

    It tells whether the processes of an endpoint must be replaced after an upgrade.
    """
    digest = hashlib.sha256()
    for path in sorted(path for part in _PARTS for path in (_PACKAGE / part).rglob("*.py")):
        digest.update(
            path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0"
        )
    return digest.hexdigest()[:16]


@cache
def own_code() -> str:
    """Return the digest of the serving code that this process runs, cached at the first call."""
    return digest_of_files()


def code_of(pid: int) -> str | None:
    """Return the digest of the serving code that a model server process was started with.

    It is "" if a release without digests started it, and None if the system does not tell.
    """
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    prefix = f"{CODE}=".encode()
    return next(
        (variable[len(prefix) :].decode() for variable in variables if variable.startswith(prefix)),
        "",
    )


def environment() -> dict[str, str]:
    """Return the environment variables for a new model server process, with its code's digest."""
    return {**os.environ, CODE: digest_of_files()}
