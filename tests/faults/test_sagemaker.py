"""Every fault of the offline AWS against the verbs: the intended state, perhaps after running the
verb again, or a clear error.

What a fault left half-made is in the inventory, which `plan` and `destroy` read: `destroy` right
after it leaves nothing behind. ISTHMUS_EVERY_KILL=1, which `make test-often` sets, tries twice as
much.
"""

import itertools
import os
import random
from decimal import Decimal

import pytest

import isthmus as im
from isthmus.errors import IsthmusError
from isthmus.lifecycle.resources.plan import plan
from isthmus.tests.cli.running import create, edit
from isthmus.tests.conformance.places import aws_stack
from isthmus.tests.faults import flow
from isthmus.tests.faults.flow import RELATIONS, digest
from isthmus_stack.aws.core.environment import STRAY
from isthmus_stack.client import Stack

pytestmark = [pytest.mark.soak, pytest.mark.slow]

# what goes wrong, as the stack is told. 403 is not tried again by the SDK; the rest is, five times
# in all
FAULTS = {
    "throttle": {"kind": "throttle", "times": 5},
    "error": {"kind": "error", "times": 2},
    "denied": {"kind": "error", "code": "AccessDeniedException", "status": 403},
    "latency": {"kind": "latency", "seconds": 0.05, "times": 3},
    "cut before": {"kind": "cut-before", "times": 5},
    "cut after": {"kind": "cut-after"},
    "eventual consistency": {"kind": "eventual-consistency", "seconds": 0.3, "times": 2},
}
# verb -> the operations that change something in it
DATA = {
    "apply": [
        ("glue", "CreateDatabase"),
        ("glue", "CreateTable"),
        ("glue", "UpdateTable"),
        ("athena", "StartQueryExecution"),
        ("kinesis", "CreateStream"),
        ("firehose", "CreateDeliveryStream"),
        ("sagemaker", "CreateFeatureGroup"),
        ("s3", "PutObject"),
    ],
    "ingest": [("s3", "PutObject")],
    "materialize": [
        ("athena", "StartQueryExecution"),
        ("sagemaker-featurestore-runtime", "BatchWriteRecord"),
        ("s3", "PutObject"),
    ],
}
TRAIN = [
    ("sagemaker", "CreatePipeline"),
    ("sagemaker", "UpdatePipeline"),
    ("sagemaker", "StartPipelineExecution"),
    ("sagemaker", "CreateModelPackageGroup"),
    ("sagemaker", "CreateModelPackage"),
    ("sagemaker", "AddTags"),
    ("s3", "PutObject"),
]
DEPLOY = [
    ("sagemaker", "CreateModel"),
    ("sagemaker", "CreateEndpointConfig"),
    ("sagemaker", "CreateEndpoint"),
    ("s3", "PutObject"),
]
CHANGE = [
    ("sagemaker", "CreateEndpointConfig"),
    ("sagemaker", "UpdateEndpoint"),
    ("s3", "PutObject"),
]
TRAFFIC = [("sagemaker", "UpdateEndpointWeightsAndCapacities"), ("s3", "PutObject")]
EVERY = bool(os.environ.get("ISTHMUS_EVERY_KILL"))  # `make test-often` sets it
FLOWS, SEEDS = (
    (4, 3) if EVERY else (2, 1)
)  # with four flows each operation meets more than half of the faults
PAIRS = [
    [*FAULTS][first : first + 2] for first in range(0, len(FAULTS), 2)
]  # one after the other, at each operation
TWO = (
    "champion: {model: ranker@champion, traffic: 90}\n      challenger: {model: ranker@champion, "
    "traffic: 10}"
)


@pytest.fixture(scope="module")
def stack():
    running = aws_stack()
    with pytest.MonkeyPatch.context() as patched:
        for name in STRAY:
            patched.delenv(name, raising=False)
        patched.setenv("AWS_ENDPOINT_URL", running.url)
        patched.setattr(
            "botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0
        )  # the waits are the SDK's affair
        stack = Stack(running.url)
        stack.reset()
        yield stack


@pytest.fixture(autouse=True)
def _no_faults_left(stack):
    yield
    stack.clear_faults()


def opened(folder):
    return im.open(folder / "project.yaml", target="sagemaker", offline=True)


def new(folder):
    """A starter of its own name, so that all share one stack."""
    create(folder)
    (folder / "profiles.yaml").write_text(
        "targets:\n  sagemaker: {region: us-east-1, bucket: s3://example-ranker}\n"
    )
    return folder


@pytest.fixture(scope="module")
def shop(stack, tmp_path_factory):
    """Undisturbed: what the others are compared with, and the model that is deployed."""
    folder = new(tmp_path_factory.mktemp("undisturbed") / "calm")
    with opened(folder) as project:
        im.apply(project)
        im.ingest(project)
        im.materialize(project)
        im.train(project, "models/history.yaml")
    return folder


@pytest.fixture(scope="module")
def wanted(shop):
    with opened(shop) as project:
        return world(project)


def world(project):
    """Digests of everything that a reader can see."""
    tables = {
        name: project.target.warehouse.query(f"SELECT * FROM {name}", {}).to_pylist()
        for name in RELATIONS
    }
    tables["online"] = project.target.online.get({"item_history": [str(key) for key in range(12)]})[
        "item_history"
    ]
    return {name: digest(rows) for name, rows in tables.items()}


def disturb(stack, faults, operations):
    for fault, (service, operation) in itertools.product(faults, operations):
        stack.fault(service=service, operation=operation, **FAULTS[fault])


def insisted(folder, verb):
    return flow.insisted(lambda: opened(folder), verb)


@pytest.mark.parametrize("number", range(FLOWS))
def test_tables_events_and_features_are_the_same_whatever_went_wrong_on_the_way(
    stack, tmp_path, wanted, number
):
    """Everything goes wrong in each flow, each operation in another way than in the flow before."""
    folder = new(tmp_path / f"data_{number}")
    faults = itertools.islice(itertools.cycle(FAULTS), 2 * number, None)
    for verb, operations in DATA.items():
        for operation in operations * (
            1 if verb == "apply" else 2
        ):  # of few operations each goes wrong in two ways, one after the other
            disturb(stack, [next(faults)], [operation])
        before = stack.faults()
        insisted(folder, getattr(im, verb))
        assert stack.faults() != before, "nothing was tried"
        stack.clear_faults()
    with opened(folder) as project:
        assert world(project) == wanted
        assert {item.action for item in plan(project).items if item.by == "apply"} == {"="}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_a_fault_left_half_made_is_in_the_inventory_and_goes_with_destroy(
    stack, shop, tmp_path, seed
):
    chance = random.Random(seed)
    folder = new(tmp_path / f"half_{seed}")
    kind = chance.choice(["cut-after", "error"])
    service, operation = chance.choice(
        [
            each
            for each in DATA["apply"]
            if each[1] not in ("UpdateTable", "PutObject", "CreateDatabase")
        ]
    )
    stack.fault(kind=kind, service=service, operation=operation, times=None)
    with opened(folder) as project, pytest.raises(IsthmusError):
        im.apply(project)
    stack.clear_faults()
    with opened(folder) as project:
        assert {item.action for item in plan(project).items if item.by == "apply"} & set("+~")
        im.destroy(project)
        assert list(project.target.inventory.list(f"half_{seed}")) == []
        assert [name for name in everything(project.target.native) if f"half_{seed}" in name] == []


def everything(session):
    """By the services' own lists."""
    sagemaker, glue = session.client("sagemaker"), session.client("glue")
    found = list(session.client("kinesis").list_streams()["StreamNames"])
    found += session.client("firehose").list_delivery_streams()["DeliveryStreamNames"]
    found += [
        each["FeatureGroupName"]
        for each in sagemaker.list_feature_groups()["FeatureGroupSummaries"]
    ]
    found += [each["EndpointName"] for each in sagemaker.list_endpoints()["Endpoints"]]
    found += [
        each["EndpointConfigName"] for each in sagemaker.list_endpoint_configs()["EndpointConfigs"]
    ]
    found += [each["ModelName"] for each in sagemaker.list_models()["Models"]]
    for database in glue.get_databases()["DatabaseList"]:
        found += [
            f"{database['Name']}.{each['Name']}"
            for each in glue.get_tables(DatabaseName=database["Name"])["TableList"]
        ]
    return found


@pytest.mark.parametrize("fault", ["denied", "cut after"])
def test_a_run_is_started_once_and_its_model_registered_once(stack, shop, fault):
    """The same configuration again: what its steps made is in the cache, so this is about the
    submission and the registration.
    """
    with opened(shop) as project:
        before = {v.version for v in project.target.registry.versions("ranker")}
    disturb(stack, [fault], TRAIN)
    run, _ = insisted(shop, lambda project: im.train(project, "models/history.yaml"))
    stack.clear_faults()
    with opened(shop) as project:
        versions = project.target.registry.versions("ranker")
        assert {v.version for v in versions} - before <= {int(run.version.partition("@")[2])}
        assert project.target.registry.get("ranker", "champion").version == int(
            run.version.partition("@")[2]
        )


@pytest.mark.parametrize("faults", PAIRS if EVERY else PAIRS[::2], ids=" and ".join)
def test_an_endpoint_its_variants_and_its_split_are_as_meant_whatever_went_wrong(
    stack, shop, faults
):
    one = "champion: {model: ranker@champion, traffic: 100}"
    try:
        disturb(stack, faults, DEPLOY)
        deployed, _ = insisted(shop, lambda project: im.deploy(project, "home"))
        assert deployed.smoke.ok
        stack.clear_faults()

        edit(shop / "project.yaml", one, TWO)
        disturb(stack, faults, CHANGE)
        insisted(shop, lambda project: im.deploy(project, "home"))
        stack.clear_faults()
        assert split(shop) == {"champion": 100, "challenger": 0}  # a deployment never moves traffic

        disturb(stack, faults, TRAFFIC)
        insisted(shop, lambda project: im.traffic(project, "home", {"challenger": Decimal(20)}))
        stack.clear_faults()
        assert split(shop) == {"champion": 80, "challenger": 20}
        with opened(shop) as project:
            assert [item.action for item in plan(project).items if item.kind == "endpoint"] == ["="]
    finally:
        stack.clear_faults()
        if TWO in (shop / "project.yaml").read_text():
            edit(shop / "project.yaml", TWO, one)
        stopped(shop)


def test_a_silent_rollback_is_noticed(stack, shop):
    one = "champion: {model: ranker@champion, traffic: 100}"
    try:
        with opened(shop) as project:
            im.deploy(project, "home")
        edit(shop / "project.yaml", one, TWO)
        stack.fault(kind="silent-rollback", service="sagemaker", operation="UpdateEndpoint")
        insisted(shop, lambda project: im.deploy(project, "home"))
        assert stack.faults() == ()
        assert split(shop) == {"champion": 100, "challenger": 0}
        stack.fault(
            kind="silent-rollback",
            service="sagemaker",
            operation="UpdateEndpointWeightsAndCapacities",
        )
        insisted(shop, lambda project: im.traffic(project, "home", {"challenger": Decimal(20)}))
        assert split(shop) == {"champion": 80, "challenger": 20}
    finally:
        stack.clear_faults()
        if TWO in (shop / "project.yaml").read_text():
            edit(shop / "project.yaml", TWO, one)
        stopped(shop)


def split(folder):
    with opened(folder) as project:
        state = project.target.endpoints.observe("home")
        assert state.phase == "ready"
        return {v.name: int(v.percent) for v in state.variants}


def stopped(folder):
    """Only the endpoint, and the memory of its split: the rest serves the next test."""
    with opened(folder) as project:
        for resource in project.target.inventory.list(project.spec.name):
            if resource.kind == "endpoint":
                project.target.inventory.delete(resource)
        if (found := project.target.state.get("traffic/home")) is not None:
            project.target.state.delete("traffic/home", expect=found.token)
        assert [
            name for name in everything(project.target.native) if name.startswith("calm-home")
        ] == []
