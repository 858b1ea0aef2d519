"""The verbs of `isthmus-stack`: up, run, down, status, coverage, policy, compare, faults.

`isthmus stack` calls these functions, too. They raise what errors.py has.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.client import Stack
from ..core.detached import NoAnswer, running, running_at, stop_apart, stop_at
from ..core.faults import KINDS, Fault
from ..core.home.folders import is_taken
from ..core.home.home import LISTENING, NotUsable, adopt
from ..core.launch import (
    CLOUDS,
    Ready,
    RunningStack,
    StackFailed,
    environment_for,
    environment_of,
    start,
)
from .errors import Invalid, MissingPackage, Newer, NotFound, Unavailable, Unsupported

if TYPE_CHECKING:
    from ..aws.coverage import OperationCoverage as CoveredAws
    from ..aws.recorded.compare import Comparison
    from ..gcp.coverage import OperationCoverage as CoveredGcp

INSTALL = (
    'pip install "isthmus-stack[{}] @ '
    'git+https://github.com/example/isthmus#subdirectory=localstack"'
)
_OPTIONS = {
    "any_key": "--open",
    "moto_answers": "--moto-answers",
    "home": "--home",
}  # those that not every cloud has
_PACKAGE = __name__.partition(".")[0]
_Answer = TypeVar("_Answer")


def check(cloud: str) -> None:
    """Raise an error if a cloud has no stack, or its packages are not installed.

    Raises:
        NotFound: The cloud has no stack.
        MissingPackage: A package is not installed.
    """
    if cloud not in CLOUDS:
        raise NotFound(f"there is no stack of {cloud}", remedy=f"there is {', '.join(CLOUDS)}")
    own = environment_of(cloud)
    if absent := [module for module in own.NEEDS if not _is_installed(module)]:
        raise MissingPackage(
            f"the offline {own.TITLE} needs {', '.join(absent)}", remedy=INSTALL.format(cloud)
        )


def _is_installed(module: str) -> bool:
    """Return whether a module can be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is the package that it is in
        return False


def up(
    cloud: str, *, port: int = 0, images: Mapping[str, str] | None = None, **options: Any
) -> RunningStack:
    """Start a cloud's stack, on a free port where `port` is 0.

    It ends with this process, at `stop()`, or at the end of a `with`.

    Args:
        cloud: aws or gcp.
        port: Where it listens.
        images: The local command that stands for each container image.
        options: As `run.start` has them: clock, query_memory, any_key, moto_answers, home,
            allow_hosts.

    Raises:
        NotFound: The cloud has no stack.
        MissingPackage: A package is not installed.
        Invalid: This cloud's stack does not have that option.
        Unavailable: It did not start.
    """
    check(cloud)
    title = environment_of(cloud).TITLE
    for name, option in _OPTIONS.items():
        if options.get(name) and name not in environment_of(cloud).OPTIONS:
            raise Invalid(f"the offline {title} has no {option}", remedy="leave it out")
    chosen = {name: value for name, value in options.items() if value or name not in _OPTIONS}
    try:
        return start(cloud, images=images, port=port, loud=True, **chosen)
    except StackFailed as error:
        where = f" on port {port}" if port else ""
        remedy = "its own words are above" + ("; --port 0 takes any free port" if port else "")
        raise Unavailable(f"the offline {title} did not start{where}", remedy=remedy) from error


def run(stack: RunningStack, words: Sequence[str]) -> int:
    """Run a command whose SDKs talk to the stack, and return its exit code.

    If a signal ended it, the code is 128 plus the signal's number.

    Raises:
        Invalid: The command cannot be run.
    """
    try:
        code = subprocess.run(
            words, env=environment_for(stack.url, cloud=stack.cloud), check=False
        ).returncode
    except OSError as error:
        remedy = f"isthmus-stack run {stack.cloud} -- python train.py"
        raise Invalid(f"{words[0]} cannot be run: {error.strerror}", remedy=remedy) from error
    return code if code >= 0 else 128 - code


def status(*, home: Path | None = None, url: str | None = None) -> list[Ready]:
    """Return the stacks that run in the folder `home` or at `url`.

    Without either it looks where the environment's variables point, else where `up` starts stacks.
    """
    if home is not None:
        listening = running(home / LISTENING) if is_taken(home) else None
        return [listening] if listening else []
    return [listening for place in places(url) if (listening := running_at(place))]


def down(*, home: Path | None = None, url: str | None = None) -> bool:
    """Stop the stack of a home or URL, once its state is written.

    Return False where none runs.

    Raises:
        Invalid: Neither or both were named.
        Unavailable: It cannot be ended, or is not this user's.
    """
    if (home is None) == (url is None):
        raise Invalid("which stack is to end?", remedy="say --home DIR, or --url URL")
    try:
        if home is None:
            return stop_at(url or "")
        return is_taken(home) and stop_apart(
            home / LISTENING
        )  # nobody's home says which process is to end
    except NoAnswer as error:
        raise Unavailable(str(error), remedy="end that process, then try again") from error


def trust(home: Path) -> None:
    """Accept a home that another user, machine or version wrote, so that a stack can start in it.

    Its files are not unpickled here.

    Nothing in it is unpickled.

    Raises:
        Invalid: The folder is no stack's home, or a stack is using it.
    """
    try:
        adopt(home)
    except (NotUsable, OSError) as error:
        raise Invalid(
            str(error), remedy="isthmus-stack trust --home FOLDER, of a stack that was stopped"
        ) from error


def coverage(
    cloud: str, *, service: str | None = None
) -> Sequence[CoveredAws] | Sequence[CoveredGcp]:
    """Return each operation with the level at which the stack supports it.

    Raises:
        NotFound: There is no such cloud, or no such service.
    """
    check(cloud)
    covered = import_module(f"{_PACKAGE}.{cloud}.coverage")
    if service is not None and service not in covered.FAMILIES:
        raise NotFound(
            f"there is no {service} in the list", remedy=f"it has {', '.join(covered.FAMILIES)}"
        )
    operations: Sequence[CoveredAws] | Sequence[CoveredGcp] = covered.coverage(service)
    return operations


def places(url: str | None = None) -> tuple[str, ...]:
    """Return the URLs at which to look for a running stack.

    They are `url` if it is set, else the URL in the environment, else the default address of each
    cloud.
    """
    if url:
        return (url,)
    named = tuple(filter(None, (os.environ.get(environment_of(cloud).ADDRESS) for cloud in CLOUDS)))
    return named[:1] or tuple(f"http://127.0.0.1:{environment_of(cloud).PORT}" for cloud in CLOUDS)


def ask(where: Sequence[str], question: Callable[[Stack], _Answer]) -> _Answer:
    """Call `question` with the first stack of the URLs `where` that answers; return its result."""
    for place in where:
        try:
            return question(Stack(place))
        except OSError:
            continue
        except ValueError as error:
            raise Invalid(f"{place} does not take that: {error}") from None
    raise NotFound(
        f"no stack answers at {' or '.join(where)}",
        remedy="start one with `isthmus-stack up aws|gcp`, or say --url",
    )


def policy(where: Sequence[str]) -> dict[str, Any]:
    """Return the least-privilege policy for the calls that a stack served since its last reset.

    It is in the cloud's own form: for AWS an IAM policy, for GCP permissions and roles.

    Raises:
        NotFound: No stack answers.
    """
    return ask(where, lambda stack: stack.policy())


def add_fault(where: Sequence[str], *, kind: str, **rule: Any) -> Fault:
    """Add a fault to the stack.

    Raises:
        Invalid: There is no such fault, service or operation.
        NotFound: No stack answers.
    """
    if kind not in KINDS:
        raise Invalid(f"{kind} is not a fault", remedy=f"there are {', '.join(KINDS)}")
    return ask(where, lambda stack: stack.fault(kind=kind, **rule))


def faults(where: Sequence[str]) -> tuple[Fault, ...]:
    """Return the pending faults.

    Raises:
        NotFound: No stack answers.
    """
    return ask(where, lambda stack: stack.faults())


def clear_faults(where: Sequence[str], number: int | None = None) -> None:
    """Remove one fault or all.

    Raises:
        NotFound: No stack answers.
    """
    ask(where, lambda stack: stack.clear_faults(number))


def compare(folder: Path, *, url: str | None = None, clock: str = "instant") -> Comparison:
    """Repeat a recording's calls, and return the answers that differ.

    Args:
        folder: What `isthmus doctor --first-account --round --record` wrote.
        url: The server to which the calls are sent, which they change; by default a stack that is
            started for this.
        clock: The mode of that stack's clock.

    Raises:
        NotFound: There is no recording.
        Newer: A newer version wrote it.
        Invalid: The recording is damaged.
        Unsupported: The recording is of another cloud.
    """
    from ..aws.recorded import form
    from ..aws.recorded.compare import compare as compare_calls

    try:
        about, calls = form.read(folder)
    except form.NewerRecording as error:
        raise Newer(str(error), remedy="update isthmus-stack on this machine") from error
    except OSError as error:
        raise NotFound(
            f"there is no recording in {folder}",
            remedy="isthmus doctor --first-account --round --record FOLDER",
        ) from error
    except ValueError as error:
        raise Invalid(
            f"{folder} is damaged: {error}", remedy="record again, into a new folder"
        ) from error
    if about.cloud != "aws":
        raise Unsupported(f"{folder}: calls of {about.cloud} cannot be asked again yet")
    if url is not None:
        return compare_calls(calls, about, url)
    with up(about.cloud, clock=clock) as own:
        return compare_calls(calls, about, own.url)


def image_commands(texts: Sequence[str]) -> dict[str, str]:
    """Return the command of each image, by its name, from options `NAME=COMMAND`.

    Raises:
        Invalid: An option has no command.
    """
    commands: dict[str, str] = {}
    for text in texts:
        name, equals, line = text.partition("=")
        if not (name and equals and line):
            raise Invalid(f"--image {text} has no command", remedy="write --image NAME=COMMAND")
        commands[name] = line
    return commands
