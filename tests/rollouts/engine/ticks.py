"""What a look sees of a rollout, and what it decides: for the tests of the table of phases."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from isthmus.core.lease import Lease
from isthmus.endpoints.port import Bucket, EndpointState, VariantState
from isthmus.endpoints.revision import revision_of
from isthmus.project.specs.description import RolloutStep
from isthmus.rollouts.state.states import Observation, Wish
from isthmus.rollouts.tick import tick

from ..scene import MINUTE, SPEC, begun, plan, split

NOW = datetime(2026, 3, 2, 9, 0, 30, tzinfo=UTC)  # a Monday
OURS = Lease(holder="a", epoch=1, until=NOW + MINUTE)
YES = Wish(who="ann", at=NOW)
BAKE = NOW - 4 * MINUTE - timedelta(seconds=30)  # five minutes of it are over in 30 seconds
OVER = BAKE + 5 * MINUTE


def variant(name, percent, *, asked=None, phase="ready", instances=None, version=None):
    declared = next((v for v in SPEC.variants if v.name == name), None)
    return VariantState(
        name=name,
        model="ranker",
        version=version or declared.version,
        percent=Decimal(percent),
        target_percent=Decimal(percent if asked is None else asked),
        instances=instances or declared.instances[0],
        target_instances=instances or declared.instances[0],
        phase=phase,
    )


def endpoint(
    new=25, *, asked=None, phase="ready", token="t1", spec=SPEC, new_phase="ready", instances=None
):
    return EndpointState(
        name="ranker",
        phase=phase,
        revision=revision_of(spec),
        token=token,
        variants=(
            variant("champion", 100 - new, asked=None if asked is None else 100 - asked),
            variant("challenger", new, asked=asked, phase=new_phase, instances=instances),
        ),
    )


def seen(at=None, **fields):
    return Observation(
        **({"endpoint": at or endpoint(), "owner": "ours", "alias_version": 1} | fields)
    )


def minutes(start, count, *, new_errors=0, old_errors=0, requests=300):
    def buckets(errors):
        return tuple(
            Bucket(
                start=start + n * MINUTE,
                requests=requests,
                client_errors=0,
                server_errors=errors,
                mean_ms=4,
                p50_ms=4,
                p90_ms=5,
                p99_ms=6,
            )
            for n in range(count)
        )

    return {
        "settled": start + count * MINUTE,
        "minutes": {"challenger": buckets(new_errors), "champion": buckets(old_errors)},
    }


def state(phase, *, stage=1, of=None, **fields):
    of = of or plan()
    share = of.stages[stage - 1].traffic
    return begun(
        of,
        **{"phase": phase, "stage": stage, "intent": split(share), "lease": OURS, "taken": True}
        | fields,
    )


def bake(stage=1, phase="baking", **fields):
    return state(
        phase,
        stage=stage,
        **{"bake_from": BAKE, "bake_until": BAKE + 5 * MINUTE, "bake_token": "t1"} | fields,
    )


def decide(before, observation, now=NOW, holder="a"):
    after, actions = tick(before, observation, now, holder=holder)
    return after, actions[0] if actions else None


def words(after):
    return [entry.what for entry in after.outbox]


def scaled():
    return replace(
        plan(), stages=(RolloutStep(traffic=Decimal(60), bake=5 * MINUTE), *plan().stages[2:])
    )
