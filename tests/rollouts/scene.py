"""A rollout in the scripted world, for tests: a plan, its document, and controllers that look."""

from datetime import timedelta
from decimal import Decimal

from msgspec.structs import replace

from isthmus.core.lease import Lease
from isthmus.endpoints.port import EndpointSpec, VariantSpec
from isthmus.project.specs.description import Guardrail, Hold, OfficeHours, RolloutStep
from isthmus.rollouts import controller
from isthmus.rollouts.state import documents
from isthmus.rollouts.state.states import RolloutPlan, RolloutState, Wish
from isthmus.rollouts.world import START, Traits, VariantBehaviour, World
from isthmus.target import CallLog

MINUTE = timedelta(minutes=1)
LOCAL = Traits(name="local")
SAGEMAKER = Traits(name="sagemaker", fenced=False, metrics_delay=3 * MINUTE, takes=MINUTE)
VERTEX = Traits(name="vertex", resolution=Decimal(1), metrics_delay=5 * MINUTE)
TARGETS = (LOCAL, SAGEMAKER, VERTEX)
STICKY = Traits(
    name="sticky", metrics_delay=3 * MINUTE, takes=MINUTE
)  # on a cloud: variants take their time, the split is a document
SPEC = EndpointSpec(
    name="ranker",
    variants=(
        VariantSpec(name="champion", model="ranker", version=1, instances=(2, 2)),
        VariantSpec(name="challenger", model="ranker", version=2, instances=(1, 1)),
    ),
)
HEALTHY = VariantBehaviour(error_rate=0.002)
FAILING = VariantBehaviour(error_rate=0.3)


def split(challenger):
    return {"champion": 100 - Decimal(challenger), "challenger": Decimal(challenger)}


def plan(traits=LOCAL, **fields):
    """10 % -> 25 % for 5 minutes -> 50 % for 8 -> 100 % for 8, with a limit on errors."""
    return replace(
        RolloutPlan(
            source="champion",
            to="challenger",
            stages=(
                RolloutStep(traffic=Decimal(25), bake=5 * MINUTE),
                RolloutStep(traffic=Decimal(50), bake=8 * MINUTE),
                RolloutStep(traffic=Decimal(100), bake=8 * MINUTE),
            ),
            guardrails=(
                Guardrail(metric="error_rate", max=0.01),
                Guardrail(metric="error_rate", max_ratio=2),
            ),
            false_alarm=0.05,
            failure_limit=2,
            on_no_data=Hold(hold=30 * MINUTE),
            on_inconclusive=Hold(then="pause"),
            on_drift="correct",
            capacity="scale",
            advance=OfficeHours(),
            spec=replace(SPEC, routing="sticky") if traits is STICKY else SPEC,
            initial=split(10),
            promote_alias="champion",
            alias_before=1,
            retire_alias="challenger",
            remove_old=60 * MINUTE,
            webhook_env=None,
            resolution=traits.resolution,
            metrics_delay=traits.metrics_delay,
            fenced=traits.fenced,
        ),
        **fields,
    )


def begun(wanted, at=START, **fields):
    """The document of a rollout that was just started."""
    first = {
        "id": "ro1",
        "endpoint": "ranker",
        "plan": wanted,
        "phase": "starting",
        "intent": dict(wanted.initial),
        "lease": Lease(),
    }
    return RolloutState(**first | {"started": at} | fields)


class Scene:
    """One rollout of `ranker` in a world.

    `calls` of a controller: where it can be stopped, cut and paused.
    """

    def __init__(self, traits=LOCAL, *, per_minute=600, behaviours=None, **fields):
        self.plan = plan(traits, **fields)
        behaviours = {"champion": HEALTHY, "challenger": HEALTHY} | (behaviours or {})
        self.world = World(
            traits,
            self.plan.spec,
            split=self.plan.initial,
            per_minute=per_minute,
            behaviours=behaviours,
            aliases={("ranker", "champion"): 1, ("ranker", "challenger"): 2},
        )
        self.store = self.world.ports().state
        documents.begin(self.store, "ranker", lambda number: replace(begun(self.plan), id=number))
        self.controllers = {}
        # by holder, the document as its last look left it: a process that drives keeps it from look
        # to look
        self.remembered = {}

    @property
    def state(self):
        return documents.read(self.store, "ranker").state

    @property
    def serving(self):
        return self.world.shares()

    @property
    def aliases(self):
        return {alias: version for (_model, alias), version in self.world.models.aliases.items()}

    def calls(self, holder="a"):
        return self._controller(holder)[1]

    def ports(self, holder="a"):
        return self._controller(holder)[0]

    def look(self, holder="a", **options):
        remembered = self.remembered.pop(holder, None)
        result = controller.look(
            self.ports(holder),
            "ranker",
            holder=holder,
            clock=self.world.now,
            remembered=remembered,
            **options,
        )
        self.remembered[holder] = result.stored
        return result

    def run(self, minutes, holder="a", *, every=10, until=lambda _state: False):
        """Look every 10 seconds, at once where there is more to do; stop when the rollout is over
        or `until` holds.
        """
        end = self.world.now() + minutes * MINUTE
        while self.world.now() < end:
            result = self.look(holder)
            if result.over or until(self.state):
                return self.state
            if not result.again:
                self.world.advance(timedelta(seconds=every))
        return self.state

    def until(self, phase, stage=None, **options):
        state = self.run(
            600, until=lambda s: s.phase == phase and stage in (None, s.stage), **options
        )
        assert (state.phase, stage or state.stage) == (phase, state.stage), (
            state.phase,
            state.stage,
            self.story(),
        )
        return state

    def wish(self, kind, because="", who="ann"):
        stored = documents.read(self.store, "ranker")
        wish = Wish(who=who, at=self.world.now(), because=because)
        documents.write(
            self.store,
            replace(stored.state, wish=replace(stored.state.wish, **{kind: wish})),
            expect=stored.token,
        )

    def history(self):
        return list(documents.history(self.store, self.state))

    def story(self):
        """What was decided, in a line each."""
        return [
            f"{entry.what} {entry.stage}-{entry.attempt} {entry.why}".strip()
            for entry in self.history()
        ]

    def words(self):
        return [entry.what for entry in self.history()]

    def _controller(self, holder):
        if holder not in self.controllers:
            calls = CallLog()
            self.controllers[holder] = (self.world.ports(calls), calls)
        return self.controllers[holder]
