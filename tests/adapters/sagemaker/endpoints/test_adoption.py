"""An endpoint that a boto3 script made, taken over: what runs stays as it is, and traffic moves by
our names.
"""

import io
import re
import tarfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import boto3
import msgspec
import pytest
import yaml

import isthmus
from isthmus.adapters.sagemaker.endpoints import adoption
from isthmus.endpoints.deploy.adoption import adopt, describe
from isthmus.endpoints.port import Window
from isthmus.endpoints.traffic.convergence import variants_ready
from isthmus.errors import Busy, Refused, Unsupported
from isthmus.lifecycle.checks.validate import validate
from isthmus.rollouts.verbs.declared_plan import plan_of
from isthmus.rollouts.verbs.rollout import start, tick
from isthmus.storage import wait
from isthmus.tests.adapters.adoption_kit import (
    BARE,
    MODELS,
    PROJECT,
    add,
    killed_after_each_effect,
    written,
)
from isthmus.tests.adapters.sagemaker.ml_kit import asked
from isthmus.tests.cli.running import isthmus as command
from isthmus.tests.conformance.toy_models import model_folder, settled, variant
from isthmus.tests.docs.shown import block_of, masked, pattern
from isthmus_stack.testing.keys_kit import keys

NAME = "Prod-AB"
ROLE = "arn:aws:iam::123456789012:role/theirs"
CALL = ("--target", "sagemaker", "--offline")


@pytest.fixture
def theirs(stack):
    """A client that knows nothing of Isthmus."""
    return boto3.client(
        "sagemaker", endpoint_url=stack.url, region_name="us-east-1", **keys(stack.url)
    )


def archive(folder, value):
    model_folder(folder / str(value), value)
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
            packed.add(folder / str(value), arcname=".")
        return buffer.getvalue()


@pytest.fixture
def standing(theirs, stack, tmp_path):
    """Two models of archives behind one endpoint, 3 to 1."""
    s3 = boto3.client("s3", endpoint_url=stack.url, region_name="us-east-1", **keys(stack.url))
    s3.create_bucket(Bucket="theirs")
    for name, value in MODELS:
        s3.put_object(
            Bucket="theirs", Key=f"{name}/model.tar.gz", Body=archive(tmp_path / "models", value)
        )
        container = {
            "Image": "isthmus",
            "ModelDataUrl": f"s3://theirs/{name}/model.tar.gz",
            "Environment": {"NAME": name},
        }
        theirs.create_model(
            ModelName=f"model-{name}", PrimaryContainer=container, ExecutionRoleArn=ROLE
        )
    common = {
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "ContainerStartupHealthCheckTimeoutInSeconds": 120,
    }
    variants = [
        {
            "VariantName": name,
            "ModelName": f"model-{name}",
            "InitialVariantWeight": weight,
            **common,
        }
        for name, weight in (("Old-1", 3.0), ("new", 1.0))
    ]
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://theirs/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    theirs.create_endpoint_config(
        EndpointConfigName="ab-7", ProductionVariants=variants, DataCaptureConfig=capture
    )
    theirs.create_endpoint(
        EndpointName=NAME, EndpointConfigName="ab-7", Tags=[{"Key": "team", "Value": "ranking"}]
    )
    theirs.get_waiter("endpoint_in_service").wait(
        EndpointName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    return theirs.describe_endpoint(EndpointName=NAME)


@pytest.fixture
def folder(tmp_path, profile):
    return written(tmp_path / "project", profile)


def assert_as_shown(said, shown):
    """As docs/how-to.md has it, below the line that says where the command is."""
    lines = [masked(line) for line in said.out.splitlines()[1:] if not line.startswith("next ")]
    assert re.fullmatch(
        pattern(block_of("how-to.md", f"{shown} --target sagemaker")),
        "".join(f"{line}\n" for line in lines),
    ), lines


def without_time(described):
    return {key: value for key, value in described.items() if key != "ResponseMetadata"}


def tags(theirs, arn):
    return {tag["Key"]: tag["Value"] for tag in theirs.list_tags(ResourceArn=arn)["Tags"]}


def test_a_standing_endpoint_is_taken_over_and_nothing_but_its_tags_changes(
    folder, theirs, standing, stack
):
    """One flow of some seconds: what costs them are the two containers, and every line below needs
    them.
    """
    arn = standing["EndpointArn"]
    shown = command(folder, "import", "sagemaker", "endpoint", NAME, *CALL, "--json").json
    assert (shown["adopted"], tags(theirs, arn)) == (False, {"team": "ranking"})
    assert_as_shown(
        command(folder, "import", "sagemaker", "endpoint", NAME, *CALL),
        f"isthmus import sagemaker endpoint {NAME}",
    )
    stopped = command(
        folder, "import", "sagemaker", "endpoint", NAME, *CALL, "--adopt", "--dry-run"
    ).out
    assert "would call CreateModelPackageGroup" in stopped
    assert theirs.list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    add(folder, "sagemaker", shown["yaml"])
    early = command(folder, "traffic", "prod_ab", "new=30", *CALL, ok=False)
    assert (early.code, "nobody has adopted it" in early.err) == (1, True)

    killed_by = killed_after_each_effect(
        folder, "sagemaker", NAME
    )  # the group, two versions and their approvals, the tags
    assert killed_by == [
        "CreateModelPackageGroup",
        *["CreateModelPackage", "UpdateModelPackage"] * 2,
        "AddTags",
    ]
    again = command(
        folder, "import", "sagemaker", "endpoint", NAME, *CALL, "--adopt", "--json"
    ).json
    assert again == shown | {"adopted": True, "yaml": again["yaml"]}
    assert {
        "targets": {"sagemaker": {"adopted": {"prod_ab": NAME}}},
        **yaml.safe_load(again["yaml"]),
    } == yaml.safe_load(shown["yaml"])
    assert (
        "adopted already: nothing was changed"
        in command(folder, "import", "sagemaker", "endpoint", NAME, *CALL, "--adopt").out
    )
    assert without_time(theirs.describe_endpoint(EndpointName=NAME)) == without_time(standing)
    assert [
        problem
        for problem in validate(folder / "project.yaml").problems
        if "rollouts." not in problem.message
    ] == []

    assert_as_shown(
        command(folder, "traffic", "prod_ab", "new=30", *CALL), "isthmus traffic prod_ab new=30"
    )
    weights = {
        v["VariantName"]: v["CurrentWeight"]
        for v in theirs.describe_endpoint(EndpointName=NAME)["ProductionVariants"]
    }
    assert weights == {"Old-1": 70, "new": 30}
    assert "old_1 prod_ab@1 70 %" in command(folder, "endpoints", "list", *CALL).out
    assert "prod_ab@2" in command(folder, "models", "list", *CALL).out
    logs = boto3.client("logs", endpoint_url=stack.url, region_name="us-east-1", **keys(stack.url))
    stream = {"logGroupName": f"/aws/sagemaker/Endpoints/{NAME}", "logStreamName": "Old-1/i-0"}
    logs.create_log_stream(**stream)
    logs.put_log_events(
        **stream, logEvents=[{"timestamp": int(time.time() * 1000), "message": "of theirs"}]
    )
    assert command(
        folder, "endpoints", "logs", "prod_ab", "--variant", "old_1", *CALL, "--json"
    ).json == {"old_1": ["of theirs"]}
    deployed = command(folder, "deploy", "prod_ab", *CALL, ok=False)
    assert (deployed.code, "was not trained by Isthmus" in deployed.err) == (1, True)

    with isthmus.open(folder / "project.yaml", target="sagemaker", offline=True) as project:
        host, spec = project.target.endpoints, plan_of(project, "prod_ab").spec
        state = host.observe("prod_ab")
        assert variants_ready(spec, state)
        assert {(r.kind, r.name) for r in project.target.inventory.list("conf")} == {
            ("endpoint", "prod_ab"),
            ("model", "prod_ab"),
        }
        answers = {
            name: host.invoke("prod_ab", [{"x": 0}], variant=name, request_id=name)
            for name in ("old_1", "new")
        }
        assert {name: (reply.variant, reply.predictions) for name, reply in answers.items()} == {
            "old_1": ("old_1", (1.0,)),
            "new": ("new", (2.0,)),
        }
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        project.target.clock = lambda: now + timedelta(hours=1)
        minutes = project.target.metrics.read(
            "prod_ab", Window(start=now - timedelta(minutes=5), end=now + timedelta(minutes=5))
        )
        assert {
            name: sum(minute.requests for minute in listed) for name, listed in minutes.items()
        } == {"old_1": 1, "new": 1}
        project.target.profile.options["serving"] = {
            "count": 3
        }  # for what is deployed: what was adopted keeps its instances
        assert host.apply(spec) == host.observe("prod_ab")
        other = project.target.registry.register(
            "prod_ab", uri=f"{project.target.blobs.root}/models/x", digest="d", image="isthmus"
        )
        with pytest.raises(Refused, match="prod_ab@3 does not run there"):
            host.apply(
                msgspec.structs.replace(spec, variants=(spec.variants[0], variant(other, "new")))
            )

    theirs.delete_model(ModelName="model-new")  # and another one under its name
    theirs.create_model(
        ModelName="model-new", PrimaryContainer={"Image": "isthmus"}, ExecutionRoleArn=ROLE
    )
    with isthmus.open(folder / "project.yaml", target="sagemaker", offline=True) as project:
        assert project.target.endpoints.observe("prod_ab").revision == "foreign:ab-7"
        assert not describe(project, NAME).adopted

    (folder / "project.yaml").write_text(PROJECT.replace("conf", "other"))
    other = command(
        folder, "import", "sagemaker", "endpoint", NAME, *CALL, "--as", "mine", "--adopt", ok=False
    )
    assert (other.code, "is of project conf" in other.err) == (1, True)

    (folder / "project.yaml").write_text(PROJECT)
    with isthmus.open(folder / "project.yaml", target="sagemaker", offline=True) as project:
        (there,) = (
            resource
            for resource in project.target.inventory.list("conf")
            if resource.kind == "endpoint"
        )
        isthmus.destroy(project)
        project.target.inventory.delete(there)  # as where a list comes late
    assert tags(theirs, arn) == {"team": "ranking"}
    assert asked(stack, "UpdateEndpoint") == asked(stack, "DeleteEndpoint") == 0
    assert theirs.describe_endpoint(EndpointName=NAME)["EndpointConfigName"] == "ab-7"


def test_a_project_without_an_objective_takes_an_endpoint_over_and_moves_its_traffic(
    folder, theirs, standing
):
    (folder / "project.yaml").write_text(BARE)
    shown = command(
        folder, "import", "sagemaker", "endpoint", NAME, *CALL, "--adopt", "--json"
    ).json
    assert "objective" not in shown["yaml"]
    add(folder, "sagemaker", shown["yaml"])
    planned = command(folder, "plan", *CALL, "--detailed-exitcode")
    assert (planned.code, "= 1 in place: nothing to do" in planned.out) == (0, True)
    command(folder, "traffic", "prod_ab", "new=30", *CALL)
    planned = command(folder, "plan", *CALL, "--detailed-exitcode")
    assert planned.code == 0
    assert (
        "prod_ab: serves old_1 70 %, new 30 %; project.yaml begins with old_1 75 %, new 25 %"
        in planned.out
    )
    assert command(folder, "status", *CALL).code == 0
    refused = command(folder, "deploy", "prod_ab", *CALL, ok=False)
    assert "endpoints.prod_ab has no objective" in refused.err
    refused = command(folder, "endpoints", "invoke", "prod_ab", "{}", *CALL, ok=False)
    assert "endpoints.prod_ab has no objective" in refused.err
    with isthmus.open(folder / "project.yaml", target="sagemaker", offline=True) as project:
        assert plan_of(project, "prod_ab").stages  # of a rollout, which nothing refuses
    gone = command(folder, "destroy", "--yes", *CALL)
    assert "endpoint prod_ab released, keeps running" in gone.out
    assert theirs.describe_endpoint(EndpointName=NAME)["EndpointStatus"] == "InService"


def test_a_rollout_moves_it_and_the_promoted_version_takes_the_old_variants_name_with_the_container_that_stands(
    folder, theirs, standing
):
    """The end of a rollout is played without its bakes.

    It starts the two containers, and one more for each change.
    """
    before = theirs.describe_endpoint_config(EndpointConfigName="ab-7")
    with isthmus.open(folder / "project.yaml", target="sagemaker", offline=True) as project:
        add(folder, "sagemaker", adopt(project, NAME).yaml)
    with isthmus.open(folder / "project.yaml", target="sagemaker", offline=True) as project:
        host, spec = project.target.endpoints, plan_of(project, "prod_ab").spec
        start(project, "prod_ab")
        moved = wait(
            lambda: (tick(project), host.observe("prod_ab"))[1],
            lambda state: {v.name: v.percent for v in state.variants} == {"old_1": 50, "new": 50},
            deadline=timedelta(minutes=2),
            what="the first step",
        )
        assert variants_ready(spec, moved)
        host.shift(
            "prod_ab",
            {"old_1": Decimal(0), "new": Decimal(100)},
            expect=host.observe("prod_ab").token,
        )
        settled(project.target, "prod_ab")
        home = msgspec.structs.replace(
            spec, variants=tuple(msgspec.structs.replace(v, version=2) for v in spec.variants)
        )
        host.apply(home)
        at_home = settled(project.target, "prod_ab")
        assert variants_ready(home, at_home)
        assert {v.name: v.percent for v in at_home.variants} == {"old_1": 0, "new": 100}
        assert host.invoke("prod_ab", [{"x": 0}], variant="old_1", request_id="q").predictions == (
            2.0,
        )
        host.shift("prod_ab", {"old_1": Decimal(100), "new": Decimal(0)}, expect=at_home.token)
        settled(project.target, "prod_ab")
        final = msgspec.structs.replace(home, variants=home.variants[:1])
        host.apply(final)
        assert variants_ready(final, settled(project.target, "prod_ab"))
    config = theirs.describe_endpoint_config(
        EndpointConfigName=theirs.describe_endpoint(EndpointName=NAME)["EndpointConfigName"]
    )
    assert config["DataCaptureConfig"] == before["DataCaptureConfig"]
    stood = {
        **before["ProductionVariants"][1],
        "VariantName": "Old-1",
        "InitialVariantWeight": 100.0,
    }
    assert config["ProductionVariants"] == [stood]
    assert len(theirs.list_models()["Models"]) == 2
    with isthmus.open(folder / "project.yaml", target="sagemaker", offline=True) as project:
        del project.target.profile.options["adopted"]  # as where somebody took the line out
        (there,) = (
            resource
            for resource in project.target.inventory.list("conf")
            if resource.kind == "endpoint"
        )
        project.target.inventory.delete(there)
    assert tags(theirs, standing["EndpointArn"]) == {"team": "ranking"}
    assert theirs.describe_endpoint(EndpointName=NAME)["EndpointStatus"] == "InService"


@pytest.mark.parametrize(
    ("described", "variant", "wrong"),
    [
        ({"EndpointStatus": "Updating"}, {}, (Busy, "Updating")),
        ({"EndpointStatus": "Failed"}, {}, (Refused, "Failed")),
        ({"AsyncInferenceConfig": {}}, {}, (Unsupported, "asynchronous")),
        ({"ShadowProductionVariants": [{}]}, {}, (Unsupported, "shadow")),
        ({}, {"ModelName": None}, (Unsupported, "inference components")),
        ({}, {"ServerlessConfig": {}}, (Unsupported, "serverless")),
        ({}, {"InstanceType": None, "InstancePools": [{}]}, (Unsupported, "instance pools")),
    ],
)
def test_what_cannot_be_taken_over_is_refused_by_its_name(described, variant, wrong):
    configured = {"VariantName": "a", "ModelName": "m", "InstanceType": "ml.m5.large"} | variant
    given = {"EndpointStatus": "InService"} | described
    kind, words = wrong
    with pytest.raises(kind, match=words):
        adoption.check_endpoint(
            "ab",
            given,
            {"a": {key: value for key, value in configured.items() if value is not None}},
        )


def test_more_variants_than_the_adapter_takes_are_refused():
    many = {f"v{n}": {"ModelName": "m", "InstanceType": "ml.m5.large"} for n in range(11)}
    with pytest.raises(Unsupported, match="11 variants"):
        adoption.check_endpoint("ab", {"EndpointStatus": "InService"}, many)


def test_a_target_whose_endpoints_cannot_be_taken_over_is_refused_by_name(folder):
    said = command(folder, "import", "local", "endpoint", "ab", ok=False)
    assert (said.code, "cannot be taken over yet" in said.err) == (1, True)
    other = command(folder, "import", "sagemaker", "endpoint", "ab", ok=False)
    assert "--target sagemaker" in other.err
