"""An explanation of missing AWS credentials: environment, profile and SSO session.

It is read from files; nothing is called.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from ...errors import Denied, IsthmusError

_CACHE = Path(".aws") / "sso" / "cache"  # below the home folder, where the AWS CLI keeps its logins
_KEYS = (
    "aws_access_key_id",
    "credential_process",
    "role_arn",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
)


class Sso(msgspec.Struct, frozen=True, kw_only=True):
    """One login of the AWS CLI."""

    name: str
    expires: datetime | None  # None: never logged in


@contextmanager
def explained(target: str) -> Iterator[None]:
    """Translate botocore's errors about credentials in the block into Denied, for a target.

    The error says where credentials were looked for.
    """
    from botocore import exceptions as aws

    try:
        yield
    except (
        aws.NoCredentialsError,
        aws.PartialCredentialsError,
        aws.ProfileNotFound,
        aws.CredentialRetrievalError,
        aws.InvalidConfigError,
    ) as error:
        raise none(target, why=str(error)) from error
    except (aws.SSOError, aws.TokenRetrievalError) as error:  # a login that has run out
        # of AWS's login service, to make the login last longer
        was_called = isinstance(error, aws.TokenRetrievalError)
        raise none(target, why=str(error), called=was_called) from error


def none(
    target: str, *, why: str = "", called: bool = False, now: datetime | None = None
) -> IsthmusError:
    """Return the error that no AWS credentials were found: what was tried, and what to do.

    Args:
        target: The target's name.
        why: botocore's own words, added as a note.
        called: Whether AWS was called before the error.
        now: The time, for how long ago a login expired.
    """
    config = _config()
    name = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or "default"
    sso = session_of(config, name, Path.home() / _CACHE)
    sources = (
        f"environment {environment(os.environ)}; profile {name} {profile(config, name)}; SSO "
        f"session {_login(sso, now)}"
    )
    login = (
        f"aws sso login --sso-session {sso.name}"
        if sso
        else "aws configure sso, or set AWS_PROFILE"
    )
    denied = Denied(
        f"no AWS credentials: {sources}",
        remedy=f"{login}       or, with no account: isthmus plan --target {target} --offline"
        + ("" if called else "\nno cloud call was made"),
    )
    if why:
        denied.add_note(why)
    return denied


def environment(environ: Mapping[str, str]) -> str:
    """Return a clause for a message: which AWS variables the environment sets."""
    have = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if environ.get(name)]
    if len(have) == 1:
        return f"{have[0]} alone"
    return "refused" if have else "none"


def profile(config: Mapping[str, Any], name: str) -> str:
    """Return a clause for a message: how the AWS profile `name` of ~/.aws logs in."""
    if name not in config.get("profiles", {}):
        return "none" if name == "default" else "is not in ~/.aws"
    settings = config["profiles"][name]
    return next((f"has {key} only" for key in _KEYS if key in settings), "none")


def session_of(config: Mapping[str, Any], name: str, cache: Path) -> Sso | None:
    """Return the SSO session of an AWS profile, else any of ~/.aws/config, or None.

    `cache` is the AWS CLI's folder of logins.
    """
    sessions = config.get("sso_sessions", {})
    own = config.get("profiles", {}).get(name, {}).get("sso_session")
    chosen = own or next(iter(sessions), None)
    return None if chosen is None else Sso(name=str(chosen), expires=_expires(cache, str(chosen)))


def _expires(cache: Path, session: str) -> datetime | None:
    """Return when the AWS CLI's cached SSO login expires, or None if there is none."""
    file = cache / f"{hashlib.sha1(session.encode()).hexdigest()}.json"  # noqa: S324  the AWS CLI's own name for it
    try:
        moment = datetime.fromisoformat(json.loads(file.read_text(encoding="utf-8"))["expiresAt"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _login(sso: Sso | None, now: datetime | None) -> str:
    """Return a clause for a message: whether the SSO login is in force, expired or absent."""
    if sso is None:
        return "none"
    if sso.expires is None:
        return f'"{sso.name}" not logged in'
    left = sso.expires - (now or datetime.now(UTC))
    return (
        f'"{sso.name}" in force, but no profile uses it'
        if left > timedelta(0)
        else f'"{sso.name}" expired {_ago(-left)}'
    )


def _ago(passed: timedelta) -> str:
    """Return a time span as words such as "2 hours ago"."""
    for unit, length in (
        ("day", timedelta(days=1)),
        ("hour", timedelta(hours=1)),
        ("minute", timedelta(minutes=1)),
    ):
        if (count := passed // length) >= 1:
            return f"{count} {unit}{'s' if count != 1 else ''} ago"
    return "just now"


def _config() -> Mapping[str, Any]:
    """Return ~/.aws/config and ~/.aws/credentials as botocore reads them; empty if it cannot."""
    import botocore.session
    from botocore.exceptions import BotoCoreError

    try:
        config: Mapping[str, Any] = botocore.session.Session(profile="default").full_config
    except BotoCoreError:
        return {}
    return config
