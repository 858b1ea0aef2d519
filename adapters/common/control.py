"""Calls of a local stack's control routes, and the keys that it keeps for its own user.

They are the same for the stacks of all clouds.
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

# the door of a stack is no way to the stack itself
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def post(url: str, path: str, body: bytes) -> None:
    """Post a body to a control route of a local stack (an emulator), such as `_stack/clock`.

    Raises:
        Invalid: The stack refused it; the message is the stack's.
        Unavailable: Nothing answers at the URL.
    """
    headers = {"Authorization": f"Bearer {keys(url).get('control', '')}"}
    request = urllib.request.Request(  # noqa: S310  a stack of this machine
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
    """Read the access keys of the local stack at `url` from the file that the stack names.

    Returns:
        `control`, the key of the control routes, and `pair`, the `access_key` and `secret_key` that
        an SDK signs with. Empty if the server is no isthmus_stack, or its file is another user's.
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
        # nobody is to be led to send another stack's
        same = urlsplit(document["url"]).port == urlsplit(url).port
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
    return dict(document) if same else {}
