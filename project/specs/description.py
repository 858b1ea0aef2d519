"""A project as frozen structs: everything can be built in Python too.

No file, no environment, no engine here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec

from .content import Extract, Profile
from .datasets import Dataset
from .experiments import Analysis, Experiment, Layer, Metric
from .monitors import Monitor
from .predictions import Prediction
from .rules import Rule
from .stream_views import StreamDefinition
from .tuning import Tuning

AttributeType = Literal["bool", "int", "float", "string", "timestamp"]
ParameterType = Literal["bool", "int", "float", "string"]
# parameters that an arm may set without their being declared
OF_EVERY_ENDPOINT = ("variant", "explore")
BUCKETS = 10_000  # of units, which a hash tells apart (endpoints/gateway/decide/assignment.py)


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    key: str
    type: Literal["int", "string"]
    description: str = ""


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: AttributeType
    required: bool = True
    min: float | None = None
    max: float | None = None
    allowed: tuple[Any, ...] | None = None
    description: str = ""
    entity: str | None = None  # derived: the attribute is named as this entity's key
    event: str | None = None  # derived: the attribute is `<event>_id` and refers to that event


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event and its attributes.

    `event_id` (string) and `event_timestamp` (UTC) come with every event and are not among the
    attributes.
    """

    name: str
    attributes: tuple[Attribute, ...]
    description: str = ""
    owner: str = ""
    max_lateness: timedelta = timedelta(days=30)
    max_ahead: timedelta = timedelta(minutes=2)  # what a producer's clock may be ahead of ours
    # a path from the project's folder or a URI; None: sources/<event>.sql, or nothing
    source: str | None = None


ROW = "event_id"  # as an objective's unit: its rows are independent of each other


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """`rate: <outcome> / <exposure>`, or `rate: sum <outcome>.<sums> / <exposure>`.

    Also the table of its name: the exposure's columns, outcome, created_timestamp.
    """

    name: str
    outcome: str  # an event that refers to the exposure by `<exposure>_id`
    exposure: str
    within: timedelta
    goal: Literal["maximise", "minimise"] = "maximise"
    # the exposure's attribute whose rows are not independent of each other: a person
    unit: str | None = None
    # ... whose rows, of one unit, were ranked against each other: a request
    ranked_within: str | None = None
    # the outcome's attribute whose values are a row's label, added up; None: the label is 0 or 1
    sums: str | None = None
    at_most: float | None = None  # a row's label counts up to this

    @property
    def is_number(self) -> bool:
        """Whether a row's label is a number; otherwise it is whether there was an outcome."""
        return self.sums is not None


class StaticTable(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    path: str  # Parquet or CSV, relative to the project's folder


class FeatureView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    entity: str
    path: str  # features/<name>.sql; project.yaml where the SQL is generated
    sql: str
    ttl: timedelta | None = None
    # "known": it reads an objective's outcome event on purpose
    outcome_events: Literal["known"] | None = None
    # windows that are counted in tiles, also by a consumer of the streams; `sql` is made from it
    stream: StreamDefinition | None = None
    extract: Extract | None = None
    profile: Profile | None = None


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    model: str
    ref: str  # an alias or a version number, after the @
    traffic: Decimal  # percent, at creation


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A value that an arm may set: a rule reads it as $name, a predictor takes it by keyword."""

    name: str
    type: ParameterType
    default: bool | int | float | str
    min: float | None = None
    max: float | None = None
    allowed: tuple[Any, ...] | None = None
    description: str = ""


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """A variant that is sent a copy of some requests after they were answered.

    Its answers are compared, and shown to nobody.
    """

    variant: str
    share: Decimal  # percent of the requests


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    objective: str = ""  # "": only traffic is moved, and there is no unit
    unit: str = ""
    variants: tuple[Variant, ...]
    # of a request, beside those of the exposure: targeting and segments read them
    attributes: tuple[Attribute, ...] = ()
    parameters: dict[str, Parameter] = {}
    explore: Decimal = Decimal(0)  # percent of requests answered in random order
    # for so long the gateway keeps a row that it has read
    online_cache: timedelta = timedelta(seconds=1)
    max_candidates: int = 1000  # of a request to the gateway
    # who splits the units between the variants: the target, or the gateway
    routing: Literal["weighted", "sticky"] = "weighted"
    rules: tuple[Rule, ...] = ()  # as they are written
    shadow: Shadow | None = None
    log_features: bool = False  # an exposure carries the row that was scored


class RolloutStep(msgspec.Struct, frozen=True, kw_only=True):
    """`{traffic: 25, bake: 10m, pause: true}`."""

    traffic: Decimal  # percent of the new variant
    bake: timedelta  # whole minutes
    pause: bool = False  # a person says when it goes on


class Guardrail(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of the new variant and exactly one limit.

    Of one metric and kind of limit there is one.
    """

    # project/rollouts/guardrails.py lists them: error_rate, server_error_rate, latency_p50 _p90
    # _p99 _mean, score_mean
    metric: str
    max: float | None = None  # a rate from 0 to 1; a latency in ms
    max_ratio: float | None = None  # times the old variant's, in the same minutes
    max_shift: float | None = None  # relative to the old variant's mean, either way: 0.1
    min_requests: int = 200
    dry_run: bool = False  # judged and shown, decides nothing

    @property
    def kind(self) -> Literal["max", "max_ratio", "max_shift"]:
        """The kind of the guardrail's limit: absolute, as a ratio, or as a shift."""
        return (
            "max"
            if self.max is not None
            else "max_ratio"
            if self.max_ratio is not None
            else "max_shift"
        )

    @property
    def limit(self) -> float:
        """The number that the guardrail's metric may not exceed, by the kind of limit."""
        return next(
            limit for limit in (self.max, self.max_ratio, self.max_shift) if limit is not None
        )

    @property
    def name(self) -> str:
        """The guardrail's name: its metric and kind of limit, `error_rate max`."""
        return f"{self.metric} {self.kind}"


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """`{hold: 30m, then: abort}`. None: for one more bake of the stage."""

    hold: timedelta | None = None
    then: Literal["abort", "pause"] = "abort"


class OfficeHours(msgspec.Struct, frozen=True, kw_only=True):
    """The times at which steps may go up. They may go down at any time."""

    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)  # 0: Monday
    start: int = 0  # minutes since midnight
    end: int = 24 * 60  # not included
    zone: str = "UTC"


class AfterRollout(msgspec.Struct, frozen=True, kw_only=True):
    # the alias that the new version gets; None: the one that the old variant names, if it names one
    promote_alias: str | None = None
    # how long the old variant stays at 0 % and at its size
    remove_old: timedelta = timedelta(hours=24)


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint's traffic moves from one variant to another.

    `steps` are written out, the last one of 100 % too.
    """

    endpoint: str
    source: str = "champion"  # `from:`
    to: str = "challenger"
    steps: tuple[RolloutStep, ...]
    guardrails: tuple[Guardrail, ...] = ()
    false_alarm: float = 0.05  # of a healthy rollout, all guardrails and stages together
    failure_limit: int = 2  # checks running
    on_no_data: Hold = Hold(hold=timedelta(minutes=30))
    on_inconclusive: Hold = Hold(then="pause")
    on_drift: Literal["correct", "pause", "abort"] = "correct"
    capacity: Literal["scale", "keep"] = "scale"
    advance: OfficeHours = OfficeHours()
    after: AfterRollout = AfterRollout()
    webhook_env: str | None = None  # of `notify`: the environment variable that holds the URL


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """`view.feature`, or an attribute of the objective's exposure (view None)."""

    view: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.view is None else f"{self.view}.{self.name}"


class Transform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A column that is computed from others: a mapping among a model's `features`."""

    kind: Literal["bucketize", "cross", "log", "cosine", "dot"]
    name: str  # `as`
    # names of features, or of transforms before it; of two vectors all columns, the first one's
    # before the second one's
    inputs: tuple[str, ...]
    at: tuple[float, ...] = ()  # bucketize: the inner edges, ascending
    into: int = 0  # cross: the number of values


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Train on what was known when a period begins, test on that period, again."""

    forward: timedelta | None = None  # None: a tenth of the days to test, in whole days
    after: timedelta = timedelta(days=2)
    # attributes of the exposure: the figures of each value by itself
    segments: tuple[str, ...] = ()


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a gate: the whole 95 % interval of a figure from `low` to `high`.

    None: no bound on that side.
    """

    metric: str  # project/models/gate_figures.py
    against: bool = False  # the difference to the champion's, paired on the same rows
    low: float | None = None
    high: float | None = None


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """A gate's checks: each passes, fails or is inconclusive."""

    bounds: tuple[Bound, ...] = ()
    leaks: Literal["none"] | None = None  # "none": the leak alarm calls no feature


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration: models/<name>.yaml."""

    name: str
    path: str
    model: str  # the registered model that a run becomes a version of
    objective: str
    # all that it reads, with what only its transforms read; of `logged` what the served ones read
    features: tuple[Feature, ...]
    trainer: str  # module.function, the module beside project.yaml; or isthmus.<built-in>
    alias: str | None = None
    # [start, end); None: `window_length` back from now
    window: tuple[datetime, datetime] | None = None
    window_length: timedelta = timedelta(days=28)
    serve_as: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    evaluate: Evaluation = Evaluation()
    gate: Gate = Gate()
    transforms: tuple[Transform, ...] = ()
    tune: Tuning | None = None  # what `isthmus tune` tries; no step of a training run reads it
    listed: tuple[str, ...] = ()  # the names in `features`, in order; empty without transforms
    logged: bool = False  # its rows are those that gateways logged: `features: logged`

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that the trainer gets, in the order of the file."""
        return self.listed or tuple(feature.name for feature in self.features)


class ProjectSpec(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    now: datetime | None = None  # the replay clock of an old log
    paths: tuple[str, ...] = ()  # what sources may read outside of the project's folder
    entities: dict[str, Entity] = {}
    events: dict[str, Event] = {}
    objectives: dict[str, Objective] = {}
    tables: dict[str, StaticTable] = {}
    feature_views: dict[str, FeatureView] = {}
    endpoints: dict[str, Endpoint] = {}
    models: dict[str, Model] = {}  # by configuration name
    rollouts: dict[str, Rollout] = {}  # by endpoint
    analyses: dict[str, Analysis] = {}  # the section `experiments`, where it names an `arm`
    experiments: dict[str, Experiment] = {}
    layers: dict[str, Layer] = {}  # with those that an endpoint has by default
    metrics: dict[str, Metric] = {}  # with those that are objectives
    monitors: dict[str, Monitor] = {}
    predictions: dict[str, Prediction] = {}
    datasets: dict[str, Dataset] = {}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    file: str  # relative to the project's folder
    line: int


class ParsedProject(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed project: what it says, and where it says it.

    So a later error can name file and line. `places` is keyed by path, e.g.
    "rollouts.ranker.guardrails[1]", "feature_views.item_history",
    "models/logistic.yaml:features[2]".
    """

    spec: ProjectSpec
    folder: str
    places: dict[str, Place] = {}
    # the text of profiles.yaml as it was read, once a command; None: there was none
    profiles: str | None = None
