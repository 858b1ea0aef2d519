"""A python_package_spec as a program: pip installs its packages, then its module runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .....core.downloads import Refused, arrive
from ....core.call import Call
from ....core.errors import GcpError
from ...storage import in_process
from .containers import Program

_SCRIPT = (
    'for package in $ISTHMUS_PACKAGES; do python3 -m pip install "$package" || exit 1; done; '
    'exec python3 -m "$0" "$@"'
)


def python_program(call: Call, spec: Any, own: list[str], folder: Path) -> Program:
    """Return the program that runs a job's Python packages, which are copied into `folder`.

    Raises:
        GcpError: A package is not in its bucket.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for uri in spec.package_uris:
        try:
            file = arrive(folder, uri.rpartition("/")[2])
        except Refused as error:
            raise GcpError(
                "INVALID_ARGUMENT", f"{uri!r} cannot be a file: {error}", reason="invalid"
            ) from error
        file.write_bytes(in_process.read(call, uri))
        files.append(str(file))
    env = {variable.name: variable.value for variable in spec.env}
    return Program(
        image=spec.executor_image_uri,
        own=own,
        command=("sh", "-c", _SCRIPT, spec.python_module),
        args=tuple(spec.args),
        env={**env, "ISTHMUS_PACKAGES": " ".join(files)},
    )
