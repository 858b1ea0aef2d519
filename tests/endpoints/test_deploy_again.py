"""Deploy, and deploy again: what is missing, rejected, crashed, new, promoted or broken.

Each test makes its endpoint and removes it.
"""

import sys
from collections import Counter
from decimal import Decimal

import pytest

from isthmus.endpoints.deploy.deploy import deploy
from isthmus.endpoints.gateway.gateway import Gateway
from isthmus.endpoints.traffic import owner
from isthmus.endpoints.traffic.manual import traffic
from isthmus.errors import NotFound, Refused
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.endpoints import mini

pytestmark = pytest.mark.slow

D = Decimal


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    yield mini.filled(tmp_path_factory.mktemp("mini"))
    sys.modules.pop("mini_ranker", None)


@pytest.fixture
def fresh(folder):
    """An endpoint of its own: removed, and its owner's document too."""
    with mini.opened(folder) as project:
        _forget(project)
        mini.register(project, "popular")
        mini.register(project, "both")
        yield project
        _forget(project)


def _forget(project):
    remove_endpoints(project.target)
    if claim := owner.read(project.target.state, "ranker"):
        project.target.state.delete(owner.key("ranker"), expect=claim.token)


def test_a_missing_alias_names_the_command_that_makes_it(fresh):
    fresh.target.registry.set_alias("ranker", "challenger", None)
    with pytest.raises(
        NotFound, match="variant challenger: there is no ranker@challenger yet"
    ) as error:
        deploy(fresh, "ranker")
    assert error.value.remedy == "isthmus train models/both.yaml"
    assert fresh.target.endpoints.observe("ranker") is None


def test_a_rejected_version_is_refused(fresh):
    version = mini.register(fresh, "both", {"item_impressions": 5.0})
    fresh.target.registry.set_approval("ranker", version.version, "rejected", "smells")
    with pytest.raises(Refused, match=f"ranker@{version.version} was rejected"):
        deploy(fresh, "ranker")


def test_a_crash_between_apply_and_the_first_split_is_made_good(fresh):
    def crash(call):
        if call.operation == "endpoints.shift":
            fresh.target.calls.before = None
            raise KeyboardInterrupt

    fresh.target.calls.before = crash
    with pytest.raises(KeyboardInterrupt):
        deploy(fresh, "ranker")
    percents = {v.name: v.percent for v in fresh.target.endpoints.observe("ranker").variants}
    assert percents == {"champion": D(100), "challenger": D(0)}
    again = deploy(fresh, "ranker")
    assert [v.percent for v in again.variants] == [D(90), D(10)]
    assert owner.read(fresh.target.state, "ranker").owner.done


def test_a_new_version_replaces_a_variant_only_at_no_traffic(fresh):
    deploy(fresh, "ranker")
    version = mini.register(fresh, "both", {"item_impressions": -2.0})
    with pytest.raises(
        Refused, match=r"challenger .* has 10 % of the traffic and would become"
    ) as error:
        deploy(fresh, "ranker")
    assert error.value.remedy.startswith("isthmus traffic ranker challenger=0")
    traffic(fresh, "ranker", {"challenger": D(0)})
    again = deploy(fresh, "ranker")
    assert [(v.version, v.percent) for v in again.variants][1] == (version.version, D(0))
    reply = Gateway(fresh, "ranker").score(mini.REQUEST, variant="challenger")
    assert reply.predictions[:2] == (-8.0, -16.0)


def test_after_a_promotion_the_roles_go_home_without_the_old_version_ever_serving(fresh):
    """Version 2 has all the traffic as the challenger, and the alias champion; nobody has the alias
    challenger.
    """
    deploy(fresh, "ranker")
    traffic(fresh, "ranker", {"challenger": D(100)})
    registry = fresh.target.registry
    old, new = (
        registry.get("ranker", "champion").version,
        registry.get("ranker", "challenger").version,
    )
    registry.set_alias("ranker", "champion", new)
    registry.set_alias("ranker", "challenger", None)
    home = deploy(fresh, "ranker")
    assert [(v.name, v.version, v.percent) for v in home.variants] == [
        ("champion", new, D(0)),
        ("challenger", new, D(100)),
    ]
    (note,) = home.notes
    assert note == (
        f"challenger stays ranker@{new}, which champion is to have, while it has 100 % of the "
        "traffic: isthmus traffic ranker champion=100, then deploy again"
    )
    assert old != new
    traffic(fresh, "ranker", {"champion": D(100)})
    done = deploy(fresh, "ranker")
    assert [(v.name, v.version, v.percent) for v in done.variants] == [("champion", new, D(100))]
    assert done.notes == ("challenger is left out: no version is ranker@challenger",)
    assert "\n  note   challenger is left out" in str(done)


def test_a_model_that_raises_is_told_by_the_smoke_test(fresh):
    mini.register(fresh, "both", {"no_such_feature": 1.0})
    result = deploy(fresh, "ranker")
    assert not result.smoke.ok
    assert result.smoke.answered == 10, "the champion's"
    assert "KeyError" in result.smoke.first_error
    assert "10 of 20 requests answered (first error: challenger (version" in str(result)


def test_the_split_is_kept_over_a_thousand_answers(fresh):
    deploy(fresh, "ranker")
    gateway = Gateway(fresh, "ranker", emit=lambda _stream, _rows: ())
    counts = Counter(gateway.rank(mini.REQUEST).variant for _ in range(1000))
    assert abs(counts["challenger"] - 100) < 5 * (1000 * 0.1 * 0.9) ** 0.5
