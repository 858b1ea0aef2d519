"""A study: the trials of a tuning and how the best did on the last period; its stored document."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ...core.formats import StoredDocument, decode
from ...errors import Conflict, NotFound
from ...project.models.gate_figures import is_loss
from ...project.reading.names import did_you_mean
from ...project.specs.tuning import Tuning
from ..evaluation.gate import Verdict
from ..evaluation.statistics import Estimate

if TYPE_CHECKING:
    from ...core.runtime.project import Project

Setting = float | int | str | bool

_STUDIES = "studies/"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A finished trial: what it set, and the metric on the tuning periods."""

    number: int  # from 1
    settings: tuple[Setting, ...]  # in the order of the study's `search`
    value: float
    seconds: float


class LastPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """How the best trial did on the last test period, which no trial saw, beside the file's own.

    A metric is None where units are too few. `difference` is the best trial's minus the file's,
    paired on the same rows.
    """

    start: datetime
    end: datetime
    rows: int
    best: Estimate | None
    own: Estimate | None
    difference: Estimate | None
    verdict: Verdict  # pass: the best trial is better at 95 %, fail: it is worse


class Study(StoredDocument, frozen=True, kw_only=True):
    """The state `studies/<name>`: what is searched, the rounds that are done, and the result."""

    name: str  # t4
    configuration: str  # by name
    path: str
    digest: str  # of the configuration, without `tune`, alias and gate, its objective and code
    tune: Tuning
    data_run: str  # the run whose step `dataset` made the training set
    began: datetime
    pending_run: str | None = None  # the run of the round that was begun and is not in `trials`
    trials: tuple[Trial, ...] = ()
    own_value: float | None = None  # of the file's parameters on the tuning periods
    last: LastPeriod | None = None  # None: the study is not finished

    @property
    def best(self) -> Trial | None:
        """The trial with the best metric, the first of equals; None before any is done."""
        sign = 1 if is_loss(self.tune.metric) else -1
        return min(self.trials, key=lambda trial: sign * trial.value, default=None)

    def parameters(self, trial: Trial) -> dict[str, Setting]:
        """Return what a trial set, by the parameter's name."""
        return dict(zip(self.tune.search, trial.settings, strict=True))


class StoredStudy(msgspec.Struct, frozen=True, kw_only=True):
    """A study as it is in the state, with the token that a change of it must name."""

    study: Study
    token: str


def create_study(project: Project, study: Study) -> StoredStudy:
    """Store a new study under the next free name (t1, t2, ...), and return it."""
    while True:
        numbers = [int(name[1:]) for name in _names(project)]
        named = msgspec.structs.replace(study, name=f"t{max(numbers, default=0) + 1}")
        try:
            return _put(project, named, None)
        except Conflict:
            continue  # somebody else took it


def change_study(project: Project, stored: StoredStudy, **fields: object) -> StoredStudy:
    """Store a study with some fields changed; raise Conflict if somebody else changed it."""
    return _put(project, msgspec.structs.replace(stored.study, **fields), stored.token)


def read_study(project: Project, name: str) -> StoredStudy:
    """Return a study by its name; raise NotFound if there is none."""
    stored = project.target.state.get(f"{_STUDIES}{name}")
    if stored is None:
        raise NotFound(
            f"there is no study {name}",
            remedy=did_you_mean(name, _names(project), has="studies are")
            or "isthmus tune models/...",
        )
    study = decode(stored.value, Study, what=f"state {_STUDIES}{name}")
    return StoredStudy(study=study, token=stored.token)


def newest_study(project: Project, configuration: str) -> StoredStudy | None:
    """Return the newest study of a configuration; None if there is none."""
    for name in sorted(_names(project), key=lambda name: -int(name[1:])):
        stored = read_study(project, name)
        if stored.study.configuration == configuration:
            return stored
    return None


def _names(project: Project) -> list[str]:
    """Return the names of all studies."""
    keys = (key.removeprefix(_STUDIES) for key in project.target.state.keys(_STUDIES))
    return [name for name in keys if re.fullmatch(r"t[1-9][0-9]*", name)]


def _put(project: Project, study: Study, token: str | None) -> StoredStudy:
    """Store a study by compare-and-swap, and return it with its new token."""
    key = f"{_STUDIES}{study.name}"
    written = project.target.state.put(key, msgspec.json.encode(study), expect=token)
    return StoredStudy(study=study, token=written)
