"""`im.stack`: what `isthmus stack` does. up, run, down, status, coverage, policy, compare, and fault.add, fault.list, fault.clear."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from .. import stacks
from ..errors import Invalid, NotFound, Refused, Unavailable, Unsupported
from ..project.names import did_you_mean
from ..reports.results import Shown
from . import faults as fault
from .stack_calls import asked

if TYPE_CHECKING:
    from isthmus_stack.aws.coverage import Covered as CoveredAws
    from isthmus_stack.aws.recorded.compare import Comparison
    from isthmus_stack.gcp.coverage import Covered as CoveredGcp
    from isthmus_stack.run import Ready, RunningStack

    from ..target import Offline

__all__ = ["compare", "coverage", "down", "fault", "policy", "run", "status", "up"]


class Ended(Shown, msgspec.Struct, frozen=True, kw_only=True):
    stopped: bool  # False: no stack of this project ran
    ended: str | None  # how one that did not run any more had ended


def up(cloud: str, *, port: int = 0, images: Mapping[str, str] | None = None, **options: Any) -> RunningStack:
    """Start a cloud's stack (`port` 0: a free one); it ends with this process, at `stop()`, or at the end of a `with`.

    `images`: container image -> the command that it is here, beside the project's own. `options` as `localstack.run.start` has them:
    clock, query_memory, any_key, moto_answers, home, allow_hosts. NotFound, Invalid, MissingDependency; Unavailable: it did not start.
    """
    from isthmus_stack.run import StackFailed, start

    stack = _stack_of(cloud)
    title = _without_others(stack, options)
    commands = {**stacks.images(Path.cwd(), stack), **(images or {})}
    try:
        return start(cloud, images=commands, port=port, loud=True, **options)
    except StackFailed as error:
        where = f" on port {port}" if port else ""
        remedy = "its own words are above" + ("; --port 0 takes any free port" if port else "")
        raise Unavailable(f"the offline {title} did not start{where}", remedy=remedy) from error


def run(cloud: str, words: Sequence[str], **options: Any) -> int:
    """Run a command with a stack of its own (`options` as `up` has them), and give its exit code; 128 and the number of a signal.

    Invalid: the command cannot be run.
    """
    from isthmus_stack.run import environment_for

    with up(cloud, **options) as running:
        try:
            code = subprocess.run(words, env=environment_for(running.url, cloud=cloud), check=False).returncode
        except OSError as error:
            raise Invalid(f"{words[0]} cannot be run: {error.strerror}", remedy=f"isthmus stack run {cloud} -- python train.py") from error
    return code if code >= 0 else 128 - code


def down(folder: Path | None = None, *, forget: bool = False) -> Ended:
    """Stop the stacks that `--offline` started for the project in a folder (default: the working one). `forget`: remove what they held."""
    place = folder or Path.cwd()
    news = None if forget else stacks.told(place)
    return Ended(stopped=stacks.stop(place, forget=forget), ended=news)


def status(folder: Path | None = None) -> dict[str, Ready]:
    """By cloud the stacks that `--offline` started for the project in a folder (default: the working one) and that run."""
    return stacks.running(folder or Path.cwd())


def coverage(cloud: str, *, service: str | None = None) -> Sequence[CoveredAws] | Sequence[CoveredGcp]:
    """By operation: executes, stores only, not there. NotFound: the cloud, or the service."""
    _stack_of(cloud)
    covered = import_module(f"isthmus_stack.{cloud}.coverage")
    if service is not None and service not in covered.FAMILIES:
        raise NotFound(f"there is no {service} in the list", remedy=f"it has {', '.join(covered.FAMILIES)}")
    operations: Sequence[CoveredAws] | Sequence[CoveredGcp] = covered.coverage(service)
    return operations


def policy(*, url: str | None = None) -> dict[str, Any]:
    """The least rights for what a running stack was asked since its last reset, in the cloud's own form. NotFound: no stack answers."""
    return asked(url, lambda stack: stack.policy())


def compare(folder: Path, *, url: str | None = None) -> Comparison:
    """Ask the calls that `doctor --first-account --round --record` kept of an offline stack, and tell what is answered otherwise.

    `url`: another server that stands for the cloud, which is changed by it (default: a new stack, stopped afterwards).
    NotFound: no recording. Refused: a later version's. Invalid: damaged, or of a cloud whose calls cannot be asked again.
    """
    from isthmus_stack.aws.recorded import form
    from isthmus_stack.aws.recorded.compare import compare as again

    try:
        about, calls = form.read(folder)
    except form.NewerRecording as error:
        raise Refused(str(error), remedy="update Isthmus on this machine") from error
    except OSError as error:
        raise NotFound(f"there is no recording in {folder}", remedy="isthmus doctor --first-account --round --record FOLDER") from error
    except ValueError as error:
        raise Invalid(f"{folder} is damaged: {error}", remedy="record again, into a new folder") from error
    if about.cloud != "aws":
        raise Unsupported(f"{folder}: calls of {about.cloud} cannot be asked again yet", capability="stack compare")
    if url is not None:
        return again(calls, about, url)
    with up(about.cloud, clock=stacks.CLOCK) as own:
        return again(calls, about, own.url)


def _stack_of(cloud: str) -> Offline:
    """NotFound; Unsupported, MissingDependency: it cannot be started here."""
    known = stacks.clouds()
    if cloud not in known:
        raise NotFound(f"there is no offline stack of {cloud}", remedy=did_you_mean(cloud, tuple(known), has="there is"))
    stacks.check(known[cloud])
    return known[cloud]


def _without_others(cloud: Offline, options: dict[str, Any]) -> str:
    """Leave out what this cloud has no option for; its title. Invalid where one was asked for."""
    from isthmus_stack.run import environment_of

    own = environment_of(cloud.cloud)
    for name, option in (("any_key", "--open"), ("moto_answers", "--moto-answers"), ("home", "--home")):
        if options.get(name) and name not in own.OPTIONS:
            raise Invalid(f"the offline {own.TITLE} has no {option}", remedy="leave it out")
    return own.TITLE
