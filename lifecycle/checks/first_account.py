"""`isthmus doctor --first-account`: check an account without changing anything.

Also one cheap round on it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from importlib import import_module
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from ...core.runtime import stacks
from ...core.runtime.project import Project
from ...errors import (
    AlreadyExists,
    Conflict,
    Invalid,
    IsthmusError,
    Refused,
    Unavailable,
    Unsupported,
)
from ...reports.results import Shown, StructRows
from ...storage import wait
from ...target import AccountCheck, Call, CallLog, Estimate, FirstAccount, Target, Trial

# all that a round makes carries it, so the next one removes what a killed one left. project.yaml
# takes no such name
NAME = "isthmus_round"
MINUTES = 60
_GOES = timedelta(minutes=20)  # that a cloud may take to remove what it was told to
_MODEL = "ranker"
_TRAINER = "isthmus_first_account_ranker"
OnStage = Callable[[str, str], None]  # its name, its result


def _silent(_name: str, _result: str) -> None:
    """Do nothing with a stage's result; the callback that is used where the caller gives none."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    ok: bool
    detail: str

    def __str__(self) -> str:
        return f"  {self.name:<12} {'ok' if self.ok else 'fails':<8} {self.detail}"


class Round(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The results of a round on an account."""

    target: str
    seconds: float
    stages: tuple[Stage, ...]
    remains: tuple[str, ...]  # what it made and is still listed
    recorded: Path | None = None  # the folder of its calls
    calls: int = 0  # in that folder

    @property
    def ok(self) -> bool:
        """Whether every stage of the trial round passed and all its resources are removed."""
        return all(stage.ok for stage in self.stages) and not self.remains

    def __str__(self) -> str:
        left = [f"  remains      {name}" for name in self.remains] or ["  nothing of it remains"]
        recorded = (
            [f"  {self.calls:,} calls are recorded in {self.recorded}"] if self.recorded else []
        )
        return "\n".join(
            [f"{self.target}   {self.seconds:.0f} s", *map(str, self.stages), *left, *recorded]
        )


def first_account(
    project: Project, *, policy: Mapping[str, Any] | None = None
) -> StructRows[AccountCheck]:
    """Check that the target's cloud account has what a project needs, without changing anything.

    That is credentials, region, role, bucket, quotas and rights.

    Args:
        project: The project.
        policy: The rights to look for, as `isthmus.stack.policy()` returns them.

    Raises:
        Unsupported: The target has no account.
    """
    return StructRows(_first(project.target).checks(project.target, policy))


def bound(project: Project) -> Estimate:
    """Return the most that the machines of a trial of a new account can cost in an hour.

    The trial, `first_round`, creates one of each resource and deletes them.

    Raises:
        Unsupported: There is no trial round on this target.
    """
    return _trial(project.target).hourly(project.target.profile)


def first_round(
    project: Project,
    *,
    record: Path | None = None,
    minutes: int = MINUTES,
    on_stage: OnStage | None = None,
) -> Round:
    """Create one of each resource on the account with the smallest machines, then delete them.

    Storage, a table, a job, a model and an endpoint are tried. A failure becomes a failed stage of
    the result; it raises no error.

    Args:
        project: The project, whose target is tried.
        record: A new folder for the calls and their answers, without names, keys and accounts.
        minutes: After so many only calls that delete are made.
        on_stage: Called with the name and the result of each stage.

    Raises:
        Unsupported: There is no trial round on this target.
        AlreadyExists: `record` holds something.
    """
    from ...adapters import targets
    from ...project.load import load

    trial = _trial(project.target)
    profile = msgspec.structs.replace(trial.smallest(project.target.profile), project=NAME)
    tell, begun = on_stage or _silent, time.monotonic()
    with (
        TemporaryDirectory(prefix="isthmus-first-account-") as folder,
        Project(load(_starter(Path(folder))), targets.load(profile, calls=CallLog())) as small,
    ):
        stages: list[Stage] = []
        recorder = _recorder(small.target, record, trial) if record else None
        _remove(small, trial)  # what a killed round left
        if recorder:
            recorder.begin()
        try:
            with _refusing_calls_after(small, timedelta(minutes=minutes)):
                for name, stage in _STAGES.items():
                    stages.append(_tried(name, stage, small))
                    tell(name, stages[-1].detail)
        finally:
            remains = _remove(small, trial)
            tell("removal", ", ".join(remains) or "nothing remains")
    return Round(
        target=project.target.name,
        seconds=time.monotonic() - begun,
        stages=tuple(stages),
        remains=remains,
        recorded=record,
        calls=recorder.calls if recorder else 0,
    )


def _first(target: Target) -> FirstAccount:
    """Return the target's checks of a new cloud account; raise Unsupported if it has none."""
    if target.adapter.account_checked is None:
        raise Unsupported(
            f"{target.name} ({target.adapter.title}): looking at an account is not supported yet",
            capability="first_account",
        )
    return target.adapter.account_checked.first_account()


def _trial(target: Target) -> Trial:
    """Return the target's trial round for a new account; raise Unsupported if it has none."""
    trial = _first(target).trial
    if trial is None:
        raise Unsupported(
            f"{target.name} ({target.adapter.title}): a round on an account is not supported yet",
            capability="first_account",
            remedy="leave --round out: the checks change nothing",
        )
    return trial


def _starter(folder: Path) -> Path:
    """Create the starter project in a folder, without profiles.yaml, and return its path."""
    from ...project.scaffold import STARTER, create

    create(folder / "round", example=STARTER)
    (folder / "round" / "profiles.yaml").unlink()  # the target is another
    return folder / "round"


def _recorder(target: Target, folder: Path, trial: Trial) -> Any:
    """Return a recorder that writes the target's API calls and answers into a folder."""
    assert target.adapter.offline is not None  # noqa: S101  of an adapter with a round
    stacks.require_package()
    recording = import_module(f"isthmus_stack.{target.adapter.offline.cloud}.recorded.recorder")
    try:
        return recording.Recorder(
            target.native, folder, names=trial.names(target.profile), version=version("isthmus")
        )
    except FileExistsError as error:
        raise AlreadyExists(
            f"{folder} holds something already", remedy="name a new folder for the recording"
        ) from error


@contextmanager
def _refusing_calls_after(project: Project, span: timedelta) -> Generator[None, None, None]:
    """Refuse the block's calls to the provider once `span` has passed, so that it must end."""
    end = time.monotonic() + span.total_seconds()

    def refuse(call: Call) -> None:
        if time.monotonic() > end:
            raise Refused(f"the round's {span} are over: {call.operation} was not asked")

    project.target.calls.listeners.append(refuse)
    try:
        yield
    finally:
        project.target.calls.listeners.remove(refuse)


def _tried(name: str, stage: Callable[[Project], str], project: Project) -> Stage:
    """Run one stage of the trial of a cloud account; an error becomes a failed stage.

    `name` is the stage's; `stage` runs it and returns a text on what it did.
    """
    try:
        return Stage(name=name, ok=True, detail=stage(project))
    except IsthmusError as error:
        return Stage(
            name=name, ok=False, detail=f"{error}" + (f"; {error.remedy}" if error.remedy else "")
        )


def _storage(project: Project) -> str:
    """Write to the object store and the document store, read back, and return text on it.

    This is a stage of the trial round: a second writer must be refused, too.
    """
    blobs, state = project.target.blobs, project.target.state
    blobs.put(f"{blobs.root}/hello.txt", b"hello")
    if blobs.get(f"{blobs.root}/hello.txt") != b"hello":
        raise Invalid("what was put is not what is there")
    document = state.get("round")
    token = state.put("round", b'{"number": 1}', expect=document.token if document else None)
    state.put("round", b'{"number": 2}', expect=token)
    try:
        state.put("round", b'{"number": 3}', expect=token)
    except Conflict:
        return "an object put and read; a document guarded against a second writer"
    raise Invalid(
        "a second writer was not refused",
        remedy="this bucket has no conditional writes: rollouts and traffic are not safe on it",
    )


def _table(project: Project) -> str:
    """Create a table in the warehouse, append rows, query them, and return text on it.

    This is a stage of the trial round on a cloud account.
    """
    import pyarrow as pa

    from ...events.port import Column
    from ...feature_store.port import TableSpec

    columns = (Column(name="event_timestamp", type="timestamp"), Column(name="value", type="int64"))
    project.target.warehouse.apply(
        TableSpec(name="probe", columns=columns, time_column="event_timestamp")
    )
    rows = pa.table(
        {
            "event_timestamp": pa.array([0, 1], pa.timestamp("ms")),
            "value": pa.array([40, 2], pa.int64()),
        }
    )
    project.target.warehouse.append("probe", rows, batch="probe")
    answer = (
        project.target.warehouse.query("SELECT sum(value) AS total FROM probe", {})
        .column("total")
        .to_pylist()
    )
    if answer != [42]:
        raise Invalid(f"the sum of 40 and 2 is {answer}")
    return "a table made, written and queried"


def _job(project: Project) -> str:
    """Run a job that prints a word, wait for its end, and return text on it.

    This is a stage of the trial round on a cloud account.
    """
    from ...pipelines.graphs.graph import Pipeline, Step
    from ...pipelines.runs.submission import submit
    from ...pipelines.runs.watch import watch

    step = Step(
        name="hello", command=("{python}", "-c", "print('hello')"), timeout=timedelta(minutes=10)
    )
    state = watch(
        project,
        submit(
            project, Pipeline(name="round", steps=(step,)), run=f"r{project.wall():%Y%m%d%H%M%S}"
        ),
    )
    if state.phase != "done":
        raise Invalid(
            f"the job ended {state.phase}", remedy="the provider's log of the job says why"
        )
    return "a pipeline of one job has run"


def _model(project: Project) -> str:
    """Save the starter project's model, register it as a version, and return text on it.

    This is a stage of the trial round on a cloud account.
    """
    from ...pipelines.models import predictor

    described = msgspec.structs.replace(
        project.spec.models["history"], trainer=f"{_TRAINER}.history"
    )
    with (
        TemporaryDirectory(prefix="isthmus-first-account-") as scratch,
        _trainer(project.folder / "ranker.py") as trainer,
    ):
        digest = predictor.save(
            trainer.History(0.1),
            Path(scratch) / "model",
            model=described,
            types={"item_ctr_7d": "float64"},
        )
        uri = f"{project.target.blobs.root}/models/{_MODEL}/{digest}"
        project.target.blobs.upload(Path(scratch) / "model", uri)
    image = str(project.target.profile.options.get("image") or "")
    registered = project.target.registry.register(_MODEL, uri=uri, digest=digest, image=image)
    return f"{_MODEL}@{registered.version} registered"


@contextmanager
def _trainer(file: Path) -> Generator[Any, None, None]:
    """Import the trainer module of a file in a block, under a reserved module name."""
    spec = spec_from_file_location(_TRAINER, file)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018  a file of ours
    module = sys.modules[_TRAINER] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[_TRAINER]


def _endpoint(project: Project) -> str:
    """Deploy the registered model to a new endpoint, invoke it, and return text on it.

    This is a stage of the trial round on a cloud account.
    """
    from ...endpoints.port import EndpointSpec, VariantSpec
    from ...endpoints.traffic.convergence import variants_ready

    host = project.target.endpoints
    newest = max(version.version for version in project.target.registry.versions(_MODEL))
    spec = EndpointSpec(
        name="round", variants=(VariantSpec(name="champion", model=_MODEL, version=newest),)
    )
    state = wait(
        lambda: host.apply(spec),
        lambda state: state.phase == "failed" or variants_ready(spec, state),
        deadline=timedelta(minutes=30),
    )
    if state.phase == "failed":
        raise Invalid(f"the endpoint has failed: {state.failure}")
    reply = host.invoke("round", [{"item_ctr_7d": 0.25}], variant=None, request_id="round-1")
    if reply.predictions != (0.25,):
        raise Invalid(f"the model answered {reply.predictions}")
    return "an endpoint has answered"


_STAGES: dict[str, Callable[[Project], str]] = {
    "storage": _storage,
    "table": _table,
    "job": _job,
    "model": _model,
    "endpoint": _endpoint,
}


def _remove(project: Project, trial: Trial) -> tuple[str, ...]:
    """Delete the resources that trying the account created; return the names of those left.

    It ends when nothing is listed or twenty minutes have passed.
    """
    try:
        wait(
            lambda: _removed_once(project),
            lambda left: not left,
            deadline=_GOES,
            every=timedelta(seconds=0.1),
        )
    except Unavailable:
        return _removed_once(project)
    trial.clear(project.target)
    return ()


def _removed_once(project: Project) -> tuple[str, ...]:
    """Delete the trial's remaining resources once; return their names, with any errors."""
    return tuple(_removed(name, removal) for name, removal in _listed(project.target))


def _listed(target: Target) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield each resource that the trial of an account created: its name, and how to delete it.

    The second part is a function that deletes it.
    """
    for resource in tuple(target.inventory.list(NAME)):
        yield f"{resource.kind} {resource.name}", partial(target.inventory.delete, resource)
    for info in tuple(target.blobs.list(f"{target.blobs.root}/")):
        yield info.uri, partial(target.blobs.delete, info.uri)
    for key in tuple(target.state.keys("")):  # which the store of blobs does not list
        yield f"document {key}", partial(_delete_document, target, key)


def _removed(name: str, removal: Callable[[], object]) -> str:
    """Delete one resource by calling `removal`; return its name, with the error if it failed."""
    try:
        removal()
    except IsthmusError as error:
        return f"{name}: {error}"
    return name


def _delete_document(target: Target, key: str) -> None:
    """Delete the document with this key from the target's state store, if it exists."""
    if (document := target.state.get(key)) is not None:
        target.state.delete(key, expect=document.token)
