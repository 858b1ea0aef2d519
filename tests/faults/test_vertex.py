"""Faults of the offline GCP against the verbs: the intended state, perhaps after running the verb
again, or a clear error.
"""

import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from itertools import product

import pytest

import isthmus as im
from isthmus.errors import Conflict, IsthmusError
from isthmus.lifecycle.resources.plan import plan
from isthmus.tests.cli.running import create, edit
from isthmus.tests.conformance.places import gcp_stack
from isthmus.tests.faults.flow import RELATIONS, digest, insisted
from isthmus_stack.client import Stack
from isthmus_stack.gcp.environment import stray

pytestmark = [pytest.mark.soak, pytest.mark.slow]

# what goes wrong, as the stack is told; a denial is not tried again by the clients, the rest is
# where it changes nothing to do it twice
FAULTS = {
    "throttle": {"kind": "throttle", "times": 2},
    "denied": {"kind": "error", "code": "PERMISSION_DENIED", "status": 403},
    "cut before": {"kind": "cut-before", "times": 2},
    "cut after": {"kind": "cut-after"},
}
# verb -> the operations that change something in it
DATA = {
    "apply": [
        "bigquery.tables.insert",
        "bigquery.tables.patch",
        "Publisher.CreateTopic",
        "Subscriber.CreateSubscription",
        "FeatureOnlineStoreAdminService.CreateFeatureOnlineStore",
        "FeatureOnlineStoreAdminService.CreateFeatureView",
        "storage.objects.insert",
    ],
    "ingest": ["storage.objects.insert", "bigquery.jobs.insert"],
    "materialize": [
        "FeatureOnlineStoreAdminService.SyncFeatureView",
        "bigquery.tables.patch",
        "storage.objects.insert",
    ],
}
DEPLOY = ["EndpointService.CreateEndpoint", "EndpointService.DeployModel", "storage.objects.insert"]
ONE = "champion: {model: ranker@champion, traffic: 100}"
TWO = (
    "champion: {model: ranker@champion, traffic: 90}\n      challenger: {model: ranker@champion, "
    "traffic: 10}"
)


@pytest.fixture(scope="module")
def stack():
    running = gcp_stack()
    with pytest.MonkeyPatch.context() as patched:
        for name in filter(stray, list(os.environ)):
            patched.delenv(name)
        patched.setenv("GCP_ENDPOINT_URL", running.url)
        stack = Stack(running.url, "gcp")
        stack.reset()
        yield stack


@pytest.fixture(autouse=True)
def _no_faults_left(stack):
    yield
    stack.clear_faults()


def opened(folder):
    return im.open(folder / "project.yaml", target="vertex", offline=True)


def new(folder):
    """A starter of its own name, so that all share one stack."""
    create(folder)
    (folder / "profiles.yaml").write_text(
        "targets:\n  vertex: {project: faults, location: us-central1, bucket: "
        "gs://example-ranker}\n"
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


def test_tables_events_and_features_are_the_same_whatever_went_wrong_on_the_way(
    stack, shop, tmp_path
):
    folder = new(tmp_path / "data")
    chances = {
        fault: random.Random(fault) for fault in ("denied", "cut after")
    }  # the others are judged port by port
    for verb, operations in DATA.items():
        for fault, chance in chances.items():
            for operation in chance.sample(operations, (len(operations) + 1) // 2):
                stack.fault(operation=operation, **FAULTS[fault])
        before = stack.faults()
        insisted(lambda: opened(folder), getattr(im, verb))
        assert stack.faults() != before, "nothing was tried"
        stack.clear_faults()
    with opened(shop) as calm, opened(folder) as project:
        assert world(project) == world(calm)
        assert {item.action for item in plan(project).items if item.by == "apply"} == {"="}


@pytest.mark.parametrize(
    "faults",
    [["throttle", "denied"], ["cut before", "cut after"], ["lost deploy"]],
    ids=" and ".join,
)
def test_an_endpoint_its_variants_and_its_split_are_as_meant_whatever_went_wrong(
    stack, shop, faults
):
    """What is named first goes wrong first, at each operation."""
    lost = faults == ["lost deploy"]

    def done(verb, *operations):
        for fault, operation in product(faults, operations):
            stack.fault(operation=operation, **({"kind": "lost-deploy"} if lost else FAULTS[fault]))
        result, errors = insisted(lambda: opened(shop), verb)
        stack.clear_faults()
        return result, errors

    try:
        deployed, _ = done(
            lambda project: im.deploy(project, "home"), *(DEPLOY[1:2] if lost else DEPLOY)
        )
        assert deployed.smoke.ok
        edit(shop / "project.yaml", ONE, TWO)
        done(lambda project: im.deploy(project, "home"), "EndpointService.DeployModel")
        assert split(shop) == {"champion": 100, "challenger": 0}, "a deployment never moves traffic"
        if not lost:
            done(
                lambda project: im.traffic(project, "home", {"challenger": Decimal(20)}),
                "EndpointService.UpdateEndpoint",
            )
            assert split(shop) == {"champion": 80, "challenger": 20}
        with opened(shop) as project:
            assert [item.action for item in plan(project).items if item.kind == "endpoint"] == ["="]
    finally:
        stack.clear_faults()
        edit(shop / "project.yaml", TWO, ONE)
        stopped(shop)


def test_what_a_fault_left_half_made_is_in_the_inventory_and_goes_with_destroy(stack, tmp_path):
    folder = new(tmp_path / "half")
    stack.fault(
        kind="error",
        operation="FeatureOnlineStoreAdminService.CreateFeatureView",
        code="PERMISSION_DENIED",
        times=None,
    )
    with opened(folder) as project, pytest.raises(IsthmusError):
        im.apply(project)
    stack.clear_faults()
    with opened(folder) as project:
        assert {item.action for item in plan(project).items if item.by == "apply"} & set("+~")
        gone = im.destroy(project)
        assert "online_store" in {resource.kind for resource in gone.resources}
        assert list(project.target.inventory.list("half")) == []


def at_once(verb, *folders):
    """The verb from two checkouts of one project at the same time, which no lock of a folder keeps
    apart: results and errors.
    """

    def command(project):
        try:
            return verb(project)
        except IsthmusError as error:  # anything else fails the test
            return error

    with ExitStack() as projects, ThreadPoolExecutor(len(folders)) as pool:
        return list(
            pool.map(command, [projects.enter_context(opened(folder)) for folder in folders])
        )


def test_two_of_the_same_project_at_once_double_nothing(stack, shop, tmp_path):
    first = new(tmp_path / "first")
    edit(first / "project.yaml", "name: first", "name: twice")
    second = shutil.copytree(first, tmp_path / "second")
    for verb in DATA:
        at_once(getattr(im, verb), first, second)
        insisted(lambda: opened(first), getattr(im, verb))
    with opened(shop) as calm, opened(second) as project:
        assert world(project) == world(calm)
        assert {item.action for item in plan(project).items if item.by == "apply"} == {"="}


def test_two_deployments_and_two_splits_at_once_end_as_one_of_them_meant(stack, shop, tmp_path):
    other = shutil.copytree(shop, tmp_path / "other")
    try:
        for folder in (shop, other):
            edit(folder / "project.yaml", ONE, TWO)
        ends = at_once(lambda project: im.deploy(project, "home"), shop, other)
        assert all(isinstance(end, Conflict) for end in ends if isinstance(end, IsthmusError)), (
            ends
        )  # to be run again, as both may be told
        insisted(lambda: opened(other), lambda project: im.deploy(project, "home"))
        assert split(shop) == {"champion": 90, "challenger": 10}
        meant = {shop: Decimal(20), other: Decimal(70)}
        ends = at_once(
            lambda project: im.traffic(project, "home", {"challenger": meant[project.folder]}),
            shop,
            other,
        )
        told = [end for end in ends if isinstance(end, IsthmusError)]
        assert all(isinstance(end, Conflict) for end in told), ends
        served = [end.after["challenger"] for end in ends if not isinstance(end, IsthmusError)]
        assert split(shop)["challenger"] in (served or [10, 20, 70])
    finally:
        edit(shop / "project.yaml", TWO, ONE)
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
        if (owner := project.target.state.get("traffic/home")) is not None:
            project.target.state.delete("traffic/home", expect=owner.token)
