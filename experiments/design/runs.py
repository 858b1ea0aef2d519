"""The state of experiments: the live document, its history, and what a run was when it started.

`experiments/live` is changed by one compare-and-swap. Its last change stands within; the next one
first copies it to `experiments/history/<version>`, so a crash leaves the old document or the new
one, and no change is told twice or lost. `experiments/<name>/runs/<number>` is written once, before
the run goes live: who writes it has the number.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta

import msgspec
from msgspec.structs import replace

from ...core.formats import Kind, StoredDocument, decode
from ...endpoints.gateway.decide.live_document import (
    LARGEST,
    LIVE,
    Change,
    LiveArm,
    LiveExperiments,
    LiveRun,
    What,
)
from ...errors import Conflict, Invalid
from ...project.specs.description import ProjectSpec
from ...project.specs.experiments import Experiment, Layer, Metric
from ...storage import StateStore

HISTORY = "experiments/history/"
_ACTING: ContextVar[str | None] = ContextVar("acting", default=None)
_EARLIEST = date(1970, 1, 1)
_UNWRITTEN = datetime.min.replace(tzinfo=UTC)
_SKEW = timedelta(days=1)  # by which a gateway's clock may be behind the one that wrote the start


class ExperimentDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment as project.yaml describes it."""

    experiment: Experiment
    layer: Layer
    metrics: dict[str, Metric] = {}  # that it names


class FrozenRun(StoredDocument, frozen=True, kw_only=True, tag=2):
    """A run as it was frozen at its start, whatever project.yaml says later.

    It is stored as `experiments/<name>/runs/<number>`.
    """

    run: str  # <name>.<number>
    definition: ExperimentDefinition
    digest: str  # of the definition
    # with the variants that were chosen when it started; of an interleaving also those that may
    # be shipped
    arms: tuple[LiveArm, ...]
    git: str | None  # revision of the project's folder; None: no repository
    target: str
    who: str
    at: datetime

    @property
    def aims(self) -> bool:
        """Return whether an arm of the run names the model variant that answers its units."""
        return any("variant" in arm.parameters for arm in self.arms)

    @property
    def salt(self) -> str:
        """Return the text (salt) with which units are hashed to arms.

        In an interleaved run it also decides which variant picks first.
        """
        return self.definition.experiment.salt or self.run

    @property
    def shippable(self) -> tuple[LiveArm, ...]:
        """Return the arms that may ship; for an interleaved run its two variants."""
        return self.arms[1:] if self.definition.experiment.interleave else self.arms


class StoredLive(msgspec.Struct, frozen=True, kw_only=True):
    """The live document, with the token that a change of it must name."""

    live: LiveExperiments
    token: str | None  # None: not written yet


class RecordedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the store has it: as it was at its start, and what was changed since."""

    frozen: FrozenRun
    live: LiveExperiments  # the document of all live runs
    changes: tuple[Change, ...]  # of every run of its experiment, oldest first

    @property
    def own_changes(self) -> tuple[Change, ...]:
        """Return the changes of this run alone, oldest first."""
        return tuple(change for change in self.changes if change.run == self.frozen.run)

    @property
    def is_newest(self) -> bool:
        """Return whether no other run of its experiment came after this one."""
        return self.changes[-1].run == self.frozen.run


def read(state: StateStore) -> StoredLive | None:
    """Return the document of all live runs; None: no experiment was ever started.

    Raises:
        Refused: A newer version wrote it.
        Invalid: It is damaged.
    """
    stored = _stored(state, LIVE, LiveExperiments)
    return None if stored is None else StoredLive(live=stored[0], token=stored[1])


def _stored(state: StateStore, key: str, kind: type[Kind]) -> tuple[Kind, str] | None:
    """Return a document with the token of its version, or None if the key has none.

    Raises:
        Refused: A newer version wrote it.
        Invalid: It is damaged.
    """
    document = state.get(key)
    if document is None:
        return None
    return decode(document.value, kind, what=f"state {key}"), document.token


def current(state: StateStore) -> StoredLive:
    """Return the document of all live runs; an empty one if none is stored yet."""
    return read(state) or StoredLive(live=LiveExperiments(written=_UNWRITTEN), token=None)


def next_change(
    stored: StoredLive,
    run: LiveRun,
    what: What,
    *,
    changed_at: datetime,
    after: str,
    before_text: str = "",
    because: str = "",
) -> Change:
    """Return the history entry for a change to a run, with the next version number.

    Args:
        stored: The document that is changed.
        run: The run as it is afterwards.
        what: The kind of change, such as start or stop.
        changed_at: When it is changed.
        after: The new value as text, such as its new share of the units.
        before_text: The old value as text.
        because: The reason that the user gave.
    """
    return Change(
        version=stored.live.version + 1,
        at=changed_at,
        who=who(),
        run=run.run,
        what=what,
        before=before_text,
        after=after,
        because=because,
        ranges=run.ranges,
        ships=run.ships,
    )


def change(
    state: StateStore, stored: StoredLive, after: LiveExperiments, entry: Change
) -> LiveExperiments:
    """Write the document of all live runs together with the history entry of the change.

    Args:
        state: The store of the documents.
        stored: The document before.
        after: The document afterwards.
        entry: The change, which is `next_change` of `stored`.

    Raises:
        Conflict: Somebody was faster, and nothing changed.
        Invalid: The document has more than 64 KiB.
    """
    if stored.live.change is not None:
        # a conflict: who copied it already was stopped before his own change, or lost to another
        with suppress(Conflict):
            state.put(
                history_key(stored.live.version),
                msgspec.json.encode(stored.live.change),
                expect=None,
            )
    live = next_live(after, entry)
    try:
        state.put(LIVE, msgspec.json.encode(live), expect=stored.token)
    except Conflict as error:
        raise Conflict(
            f"somebody else changed the experiments of this target meanwhile; {entry.run} "
            f"was not {entry.what}",
            remedy="isthmus experiment history; then the same command again, if you still mean it",
        ) from error
    return live


def next_live(after: LiveExperiments, entry: Change) -> LiveExperiments:
    """Return the document of all live runs with its new version and the entry of its change.

    Raises:
        Invalid: It has more than 64 KiB.
    """
    live = replace(after, version=entry.version, written=entry.at, change=entry)
    size = len(msgspec.json.encode(live))
    if size > LARGEST:
        raise Invalid(
            f"state {LIVE}: {size:,} bytes are more than the {LARGEST:,} that gateways read, "
            f"with {entry.run}",
            remedy="close or stop other runs first, or target by fewer values",
        )
    return live


def history_key(version: int) -> str:
    """Return the state store's key of the change that made a version of the live document."""
    return f"{HISTORY}{version:08}"


def history(state: StateStore, name: str | None = None) -> tuple[Change, ...]:
    """Return every change of runs, oldest first; of one experiment, if it is named."""
    changes = (
        change
        for change in _newest_first(state, current(state).live)
        if name in (None, experiment_of(change.run))
    )
    return tuple(changes)[::-1]


def last(state: StateStore, name: str) -> Change | None:
    """Return the newest change of an experiment's runs, or None if it never ran."""
    if not numbers(state, name):
        return None
    changes = _newest_first(state, current(state).live)
    return next((change for change in changes if experiment_of(change.run) == name), None)


def recorded_run(state: StateStore, name: str) -> RecordedRun | None:
    """Return the run of this name, or the newest run of the experiment of this name.

    None: it never ran.
    """
    live = current(state).live
    changes = tuple(_newest_first(state, live))[::-1]
    started = dict.fromkeys(change.run for change in changes)
    runs = [name] if name in started else [run for run in started if experiment_of(run) == name]
    if not runs:
        return None
    experiment = experiment_of(runs[-1])
    return RecordedRun(
        frozen=frozen_run(state, runs[-1]),
        live=live,
        changes=tuple(change for change in changes if experiment_of(change.run) == experiment),
    )


def _newest_first(state: StateStore, live: LiveExperiments) -> Iterator[Change]:
    """Yield the changes of all runs, newest first.

    The newest is in the live document alone.
    """
    newest = live.change
    if newest is not None:
        yield newest
    for key in sorted(state.keys(HISTORY), reverse=True):
        number = key.removeprefix(HISTORY)
        if not number.isdigit() or (
            newest is not None and int(number) >= newest.version
        ):  # an experiment may be named `history`
            continue
        if stored := _stored(state, key, Change):
            yield stored[0]


def experiment_of(run: str) -> str:
    """Return an experiment's name from the name of one of its runs, such as `blend.2`."""
    return run.rpartition(".")[0]


def run_key(run: str) -> str:
    """Return the key, in the state store, of a run's definition at its start."""
    name, _, number = run.rpartition(".")
    return f"{_runs(name)}{number}"


def _runs(name: str) -> str:
    """Return the prefix of the keys, in the state store, of an experiment's runs."""
    return f"experiments/{name}/runs/"


def frozen_run(state: StateStore, run: str) -> FrozenRun:
    """Return a run as it was at its start, whatever project.yaml says now.

    Raises:
        Invalid: It is damaged, or was never written.
    """
    key = run_key(run)
    stored = _stored(state, key, FrozenRun)
    if stored is None:
        raise Invalid(
            f"state {key} is missing: what {run} is was lost", remedy="restore it from a copy"
        )
    return stored[0]


def first_day(run: FrozenRun, spec: ProjectSpec) -> date:
    """Return the first day on which the log may have units of the run.

    Queries read no earlier partitions. A project whose log is old (`now:` in project.yaml) is read
    from its beginning, because its events happened before the run was started.
    """
    return _EARLIEST if spec.now is not None else run.at.astimezone(UTC).date() - _SKEW


def numbers(state: StateStore, name: str) -> list[int]:
    """Return the numbers of an experiment's runs, those that never went live included."""
    return sorted(int(key.removeprefix(_runs(name))) for key in state.keys(_runs(name)))


def claim(state: StateStore, unnumbered: FrozenRun) -> FrozenRun:
    """Give a new run its number, and store its definition; return the run.

    If the last number never went live and has the same definition, an interrupted start left it: it
    is used again.

    Args:
        state: The store of the runs.
        unnumbered: The run, whose `run` is the experiment's name.

    Raises:
        Conflict: Somebody else took the number at the same time.
    """
    name = unnumbered.run
    newest = max(numbers(state, name), default=0)
    if newest and ((changed := last(state, name)) is None or changed.run != f"{name}.{newest}"):
        begun = frozen_run(state, f"{name}.{newest}")
        if (begun.definition, begun.arms) == (unnumbered.definition, unnumbered.arms):
            return begun
    run = replace(unnumbered, run=f"{name}.{newest + 1}")
    state.put(run_key(run.run), msgspec.json.encode(run), expect=None)
    return run


@contextmanager
def acting(name: str | None) -> Generator[None, None, None]:
    """Record changes in the block as made by the person of this name.

    None stands for the user of the machine.
    """
    token = _ACTING.set(name)
    try:
        yield
    finally:
        _ACTING.reset(token)


def who() -> str:
    """Return the name to record for a change: ISTHMUS_USER, or the machine's user."""
    if name := _ACTING.get():
        return name
    if named := os.environ.get("ISTHMUS_USER"):
        return named
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        user = "somebody"
    return f"{user}@{socket.gethostname().partition('.')[0]}"
