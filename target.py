"""An adapter's description of itself, and a target: its ports, built on first touch.

It forwards nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, final

import msgspec

from .core import logs, spans
from .errors import DryRun, MissingDependency, Unsupported
from .times import Clock, wall_clock

if TYPE_CHECKING:
    from .endpoints.port import Counters, EndpointHost, MetricSource
    from .events.port import EventLog, Sources
    from .feature_store.port import OnlineStore, Warehouse
    from .pipelines.port import ModelRegistry, PipelineEngine
    from .storage import BlobStore, Inventory, LogSource, StateStore


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the parity table.

    `known` says how: only a run on a real account may write `account`.
    """

    name: str
    level: Literal["native", "emulated", "refused"]
    value: Decimal | timedelta | int | None = None
    why: str = ""
    known: Literal["run", "sdk", "docs", "guess", "account"] = "run"
    tests: tuple[str, ...] = ()


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Where a target is. No secrets: the SDKs' own credential chains are used."""

    name: str
    adapter: str
    project: str  # the project's name, for tags and resource names
    options: dict[str, Any]  # of the adapter; local: {"home": "<absolute path of .isthmus>"}


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of endpoints once deployed, by an adapter's dated price table."""

    hourly_cost: Decimal | None  # USD; None: a price is not in the table
    machines: str  # 2 x ml.m5.large
    table: str  # 2026-07


class Packages(msgspec.Struct, frozen=True, kw_only=True):
    """The modules that must be importable, and what pip installs to make them so."""

    modules: tuple[str, ...] = ()  # boto3, google.cloud.bigquery
    install: str = ""  # isthmus[sagemaker]


# What pip installs for an offline stack. The name is in no index, so the line says where it is.
STACK_PACKAGE = "isthmus-stack[{}] @ git+https://github.com/example/isthmus#subdirectory=localstack"


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """The SQL engine of a warehouse, and the module that says neutral SQL in its words.

    That module has `check` and `render` (targets.Dialect).
    """

    name: str  # Athena
    dialect: str  # mypackage.sql: pure, and importable without an SDK


class Offline(msgspec.Struct, frozen=True, kw_only=True):
    """The stack of this machine that can stand in for an adapter's cloud."""

    cloud: str  # as `isthmus stack up` calls it: aws
    variables: tuple[
        str, ...
    ]  # where an SDK looks for the stack's URL, the first one that is set; an adapter has it as `endpoint_url`
    needs: Packages
    image: str  # what the adapter calls our model server's image where nobody pushed one
    # "module:attribute": (url) -> what else of the stack's address a profile carries; "": its URL
    # is all of it
    address: str = ""


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an adapter's comparison of what is stored with what was written."""

    looked: str  # at how much
    problems: tuple[str, ...]  # damaged or lost, a line each
    notes: tuple[str, ...] = ()  # strange and harmless
    remedy: str = ""  # of the problems


class AccountCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an account must have, looked at without changing anything."""

    name: str
    status: Literal[
        "ok", "fails", "unknown"
    ]  # unknown: these credentials may not look, or the provider does not tell
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"  {self.name:<12} {self.status:<8} {self.detail}" + (
            f"\n{'':<24}{self.remedy}" if self.remedy else ""
        )


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter's part in a cheap round on an account."""

    smallest: Callable[[Profile], Profile]  # with the smallest machines
    hourly: Callable[[Profile], Estimate]  # what those cost, at most
    names: Callable[
        [Profile], dict[str, str]
    ]  # the profile's own names, and what stands for each in a recording
    clear: Callable[[Target], None]  # remove what the inventory does not list, once that is empty


class FirstAccount(msgspec.Struct, frozen=True, kw_only=True):
    """How an account is looked at before anything is made there."""

    checks: Callable[
        [Target, Mapping[str, Any] | None], Iterator[AccountCheck]
    ]  # with the rights to look for, where they are known
    trial: Trial | None = None  # None: there is no round


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """All that Isthmus knows of one adapter.

    An entry point of the group `isthmus.adapters` names it, and nothing else asks for its name.

    What is "module:attribute" is imported when it is used, so that an Adapter can be looked at
    without its packages.
    """

    name: str  # as `adapter:` of profiles.yaml, and its entry point
    title: str  # for people: SageMaker
    capabilities: Mapping[
        str, Capability
    ]  # the rows of the parity table; empty while there are no ports
    ports: Mapping[
        str, str
    ]  # port -> "module:attribute" of what takes the Target; a port that is absent is refused by its name
    needs: Packages = Packages()
    options: str = (
        ""  # "module:attribute" of its keys of profiles.yaml: dict[str, project.reading.shapes.Key]
    )
    engine: Engine | None = None  # None: neutral SQL runs there as it is, or there is no warehouse
    # of its blobs' URIs: s3. They are opened with `bucket: s3://NAME`; "": no job is given only a
    # URI
    scheme: str = ""
    sources: tuple[
        str, ...
    ] = ()  # schemes of users' own data that its optional port `sources` reads: s3, athena
    offline: Offline | None = None
    # "module:attribute": (Target) -> str, the place that a command's first line names; "": its
    # bucket, or its name
    where: str = ""
    estimate: str = (
        ""  # "module:attribute": (Profile, Sequence[VariantSpec]) -> Estimate; "": it has no prices
    )
    # "module:attribute": (Target) -> None, keeps the provider's own prices for the user; "": it
    # tells none
    price_list: str = ""
    # "module:attribute": (Profile) -> Decimal | None, USD a TB that a query reads; "": it has no
    # such price
    scan_price: str = ""
    # "module:attribute": (Profile) -> Decimal | None, USD a million counted answers; "": it has no
    # such price
    count_price: str = ""
    # "module:attribute": (Target) -> None, removes what killed writers left; "": nothing is left
    sweep: str = ""
    examine: str = (
        ""  # "module:attribute": (Target) -> Examination; "": its provider guards what is stored
    )
    # "module:attribute": (Target) -> endpoints.adoption.Adopter; "": endpoints that stand there
    # cannot be taken over
    adopt: str = ""
    # "module:attribute": (Target) -> the provider's own objects by our names (`project.native`);
    # "": it has none
    native: str = ""
    # "module:attribute": (Target, str) -> str, in what an endpoint differs from its profile for
    # good; "": nothing
    fixed: str = ""
    first_account: str = (
        ""  # "module:attribute": FirstAccount; "": its accounts cannot be looked at
    )
    # commands go to a cloud: they say where, ask before traffic moves, and look less often
    remote: bool = True


def attribute(name: str) -> Any:
    """Import what "module:attribute" names. MissingDependency when a module is not there."""
    module, _, inside = name.partition(":")
    try:
        return getattr(import_module(module), inside)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"{name} needs {error.name}", remedy=f"install what brings {error.name}"
        ) from error


def missing(packages: Packages) -> tuple[str, ...]:
    """List the modules that this Python lacks."""
    return tuple(module for module in packages.modules if not _is_there(module))


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # what it is in is not there
        return False


def require(packages: Packages, what: str) -> None:
    """MissingDependency, with the pip line, when `what` cannot be imported."""
    if absent := missing(packages):
        raise MissingDependency(
            f"{what} needs {', '.join(absent)}",
            remedy=f'pip install "{packages.install or " ".join(absent)}"',
        )


class Call(msgspec.Struct, frozen=True, kw_only=True):
    operation: str  # the provider's word, e.g. UpdateEndpointWeightsAndCapacities; local: room.verb
    resource: str
    mutating: bool


_KEPT = 10_000  # calls: the newest, at least


class CallLog:
    """Every provider call of a target, in order; where `--dry-run` stops and tests cut.

    An adapter wraps each effect: `with calls.mutating("warehouse.append", table): ...`. Reads are
    logged by `calls.reading(...)`.
    """

    def __init__(self, *, dry_run: bool = False) -> None:
        self.calls: list[Call] = []
        self.dry_run = dry_run
        self.listeners: list[Callable[[Call], None]] = []  # the CLI prints with these
        self.before: Callable[[Call], None] | None = (
            None  # a test raises here: cut before the effect
        )
        self.after: Callable[[Call], None] | None = None  # ... and here: cut after it

    def reading(self, operation: str, resource: str) -> None:
        self._record(Call(operation=operation, resource=resource, mutating=False))

    @contextmanager
    def mutating(self, operation: str, resource: str) -> Generator[None, None, None]:
        call = Call(operation=operation, resource=resource, mutating=True)
        if self.dry_run:
            raise DryRun(f"would call {operation} on {resource}; nothing was changed")
        self._record(call)
        if self.before:
            self.before(call)
        with spans.span(operation, kind="CLIENT", resource=resource):
            yield
        if self.after:
            self.after(call)

    def _record(self, call: Call) -> None:
        if len(self.calls) >= 2 * _KEPT:  # a gateway lives for months
            del self.calls[:_KEPT]
        self.calls.append(call)
        logs.emit(
            "call" if call.mutating else "read", operation=call.operation, resource=call.resource
        )
        for listener in self.listeners:
            listener(call)


@final
class Target:
    """`name` is free; `adapter` says the rest.

    A port that an adapter lacks raises Unsupported on touch.

    `clock` is the one of the project that is open here and of what its ports judge by time: tests
    and rehearsals move it.
    """

    def __init__(
        self,
        profile: Profile,
        adapter: Adapter,
        *,
        calls: CallLog | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        self.name = profile.name
        self.adapter = adapter
        self.profile = profile
        self.capabilities = adapter.capabilities
        self.calls = calls or CallLog()
        self.clock = clock
        self.shared: list[object] = []  # by the ports that were built: closed after them

    def _build(self, port: str) -> Any:
        if not self.adapter.ports:
            sql = (
                f"; its SQL check for {self.adapter.engine.name} works: isthmus validate"
                if self.adapter.engine
                else ""
            )
            raise Unsupported(
                f"target {self.name}: {self.adapter.title} is not supported yet, nothing "
                f"runs there (asked for: {port})",
                capability=port,
                remedy=f"use another target of profiles.yaml{sql}",
            )
        if port not in self.adapter.ports:
            raise Unsupported(
                f"target {self.name} ({self.adapter.name}) has no {port}: "
                f"{self.adapter.title} does not support it yet",
                capability=port,
            )
        return attribute(self.adapter.ports[port])(self)

    @cached_property
    def blobs(self) -> BlobStore:
        return self._build("blobs")  # type: ignore[no-any-return]  # a factory table cannot carry each port's type

    @cached_property
    def state(self) -> StateStore:
        return self._build("state")  # type: ignore[no-any-return]

    @cached_property
    def inventory(self) -> Inventory:
        return self._build("inventory")  # type: ignore[no-any-return]

    @cached_property
    def events(self) -> EventLog:
        return self._build("events")  # type: ignore[no-any-return]

    @cached_property
    def sources(self) -> Sources:
        """Optional: for `events.<name>.source` of the adapter's schemes."""
        return self._build("sources")  # type: ignore[no-any-return]

    @cached_property
    def warehouse(self) -> Warehouse:
        return self._build("warehouse")  # type: ignore[no-any-return]

    @cached_property
    def online(self) -> OnlineStore:
        return self._build("online")  # type: ignore[no-any-return]

    @cached_property
    def pipelines(self) -> PipelineEngine:
        return self._build("pipelines")  # type: ignore[no-any-return]

    @cached_property
    def registry(self) -> ModelRegistry:
        return self._build("registry")  # type: ignore[no-any-return]

    @cached_property
    def endpoints(self) -> EndpointHost:
        return self._build("endpoints")  # type: ignore[no-any-return]

    @cached_property
    def counters(self) -> Counters:
        """Optional: for rules that count what a unit has been shown."""
        return self._build("counters")  # type: ignore[no-any-return]

    @cached_property
    def metrics(self) -> MetricSource:
        return self._build("metrics")  # type: ignore[no-any-return]

    @cached_property
    def logs(self) -> LogSource:
        return self._build("logs")  # type: ignore[no-any-return]

    @cached_property
    def native(self) -> Any:
        """The provider's own clients: a boto3 Session, the GCP clients.

        Locally the `.isthmus` folder's Path.
        """
        return self._build("native")

    def extra(self, capability: str) -> Any:
        """Return an optional port, by the name of its capability (`guarded_replace`).

        Unsupported, naming it, when this target has none.
        """
        return self._build(capability)

    def close(self) -> None:
        """Close what was built and can be closed."""
        for value in [*self.__dict__.values(), *self.shared]:
            closing = getattr(value, "close", None)
            if callable(closing):
                closing()
