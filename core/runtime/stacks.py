"""`--offline`: what stands for an adapter's cloud.

The stack that a variable on loopback names, the server of profiles.yaml, or a stack
of the project's own, in this order.

The project's own stack is a process of its own, started when first needed, recorded in the user's
state folder (core/user_state.py) as `projects/<id>/stack/<cloud>.json` and used by every later
command. Where the cloud's stack keeps what it holds, that is beside it in `stack/<cloud>/`, until
`isthmus stack down --forget` or `isthmus destroy --offline`. Nothing of it lies in the project: a
record names a process that is signalled and a port that is talked to, and what a stack holds is
unpickled.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import Denied, Invalid, Unavailable, Unsupported
from ...project.profiles.options import on_this_machine
from ...target import STACK_PACKAGE, Offline, Packages, attribute, require
from ..formats import refuse_newer, schema, schema_of
from ..plugins.installed import adapter, adapters
from ..user_state import FOLDER, kept_for, known_id, make

if TYPE_CHECKING:
    from isthmus_stack.run import Ready

_LISTENS = 5.0  # seconds that a stack may take to let us in
_LETS_GO = 10.0  # seconds until one that was ended has no more lock
# nobody waits here for the minutes that the cloud takes; `isthmus stack up aws --clock real` does
CLOCK = "instant"


def clouds() -> dict[str, Offline]:
    """Return the offline stack (local emulator) of each cloud with an installed adapter."""
    return {stack.cloud: stack for stack in _stacks()}


def options(folder: Path, stack: Offline, server: str | None = None) -> dict[str, str]:
    """Return the target options that lead to the project's offline stack, started if needed."""
    return address(stack, endpoint(folder, stack, server))


def endpoint(folder: Path, stack: Offline, server: str | None = None) -> str:
    """Return the URL of the offline stack for the project in `folder`, starting it if needed.

    A URL in the environment comes first, then `server`, the URL that the target's profile names.

    Raises:
        Invalid: The environment's URL leads off this machine.
        Unavailable: The project's own stack does not start.
    """
    if exported := _variable(stack):
        variable, url = exported
        if not on_this_machine(url):
            raise Invalid(
                f"--offline, and {variable} is {url}, which is not on this machine",
                remedy=f"unset {variable}, or leave --offline out",
            )
        return url
    if server:
        return server
    check(stack)
    from isthmus_stack.core.detached import NoAnswer, answering, previous_log, start_apart
    from isthmus_stack.run import StackFailed

    ready = record(folder, stack)
    log = _log(ready)
    with _one_at_a_time(ready.parent):
        _refuse_newer(ready)
        try:
            already = answering(ready)
        except NoAnswer as error:
            raise Unavailable(
                f"the offline stack of {stack.cloud} is busy: {error}",
                remedy="try again later, or end it with `isthmus stack down`",
            ) from error
        if already is not None:
            return already.url
        if (news := _ending_report(ready)) is not None:
            sys.stderr.write(f"{news}\n  its log is now {previous_log(log)}\n")
        try:
            return start_apart(
                stack.cloud,
                ready=ready,
                log=log,
                images=images(folder, stack),
                clock=CLOCK,
                home=home(folder, stack),
            ).url
        except StackFailed as error:
            reason = str(error).splitlines()[-1]
            raise Unavailable(
                f"the offline stack of {stack.cloud} did not start: {reason}",
                remedy=f"read {log}; where it cannot go on with what was kept, `isthmus stack down "
                "--forget` removes that",
            ) from error


def ending_reports(folder: Path) -> str | None:
    """Return text on when and how the project's offline stacks crashed; None if none did.

    None for those that run, or were stopped.
    """
    return "\n".join(filter(None, map(_ending_report, _records(folder)))) or None


def gone(folder: Path, url: str | None) -> str | None:
    """Return text on how the offline stack at `url` ended and what to do, or None.

    It is None while a server answers there, or if there is no URL.
    """
    if url is None or _listens(url):
        return None
    own = _record_of_url(folder, url)
    news = _ending_report(own) if own is not None else None
    return (
        news
        or f"the offline stack at {url} has ended: start it again (`isthmus stack up`), and "
        "begin with `isthmus apply`"
    )


def _listens(url: str) -> bool:
    """Return whether a server listens at a URL; True if that is uncertain.

    A busy server may answer late, and another program's may answer anything.
    """
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"{url}/_stack/health", timeout=_LISTENS
        ):
            return True
    except urllib.error.URLError as error:
        return not isinstance(error.reason, ConnectionError)
    except (OSError, HTTPException) as error:  # a socket that a killed process had no time to close
        return not isinstance(error, ConnectionError)


def _record_of_url(folder: Path, url: str) -> Path | None:
    """Return the record file of the project's own offline stack that listened at `url`, or None."""
    if not (files := _records(folder)):
        return None
    from isthmus_stack.run import read_ready

    return next((file for file in files if (stack := read_ready(file)) and stack.url == url), None)


def _ending_report(ready: Path) -> str | None:
    """Return text on when and how an offline stack's process ended, or None if unknown."""
    from isthmus_stack.core.detached import death

    end = death(ready, _log(ready))
    if end is None:
        return None
    when = f"{end.at:%Y-%m-%d %H:%M:%S} UTC"
    if end.restarted:
        text = f"this machine was restarted after {when}"
    elif end.code is None:
        text = f"it was killed after {when}, together with the process that watched it"
    else:
        text = f"it ended at {when}: {_exit_text(end.code)}"
    lines = "".join(f"\n    {line}" for line in end.log)
    rest = _KEPT if end.home else _NOT_KEPT
    return (
        "the offline stack of this project died: "
        f"{text}\n{rest}{chr(10) + '  its last lines' + lines if lines else ''}"
    )


_KEPT = (
    "  what it held is kept, and the next one goes on with it: jobs that ran have failed, "
    "endpoints start again;\n  what is gone: metrics, logs, records in flight, histories of "
    "queries, faults, and that callers are held to policies"
)
_NOT_KEPT = "  what it held is gone: the next one starts empty; begin again with `isthmus apply`"


def _exit_text(code: int) -> str:
    """Return text on how a process ended, from its exit code."""
    if code <= 128:
        return f"it failed, with exit code {code}"
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        return f"it ended with code {code}"
    return f"killed by {name}" + (
        ", by hand or by the kernel for want of memory" if name == "SIGKILL" else ""
    )


def options_from_environment(stack: Offline) -> dict[str, str]:
    """Return the target options for the offline stack that the environment names, or none.

    The environment names one inside of `isthmus stack run`, or where the variables of `isthmus
    stack up` were exported. A URL that leads off this machine counts as none.
    """
    _, url = _variable(stack) or ("", "")
    return address(stack, url) if on_this_machine(url) else {}


def address(stack: Offline, url: str) -> dict[str, str]:
    """Return the target options for an offline stack at `url`: `endpoint_url` and the like."""
    more: dict[str, str] = attribute(stack.address)(url) if stack.address else {}
    return {"endpoint_url": url, **more}


def stop(folder: Path, *, forget: bool = False) -> bool:
    """Stop the project's offline stacks, and return whether any ran.

    With `forget` their stored state is deleted, too.

    Raises:
        Unavailable: A stack cannot be ended.
    """
    place = _known_record_folder(folder)
    if place is None or not place.exists():
        return False
    require_package()
    from isthmus_stack.core.detached import NoAnswer, stop_apart

    with _one_at_a_time(place):  # one that is being started has no record yet
        try:
            stopped = [stop_apart(ready) for ready in _records(folder)]
        except NoAnswer as error:
            raise Unavailable(str(error), remedy="end that process, then try again") from error
        if forget:
            for home in homes(folder):
                _delete_state(home, ending=any(stopped))
    return any(stopped)


def _delete_state(place: Path, *, ending: bool) -> None:
    """Delete the stored state of an offline stack from disk.

    Args:
        place: The folder of the stack's state.
        ending: Whether the stack was told to end; then wait a while for it to release the folder.

    Raises:
        Unavailable: A stack still uses the folder.
    """
    from isthmus_stack.core.home.folders import OwnedFolder, Taken, remove_tree

    deadline = time.monotonic() + _LETS_GO * ending
    while True:
        try:
            owned = OwnedFolder(place)
            break
        except Taken as error:
            if time.monotonic() >= deadline:
                message = f"a stack still runs in {place}: nothing was removed there"
                raise Unavailable(message, remedy="end that process, then try again") from error
        time.sleep(0.02)
    try:
        remove_tree(place)
    finally:
        owned.leave()


def home(folder: Path, stack: Offline) -> Path | None:
    """Return the folder where the offline stack of a project in `folder` keeps its state.

    It is None if there is no such folder.
    """
    from isthmus_stack.run import environment_of

    return (
        _record_folder(folder) / stack.cloud
        if "home" in environment_of(stack.cloud).OPTIONS
        else None
    )


def homes(folder: Path) -> tuple[Path, ...]:
    """Return the state folders of all offline stacks of the project, running or not."""
    place = _known_record_folder(folder)
    return () if place is None else tuple(path for path in sorted(place.glob("*")) if path.is_dir())


def running(folder: Path) -> dict[str, Ready]:
    """Return the project's own running offline stacks, by cloud."""
    if not (files := _records(folder)):
        return {}
    from isthmus_stack.core.detached import running

    return {file.stem: stack for file in files if (stack := running(file))}


def running_urls(folder: Path) -> tuple[str, ...]:
    """Return the URLs of the project's own running offline stacks."""
    return tuple(stack.url for stack in running(folder).values())


def record(folder: Path, stack: Offline) -> Path:
    """Return the path of the file that records a running offline stack of the project.

    The project's `.isthmus` is created and registered where there is none.
    """
    return _record_folder(folder) / f"{stack.cloud}.json"


def _log(ready: Path) -> Path:
    """Return the path of an offline stack's log file."""
    return ready.with_suffix(".log")


def images(folder: Path, stack: Offline) -> Mapping[str, str]:
    """Return the local command that stands in for each container image on the offline stack.

    Our model server is there under every name that the project's profiles have for it.
    """
    from ...errors import IsthmusError
    from ...project.load import load
    from ...project.profiles.profiles import profiles

    names = {other.image for other in _stacks() if other.cloud == stack.cloud}
    if (folder / "project.yaml").exists():
        try:
            targets = tuple(profiles(load(folder / "project.yaml")).values())
        except (
            IsthmusError
        ):  # a stack starts for a project that is not right yet; `validate` says what is wrong
            targets = ()
        for profile in targets:
            offline = adapter(profile.adapter).offline
            if (
                offline is not None
                and offline.cloud == stack.cloud
                and profile.options.get("image")
            ):
                names.add(str(profile.options["image"]))
    return dict.fromkeys(
        sorted(names),
        f"{sys.executable} -m {__name__.partition('.')[0]}.endpoints.server --host 127.0.0.1 "
        "--model {model} --port {port}",
    )


def check(stack: Offline) -> None:
    """Raise an error if a cloud's stack cannot be started on this machine.

    Raises:
        Unsupported: The cloud has no stack here.
        MissingDependency: The stack's packages are not installed; the error has the pip line.
    """
    require_package()
    from isthmus_stack.run import CLOUDS

    if stack.cloud not in CLOUDS:
        raise Unsupported(
            f"there is no offline stack of {stack.cloud} in this version", capability="offline"
        )
    require(stack.needs, "the offline stack")


def require_package() -> None:
    """Raise MissingDependency, with the pip line, where the offline stacks' package is absent."""
    require(
        Packages(modules=("isthmus_stack",), install=STACK_PACKAGE.format("aws,gcp")),
        "an offline stack",
    )


def _stacks() -> list[Offline]:
    """Return the offline stacks of all installed adapters that have one."""
    return [adapter.offline for adapter in adapters() if adapter.offline is not None]


def _variable(stack: Offline) -> tuple[str, str] | None:
    """Return the name and value of the environment variable for an offline stack's URL, or None."""
    return next(
        ((variable, url) for variable in stack.variables if (url := os.environ.get(variable))), None
    )


def _records(folder: Path) -> list[Path]:
    """Return the paths of the files that record a project's offline stacks.

    Raises:
        Refused: A later version wrote one.
    """
    place = _known_record_folder(folder)
    ready = [] if place is None else sorted(place.glob("*.json"))
    if ready:
        require_package()
    for file in ready:
        _refuse_newer(file)
    return ready


def _refuse_newer(ready: Path) -> None:
    """Raise Refused if a later version of Isthmus recorded this offline stack.

    It may still run.

    This version would start a second and forget the first.
    """
    from isthmus_stack.run import Ready

    with suppress(FileNotFoundError, ValueError):  # damaged is as absent
        refuse_newer(str(ready), schema_of(ready.read_bytes()), schema(Ready))


def _known_record_folder(project: Path) -> Path | None:
    """Return the folder in which a project's offline stacks are recorded, or None.

    Raises:
        Refused: This user does not trust the project's `.isthmus`.
    """
    number = known_id(project / FOLDER)
    return kept_for(number) / "stack" if number else None


def _record_folder(project: Path) -> Path:
    """Return the folder with the records of the project's offline stacks, created if needed."""
    make(project / FOLDER)
    place = _known_record_folder(project)
    if place is None:
        raise Denied(
            f"{project / FOLDER} is a copy of another project's that cannot be written, so "
            "it has no stack of its own",
            remedy="copy the project to where you may write",
        )
    return place


@contextmanager
def _one_at_a_time(folder: Path) -> Generator[None, None, None]:
    """Hold a file lock, so that two commands do not start the same offline stack twice."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
