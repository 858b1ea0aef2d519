"""An adapter's description of itself, and a target: its ports under a profile, built late.

It forwards nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol, final

import msgspec

from .core import logs, spans
from .errors import DryRun, MissingDependency, Unsupported
from .times import Clock, wall_clock

if TYPE_CHECKING:
    from .endpoints.port import Adopter, Counters, EndpointHost, MetricSource, VariantSpec
    from .events.port import EventLog, EventSource, Sources
    from .feature_store.port import OnlineStore, Warehouse
    from .pipelines.port import ModelRegistry, PipelineEngine, StepSpec
    from .project.reading.shapes import RecordKey
    from .storage import BlobStore, Inventory, LogSource, StateStore


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the parity table: how well an adapter does one thing."""

    name: str
    level: Literal["native", "emulated", "refused"]
    value: Decimal | timedelta | int | None = None
    why: str = ""
    # How we know: only a run on a real account may write `account`.
    known: Literal["run", "sdk", "docs", "guess", "account"] = "run"
    tests: tuple[str, ...] = ()


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The choice of a target in profiles.yaml. It holds no secrets: the SDKs find credentials."""

    name: str
    adapter: str
    project: str  # the project's name, for tags and resource names
    options: dict[str, Any]  # the adapter's keys; local: {"home": "<absolute path of .isthmus>"}


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """The price of endpoints once deployed, by an adapter's dated price table."""

    hourly_cost: Decimal | None  # USD; None: a price is not in the table
    machines: str  # 2 x ml.m5.large
    table: str  # 2026-07


class StepRate(msgspec.Struct, frozen=True, kw_only=True):
    """The machine on which a step of a run works, and its price by the hour."""

    machine: str  # ml.m5.large
    hourly: Decimal | None  # USD; None: not in the price table


class RunPrices(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of a run's steps, by an adapter's dated price table."""

    table: str | None  # 2026-07; None: there is none
    rates: dict[str, StepRate]  # by the step's name
    fee: Decimal | None = Decimal(0)  # USD of a run itself, beside its steps; None: unknown


class Packages(msgspec.Struct, frozen=True, kw_only=True):
    """Modules that must be importable, and what pip installs to make them so."""

    modules: tuple[str, ...] = ()  # boto3, google.cloud.bigquery
    install: str = ""  # isthmus[sagemaker]


# What pip installs for an offline stack. The name is in no index, so the line says where it is.
STACK_PACKAGE = "isthmus-stack[{}] @ git+https://github.com/example/isthmus#subdirectory=localstack"


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """The SQL engine of a warehouse, and the module that renders neutral SQL for it.

    The module has the functions `check` and `render` of adapters.targets.Dialect.
    """

    name: str  # Athena
    dialect: str  # mypackage.sql: pure, and importable without an SDK


class Offline(msgspec.Struct, frozen=True, kw_only=True):
    """The stack of this machine that can stand in for an adapter's cloud."""

    cloud: str  # the name that `isthmus stack up` takes: aws
    # Where an SDK looks for the stack's URL: the first one that is set. An adapter has it as
    # `endpoint_url`.
    variables: tuple[str, ...]
    needs: Packages
    image: str  # the adapter's name for our model server's image where nobody pushed one
    # "module:attribute": (url) -> what else of the stack's address a profile carries; "": its URL
    # is all of it
    address: str = ""


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """The result of comparing what is stored with what was written."""

    looked: str  # how much was compared
    problems: tuple[str, ...]  # damaged or lost, a line each
    notes: tuple[str, ...] = ()  # strange and harmless
    remedy: str = ""  # for the problems


class StrayResource(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's resource that bears a project's name and lacks some of its tags."""

    kind: str
    name: str  # the provider's
    native_id: str
    missing: tuple[str, ...]  # the tags that it lacks


class Untagged(msgspec.Struct, frozen=True, kw_only=True):
    """The resources that bear a project's name and not its tags, and what was not looked for."""

    resources: tuple[StrayResource, ...]
    not_searched: str  # what the provider does not list by name, for people


class AccountCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an account must have, looked at without changing anything."""

    name: str
    # unknown: these credentials may not look, or the provider does not tell
    status: Literal["ok", "fails", "unknown"]
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"  {self.name:<12} {self.status:<8} {self.detail}" + (
            f"\n{'':<24}{self.remedy}" if self.remedy else ""
        )


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter's part of a cheap round on an account."""

    smallest: Callable[[Profile], Profile]  # the same profile with the smallest machines
    hourly: Callable[[Profile], Estimate]  # what those cost at most
    # the profile's own names, and what stands for each in a recording
    names: Callable[[Profile], dict[str, str]]
    # removes what the inventory does not list, once that is empty
    clear: Callable[[Target], None]


class FirstAccount(msgspec.Struct, frozen=True, kw_only=True):
    """How an account is looked at before anything is made there."""

    # takes the rights to look for, where they are known
    checks: Callable[[Target, Mapping[str, Any] | None], Iterator[AccountCheck]]
    trial: Trial | None = None  # None: there is no round


class Configured(Protocol):
    """An adapter with keys of its own in profiles.yaml."""

    def keys(self) -> Mapping[str, RecordKey]:
        """Return the profiles.yaml keys of this adapter's targets, with their value shapes."""
        ...


class Located(Protocol):
    """An adapter that can say where a target is better than its bucket's name does."""

    def place(self, target: Target) -> str:
        """Return where a target is (account, region, ...), for the first line a command prints.

        Raises:
            Denied: there are no credentials, or they belong to another account.
        """
        ...


class Priced(Protocol):
    """An adapter whose provider asks money."""

    def estimate(self, profile: Profile, variants: Sequence[VariantSpec]) -> Estimate:
        """Estimate the hourly cost of an endpoint's variants by the newest price table."""
        ...

    def refresh(self, target: Target) -> None:
        """Download the provider's prices into this user's cache, unless that was done this week.

        Raises Denied, Unavailable or Throttled if the provider does not answer.
        """
        ...

    def scan_price(self, profile: Profile) -> Decimal | None:
        """Return the price in USD of a query for each TB that it scans, or None if unknown."""
        ...

    def count_price(self, profile: Profile) -> Decimal | None:
        """Return the price in USD of counting shown items in a million answers, or None."""
        ...


class JobsPriced(Protocol):
    """An adapter whose provider asks money for the machines on which steps of runs work."""

    def run_prices(self, profile: Profile, steps: Sequence[StepSpec]) -> RunPrices:
        """Return the price of each step's machine by the newest price table."""
        ...

    def billed_seconds(self, target: Target, run_id: str) -> Mapping[str, float]:
        """Return the seconds that the provider bills of a run's ended steps, by the step's name.

        A step is left out if the provider does not tell: its begin and its end then count.
        """
        ...


class Maintained(Protocol):
    """An adapter that stores things in files of our own, which we have to guard."""

    def sweep(self, target: Target) -> None:
        """Remove temporary files left by killed writers; the caller holds the project's lock."""
        ...

    def examine(self, target: Target) -> Examination:
        """Compare the stored data with the checksums of what was written, and report damage."""
        ...


class Adoptable(Protocol):
    """An adapter whose provider's existing endpoints can be taken over (`isthmus import`)."""

    def adopter(self, target: Target) -> Adopter:
        """Return what takes over an endpoint that was not created by Isthmus, on this target."""
        ...


class TagsSearched(Protocol):
    """An adapter whose provider's resources carry tags, which somebody may take off."""

    def untagged(self, target: Target) -> Untagged:
        """Return the resources that bear the project's name and lack its tags."""
        ...


class Native(Protocol):
    """An adapter that gives its provider's own objects by the names of a project."""

    def objects(self, target: Target) -> Any:
        """Return an object with methods that return the provider's own SDK objects of a project.

        It has `.endpoint(name)`, `.model(name, version)` and the like.
        """
        ...


class FixedAtCreation(Protocol):
    """An adapter some of whose endpoints' settings cannot be changed once they exist."""

    def differences(self, target: Target, endpoint: str) -> str:
        """Return, as text, the settings of an endpoint that differ from the profile for good.

        They can only be set when it is created. "" where none differs, or where there is no
        endpoint.
        """
        ...


class AccountChecked(Protocol):
    """An adapter that can look at an account before anything is made there."""

    def first_account(self) -> FirstAccount:
        """Return the checks of a new cloud account, and the trial round if there is one."""
        ...


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """All that Isthmus knows of one adapter.

    An entry point of the group `isthmus.adapters` names it; nothing else asks for its name. An
    Adapter can be looked at without its packages: a port ("module:attribute") is imported when it
    is used, and the optional protocols' methods import what they need themselves.
    """

    name: str  # the word after `adapter:` in profiles.yaml, and its entry point
    title: str  # for people: SageMaker
    # the rows of the parity table; empty while there are no ports
    capabilities: Mapping[str, Capability]
    # port -> "module:attribute" of what takes the Target; an absent port is refused by its name
    ports: Mapping[str, str]
    needs: Packages = Packages()
    engine: Engine | None = None  # None: neutral SQL runs there as it is, or there is no warehouse
    # The scheme of its blobs' URIs (s3), which are opened with `bucket: s3://NAME`; "": no job can
    # be given only a URI.
    scheme: str = ""
    # schemes of users' own data that its optional port `sources` reads: s3, athena
    sources: tuple[str, ...] = ()
    offline: Offline | None = None
    remote: bool = True  # a cloud: commands say where, ask before traffic moves, look less often
    options: Configured | None = None
    located: Located | None = None  # None: a target is named by its bucket, or its name
    priced: Priced | None = None
    # None: on this machine a run costs nothing; elsewhere its cost is unknown
    jobs_priced: JobsPriced | None = None
    maintained: Maintained | None = None  # None: the provider guards what is stored
    adoptable: Adoptable | None = None
    native: Native | None = None
    fixed: FixedAtCreation | None = None
    account_checked: AccountChecked | None = None
    tags_searched: TagsSearched | None = None  # None: a resource cannot lose its tags


def attribute(name: str) -> Any:
    """Import a module and return one of its attributes, by a text "module:attribute".

    Raises:
        MissingDependency: a module is not installed.
    """
    module, _, inside = name.partition(":")
    try:
        return getattr(import_module(module), inside)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"{name} needs {error.name}", remedy=f"install what brings {error.name}"
        ) from error


def missing(packages: Packages) -> tuple[str, ...]:
    """Return the names of the required Python modules that cannot be imported."""
    return tuple(module for module in packages.modules if not _is_importable(module))


def _is_importable(module: str) -> bool:
    """Return whether a module can be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is absent
        return False


def require(packages: Packages, what: str) -> None:
    """Raise MissingDependency unless the packages that `what` needs are installed.

    The error names the pip command that installs them.
    """
    if absent := missing(packages):
        raise MissingDependency(
            f"{what} needs {', '.join(absent)}",
            remedy=f'pip install "{packages.install or " ".join(absent)}"',
        )


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a provider."""

    operation: str  # the provider's word, e.g. UpdateEndpointWeightsAndCapacities; local: room.verb
    resource: str
    mutating: bool


_REMEMBERED_CALLS = 10_000  # the newest, at least


class CallLog:
    """Every provider call of a target, in order.

    Here `--dry-run` stops an effect, and tests cut before or after it. An adapter wraps each
    effect: `with calls.mutating("warehouse.append", table): ...`. Reads are logged by
    `calls.reading(...)`.
    """

    def __init__(self, *, dry_run: bool = False) -> None:
        self.calls: list[Call] = []
        self.dry_run = dry_run
        self.listeners: list[Callable[[Call], None]] = []  # the CLI prints with these
        # a test raises here to cut before the effect ...
        self.before: Callable[[Call], None] | None = None
        self.after: Callable[[Call], None] | None = None  # ... and here to cut after it

    def reading(self, operation: str, resource: str) -> None:
        """Record a provider call that changes nothing."""
        self._record(Call(operation=operation, resource=resource, mutating=False))

    @contextmanager
    def mutating(self, operation: str, resource: str) -> Generator[None, None, None]:
        """Record a provider call that changes something, around its execution.

        In a dry run the call is not executed.

        Raises:
            DryRun: this is a dry run, and the effect did not happen.
        """
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
        """Store a provider call in the list, emit a log record, and tell the listeners."""
        if len(self.calls) >= 2 * _REMEMBERED_CALLS:  # a gateway lives for months
            del self.calls[:_REMEMBERED_CALLS]
        self.calls.append(call)
        logs.emit(
            "call" if call.mutating else "read", operation=call.operation, resource=call.resource
        )
        for listener in self.listeners:
            listener(call)


@final
class Target:
    """An open profile: each port of its adapter is built when it is first touched.

    A port that the adapter lacks raises Unsupported. What ports judge by time they judge by
    `clock`, which tests and rehearsals move.
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
        """Create one of the target's ports (interfaces to its services), by the port's name.

        Raises Unsupported if the adapter has none of the name.
        """
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
        """Return the port to the object store: blobs by URI."""
        return self._build("blobs")  # type: ignore[no-any-return]  # a factory table cannot carry each port's type

    @cached_property
    def state(self) -> StateStore:
        """Return the port to the store of small documents, written by compare-and-swap."""
        return self._build("state")  # type: ignore[no-any-return]

    @cached_property
    def inventory(self) -> Inventory:
        """Return the port that lists the cloud resources that carry a project's tags."""
        return self._build("inventory")  # type: ignore[no-any-return]

    @cached_property
    def events(self) -> EventLog:
        """Return the port to the log of events, to which events are appended."""
        return self._build("events")  # type: ignore[no-any-return]

    @cached_property
    def event_source(self) -> EventSource:
        """Return the port that reads streams of events as they come, for named consumers."""
        return self._build("event_source")  # type: ignore[no-any-return]

    @cached_property
    def sources(self) -> Sources:
        """Return the port that reads users' own data by URI.

        Raises Unsupported if the target has none.
        """
        return self._build("sources")  # type: ignore[no-any-return]

    @cached_property
    def warehouse(self) -> Warehouse:
        """Return the port to the SQL warehouse: its tables, views and queries."""
        return self._build("warehouse")  # type: ignore[no-any-return]

    @cached_property
    def online(self) -> OnlineStore:
        """Return the port to the online feature store: rows by entity, for serving."""
        return self._build("online")  # type: ignore[no-any-return]

    @cached_property
    def pipelines(self) -> PipelineEngine:
        """Return the port to the engine that runs the steps of training pipelines."""
        return self._build("pipelines")  # type: ignore[no-any-return]

    @cached_property
    def registry(self) -> ModelRegistry:
        """Return the port to the model registry: models, versions and aliases."""
        return self._build("registry")  # type: ignore[no-any-return]

    @cached_property
    def endpoints(self) -> EndpointHost:
        """Return the port that hosts endpoints: deploy, split traffic, invoke."""
        return self._build("endpoints")  # type: ignore[no-any-return]

    @cached_property
    def counters(self) -> Counters:
        """Return the port that counts how often each unit (user) was shown an item.

        Raises Unsupported if the target has none.
        """
        return self._build("counters")  # type: ignore[no-any-return]

    @cached_property
    def metrics(self) -> MetricSource:
        """Return the port to the endpoints' metrics, by the minute."""
        return self._build("metrics")  # type: ignore[no-any-return]

    @cached_property
    def logs(self) -> LogSource:
        """Return the port to the log lines that jobs and endpoints printed."""
        return self._build("logs")  # type: ignore[no-any-return]

    @cached_property
    def native(self) -> Any:
        """Return the provider's own SDK clients.

        A boto3 Session, or the GCP clients; locally the Path of the `.isthmus` folder.
        """
        return self._build("native")

    def extra(self, capability: str) -> Any:
        """Create an optional port by the name of its capability, such as `guarded_replace`.

        Raises:
            Unsupported: this target has none, and the error names it.
        """
        return self._build(capability)

    def close(self) -> None:
        """Close the target's ports that were created."""
        for value in [*self.__dict__.values(), *self.shared]:
            closing = getattr(value, "close", None)
            if callable(closing):
                closing()
