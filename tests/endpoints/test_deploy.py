"""From registered versions to answers with logged propensities: deploy, traffic and the gateway
over the local target.
"""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from itertools import count
from random import Random

import msgspec
import pytest

import isthmus as im
from isthmus.endpoints.deploy.deploy import deploy
from isthmus.endpoints.gateway.decide.assignment import bucket
from isthmus.endpoints.gateway.gateway import Gateway
from isthmus.endpoints.traffic import owner
from isthmus.endpoints.traffic.manual import intent, traffic
from isthmus.endpoints.traffic.resolution import endpoint_of, resolve, with_owned_counts
from isthmus.endpoints.traffic.router import routed_endpoints
from isthmus.errors import Conflict, Denied, Invalid, ModelError, NotFound, Refused, Unsupported
from isthmus.events.port import Rejected
from isthmus.lifecycle.resources.destroy import destroy
from isthmus.tests.cli.running import isthmus
from isthmus.tests.conformance.toy_models import remove_endpoints, until
from isthmus.tests.endpoints import mini

pytestmark = pytest.mark.slow

D = Decimal


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    yield mini.filled(tmp_path_factory.mktemp("mini"))
    sys.modules.pop("mini_ranker", None)


@pytest.fixture(scope="module")
def deployed(folder):
    """Once for the tests that only ask; those that change the split set it back."""
    with mini.opened(folder) as project:
        mini.register(project, "popular")
        mini.register(project, "both")
        result = deploy(project, "ranker")
        yield project, result
        remove_endpoints(project.target)


@pytest.fixture
def project(deployed):
    return deployed[0]


def test_a_deployment_reads_as_documented(deployed):
    _, result = deployed
    assert result.created
    assert result.smoke.ok
    first, second = str(result).splitlines()
    assert re.fullmatch(
        r"local   ranker   champion ranker@1  90 %   challenger ranker@2  10 %   ready in "
        r"\d+\.\d s   http://127\.0\.0\.1:\d+",
        first,
    )
    assert second == "  smoke  20 of 20 requests answered; split read back 90/10"


def test_the_gateway_orders_by_score_with_features_of_both_views(project):
    gateway = Gateway(project, "ranker", rng=Random(0), emit=lambda _stream, _rows: ())
    seen = {}
    while len(seen) < 2:
        answer = gateway.rank(mini.REQUEST)
        seen[answer.variant] = (
            answer if answer.propensities[0] == 0.9625 else seen.get(answer.variant, answer)
        )
    champion, challenger = seen["champion"], seen["challenger"]
    assert (champion.items, champion.scores, champion.version) == (
        (4, 3, 2),
        (16.0, 12.0, 8.0),
        "ranker@1",
    )
    assert challenger.items == (1, 2, 3)
    assert challenger.scores[0] == pytest.approx(100 - 4 + 0.001 * 38), (
        "position comes from serve_as, the segment's feature is shared"
    )
    assert json.loads(str(champion)).keys() == {
        "items", "scores", "propensities", "variant", "version", "rules", "request_id", "stale_features"
    }  # fmt: skip


def test_a_parameter_is_tried_on_the_model_alone_by_the_gateway_and_by_the_command(project):
    logged = []
    gateway = Gateway(project, "ranker", emit=lambda stream, _rows: logged.append(stream) or ())
    assert gateway.model_parameters == ("plus",)
    assert gateway.score(
        mini.REQUEST, variant="champion", parameters={"plus": 0.5}
    ).predictions == (4.5, 8.5, 12.5, 16.5)
    gateway.close()
    assert logged == [], "nothing was shown"
    ask = (project.folder, "endpoints", "invoke", "ranker", json.dumps(mini.REQUEST), "--parameter")
    predictions = isthmus(*ask, "plus=1e6", "--json").json["predictions"]
    assert len(predictions) == 4
    assert min(predictions) > 900_000

    def refusal(parameter):
        return isthmus(*ask, parameter, ok=False).err

    assert "the parameter plus is 'much', not a number" in refusal('plus="much"')
    assert "no deployed model of ranker takes pus" in refusal("pus=1")
    assert "did you mean plus?" in refusal("pus=1")
    assert "a parameter is NAME=JSON" in refusal("plus=much")
    assert "a parameter is NAME=JSON" in refusal("plus")


def test_features_older_than_ttl_are_told(project):
    gateway = Gateway(project, "ranker", emit=lambda _stream, _rows: ())
    assert gateway.rank(mini.REQUEST).stale_features == ()
    assert gateway.rank({**mini.REQUEST, "segment_id": "old"}).stale_features == (
        "segment_history.segment_impressions",
    )


@pytest.mark.parametrize(("online_cache", "reads"), [(timedelta(minutes=1), 1), (timedelta(0), 3)])
def test_rankings_of_one_moment_share_the_rows_of_features_unless_the_cache_is_off(
    project, monkeypatch, online_cache, reads
):
    """Each ranking reads all of its views at once."""
    store, asked = project.target.online, []
    read = store.get
    monkeypatch.setattr(
        type(store), "get", lambda _self, wanted: asked.append(wanted) or read(wanted)
    )
    endpoint = msgspec.structs.replace(project.spec.endpoints["ranker"], online_cache=online_cache)
    monkeypatch.setitem(project.spec.endpoints, "ranker", endpoint)
    gateway = Gateway(project, "ranker", rng=Random(0), emit=lambda _stream, _rows: ())
    answers = [gateway.rank(mini.REQUEST) for _ in range(3)]
    assert len(asked) == reads
    assert len(asked[0]) == 2
    assert all(answer.stale_features == () for answer in answers)


def test_a_key_that_a_model_needs_must_be_sent(project):
    request = {key: value for key, value in mini.REQUEST.items() if key != "segment_id"}
    with pytest.raises(Invalid, match="segment_id is missing"):
        Gateway(project, "ranker").rank(request)


def test_every_shown_item_is_exposed_with_the_propensity_that_was_answered(project):
    answers = {}
    with Gateway(project, "ranker", rng=Random(1)) as gateway:
        for _ in range(60):
            answer = gateway.rank(mini.REQUEST)
            answers[answer.request_id] = answer
    numbers = sorted(int(request_id.rpartition("-")[2]) for request_id in answers)
    assert numbers == list(range(1, 61)), "a gap is a lost answer"
    rows = project.target.warehouse.query(
        "SELECT * FROM exposures ORDER BY event_id", {}
    ).to_pylist()
    mine = [row for row in rows if row["event_id"].rpartition("-")[0] in answers]
    assert len(mine) == 60 * 3
    for row in mine:
        request_id, _, position = row["event_id"].rpartition("-")
        answer, at = answers[request_id], int(position) - 1
        assert row["position"] == at + 1
        assert row["entity_key"] == str(answer.items[at])
        assert (row["variant"], row["version"], row["unit"]) == (
            answer.variant,
            answer.version,
            "v1",
        )
        assert row["propensity"] == answer.propensities[at]
        assert row["score"] == answer.scores[at]
    assert gateway.undelivered == 0


def test_exploration_shows_everything_everywhere_and_says_so(project):
    logged = {"exposures": [], "rankings": []}
    gateway = Gateway(
        project,
        "ranker",
        rng=Random(3),
        emit=lambda stream, rows: logged[stream].extend(rows) or (),
    )
    for _ in range(400):
        gateway.rank(mini.REQUEST)
    gateway.close()
    explored = {
        row["event_id"].rpartition("-")[0] for row in logged["exposures"] if row["explored"]
    }
    assert 5 <= len(explored) <= 40, "5 % of 400, give or take"
    assert {row["propensity"] for row in logged["exposures"]} == {0.9625, 0.0125}
    assert {row["event_id"] for row in logged["rankings"] if row["explored"]} == explored
    assert [row["sequence"] for row in logged["rankings"]] == list(range(1, 401))


def test_an_exposure_that_is_lost_is_counted_and_told_and_the_answer_given(project, capsys):
    def full(_stream, _rows):
        raise Denied("the stream does not answer")

    def second_exposure(stream, _rows):
        return (Rejected(index=1, reason="no unit"),) if stream == "exposures" else ()

    gateway = Gateway(project, "ranker", emit=full, durable=True)
    answer = gateway.rank(mini.REQUEST)
    assert len(answer.items) == 3
    lost = "not delivered: the stream does not answer"
    assert answer.problems == (f"3 of 3 exposures {lost}; 1 of 1 rankings {lost}",)
    assert gateway.undelivered == 3
    assert "exposures not delivered" in capsys.readouterr().err
    gateway = Gateway(project, "ranker", emit=second_exposure, durable=True)
    assert gateway.rank(mini.REQUEST).problems == ("1 of 3 exposures not delivered: no unit",)


def test_a_request_that_fails_leaves_no_gap_in_the_numbers(project, monkeypatch):
    with Gateway(project, "ranker", emit=lambda _stream, _rows: ()) as gateway:
        first = gateway.rank(mini.REQUEST).request_id
        with monkeypatch.context() as patch:
            patch.setattr(
                type(project.target.endpoints),
                "invoke",
                raising(ModelError("it failed", status=500, body="")),
            )
            with pytest.raises(ModelError):
                gateway.rank(mini.REQUEST)
        assert gateway.rank(mini.REQUEST).request_id == f"{first.rpartition('-')[0]}-2"


def raising(error):
    def call(*_arguments, **_options):
        raise error

    return call


def test_leaving_the_project_delivers_what_a_gateway_that_nobody_closed_has_answered(
    folder, project
):
    with mini.opened(folder) as another:
        answer = Gateway(another, "ranker").rank(mini.REQUEST)
    sql = "SELECT count(*) AS n FROM exposures WHERE event_id LIKE $mine"
    assert project.target.warehouse.query(sql, {"mine": f"{answer.request_id}-%"})[
        "n"
    ].to_pylist() == [3]


SERVING = """
import isthmus, sys
from isthmus.endpoints.gateway.gateway import Gateway
with isthmus.open(sys.argv[1]) as project:
    with Gateway(project, "ranker") as gateway:
        for _ in range(20):
            gateway.rank({"visitor_id": "v1", "segment_id": "a", "item_id": [1, 2, 3, 4], "slots": 3})
    assert gateway.undelivered == 0
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_process_that_only_ranks_needs_no_engine(folder, deployed):
    """Each costs some 30 to 100 MB for as long as it serves."""
    command = [sys.executable, "-c", SERVING, str(folder / "project.yaml")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    modules = set(done.stdout.split())
    assert "sqlite3" in modules
    assert not modules & {"duckdb", "pyarrow", "pandas", "numpy", "sqlglot", "sklearn", "starlette"}


def test_many_threads_rank_at_once(project):
    gateway = Gateway(project, "ranker")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: gateway.rank(mini.REQUEST), range(80)))
    assert len({answer.request_id for answer in answers}) == 80
    assert sum(gateway.tally.requests.values()) == 80
    assert gateway.tally.percentile(0.5) > 0


def test_traffic_moves_and_is_read_back(project):
    change = traffic(project, "ranker", {"challenger": D(20)})
    assert change.before == {"champion": D(90), "challenger": D(10)}
    assert change.after == {"champion": D(80), "challenger": D(20)}
    assert str(change).startswith(
        "local   ranker   champion 90 -> 80   challenger 10 -> 20\n  read back 80/20"
    )
    assert (
        str(intent(project, "ranker", {"challenger": D(0)}))
        == "local   ranker   champion 80 -> 100   challenger 20 -> 0"
    )
    with pytest.raises(
        Unsupported, match=r"steps of 0\.01 %: 0\.005 cannot be set, and is not rounded"
    ):
        traffic(project, "ranker", {"challenger": D("0.005")})
    with pytest.raises(NotFound):
        traffic(project, "nowhere", {"challenger": D(5)})
    assert deploy(project, "ranker").variants[1].percent == D(20), "deploy never moves traffic"
    traffic(project, "ranker", {"challenger": D(10)})


def test_a_sticky_endpoint_keeps_each_unit_at_its_variant_and_moves_exactly_who_must(
    folder, deployed
):
    (folder / "sticky.yaml").write_text(
        mini.FILES["project.yaml"].replace("  ranker:\n", "  steady:\n") + "    routing: sticky\n"
    )
    units = [f"visitor-{number}" for number in range(300)]
    with (
        im.open(folder / "sticky.yaml") as project,
        Gateway(project, "steady", emit=lambda _stream, _rows: ()) as gateway,
    ):
        now, looks = project.target.clock(), count()
        project.target.clock = lambda: (
            now + timedelta(seconds=5) * next(looks)
        )  # what is written serves after 15 s
        result = deploy(project, "steady")
        assert (result.created, result.smoke.ok, [v.percent for v in result.variants]) == (
            True,
            True,
            [D(90), D(10)],
        )

        def answered():
            gateway._arms.reader.look()
            return {
                unit: gateway.rank(mini.REQUEST | {"visitor_id": unit}).variant for unit in units
            }

        before = answered()
        assert before == answered()
        assert {unit for unit in units if before[unit] == "challenger"} == {
            u for u in units if bucket("split", "steady", u) >= 9000
        }
        change = traffic(project, "steady", {"challenger": D("12.34")})
        assert str(change).startswith(
            "local   steady   champion 90 -> 87.66   challenger 10 -> 12.34\n  read back "
            "87.66/12.34"
        )
        moved = {unit for unit, variant in answered().items() if variant != before[unit]}
        assert moved == {unit for unit in units if 8766 <= bucket("split", "steady", unit) < 9000}
        assert [v.percent for v in deploy(project, "steady").variants] == [
            D("87.66"),
            D("12.34"),
        ], "deploy never moves traffic"
        spec = resolve(
            project,
            endpoint_of(project, "steady"),
            routed_endpoints(project.target).observe("steady"),
        ).spec
        with pytest.raises(Conflict, match="runs with routing: sticky, and keeps it"):
            routed_endpoints(project.target).apply(
                msgspec.structs.replace(spec, routing="weighted")
            )
        (steady,) = [
            r
            for r in project.target.inventory.list("mini")
            if r.kind == "endpoint" and r.name == "steady"
        ]
        project.target.inventory.delete(steady)


def test_traffic_has_one_owner_at_a_time(project):
    state, seen = project.target.state, project.target.endpoints.observe("ranker")
    owner.take(
        state,
        seen,
        kind="rollout",
        name="ro3",
        command="isthmus rollout abort ranker",
        now=project.wall(),
    )
    with pytest.raises(Refused, match="belongs to rollout ro3") as error:
        traffic(project, "ranker", {"challenger": D(50)})
    assert error.value.remedy.startswith("isthmus rollout abort ranker, or let it end")
    assert {v.name: v.percent for v in project.target.endpoints.observe("ranker").variants} == {
        "champion": D(90),
        "challenger": D(10),
    }
    owner.release(state, "ranker", kind="rollout", name="ro3", now=project.wall())


def test_while_a_rollout_owns_the_traffic_deploy_changes_no_variant_nor_its_count(project):
    """Also at 0 %: the new variant is judged as it was started.

    What is dead may be started again.
    """
    host, state = project.target.endpoints, project.target.state
    sized = resolve(project, endpoint_of(project, "ranker"), None).spec
    sized = msgspec.structs.replace(
        sized,
        variants=(sized.variants[0], msgspec.structs.replace(sized.variants[1], instances=(2, 2))),
    )
    host.apply(sized)
    until(lambda: host.observe("ranker").variants[1].instances == 2)
    owner.take(
        state,
        host.observe("ranker"),
        kind="rollout",
        name="ro3",
        command="isthmus rollout abort ranker",
        now=project.wall(),
    )
    again = deploy(project, "ranker")
    assert [v.percent for v in again.variants] == [D(90), D(10)]
    assert host.observe("ranker").variants[1].target_instances == 2
    before = host.observe("ranker")
    two = project.target.registry.get("ranker", "challenger")
    project.target.registry.set_alias("ranker", "challenger", None)
    traffic_free = msgspec.structs.replace(before.variants[1], percent=D(0), target_percent=D(0))
    idle = msgspec.structs.replace(before, variants=(before.variants[0], traffic_free))
    with pytest.raises(
        Refused, match=r"belongs to rollout ro3 since .* UTC; deploy would change challenger"
    ) as error:
        with_owned_counts(
            owner.read(state, "ranker"),
            resolve(project, endpoint_of(project, "ranker"), idle).spec,
            idle,
            now=project.wall(),
        )
    assert error.value.remedy.startswith("isthmus rollout abort ranker")
    with pytest.raises(
        Refused, match=r"belongs to rollout ro3 .*; destroy would take the endpoint away"
    ):
        destroy(project)
    assert host.observe("ranker") == before
    project.target.registry.set_alias("ranker", "challenger", two.version)
    owner.release(state, "ranker", kind="rollout", name="ro3", now=project.wall())
