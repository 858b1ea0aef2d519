"""Endpoints on the wire: lost replies, rollbacks that nobody tells of, endpoints in mid-change,
endpoints that others made.
"""

from datetime import timedelta
from decimal import Decimal

import pytest

from isthmus.adapters import targets
from isthmus.adapters.sagemaker.endpoints import host
from isthmus.endpoints.port import TrafficMinute, Window
from isthmus.endpoints.revision import revision_of
from isthmus.endpoints.traffic.convergence import has_converged, variants_ready
from isthmus.errors import Busy, Conflict, OutcomeUnknown, Throttled, Unavailable
from isthmus.target import Profile
from isthmus.tests.adapters.sagemaker.ml_kit import asked
from isthmus.tests.conformance.toy_models import endpoint, register, settled, until, variant
from isthmus_stack.client import Stack

pytestmark = pytest.mark.slow

WEIGHTS = "UpdateEndpointWeightsAndCapacities"


def split(**percents):
    return {name: Decimal(percent) for name, percent in percents.items()}


def targets_of(state):
    return {v.name: v.target_percent for v in state.variants}


@pytest.fixture
def models(target, tmp_path):
    return [register(target, tmp_path, value) for value in (1.0, 2.0, 3.0)]


@pytest.fixture
def spec(models):
    return endpoint(variant(models[0], "champion"), variant(models[1], "challenger"))


@pytest.fixture
def ready(target, spec):
    target.endpoints.apply(spec)
    state = settled(target)
    assert state.phase == "ready", state.failure
    return state


@pytest.mark.parametrize("kind", ["cut-after", "cut-before"])
def test_a_shift_whose_reply_is_lost_is_sent_once_and_the_next_look_tells(
    target, stack, ready, kind
):
    stack.fault(kind=kind, service="sagemaker", operation=WEIGHTS, times=None)
    with pytest.raises(OutcomeUnknown):
        target.endpoints.shift("ranker", split(champion=70, challenger=30), expect=ready.token)
    stack.clear_faults()
    assert asked(stack, WEIGHTS) == 1
    seen = target.endpoints.observe("ranker")
    moved = targets_of(seen) == split(champion=70, challenger=30)
    assert moved == (kind == "cut-after")
    assert (seen.token != ready.token) == moved


def test_a_throttled_shift_moves_nothing(target, stack, ready):
    stack.fault(kind="throttle", service="sagemaker", operation=WEIGHTS)
    with pytest.raises(Throttled):
        target.endpoints.shift("ranker", split(champion=70, challenger=30), expect=ready.token)
    assert target.endpoints.observe("ranker") == ready


def test_a_look_that_took_long_is_not_acted_on(target, stack, ready, models):
    """Nothing fences a late call at SageMaker, so it is not sent.

    `apply` makes what it needs and goes on at the next call.
    """
    moment = [target.clock()]
    target.clock = lambda: moment[0]

    def slow(call):
        moment[0] += (host._FRESH + timedelta(seconds=1)) * (call.operation == "DescribeEndpoint")

    target.calls.listeners.append(slow)
    with pytest.raises(Unavailable, match="nothing was sent"):
        target.endpoints.shift("ranker", split(champion=70, challenger=30), expect=ready.token)
    target.endpoints.apply(
        endpoint(variant(models[0], "champion", instances=(2, 2)), variant(models[1], "challenger"))
    )
    target.endpoints.apply(
        endpoint(variant(models[0], "champion"), variant(models[2], "challenger"))
    )
    assert (asked(stack, WEIGHTS), asked(stack, "UpdateEndpoint")) == (0, 0)
    assert target.endpoints.observe("ranker") == ready


def test_a_look_with_its_minutes_is_two_calls_and_without_them_one(target, stack, ready):
    """A rollout looks every ten seconds.

    With its own document and the traffic's owner it makes three calls, four with metrics.
    """
    made = target.native.client("sagemaker").describe_endpoint(EndpointName="conf-ranker")[
        "CreationTime"
    ]
    start = made.replace(second=0, microsecond=0) + timedelta(minutes=1)
    target.clock = lambda: start + timedelta(minutes=30)
    minute = TrafficMinute(variant="champion", start=start, requests=20, latencies_ms=(4.0,))
    target.extra("traffic_script").add("ranker", [minute])
    window = Window(start=start - timedelta(hours=26), end=start + timedelta(minutes=26))
    for read in (False, True):
        stack.clear_calls()
        assert target.endpoints.observe("ranker") == ready
        if read:
            assert [
                bucket.requests for bucket in target.metrics.read("ranker", window)["champion"]
            ] == [20]
        assert [call.operation for call in stack.calls()] == [
            "DescribeEndpoint",
            *["GetMetricData"] * read,
        ]


def test_weights_that_go_back_by_themselves_are_seen(target, stack, spec, ready):
    stack.fault(kind="silent-rollback", service="sagemaker", operation=WEIGHTS)
    wanted = split(champion=70, challenger=30)
    target.endpoints.shift("ranker", wanted, expect=ready.token)
    seen = until(lambda: (s := target.endpoints.observe("ranker")).phase == "ready" and s)
    assert targets_of(seen) == split(champion=100, challenger=0)
    assert not has_converged(spec, wanted, seen)
    assert seen.token == ready.token, "all is as it was"


def test_a_silent_rollback_ends_ready_with_the_old_revision_and_is_told_at_the_next_apply(
    target, stack, spec, ready, models
):
    stack.fault(kind="silent-rollback", service="sagemaker", operation="UpdateEndpoint")
    wider = endpoint(*spec.variants, variant(models[2], "third"))
    target.endpoints.apply(wider)
    seen = until(lambda: (s := target.endpoints.observe("ranker")).phase == "ready" and s)
    assert seen.revision == revision_of(spec)
    assert not variants_ready(wider, seen)
    with pytest.raises(Unavailable, match="rolled the update"):
        target.endpoints.apply(wider)
    target.endpoints.apply(wider)
    until(lambda: variants_ready(wider, target.endpoints.observe("ranker")))


def test_a_description_from_before_the_update_is_not_taken_for_a_rollback(
    target, stack, spec, ready, models
):
    """DescribeEndpoint is eventually consistent: for a while, which ends when the stack's clock is
    moved, it shows what was.
    """
    stack.fault(
        kind="eventual-consistency", service="sagemaker", operation="UpdateEndpoint", seconds=600
    )
    wider = endpoint(*spec.variants, variant(models[2], "third"))
    target.endpoints.apply(wider)
    assert target.endpoints.observe("ranker") == ready
    target.endpoints.apply(wider)
    stack.advance(600)
    until(lambda: variants_ready(wider, target.endpoints.observe("ranker")))
    assert asked(stack, "UpdateEndpoint") == 1


def test_an_update_whose_model_does_not_load_is_rolled_back_with_its_reason(
    target, spec, ready, tmp_path
):
    broken = register(target, tmp_path, 1.0, breaks=True)
    wider = endpoint(*spec.variants, variant(broken, "third"))
    target.endpoints.apply(wider)
    seen = until(lambda: (s := target.endpoints.observe("ranker")).phase == "ready" and s)
    assert seen.revision == ready.revision
    assert "third" in seen.failure
    with pytest.raises(Unavailable, match="third"):
        target.endpoints.apply(wider)
    assert targets_of(target.endpoints.observe("ranker")) == split(champion=100, challenger=0)


@pytest.mark.parametrize("kind", ["cut-before", "cut-after", "throttle", "error"])
def test_apply_goes_on_from_wherever_it_was_cut(target, stack, spec, models, kind):
    def cut(operation):
        stack.fault(kind=kind, service="sagemaker", operation=operation, times=6)
        with pytest.raises((OutcomeUnknown, Throttled, Unavailable)):
            target.endpoints.apply(spec)
        stack.clear_faults()

    for operation in ("CreateModel", "CreateEndpointConfig", "CreateEndpoint"):
        cut(operation)
    until(
        lambda: (
            target.endpoints.apply(spec)
            and variants_ready(spec, target.endpoints.observe("ranker"))
        )
    )
    spec = endpoint(*spec.variants, variant(models[2], "third"))
    cut("UpdateEndpoint")
    until(
        lambda: (
            target.endpoints.apply(spec)
            and variants_ready(spec, target.endpoints.observe("ranker"))
        )
    )
    assert targets_of(target.endpoints.observe("ranker"))["champion"] == 100


def test_what_is_made_is_tagged_by_the_call_that_makes_it(target, stack, ready):
    assert asked(stack, "AddTags") == 0
    client = target.native.client("resourcegroupstaggingapi")
    found = client.get_resources(TagFilters=[{"Key": "isthmus:project", "Values": ["conf"]}])[
        "ResourceTagMappingList"
    ]
    kinds = sorted(item["ResourceARN"].rpartition(":")[2].partition("/")[0] for item in found)
    assert kinds == ["endpoint", "endpoint-config", "model", "model", "model-package-group"]


def test_instances_are_brought_into_their_range_and_the_weights_stay(target, ready, models):
    target.endpoints.shift("ranker", split(champion=60, challenger=40), expect=ready.token)
    until(lambda: target.endpoints.observe("ranker").phase == "ready")
    wider = endpoint(
        variant(models[0], "champion", instances=(2, 4)), variant(models[1], "challenger")
    )
    target.endpoints.apply(wider)
    seen = until(
        lambda: (
            (s := target.endpoints.observe("ranker")).phase == "ready"
            and s.variants[0].instances == 2
            and s
        )
    )
    assert targets_of(seen) == split(champion=60, challenger=40)
    assert seen.revision == ready.revision, "the number of instances is not part of what runs"
    assert target.endpoints.apply(wider) == seen


def test_an_endpoint_that_somebody_else_made_is_foreign_and_its_shares_are_told(
    target, stack, models, tmp_path
):
    client = target.native.client("sagemaker")
    source = {"S3Uri": f"{models[0].uri}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    client.create_model(
        ModelName="theirs",
        PrimaryContainer={"Image": "isthmus", "ModelDataSource": {"S3DataSource": source}},
        ExecutionRoleArn="arn:aws:iam::123456789012:role/theirs",
    )
    client.create_endpoint_config(
        EndpointConfigName="theirs",
        ProductionVariants=[
            {
                "VariantName": name,
                "ModelName": "theirs",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": w,
            }
            for name, w in (("one", 1.0), ("two", 3.0))
        ],
    )
    client.create_endpoint(EndpointName="conf-ranker", EndpointConfigName="theirs")
    seen = settled(target)
    assert seen.revision == "foreign:theirs"
    assert {v.name: (v.version, v.percent) for v in seen.variants} == {
        "one": (0, Decimal(25)),
        "two": (0, Decimal(75)),
    }
    with pytest.raises(Conflict):
        target.endpoints.apply(endpoint(variant(models[0], "champion")))


class TestInMidChange:
    """On a clock that stands still, an update goes on until it is moved."""

    @pytest.fixture
    def target(self, still_stack):
        Stack(still_stack.url).reset()
        options = {
            "endpoint_url": still_stack.url,
            "bucket": "s3://conformance",
            "region": "us-east-1",
        }
        opened = targets.load(
            Profile(name="sagemaker", adapter="sagemaker", project="conf", options=options)
        )
        yield opened
        opened.close()

    @pytest.fixture
    def stack(self, still_stack):
        return Stack(still_stack.url)

    @pytest.fixture
    def ready(self, target, stack, spec):
        target.endpoints.apply(spec)
        assert target.endpoints.observe("ranker").phase == "creating"
        return self.arrived(target, stack)

    def arrived(self, target, stack):
        def look():
            stack.advance(60)
            state = target.endpoints.observe("ranker")
            return state.phase in ("ready", "failed") and state

        state = until(look)
        assert state.phase == "ready", state.failure
        return state

    def test_while_weights_move_the_endpoint_serves_and_takes_no_second_change(
        self, target, stack, spec, ready
    ):
        target.endpoints.shift("ranker", split(champion=60, challenger=40), expect=ready.token)
        seen = target.endpoints.observe("ranker")
        assert seen.phase == "updating"
        assert [(v.percent, v.target_percent) for v in seen.variants] == [
            (Decimal(100), Decimal(60)),
            (Decimal(0), Decimal(40)),
        ]
        assert not has_converged(spec, split(champion=60, challenger=40), seen)
        with pytest.raises(Busy):
            target.endpoints.shift("ranker", split(champion=50, challenger=50), expect=seen.token)
        with pytest.raises(Conflict):
            target.endpoints.shift("ranker", split(champion=50, challenger=50), expect=ready.token)
        assert target.endpoints.invoke(
            "ranker", [{"x": 1}], variant="challenger", request_id="q"
        ).predictions == (3.0,)
        assert has_converged(spec, split(champion=60, challenger=40), self.arrived(target, stack))

    def test_apply_waits_for_a_change_under_way_and_then_goes_on(
        self, target, stack, spec, ready, models
    ):
        target.endpoints.shift("ranker", split(champion=60, challenger=40), expect=ready.token)
        wider = endpoint(*spec.variants, variant(models[2], "third"))
        stack.clear_calls()
        target.endpoints.apply(wider)
        assert not [call for call in stack.calls() if call.mutating]
        self.arrived(target, stack)
        target.endpoints.apply(wider)
        assert target.endpoints.observe("ranker").phase == "updating"
        target.endpoints.apply(wider)
        seen = self.arrived(target, stack)
        assert variants_ready(wider, seen)
        assert targets_of(seen) == split(champion=60, challenger=40, third=0)
        assert asked(stack, "UpdateEndpoint") == 1
