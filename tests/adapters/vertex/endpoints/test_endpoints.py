"""Vertex AI's endpoints where they are not as on other targets: operations, ids, etags, lost
replies and lost deployments.
"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from isthmus.adapters import targets
from isthmus.adapters.vertex.endpoints import deployed_models
from isthmus.adapters.vertex.resources import deletion
from isthmus.adapters.vertex.session import CONTROL, session_of
from isthmus.endpoints.port import VariantSpec
from isthmus.endpoints.traffic.convergence import variants_ready
from isthmus.errors import Busy, Conflict, Invalid, IsthmusError, OutcomeUnknown, Unsupported
from isthmus.storage import wait
from isthmus.tests.conformance.opaque import monitor
from isthmus.tests.conformance.toy_models import endpoint, register, settled, until, variant

pytestmark = pytest.mark.slow
CHAMPION = VariantSpec(name="champion", model="ranker", version=3)


def split(**percents):
    return {name: Decimal(percent) for name, percent in percents.items()}


@pytest.fixture
def one(target, tmp_path):
    return register(target, tmp_path, 1.0)


@pytest.fixture
def ready(target, tmp_path, one):
    spec = endpoint(
        variant(one, "champion"), variant(register(target, tmp_path, 2.0), "challenger")
    )
    target.endpoints.apply(spec)
    return spec, settled(target)


def google(target, name="ranker"):
    session = session_of(target)
    return session.endpoints.get_endpoint(name=f"{session.parent}/endpoints/conf-{name}")


@pytest.mark.parametrize(
    "spec",
    [
        CHAMPION,
        msgspec.structs.replace(CHAMPION, machine="n1-standard-4"),
        msgspec.structs.replace(CHAMPION, attempt=2),
        msgspec.structs.replace(CHAMPION, machine="n1-standard-4", attempt=1),
    ],
)
def test_a_variant_is_read_back_from_its_display_name_and_has_an_id_of_ten_digits(spec):
    assert deployed_models.spec_of(deployed_models.display_name(spec)) == spec
    assert deployed_models.planned_id(spec).isdigit()
    assert len(deployed_models.planned_id(spec)) == 10
    assert deployed_models.planned_id(
        msgspec.structs.replace(spec, instances=(2, 3))
    ) == deployed_models.planned_id(spec)
    assert deployed_models.planned_id(
        msgspec.structs.replace(spec, version=4)
    ) != deployed_models.planned_id(spec)


def test_an_endpoint_that_takes_one_operation_at_a_time_comes_up_and_goes_all_the_same(
    target, one, tmp_path, monkeypatch
):
    """Deploying two at once is not forbidden by the documentation, nor promised by it."""
    session = session_of(target)
    control = session.client("endpoints", retrying=False, within=CONTROL)
    sent = []

    def alone(name):
        start = getattr(control, name)

        def asked(**request):
            sent.append(name)
            if sent.count(name) == 2:  # while the first one runs
                raise Busy("There are other operations running on the Endpoint")
            return start(**request)

        monkeypatch.setattr(control, name, asked)

    alone("deploy_model")
    alone("undeploy_model")
    spec = endpoint(
        variant(one, "champion"), variant(register(target, tmp_path, 2.0), "challenger")
    )

    def step():
        target.endpoints.apply(spec)
        return target.endpoints.observe("ranker")

    wait(step, lambda state: variants_ready(spec, state), deadline=timedelta(seconds=60))
    deletion.endpoint(session, "ranker")
    assert target.endpoints.observe("ranker") is None
    assert sent == ["deploy_model"] * 3 + ["undeploy_model"] * 3


def test_what_somebody_else_deployed_is_no_variant_of_ours():
    assert deployed_models.spec_of("my model") is None


def test_a_split_is_whole_percents_and_half_a_percent_is_refused_with_its_neighbours(target, ready):
    with pytest.raises(
        Unsupported, match=r"whole percents: 0\.5 cannot be set, and is not rounded"
    ) as refusal:
        target.endpoints.shift(
            "ranker",
            {"challenger": Decimal("0.5"), "champion": Decimal("99.5")},
            expect=ready[1].token,
        )
    assert refusal.value.remedy == "use 0 or 1"


def test_an_endpoint_is_a_dedicated_one_unless_the_profile_says_shared(profile, target, one):
    target.endpoints.apply(endpoint(variant(one, "champion")))
    assert settled(target).phase == "ready"
    assert google(target).dedicated_endpoint_dns.startswith("conf-ranker.")
    shared = targets.load(
        msgspec.structs.replace(profile, options={**profile.options, "endpoint": "shared"})
    )
    shared.endpoints.apply(endpoint(variant(one, "champion"), name="other"))
    assert settled(shared, "other").phase == "ready"
    assert not google(target, "other").dedicated_endpoint_enabled
    with pytest.raises(Unsupported, match="1,500,000"):
        shared.endpoints.invoke("other", [{"y": "a" * 2_000_000}], variant=None, request_id="q")
    shared.close()


def test_an_endpoint_of_the_other_kind_is_told_and_nothing_is_deployed_to_it(
    profile, target, stack, one
):
    target.endpoints.apply(endpoint(variant(one, "champion")))
    settled(target)
    shared = targets.load(
        msgspec.structs.replace(profile, options={**profile.options, "endpoint": "shared"})
    )
    assert targets.fixed(target, "ranker") == targets.fixed(shared, "none") == ""
    assert targets.fixed(shared, "ranker").startswith(
        "it is a dedicated endpoint and profiles.yaml wants a shared one"
    )
    stack.clear_calls()
    with pytest.raises(Invalid, match="ranker: it is a dedicated endpoint"):
        shared.endpoints.apply(endpoint(variant(one, "champion"), variant(one, "challenger")))
    assert not [call.operation for call in stack.calls() if call.mutating]
    shared.close()


def test_a_lost_deployment_is_told_and_the_next_apply_tries_again(
    target, stack, ready, one, tmp_path
):
    spec, _ = ready
    third = variant(register(target, tmp_path, 3.0), "third")
    stack.fault(kind="lost-deploy")
    wanted = endpoint(*spec.variants, third)
    target.endpoints.apply(wanted)
    failed = settled(target)
    assert failed.phase == "failed"
    assert failed.failure == "third: The deployment was lost: a fault that was asked for"
    assert {v.name: (v.phase, v.percent) for v in failed.variants} == {
        "champion": ("ready", 100),
        "challenger": ("ready", 0),
        "third": ("failed", 0),
    }
    target.endpoints.shift(
        "ranker", split(champion=50, challenger=50, third=0), expect=failed.token
    )  # what runs can still be moved
    target.endpoints.apply(wanted)
    seen = until(
        lambda: (s := target.endpoints.observe("ranker")) and variants_ready(wanted, s) and s
    )
    assert {v.name: v.percent for v in seen.variants} == split(champion=50, challenger=50, third=0)


def test_a_replacement_that_is_killed_before_each_of_its_changes_is_ready_for_the_next_apply(
    target, ready, tmp_path
):
    """Nobody is at work there, and the old variants count.

    Else a rollout waits for nobody, or takes them for somebody else's.
    """
    third = register(target, tmp_path, 3.0)
    wanted, killed = endpoint(ready[0].variants[0], variant(third, "challenger")), []

    def kill(call):
        if call.operation not in killed:
            killed.append(call.operation)
            raise KeyboardInterrupt

    def is_replaced():
        seen = settled(target)
        if variants_ready(wanted, seen):
            return True
        assert (seen.phase, seen.revision) == ("ready", ready[1].revision)
        with suppress(KeyboardInterrupt):
            target.endpoints.apply(wanted)
        return False

    target.calls.before = kill
    until(is_replaced)
    assert killed == ["UpdateEndpoint", "DeployModel", "UndeployModel"]
    assert len(google(target).deployed_models) == 2


def test_traffic_waits_while_a_model_is_deployed(target, stack, ready, tmp_path):
    spec, _ = ready
    third = variant(register(target, tmp_path, 3.0), "third")
    target.endpoints.apply(endpoint(*spec.variants, third))
    seen = target.endpoints.observe("ranker")
    if seen.phase == "updating":  # it may be there already
        with pytest.raises((Busy, Conflict)):
            target.endpoints.shift(
                "ranker", split(champion=0, challenger=0, third=100), expect=seen.token
            )
    assert settled(target).phase == "ready"


@pytest.mark.parametrize(
    "operation", ["EndpointService.CreateEndpoint", "EndpointService.DeployModel"]
)
@pytest.mark.parametrize("kind", ["cut-before", "cut-after", "throttle"])
def test_a_lost_reply_is_found_out_by_the_next_apply(target, stack, one, operation, kind):
    spec = endpoint(variant(one, "champion"))
    stack.fault(kind=kind, operation=operation)
    with pytest.raises(IsthmusError):
        target.endpoints.apply(spec)
    until(lambda: _applied(target, spec))
    assert len(google(target).deployed_models) == 1


def _applied(target, spec):
    """Again and again, as `deploy` does."""
    target.endpoints.apply(spec)
    return variants_ready(spec, target.endpoints.observe("ranker"))


@pytest.mark.parametrize("kind", ["cut-before", "cut-after"])
def test_a_shift_whose_reply_is_lost_has_happened_or_not_and_is_never_sent_twice(
    target, stack, ready, kind
):
    before = ready[1].token
    stack.fault(kind=kind, operation="EndpointService.UpdateEndpoint")
    with pytest.raises(OutcomeUnknown):
        target.endpoints.shift("ranker", split(champion=30, challenger=70), expect=before)
    sent = [call for call in stack.calls() if call.operation == "EndpointService.UpdateEndpoint"]
    assert len(sent) == 1
    seen = target.endpoints.observe("ranker")
    assert seen.variants[1].percent == (70 if kind == "cut-after" else 0)
    assert (seen.token == before) == (kind == "cut-before")


def test_a_write_between_the_look_and_the_call_of_a_shift_is_never_written_over(target, ready):
    """The call carries the etag of its own look: whoever wrote since has the last word."""
    other = targets.load(target.profile)
    once(
        target,
        lambda: other.endpoints.shift(
            "ranker", split(champion=60, challenger=40), expect=ready[1].token
        ),
    )
    with pytest.raises(Conflict, match="changed by somebody else"):
        target.endpoints.shift("ranker", split(champion=30, challenger=70), expect=ready[1].token)
    assert {v.name: v.percent for v in target.endpoints.observe("ranker").variants} == split(
        champion=60, challenger=40
    )
    other.close()


def test_a_monitoring_job_between_the_look_and_the_call_of_a_shift_costs_one_look_more(
    target, stack, ready
):
    once(target, lambda: monitor(target))
    target.endpoints.shift("ranker", split(champion=30, challenger=70), expect=ready[1].token)
    assert {v.name: v.percent for v in target.endpoints.observe("ranker").variants} == split(
        champion=30, challenger=70
    )
    assert [call.operation for call in stack.calls()].count("EndpointService.UpdateEndpoint") == 2


def once(target, act):
    """Before the next changing call of this target."""

    def acting(_call):
        target.calls.before = None
        act()

    target.calls.before = acting


def test_a_token_is_of_the_endpoint_and_of_each_model_as_it_was_deployed():
    """Made again under its name, or deployed again under its id, it is another one; a share of
    nothing is none.
    """
    from google.cloud.aiplatform_v1 import DedicatedResources, DeployedModel, Endpoint

    def token(*, made=1, deployed_at=1, most=1, split=None, shift="a", **opaque):
        model = DeployedModel(
            id="7",
            model="models/1",
            model_version_id="1",
            create_time=datetime.fromtimestamp(deployed_at, UTC),
            dedicated_resources=DedicatedResources(min_replica_count=1, max_replica_count=most),
            status=opaque,
        )
        made_at = datetime.fromtimestamp(made, UTC)
        labels = {"isthmus_shift": shift, "team": f"{opaque}"}
        return deployed_models.token(
            Endpoint(
                create_time=made_at,
                deployed_models=[model],
                traffic_split=split or {"7": 100},
                labels=labels,
            )
        )

    same = {
        token(),
        token(available_replica_count=3, message="busy"),
        token(split={"7": 100, "8": 0}),
    }
    others = {
        token(made=2),
        token(deployed_at=2),
        token(most=2),
        token(split={"7": 90, "8": 10}),
        token(shift="b"),
    }
    assert len(same) == 1
    assert len(others - same) == 5


def test_an_endpoint_of_somebody_else_is_foreign(target, one):
    from google.cloud import aiplatform_v1 as ai

    session = session_of(target)
    request = ai.CreateEndpointRequest(
        parent=session.parent,
        endpoint=ai.Endpoint(display_name="theirs"),
        endpoint_id="conf-ranker",
    )
    session.endpoints.create_endpoint(request=request)
    seen = until(lambda: target.endpoints.observe("ranker"))
    assert seen.revision == "foreign:conf-ranker"


def test_an_answer_names_its_variant_and_version_also_of_a_model_that_was_deployed_since(
    target, ready, tmp_path
):
    spec, state = ready
    assert (
        target.endpoints.invoke("ranker", [{"x": 1}], variant=None, request_id="q").variant
        == "champion"
    )
    other = targets.load(target.profile)  # another process: this one's host has not seen it
    third = register(target, tmp_path, 3.0)
    wanted = endpoint(*spec.variants, variant(third, "third"))
    other.endpoints.apply(wanted)
    state = settled(other)
    other.endpoints.shift("ranker", split(champion=0, challenger=0, third=100), expect=state.token)
    reply = target.endpoints.invoke("ranker", [{"x": 1}], variant=None, request_id="q")
    assert (reply.variant, reply.version, reply.predictions) == ("third", third.version, (4.0,))
    other.close()
