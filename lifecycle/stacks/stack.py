"""`im.stack`: the verbs of `isthmus stack`.

up, run, down, status, coverage, policy, compare, and fault.add, fault.list, fault.clear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.runtime import stacks
from ...errors import NotFound
from ...project.reading.names import did_you_mean
from ...reports.results import Shown
from ...target import Offline
from . import faults as fault
from .calls import as_ours, places

if TYPE_CHECKING:
    from isthmus_stack.aws.coverage import OperationCoverage as CoveredAws
    from isthmus_stack.aws.recorded.compare import Comparison
    from isthmus_stack.gcp.coverage import OperationCoverage as CoveredGcp
    from isthmus_stack.run import Ready, RunningStack

__all__ = ["compare", "coverage", "down", "fault", "policy", "run", "status", "up"]


__all__ = ["compare", "coverage", "down", "fault", "policy", "run", "status", "up"]
__dir__ = __all__.copy  # what completion offers


class Ended(Shown, msgspec.Struct, frozen=True, kw_only=True):
    stopped: bool  # False: no stack of this project ran
    ended: str | None  # how one that did not run any more had ended


def up(
    cloud: str, *, port: int = 0, images: Mapping[str, str] | None = None, **options: Any
) -> RunningStack:
    """Start a cloud's offline stack (local emulator) on a port; 0 takes a free one.

    It ends with this process, at `stop()`, or at the end of a `with`.

    Args:
        cloud: aws or gcp.
        port: Where it listens.
        images: The local command that stands for each container image, beside the project's own.
        options: As `isthmus_stack.run.start` has them: clock, query_memory, any_key, moto_answers,
            home, allow_hosts.

    Raises:
        NotFound: The cloud has no stack.
        Invalid: This cloud's stack does not have that option.
        MissingDependency: A package is not installed.
        Unavailable: It did not start.
    """
    stack = _stack_of(cloud)
    commands = {**stacks.images(Path.cwd(), stack), **(images or {})}
    with as_ours():
        from isthmus_stack.cli import verbs

        return verbs.up(cloud, port=port, images=commands, **options)


def run(cloud: str, words: Sequence[str], **options: Any) -> int:
    """Run a command against a new offline stack that ends with it, and return the exit code.

    If a signal ended the command, the code is 128 plus the signal's number.

    Raises:
        Invalid: The command cannot be run.
    """
    with up(cloud, **options) as running, as_ours():
        from isthmus_stack.cli import verbs

        return verbs.run(running, words)


def down(folder: Path | None = None, *, forget: bool = False) -> Ended:
    """Stop the offline stacks that `--offline` started for the project in a folder.

    Args:
        folder: The project's folder; None: the working folder.
        forget: Whether their stored state is deleted, too.
    """
    place = folder or Path.cwd()
    news = None if forget else stacks.ending_reports(place)
    return Ended(stopped=stacks.stop(place, forget=forget), ended=news)


def status(folder: Path | None = None) -> dict[str, Ready]:
    """Return the running offline stacks of the project in a folder, by cloud.

    The folder is the working folder by default.
    """
    return stacks.running(folder or Path.cwd())


def coverage(
    cloud: str, *, service: str | None = None
) -> Sequence[CoveredAws] | Sequence[CoveredGcp]:
    """Return for each API operation of a cloud whether the offline stack executes it.

    Raises:
        NotFound: There is no such cloud, or no such service.
    """
    _stack_of(cloud)
    with as_ours():
        from isthmus_stack.cli import verbs

        return verbs.coverage(cloud, service=service)


def policy(*, url: str | None = None) -> dict[str, Any]:
    """Return the least-privilege IAM policy, as a dict, for the calls that a stack has received.

    It is in the cloud's own form: for AWS a policy document, for GCP permissions and roles.

    Raises:
        NotFound: No stack answers.
    """
    with as_ours():
        from isthmus_stack.cli import verbs

        return verbs.policy(places(url))


def compare(folder: Path, *, url: str | None = None) -> Comparison:
    """Replay recorded cloud calls on an offline stack, and return the answers that differ.

    Args:
        folder: The recording, which `doctor --first-account --round --record` wrote.
        url: Another server that stands for the cloud, which the calls change; None: a new stack,
            stopped afterwards.

    Raises:
        NotFound: There is no recording.
        Refused: A later version wrote it.
        Invalid: It is damaged, or of a cloud whose calls cannot be replayed.
    """
    with as_ours():
        from isthmus_stack.cli import verbs

        return verbs.compare(folder, url=url, clock=stacks.CLOCK)


def _stack_of(cloud: str) -> Offline:
    """Return the offline stack of a cloud by the cloud's name; raise if it cannot start here.

    Raises:
        NotFound: There is none of this name.
        Unsupported: It cannot be started here.
        MissingDependency: A package of it is absent.
    """
    stack_clouds = stacks.clouds()
    if cloud not in stack_clouds:
        raise NotFound(
            f"there is no offline stack of {cloud}",
            remedy=did_you_mean(cloud, tuple(stack_clouds), has="there is"),
        )
    stacks.check(stack_clouds[cloud])
    return stack_clouds[cloud]
