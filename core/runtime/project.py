"""An open project: what the verbs take.

The one place where a description, a target and a clock meet.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, final

from ...errors import Busy, Unsupported
from ...times import utc_milliseconds
from .. import spans
from ..user_state import FOLDER, claim, known_id, make

if TYPE_CHECKING:
    from ...project.specs.description import ParsedProject, ProjectSpec
    from ...storage import BlobStore
    from ...target import CallLog, Profile, Target
    from ...times import Clock

_FULL = (errno.ENOSPC, errno.EDQUOT)
Progress = Callable[[str, int, int | None], None]  # what, done, of how many (None: unknown)


def _silent(_what: str, _done: int, _total: int | None) -> None:
    """Ignore the progress of a task; the callback that is used where the caller gives none."""


@final
class Project:
    """`with isthmus.open("project.yaml") as project:`; rooms take it as their first argument."""

    def __init__(
        self,
        description: ParsedProject,
        target: Target,
        *,
        progress: Progress = _silent,
        clock: Clock | None = None,
    ) -> None:
        """Combine a parsed project with an open target.

        `clock`: the simulated one of its log; None: its target's.
        """
        self.description = description
        self.spec: ProjectSpec = description.spec
        self.folder = Path(description.folder)
        self.target = target
        self.progress = progress
        self.clock = clock
        self.before_close: set[Callable[[], None]] = set()  # what still delivers to the target

    def __repr__(self) -> str:
        return f"<isthmus project {self.spec.name} on {self.target.name}: {self.folder}>"

    def now(self) -> datetime:
        """Return the project's present time: `now:` of project.yaml (an old log), else log_time().

        UTC, whole milliseconds.
        """
        return utc_milliseconds(self.spec.now or self.log_time())

    def log_time(self) -> datetime:
        """Return the time that is written into rows and runs; a simulation can move it.

        Without a simulation it is `wall`'s. Nothing may wait for it, as it stands still between
        simulations. UTC, whole milliseconds.
        """
        return utc_milliseconds(self.clock() if self.clock is not None else self.target.clock())

    def wall(self) -> datetime:
        """Return the real time of the target's clock, for traffic, rollouts, leases and models.

        No simulation moves it. It is this machine's time in UTC, in whole milliseconds, unless a
        test or a rehearsal moves it.
        """
        return utc_milliseconds(self.target.clock())

    @cached_property
    def native(self) -> Any:
        """Return an object with the provider's own SDK objects for the project's resources.

        It has `.endpoint("ranker")`, `.model("ranker", 3)`, `.pipeline("r3")`,
        `.feature_group("item_history")` and `.session`; on SageMaker also `.wr`. The SDK is
        imported now.

        Raises:
            Unsupported: The target has no provider.
        """
        adapter = self.target.adapter
        if adapter.native is None:
            raise Unsupported(
                f"target {self.target.name} ({adapter.name}) has no objects of a provider's own",
                capability="native",
                remedy="project.target.native is what its ports stand on",
            )
        return adapter.native.objects(self.target)

    def sweep(self) -> None:
        """Delete temporary files left by killed writers, on targets that store plain files.

        Call it under the lock.
        """
        maintained = self.target.adapter.maintained
        if maintained is not None and not self.target.calls.dry_run:
            maintained.sweep(self.target)

    @contextmanager
    def lock(self, command: str) -> Generator[None, None, None]:
        """Hold the project's file lock in the block, so that one changing command runs at a time.

        The kernel releases it when the process dies. Taking it again in the same process is
        allowed, as where one command calls another. Other checkouts of the project do not share it:
        what they share is guarded by the StateStore's compare-and-swap.

        Raises:
            Busy: Another command holds it; the error names that command.
        """
        if _held.get(self.folder):
            yield
            return
        lock = self._lock_file()
        if lock is None:
            yield
            return
        with lock as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = _holder(file.read())
                raise Busy(
                    f"another command holds this project: {holder}",
                    remedy="wait for it to end, or stop it, and run this again",
                ) from None
            self._record_holder(file, command)
            _held[self.folder] = True
            try:
                self.sweep()
                with spans.verb(command):
                    yield
            finally:
                _held.pop(self.folder, None)
                file.truncate(0)

    def _record_holder(self, file: IO[str], command: str) -> None:
        """Write this command and its process id into the lock file, for the error of others.

        Raises:
            OSError: The disk is full, and this is no dry run. The error names the file.
        """
        holder = {
            "command": command,
            "pid": os.getpid(),
            "since": self.wall().isoformat(timespec="seconds"),
        }
        file.truncate(0)
        try:
            os.write(file.fileno(), json.dumps(holder).encode())
        except OSError as error:
            if not (self.target.calls.dry_run and error.errno in _FULL):
                raise OSError(error.errno, os.strerror(error.errno or 0), file.name) from error

    def _lock_file(self) -> IO[str] | None:
        """Open the project's lock file; None in a dry run in a read-only folder."""
        try:
            return (make(self.folder / FOLDER) / "lock").open("a+")
        except OSError as error:
            if self.target.calls.dry_run and error.errno in (errno.EROFS, errno.EACCES, *_FULL):
                return None
            raise

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: object) -> None:
        for deliver in tuple(self.before_close):
            deliver()
        self.target.close()


_held: dict[Path, bool] = {}


def _holder(text: str) -> str:
    """Return text on which command holds the project's lock, from the lock file's JSON."""
    try:
        holder = json.loads(text)
    except ValueError:
        return "it has not said which"
    return f"isthmus {holder['command']} (process {holder['pid']}, since {holder['since']})"


def open(
    path: str | Path = "project.yaml",
    *,
    target: str | None = None,
    offline: bool = False,
    calls: CallLog | None = None,
    progress: Progress = _silent,
    **options: Any,
) -> Project:
    """Parse a project's files, open a target of its profiles.yaml, and return the Project.

    Nothing is called on a cloud before the first port is used, and no module of the project is
    imported.

    Args:
        path: project.yaml, or its folder.
        target: The target's name; None: the `default` of profiles.yaml, else the laptop.
        offline: Whether an offline stack stands for the cloud.
        calls: The log of the provider's calls, which may be a dry run's.
        progress: Called with the progress of long tasks.
        options: Options that replace those of the profile; None is ignored.

    Raises:
        ProjectError: The files have mistakes; it lists all of them.
        Unsupported: The target cannot be loaded.
        MissingDependency: A package of the target is not installed.
        Refused: This user does not trust the project's `.isthmus`, or a `home` of the laptop.
    """
    from msgspec import structs

    from ...adapters import targets
    from ...project.load import load
    from ...project.profiles.profiles import folders, profile
    from ..plugins.installed import adapter
    from . import stacks

    description = load(Path(path))
    known_id(Path(description.folder) / FOLDER)  # before a stack is looked for
    overlay = {k: v for k, v in options.items() if v is not None}
    chosen = profile(
        description,
        target=target,
        offline=offline,
        options=overlay,
        stack=partial(stacks.options, Path(description.folder)),
    )
    stack = adapter(chosen.adapter).offline
    if (
        stack and "endpoint_url" not in chosen.options
    ):  # nothing would leave this machine without it either
        chosen = structs.replace(
            chosen, options=chosen.options | stacks.options_from_environment(stack)
        )
    for folder in folders(chosen):
        claim(folder, Path(description.folder))
    return Project(description, targets.load(chosen, calls=calls), progress=progress)


def open_target(profile: Profile, *, calls: CallLog | None = None) -> Target:
    """Open the target of a profile that was stored in a run.json.

    A pipeline's step, which runs as a job of its own, gets its storage and services by it.
    """
    from ...adapters import targets

    return targets.load(profile, calls=calls)


def open_blobs(uri: str) -> BlobStore:
    """Return the blob store that reads and writes a URI, found by the URI's scheme.

    It is for a job that knows only the URI.

    Raises:
        Unsupported: No installed adapter has the scheme.
    """
    from ...adapters import targets

    return targets.blobs_for(uri)


def reopen(path: str | Path, target: Target) -> Project:
    """Parse a project's files again; return a Project on `target`, which stays open.

    Raises:
        ProjectError: The files have mistakes by now.
    """
    from ...project.load import load

    return Project(load(Path(path)), target)
