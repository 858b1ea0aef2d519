"""An endpoint that a script of google-cloud-aiplatform made, taken over: what runs stays as it is,
and traffic moves by our names.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import yaml

import isthmus
from isthmus.adapters.vertex import operations
from isthmus.adapters.vertex.endpoints import adoption, labels
from isthmus.adapters.vertex.pipelines.registry import HEALTH, PREDICT
from isthmus.adapters.vertex.resources import deletion
from isthmus.adapters.vertex.session import session_of
from isthmus.endpoints.deploy.adoption import adopt, describe
from isthmus.endpoints.port import VariantSpec, Window
from isthmus.endpoints.traffic.convergence import variants_ready
from isthmus.errors import Busy, Conflict, NotFound, Refused, Unsupported
from isthmus.lifecycle.checks.validate import validate
from isthmus.rollouts.verbs.declared_plan import plan_of
from isthmus.rollouts.verbs.rollout import abort, start, tick
from isthmus.storage import wait
from isthmus.tests.adapters.adoption_kit import (
    MODELS,
    PROJECT,
    add,
    killed_after_each_effect,
    written,
)
from isthmus.tests.cli.running import isthmus as command
from isthmus.tests.conformance.toy_models import model_folder, settled, variant

pytestmark = pytest.mark.slow
CALL = ("--target", "vertex", "--offline")
THEIRS = {"team": "ranking"}


@pytest.fixture
def sdk(target, tmp_path):
    """google.cloud.aiplatform, led to the stack; what it does knows nothing of Isthmus."""
    from isthmus.adapters.vertex.resources.native import VertexObjects

    return VertexObjects(target).session


@pytest.fixture
def standing(sdk, target, tmp_path):
    """Two models of folders behind one endpoint that has no name of ours, 3 to 1; the second is
    autoscaled.
    """
    bucket = session_of(target).storage.create_bucket("theirs")
    endpoint = sdk.Endpoint.create(
        display_name="Prod AB", labels=THEIRS, description="The ranking of the shop"
    )
    for name, value in MODELS:
        place = tmp_path / "models" / name
        model_folder(place, value)
        for file in filter(Path.is_file, place.rglob("*")):
            bucket.blob(f"{name}/{file.relative_to(place)}").upload_from_filename(file)
        model = sdk.Model.upload(
            display_name=f"model-{name}",
            artifact_uri=f"gs://theirs/{name}",
            serving_container_image_uri="isthmus",
            serving_container_predict_route=PREDICT,
            serving_container_health_route=HEALTH,
        )
        endpoint.deploy(
            model,
            deployed_model_display_name=name,
            machine_type="n1-standard-2",
            traffic_percentage=25 if name == "new" else 100,
            max_replica_count=3 if name == "new" else 1,
        )
    return endpoint


@pytest.fixture
def folder(tmp_path, profile):
    return written(tmp_path / "project", profile)


def opened(folder):
    return isthmus.open(folder / "project.yaml", target="vertex", offline=True)


def as_it_is(endpoint):
    """All that the service says of it, but for what every change of it, or every read, changes."""
    message = type(endpoint.gca_resource).to_dict(now(endpoint))
    for model in message["deployed_models"]:
        del model["status"]
    return {key: value for key, value in message.items() if key not in ("etag", "update_time")}


def now(endpoint):
    endpoint._sync_gca_resource()
    return endpoint.gca_resource


def split(endpoint):
    there = now(endpoint)
    return {
        model.display_name: there.traffic_split.get(model.id, 0) for model in there.deployed_models
    }


def write_a_line(target, endpoint, number):
    """As the container of a deployed model does."""
    from google.cloud.logging_v2.types import LogEntry

    resource = {
        "type": "aiplatform.googleapis.com/Endpoint",
        "labels": {"endpoint_id": endpoint.name, "location": "us-central1"},
    }
    line = LogEntry(
        log_name="projects/conformance/logs/aiplatform.googleapis.com%2Fprediction_container",
        resource=resource,
        labels={"deployed_model_id": number},
        text_payload="of theirs",
    )
    session_of(target).logging.write_log_entries(entries=[line])


def test_a_standing_endpoint_is_taken_over_and_nothing_but_its_labels_changes(
    folder, standing, sdk, target, stack
):
    """One flow of some seconds: what costs them are the two containers, and every line below needs
    them.
    """
    native, before = standing.name, as_it_is(standing)
    shown = command(folder, "import", "vertex", "endpoint", native, *CALL, "--json").json
    assert (shown["endpoint"], shown["adopted"], as_it_is(standing)) == ("prod_ab", False, before)
    assert [(v["name"], v["runs"], v["machine"], v["percent"]) for v in shown["variants"]] == [
        ("old_1", "model-Old-1@1", "n1-standard-2", "75"), ("new", "model-new@1", "n1-standard-2", "25"),
    ]  # fmt: skip
    stopped = command(
        folder, "import", "vertex", "endpoint", native, *CALL, "--adopt", "--dry-run"
    ).out
    assert "old_1 75 % prod_ab@1" in stopped
    assert "would call storage.objects.insert on state/registry/prod_ab/" in stopped
    assert len(sdk.Model.list()) == 2
    add(folder, "vertex", shown["yaml"])
    early = command(folder, "traffic", "prod_ab", "new=30", *CALL, ok=False)
    assert (early.code, "nobody has adopted it" in early.err) == (1, True)

    killed_by = killed_after_each_effect(folder, "vertex", native)
    assert [name for name in killed_by if not name.startswith("storage.")] == [
        *["UploadModel", "UpdateModel"] * 2,
        "UpdateEndpoint",
    ]
    assert len(sdk.Model("conf-prod-ab").versioning_registry.list_versions()) == 2
    again = command(
        folder, "import", "vertex", "endpoint", standing.resource_name, *CALL, "--adopt", "--json"
    ).json
    assert again == shown | {"adopted": True, "yaml": again["yaml"]}
    assert {
        "targets": {"vertex": {"adopted": {"prod_ab": native}}},
        **yaml.safe_load(again["yaml"]),
    } == yaml.safe_load(shown["yaml"])
    assert (
        "adopted already: nothing was changed"
        in command(folder, "import", "vertex", "endpoint", native, *CALL, "--adopt").out
    )
    taken_over = as_it_is(standing)
    assert taken_over | {"labels": THEIRS} == before
    assert {key: value for key, value in taken_over["labels"].items() if not key.startswith("isthmus_variant_")} == {
        **THEIRS, "isthmus_project": "conf", "isthmus_kind": "endpoint", "isthmus_name": "prod_ab",
    }  # fmt: skip
    assert [
        problem
        for problem in validate(folder / "project.yaml").problems
        if "rollouts." not in problem.message
    ] == []

    moved = command(folder, "traffic", "prod_ab", "new=30", *CALL, "--json").json
    assert {name: float(percent) for name, percent in moved["after"].items()} == {
        "old_1": 70,
        "new": 30,
    }
    assert split(standing) == {"Old-1": 70, "new": 30}
    assert "old_1 prod_ab@1 70 %" in command(folder, "endpoints", "list", *CALL).out
    assert "prod_ab@2" in command(folder, "models", "list", *CALL).out
    deployed = command(folder, "deploy", "prod_ab", *CALL, ok=False)
    assert (deployed.code, "was not trained by Isthmus" in deployed.err) == (1, True)
    write_a_line(target, standing, now(standing).deployed_models[0].id)
    assert command(
        folder, "endpoints", "logs", "prod_ab", "--variant", "old_1", *CALL, "--json"
    ).json == {"old_1": ["of theirs"]}

    with opened(folder) as project:
        host, spec = project.target.endpoints, plan_of(project, "prod_ab").spec
        state = host.observe("prod_ab")
        assert variants_ready(spec, state)
        assert {(r.kind, r.name) for r in project.target.inventory.list("conf")} == {
            ("endpoint", "prod_ab"),
            ("model", "prod_ab"),
        }
        assert project.native.endpoint("prod_ab").resource_name == standing.resource_name
        answers = {
            reply.variant: reply.predictions
            for number in range(60)
            for reply in [host.invoke("prod_ab", [{"x": 0}], variant=None, request_id=f"{number}")]
        }
        assert answers == {"old_1": (1.0,), "new": (2.0,)}
        moment = datetime.now(UTC).replace(second=0, microsecond=0)
        project.target.clock = lambda: moment + timedelta(hours=1)
        minutes = project.target.metrics.read(
            "prod_ab",
            Window(start=moment - timedelta(minutes=5), end=moment + timedelta(minutes=5)),
        )
        assert sum(minute.requests for listed in minutes.values() for minute in listed) == 60
        project.target.profile.options["serving"] = {
            "replicas": "2"
        }  # for what is deployed: what was adopted keeps its replicas
        unsized = msgspec.structs.replace(
            spec, variants=tuple(msgspec.structs.replace(v, instances=None) for v in spec.variants)
        )
        assert host.apply(unsized) == host.observe("prod_ab")
        other = project.target.registry.register("prod_ab", uri="", digest="d", image="isthmus")
        with pytest.raises(Refused, match="prod_ab@3 does not run there"):
            host.apply(
                msgspec.structs.replace(spec, variants=(spec.variants[0], variant(other, "new")))
            )

    (folder / "project.yaml").write_text(PROJECT.replace("conf", "other"))
    other = command(
        folder, "import", "vertex", "endpoint", native, *CALL, "--as", "mine", "--adopt", ok=False
    )
    assert (other.code, "is of project conf" in other.err) == (1, True)

    (folder / "project.yaml").write_text(PROJECT)
    with opened(folder) as project:
        (there,) = (
            resource
            for resource in project.target.inventory.list("conf")
            if resource.kind == "endpoint"
        )
        assert "endpoint prod_ab released, keeps running" in str(isthmus.destroy(project))
        assert [resource.kind for resource in project.target.inventory.list("conf")] == [
            "model"
        ]  # destroy keeps the registry
        project.target.inventory.delete(there)  # as where a list comes late
        assert deletion.endpoint_cost(session_of(project.target), "prod_ab") == there.hourly_cost
    assert as_it_is(standing) == before | {"traffic_split": as_it_is(standing)["traffic_split"]}
    assert split(standing) == {"Old-1": 70, "new": 30}
    assert not {"EndpointService.UndeployModel", "EndpointService.DeleteEndpoint"} & {
        call.operation for call in stack.calls()
    }


def test_a_rollout_moves_it_and_the_promoted_version_takes_the_old_variants_name_with_the_container_that_stands(
    folder, standing
):
    """The end of a rollout is played without its bakes.

    It starts the two containers, and one more.
    """
    with opened(folder) as project:
        add(folder, "vertex", adopt(project, standing.name).yaml)
    with opened(folder) as project:
        host, spec = project.target.endpoints, plan_of(project, "prod_ab").spec
        start(project, "prod_ab")
        moved = wait(
            lambda: (tick(project), host.observe("prod_ab"))[1],
            lambda state: {v.name: v.percent for v in state.variants} == {"old_1": 50, "new": 50},
            deadline=timedelta(minutes=1),
            what="the first step",
        )
        assert variants_ready(spec, moved)
        abort(project, "prod_ab", because="a test")
        assert split(standing) == {"Old-1": 100, "new": 0}
        stood = now(standing).deployed_models[1]
        host.shift(
            "prod_ab",
            {"old_1": Decimal(0), "new": Decimal(100)},
            expect=host.observe("prod_ab").token,
        )
        home = msgspec.structs.replace(
            spec, variants=tuple(msgspec.structs.replace(v, version=2) for v in spec.variants)
        )
        at_home = brought(project, home)
        assert {v.name: v.percent for v in at_home.variants} == {"old_1": 0, "new": 100}
        host.shift("prod_ab", {"old_1": Decimal(100), "new": Decimal(0)}, expect=at_home.token)
        brought(project, msgspec.structs.replace(home, variants=home.variants[:1]))
        assert host.invoke("prod_ab", [{"x": 0}], variant=None, request_id="q").predictions == (
            2.0,
        )
        (serves,) = now(standing).deployed_models
        assert (serves.display_name, serves.model, serves.model_version_id) == (
            "old_1: prod_ab@2",
            stood.model,
            stood.model_version_id,
        )
        assert serves.dedicated_resources.machine_spec == stood.dedicated_resources.machine_spec
        assert describe(project, standing.name).variants[0].name == "old_1"
        isthmus.destroy(project)
        assert (dict(now(standing).labels), now(standing).description) == (
            THEIRS,
            "The ranking of the shop",
        )
        assert (
            describe(project, standing.name).variants[0].name == "old_1"
        )  # what serves keeps the name that the rollout gave it


def brought(project, spec):
    """Applied until it is ready, as a rollout does."""
    host = project.target.endpoints
    return wait(
        lambda: (host.apply(spec), settled(project.target, "prod_ab"))[1],
        lambda state: variants_ready(spec, state),
        deadline=timedelta(minutes=1),
        what=f"{spec}",
    )


def test_what_changed_since_it_was_looked_at_is_not_adopted_and_what_is_deployed_afterwards_is_foreign(
    folder, standing, target, monkeypatch
):
    with opened(folder) as project:
        tag = adoption.VertexAdopter.tag

        def overtaken(self, seen, refs):
            standing.update(traffic_split={model.id: 50 for model in now(standing).deployed_models})
            tag(self, seen, refs)

        with monkeypatch.context() as patched:
            patched.setattr(adoption.VertexAdopter, "tag", overtaken)
            with pytest.raises(Conflict, match="changed since it was looked at"):
                adopt(project, standing.name)
        assert dict(now(standing).labels) == THEIRS
        adopt(project, standing.name)
        with pytest.raises(Refused, match="is endpoint prod_ab of this project already"):
            describe(project, standing.name, name="other")
    first, second = now(standing).deployed_models
    standing.update(traffic_split={first.id: 0, second.id: 100})
    session = session_of(target)
    undeploying = session.endpoints.undeploy_model(
        endpoint=standing.resource_name, deployed_model_id=first.id
    )
    operations.wait_for_success(session, session.endpoints, undeploying, what="undeploying")
    resources = second.dedicated_resources
    again = type(first)(
        id=first.id[:10],
        model=f"{second.model}@1",
        display_name="Old-1",
        dedicated_resources=resources,
    )
    deploying = session.endpoints.deploy_model(
        endpoint=standing.resource_name, deployed_model=again
    )
    operations.wait_for_success(session, session.endpoints, deploying, what="deploying")
    with opened(folder) as project:
        (there,) = (r for r in project.target.inventory.list("conf") if r.kind == "endpoint")
        assert there.name == "prod_ab"
        seen = describe(project, standing.name)
        assert (seen.adopted, [(v.name, v.version) for v in seen.variants]) == (
            False,
            [("new", 2), ("old_1", 2)],
        )
        assert adopt(project, standing.name).adopted
        isthmus.destroy(project)  # profiles.yaml does not name it
        assert dict(now(standing).labels) == THEIRS


def model(number="7", name="ranker", version="1", **fields):
    return SimpleNamespace(
        id=number,
        display_name=name,
        model_version_id=version,
        model="models/1",
        create_time=None,
        **fields,
    )


@pytest.mark.parametrize(
    ("models", "names"),
    [
        ([model("1", "Old-1"), model("2", "new")], ["old_1", "new"]),
        (
            [model("1", version="1"), model("2", version="2")],
            ["ranker_1", "ranker_2"],
        ),  # the SDK's default: the model's own name
        ([model("1"), model("2")], ["ranker_1", "ranker_1_2"]),
        (
            [model("1", "a long name of a model"), model("2", "a long name of another")],
            ["a_long_name_of_1", "a_long_name_1_2"],
        ),
        (
            [model("1", "challenger: ranker@3")],
            ["challenger"],
        ),  # a rollout deployed it, before the endpoint was given back
    ],
)
def test_a_variant_is_called_as_it_is_shown_and_where_two_are_by_their_versions(models, names):
    called = list(adoption.variant_names(models, {}).values())
    assert (called, max(map(len, called)) <= 16) == (names, True)


def test_the_longest_names_fit_a_label_and_are_read_back():
    spec = VariantSpec(name="v" * 16, model="m" * 28, version=10**15)
    there = model()
    marked = labels.with_variants(
        {"team": "ranking", "isthmus_variant_gone": "old-m-1"}, {there.id: spec}, {there.id: there}
    )
    assert max(len(text) for pair in marked.items() for text in pair) <= 63
    assert labels.adopted_as(marked, there) == spec
    assert labels.adopted_as(marked, model("8")) is None
    assert labels.without_ours(marked) == {"team": "ranking"}


@pytest.mark.parametrize(
    ("endpoint", "under_way", "wrong"),
    [
        ({}, [False], (Busy, "operation")),
        ({"network": "projects/1/global/networks/n"}, [], (Unsupported, "private")),
        ({"deployed_models": []}, [True], (Unsupported, "nothing is deployed")),
        ({"traffic_split": {}}, [], (Unsupported, "no traffic")),
        (
            {"deployed_models": [{"id": "7", "automatic_resources": {"min_replica_count": 1}}]},
            [],
            (Unsupported, "no machines"),
        ),
        (
            {"deployed_models": [{"id": "7", "shared_resources": "pool"}]},
            [],
            (Unsupported, "no machines"),
        ),
    ],
)
def test_what_cannot_be_taken_over_is_refused_by_its_name(endpoint, under_way, wrong):
    from google.cloud.aiplatform_v1 import Endpoint

    there = {
        "deployed_models": [{"id": "7", "dedicated_resources": {"min_replica_count": 1}}],
        "traffic_split": {"7": 100},
    } | endpoint
    kind, words = wrong
    with pytest.raises(kind, match=words):
        adoption.check_endpoint(
            "7", Endpoint(there), [SimpleNamespace(done=done) for done in under_way]
        )


def test_an_endpoint_that_is_not_there_or_is_elsewhere_is_told(target, folder):
    with opened(folder) as project:
        for native in ("77", "projects/conformance/locations/us-central1/endpoints/77"):
            with pytest.raises(NotFound, match="Vertex AI has no endpoint"):
                describe(project, native)
