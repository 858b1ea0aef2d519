"""`--offline`: which local stack stands for a cloud. A loopback AWS_ENDPOINT_URL, else one of the project's own, started when first needed.

The project's own stack is a process of its own, recorded in .isthmus/stack/aws.json and used by every later command. What it holds is
kept in .isthmus/stack/aws over its end, until `isthmus stack down --forget` or `isthmus destroy --offline`.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import Invalid, MissingDependency, Unavailable

NEEDS = ("moto", "flask", "waitress", "boto3")
_VARIABLE = "AWS_ENDPOINT_URL"
_CLOCK = "instant"  # nobody waits here for the minutes that the cloud takes; `isthmus stack up aws --clock real` does
_IMAGE = "isthmus"  # what the adapter calls our image where nobody pushed one


def endpoint(folder: Path, adapter: str = "sagemaker") -> str:
    """Where the stack for the project in `folder` listens.

    Invalid for a variable that leads off this machine; Unavailable when the project's own does not start.
    """
    if url := os.environ.get(_VARIABLE):
        if not _loopback(url):
            raise Invalid(
                f"--offline, and {_VARIABLE} is {url}, which is not on this machine",
                remedy=f"unset {_VARIABLE}, or leave --offline out",
            )
        return url
    check()
    from ..localstack.apart import previous, running, start_aws_apart
    from ..localstack.run import StackFailed

    ready, log = record(folder), _log(folder)
    with _one_at_a_time(ready.parent):
        if (stack := running(ready)) is not None:
            return stack.url
        if (news := told(folder)) is not None:
            sys.stderr.write(f"{news}\n  its log is now {previous(log).relative_to(folder)}\n")
        try:
            return start_aws_apart(ready=ready, log=log, images=images(folder), clock=_CLOCK, home=home(folder)).url
        except StackFailed as error:
            reason = str(error).splitlines()[-1]
            raise Unavailable(
                f"the offline stack of {adapter} did not start: {reason}",
                remedy=f"read {log}; where it cannot go on with what was kept, `isthmus stack down --forget` removes that",
            ) from error


def told(folder: Path) -> str | None:
    """When and how the project's own stack died, what that means, and its last lines; None when it runs, or was stopped."""
    from ..localstack.apart import death

    end = death(record(folder), _log(folder))
    if end is None:
        return None
    when = f"{end.at:%Y-%m-%d %H:%M:%S} UTC"
    if end.restarted:
        text = f"this machine was restarted after {when}"
    elif end.code is None:
        text = f"it was killed after {when}, together with the process that watched it"
    else:
        text = f"it ended at {when}: {_how(end.code)}"
    lines = "".join(f"\n    {line}" for line in end.log)
    return (
        f"the offline stack of this project died: {text}\n"
        "  what it held is kept, and the next one goes on with it: jobs that ran have failed, endpoints start again;\n"
        "  what is gone: metrics, logs, records in flight in Kinesis, histories of queries"
        f"{chr(10) + '  its last lines' + lines if lines else ''}"
    )


def _how(code: int) -> str:
    if code <= 128:
        return f"it failed, with exit code {code}"
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        return f"it ended with code {code}"
    return f"killed by {name}" + (", by hand or by the kernel for want of memory" if name == "SIGKILL" else "")


def given() -> str | None:
    """A stack of this machine that the environment leads every SDK to: `isthmus stack run`, or what `isthmus stack up` says to export."""
    url = os.environ.get(_VARIABLE)
    return url if url and _loopback(url) else None


def stop(folder: Path, *, forget: bool = False) -> bool:
    """End the project's own stack; with `forget` what it held goes, too. False when none runs."""
    import shutil

    from ..localstack.apart import stop_apart

    ready = record(folder)
    if not ready.parent.exists():
        return False
    with _one_at_a_time(ready.parent):
        stopped = stop_apart(ready)
        if forget:
            shutil.rmtree(home(folder), ignore_errors=True)
        return stopped


def home(folder: Path) -> Path:
    """Where the project's own stack keeps what it holds."""
    return record(folder).with_suffix("")


def running_url(folder: Path) -> str | None:
    """Where the project's own stack listens; None when none runs."""
    from ..localstack.apart import running

    stack = running(record(folder))
    return stack.url if stack else None


def record(folder: Path) -> Path:
    return folder / ".isthmus" / "stack" / "aws.json"


def _log(folder: Path) -> Path:
    return record(folder).with_suffix(".log")


def images(folder: Path) -> Mapping[str, str]:
    """Container image -> what it is on this machine: our model server, under every name that the project's profiles have for it."""
    from ..errors import IsthmusError
    from ..project.load import load
    from ..project.profiles import profiles

    names = {_IMAGE}
    if (folder / "project.yaml").exists():
        try:
            targets = tuple(profiles(load(folder / "project.yaml")).values())
        except IsthmusError:  # a stack starts for a project that is not right yet; `validate` says what is wrong
            targets = ()
        names |= {str(target.options["image"]) for target in targets if target.adapter == "sagemaker" and target.options.get("image")}
    return dict.fromkeys(
        sorted(names),
        f"{sys.executable} -m {__package__.partition('.')[0]}.endpoints.server --host 127.0.0.1 --model {{model}} --port {{port}}",
    )


def check() -> None:
    """MissingDependency, with the pip line, when the stack's packages are absent."""
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise MissingDependency(f"the offline stack needs {', '.join(missing)}", remedy='pip install "isthmus[stack]"')


def _loopback(url: str) -> bool:
    return (urlsplit(url).hostname or "") in ("127.0.0.1", "localhost", "::1")


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two commands at once start one stack."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
