"""An explanation of missing Google credentials: environment, gcloud's login, the machine.

Nothing of a project is called.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...errors import Denied, IsthmusError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
_FILE = "application_default_credentials.json"


def default(target: str) -> tuple[Any, str | None]:
    """Return Google's Application Default Credentials, and the project that they name.

    Raises:
        Denied: There are none; the message says what was tried and what to do.
    """
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        credentials, project = google.auth.default(scopes=[SCOPE])
    except DefaultCredentialsError as error:
        raise none(target, why=str(error)) from error
    return credentials, project


def none(target: str, *, why: str = "") -> IsthmusError:
    """Return the error that no Google credentials were found: what was tried, and what to do."""
    refusal = Denied(
        f"no Google credentials: environment {_environment()}; gcloud login {_login()}; this "
        "machine none",
        remedy="gcloud auth application-default login       or, with no account: isthmus plan "
        f"--target {target} --offline"
        "\nno cloud call was made",
    )
    if why:
        refusal.add_note(why)
    return refusal


def _environment() -> str:
    """Return a clause for a message: which file the environment's credentials variable names."""
    path = os.environ.get(_VARIABLE)
    if not path:
        return "none"
    return (
        f"{_VARIABLE} "
        f"{'is not usable' if Path(path).is_file() else 'names a file that is not there'}"
    )


def _login() -> str:
    """Return a clause for a message: whether gcloud has a stored login."""
    folder = Path(os.environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config" / "gcloud")
    return "is not usable" if (folder / _FILE).is_file() else "none"
