"""The control routes of a local stack of ours, whatever its cloud, and the keys that it keeps for
its user alone.
"""

from __future__ import annotations

import json
import os
import stat
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...errors import Invalid, Unavailable
from ...project.profiles.options import on_this_machine

_direct = urllib.request.build_opener(
    urllib.request.ProxyHandler({})
)  # the door of a stack is no way to the stack itself


def post(url: str, path: str, body: bytes) -> None:
    """To a route such as _stack/clock.

    Invalid, in the stack's words; Unavailable when nothing answers.
    """
    headers = {"Authorization": f"Bearer {keys(url).get('control', '')}"}
    request = urllib.request.Request(  # noqa: S310
        f"{url.rstrip('/')}/{path}", data=body, method="POST", headers=headers
    )
    try:
        with _direct.open(request, timeout=180):
            pass
    except urllib.error.HTTPError as error:
        raise Invalid(f"{path}: {error.read().decode('utf-8', 'replace')}") from error
    except OSError as error:
        raise Unavailable(
            f"nothing answers at {url}: {error}", remedy="start the local stack again"
        ) from error


def keys(url: str) -> dict[str, Any]:
    """The keys of the stack at `url`, from the file that it names; empty where it is none of ours,
    or another user's.

    `control`: for the control routes; `pair`: `access_key` and `secret_key`, what an SDK signs
    with. localstack/core/keys.py writes them.
    """
    if not on_this_machine(url):
        return {}
    try:
        with _direct.open(f"{url.rstrip('/')}/_stack/health", timeout=10) as answer:
            path = Path(json.loads(answer.read())["keys"])
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.getuid():
            return {}
        document = json.loads(path.read_bytes())
        same = (
            urlsplit(document["url"]).port == urlsplit(url).port
        )  # nobody is to be led to send another stack's
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
    return dict(document) if same else {}
