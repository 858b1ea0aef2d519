"""A sticky endpoint on Vertex AI: an endpoint for each variant, and an empty one that says what is
wanted.
"""

from contextlib import suppress

import pytest
from msgspec.structs import replace

from isthmus.adapters import targets
from isthmus.adapters.vertex.endpoints import deployed_models
from isthmus.adapters.vertex.names import dashed, endpoint_id, is_of_variant
from isthmus.adapters.vertex.resources import prices
from isthmus.adapters.vertex.session import session_of
from isthmus.endpoints.traffic.convergence import variants_ready
from isthmus.errors import Busy, Conflict, IsthmusError, ModelError, NotFound
from isthmus.tests.conformance.toy_models import endpoint, register, settled, until, variant

pytestmark = pytest.mark.slow


@pytest.fixture
def one(target, tmp_path):
    return register(target, tmp_path, 1.0)


@pytest.fixture
def two(target, tmp_path):
    return register(target, tmp_path, 2.0)


@pytest.fixture
def ready(target, one, two):
    spec = endpoint(variant(one, "champion"), variant(two, "challenger"), routing="sticky")
    target.endpoints.apply(spec)
    return spec, settled(target)


def ids(target):
    session = session_of(target)
    return sorted(
        item.name.rpartition("/")[2]
        for item in session.endpoints.list_endpoints(parent=session.parent)
    )


def brought(target, spec):
    def step():
        with suppress(Busy):
            target.endpoints.apply(spec)
        return variants_ready(spec, target.endpoints.observe("ranker"))

    until(step)


def test_no_two_endpoints_of_a_project_have_one_id():
    assert endpoint_id("conf", "ranker", "challenger") == "conf-ranker--challenger"
    assert is_of_variant("projects/1/locations/l/endpoints/conf-ranker--challenger")
    assert (
        endpoint_id("conf", "ranker_challenger")
        == dashed("conf", "ranker", "challenger")
        == "conf-ranker-challenger"
    )
    assert len(endpoint_id("p" * 16, "e" * 28, "v" * 16)) == 63


def test_it_is_one_endpoint_that_costs_what_its_variants_cost_and_goes_as_one(target, ready, stack):
    assert ids(target) == ["conf-ranker", "conf-ranker--challenger", "conf-ranker--champion"]
    (resource,) = (r for r in target.inventory.list("conf") if r.kind == "endpoint")
    assert (resource.name, resource.native_id.rpartition("/")[2]) == ("ranker", "conf-ranker")
    assert resource.hourly_cost == prices.estimate(target.profile, ready[0].variants).hourly_cost
    stack.fault(kind="cut-before", operation="EndpointService.DeleteEndpoint", times=None)
    with pytest.raises(IsthmusError):
        target.inventory.delete(resource)
    stack.clear_faults()
    assert [r.name for r in target.inventory.list("conf") if r.kind == "endpoint"] == ["ranker"]
    target.inventory.delete(resource)
    assert ids(target) == []
    assert target.endpoints.observe("ranker") is None


def test_a_version_is_replaced_without_a_gap_also_under_its_traffic(target, ready, two, tmp_path):
    """Another attempt of what has traffic: the old model answers until the new one does."""
    spec, _ = ready
    again = replace(spec, variants=(spec.variants[0], variant(two, "challenger", attempt=1)))
    answers = []

    def step():
        answers.append(
            target.endpoints.invoke(
                "ranker", [{"x": 1}], variant="challenger", request_id="q"
            ).predictions
        )
        with suppress(Busy):
            target.endpoints.apply(again)
        return variants_ready(again, target.endpoints.observe("ranker"))

    until(step)
    assert set(answers) == {(3.0,)}
    (model,) = (
        session_of(target)
        .endpoints.get_endpoint(
            name=f"{session_of(target).parent}/endpoints/conf-ranker--challenger"
        )
        .deployed_models
    )
    assert model.id == deployed_models.planned_id(again.variants[1])


def test_a_lost_deployment_is_told_by_its_variant_and_the_next_apply_tries_again(
    target, ready, tmp_path, stack
):
    third = variant(register(target, tmp_path, 3.0), "third")
    wanted = replace(ready[0], variants=(*ready[0].variants, third))
    stack.fault(kind="lost-deploy")
    target.endpoints.apply(wanted)
    failed = settled(target)
    assert (failed.phase, failed.failure) == (
        "failed",
        "third: The deployment was lost: a fault that was asked for",
    )
    assert {v.name: v.phase for v in failed.variants} == {
        "champion": "ready",
        "challenger": "ready",
        "third": "failed",
    }
    brought(target, wanted)
    assert target.endpoints.observe("ranker").failure is None


def test_what_no_gateway_aims_goes_to_the_first_variant_also_where_an_older_one_is_remembered(
    target, ready
):
    """Another process took the first variant away: no model was asked, so the request is sent once
    more.
    """
    assert (
        target.endpoints.invoke("ranker", [{"x": 1}], variant=None, request_id="q").variant
        == "champion"
    )
    other = targets.load(target.profile)
    brought(other, replace(ready[0], variants=ready[0].variants[1:]))
    other.close()
    assert ids(target) == ["conf-ranker", "conf-ranker--challenger"]
    assert (
        target.endpoints.invoke("ranker", [{"x": 1}], variant=None, request_id="q").variant
        == "challenger"
    )
    with pytest.raises(NotFound, match="ranker has no variant champion"):
        target.endpoints.invoke("ranker", [{"x": 1}], variant="champion", request_id="q")


def test_a_variant_that_is_leaving_is_not_there_for_who_aims_at_it(target, ready):
    """Its endpoint still stands, without a model: a gateway that has an older copy of a run sends
    the call elsewhere.
    """
    assert (
        target.endpoints.invoke("ranker", [{"x": 1}], variant="challenger", request_id="q").variant
        == "challenger"
    )
    target.endpoints.apply(replace(ready[0], variants=ready[0].variants[:1]))
    assert "conf-ranker--challenger" in ids(target)
    other = targets.load(target.profile)
    for gateway in (target, other):
        with pytest.raises(NotFound, match="ranker has no variant challenger"):
            gateway.endpoints.invoke("ranker", [{"x": 1}], variant="challenger", request_id="q")
    other.close()


def test_weighted_and_sticky_do_not_become_each_other(target, ready):
    with pytest.raises(Conflict, match="runs with routing: sticky, and keeps it"):
        target.endpoints.apply(replace(ready[0], routing="weighted"))
    target.endpoints.apply(replace(ready[0], name="other", routing="weighted"))
    settled(target, "other")
    with pytest.raises(Conflict, match="runs with routing: weighted, and keeps it"):
        target.endpoints.apply(replace(ready[0], name="other"))
    assert ids(target) == [
        "conf-other",
        "conf-ranker",
        "conf-ranker--challenger",
        "conf-ranker--champion",
    ]


def failures(target, ref):
    try:
        return sum(
            "KeyError: 'item_category'" in line for line in target.logs.tail(ref, limit=1000).lines
        )
    except NotFound:
        return 0


def test_a_log_is_read_by_variant_and_as_a_whole(target, ready):
    for name in ("champion", "challenger"):
        with pytest.raises(ModelError):
            target.endpoints.invoke("ranker", [{"fail": True}], variant=name, request_id="q")
    until(
        lambda: (
            [failures(target, ref) for ref in ("ranker", "ranker/champion", "ranker/challenger")]
            == [2, 1, 1]
        )
    )
    with pytest.raises(NotFound, match="nobody is not deployed to ranker"):
        target.logs.tail("ranker/nobody")
