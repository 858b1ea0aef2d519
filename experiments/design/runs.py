"""The state of experiments: the live document, its history, and what a run was when it started.

`experiments/live` is changed by one compare-and-swap. Its last change stands within; the next one
first copies it to `experiments/history/<version>`, so a crash leaves the old document or the new
one, and no change is told twice or lost. `experiments/<name>/runs/<number>` is written once, before
the run goes live: who writes it has the number.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta

import msgspec
from msgspec.structs import asdict, replace

from ...core.formats import StoredDocument, decode
from ...endpoints.gateway.decide.live_document import (
    LARGEST,
    LIVE,
    Change,
    Live,
    LiveArm,
    LiveRun,
    What,
)
from ...errors import Conflict, Invalid
from ...project.specs.description import ProjectSpec
from ...project.specs.experiments import Experiment, Layer, Metric
from ...storage import StateStore

HISTORY = "experiments/history/"
_WORDS = (
    "owner",
    "hypothesis",
    "share",
)  # an edit of these changes no run: the share is state, `ramp` changes it

_ACTING: ContextVar[str | None] = ContextVar("acting", default=None)
_EARLIEST = date(1970, 1, 1)
_SKEW = timedelta(days=1)  # by which a gateway's clock may be behind the one that wrote the start


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment as project.yaml describes it."""

    experiment: Experiment
    layer: Layer
    metrics: dict[str, Metric] = {}  # that it names


class FrozenRun(StoredDocument, frozen=True, kw_only=True, tag=2):
    """A run as it was frozen at its start, whatever project.yaml says later.

    It is stored as `experiments/<name>/runs/<number>`.
    """

    run: str  # <name>.<number>
    definition: Definition
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
        """Whether an arm of the run names the model variant that is to answer its units."""
        return any("variant" in arm.parameters for arm in self.arms)

    @property
    def salt(self) -> str:
        """The salt with which units are hashed to arms.

        In an interleaved run it seeds the draws of which variant picks first.
        """
        return self.definition.experiment.salt or self.run

    @property
    def shippable(self) -> tuple[LiveArm, ...]:
        """The arms that may ship; for an interleaved run its two variants."""
        return self.arms[1:] if self.definition.experiment.interleave else self.arms


class StoredLive(msgspec.Struct, frozen=True, kw_only=True):
    """The live document, with the token that a change of it must name."""

    live: Live
    token: str | None  # None: not written yet


def read(state: StateStore) -> StoredLive | None:
    """Return the document of all live runs; None: no experiment was ever started.

    Raises:
        Refused: A newer version wrote it.
        Invalid: It is damaged.
    """
    document = state.get(LIVE)
    return (
        None
        if document is None
        else StoredLive(
            live=decode(document.value, Live, what=f"state {LIVE}"), token=document.token
        )
    )


def current(state: StateStore, now: datetime) -> StoredLive:
    """Return the document of all live runs, or an empty one that is not written yet."""
    return read(state) or StoredLive(live=Live(written=now), token=None)


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
    """Build the history entry of a change to a run, with the version that follows `stored`.

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


def change(state: StateStore, stored: StoredLive, after: Live, entry: Change) -> Live:
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


def next_live(after: Live, entry: Change) -> Live:
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
        change for change in _newest_first(state) if name in (None, experiment_of(change.run))
    )
    return tuple(changes)[::-1]


def last(state: StateStore, name: str) -> Change | None:
    """Return the newest change of an experiment's runs, or None if it never ran."""
    return (
        next((change for change in _newest_first(state) if experiment_of(change.run) == name), None)
        if numbers(state, name)
        else None
    )


def _newest_first(state: StateStore) -> Iterator[Change]:
    """Yield the changes of all runs, newest first.

    The newest is in the live document alone.
    """
    stored = read(state)
    newest = stored.live.change if stored else None
    if newest is not None:
        yield newest
    for key in sorted(state.keys(HISTORY), reverse=True):
        number = key.removeprefix(HISTORY)
        if not number.isdigit() or (
            newest is not None and int(number) >= newest.version
        ):  # an experiment may be named `history`
            continue
        if document := state.get(key):
            yield decode(document.value, Change, what=f"state {key}")


def experiment_of(run: str) -> str:
    """Return the experiment's name, given the name of a run, such as `blend.2`."""
    return run.rpartition(".")[0]


def run_key(run: str) -> str:
    """Return the state store's key of a run's frozen definition."""
    name, _, number = run.rpartition(".")
    return f"{_runs(name)}{number}"


def _runs(name: str) -> str:
    """Return the prefix of the state store's keys of an experiment's runs."""
    return f"experiments/{name}/runs/"


def frozen_run(state: StateStore, run: str) -> FrozenRun:
    """Return a run as it was frozen at its start, whatever project.yaml says now.

    Raises:
        Invalid: It is damaged, or was never written.
    """
    key = run_key(run)
    document = state.get(key)
    if document is None:
        raise Invalid(
            f"state {key} is missing: what {run} is was lost", remedy="restore it from a copy"
        )
    return decode(document.value, FrozenRun, what=f"state {key}")


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
    """Give a new run its number, and store its definition under it.

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


def differences(then: Definition, now: Definition) -> tuple[str, ...]:
    """Return the keys of an experiment's definition that have changed.

    Examples are `weights`, `arms.treatment`, `metric ctr` and `layer`.
    """
    old, new = (asdict(definition.experiment) for definition in (then, now))
    keys = [key for key in old if key not in (*_WORDS, "arms", "name") and old[key] != new[key]]
    metrics = [
        f"metric {name}"
        for name, metric in then.metrics.items()
        if name in now.metrics and now.metrics[name] != metric
    ]
    layer = ["layer"] if "layer" not in keys and then.layer != now.layer else []
    return (*_arm_differences(then.experiment, now.experiment), *keys, *layer, *metrics)


def _arm_differences(then: Experiment, now: Experiment) -> Iterator[str]:
    """Yield the keys of an experiment's arms that have changed."""
    old, new = ({arm.name: arm.parameters for arm in experiment.arms} for experiment in (then, now))
    if list(old) != list(new):
        yield "arms"
        return
    yield from (f"arms.{name}" for name in old if old[name] != new[name])
    if weights(then) != weights(now):
        yield "weights"


def weights(experiment: Experiment) -> dict[str, float]:
    """Return the percentage of the units that each arm gets, by the arm's name."""
    total = sum(arm.weight for arm in experiment.arms)
    return {arm.name: round(100 * arm.weight / total, 9) for arm in experiment.arms}


def digest(definition: Definition) -> str:
    """Return a hash of an experiment's definition: 12 hex digits."""
    experiment = asdict(definition.experiment)
    what = {
        key: value
        for key, value in experiment.items()
        if key not in _WORDS and (key, value) != ("interleave", None)
    }
    value = msgspec.json.encode((what, definition.layer, definition.metrics), order="deterministic")
    return hashlib.sha256(value).hexdigest()[:12]


@contextmanager
def acting(name: str | None) -> Generator[None, None, None]:
    """Record changes within the block as made by this person.

    None: they are recorded as made by the user of the machine.
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
