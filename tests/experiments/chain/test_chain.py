"""An A/B test on every target: start, 2,000 requests from 4 threads, ramps, clicks, results, ship,
close; alike to 9 digits.
"""

import os
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import msgspec
import pandas as pd
import pytest

import isthmus
from isthmus.endpoints.gateway.gateway import Gateway
from isthmus.events.intake.ingest import ingest
from isthmus.experiments import experiment
from isthmus.experiments.measure.audit import audit
from isthmus.experiments.results.comparison import results
from isthmus_stack.aws.core.environment import STRAY
from isthmus_stack.client import Stack
from isthmus_stack.gcp.environment import stray

from ...conformance.places import aws_stack, gcp_stack
from ..shop import DAY, PROJECT, START, Shop

pytestmark = pytest.mark.slow

PROFILES = """default: local
targets:
  local: {}
  sagemaker:
    account: "123456789012"
    region: us-east-1
    bucket: s3://example-chain
    role: arn:aws:iam::123456789012:role/chain
  vertex:
    project: example-chain
    location: us-central1
    bucket: gs://example-chain
"""
TARGETS = ("local", "sagemaker", "vertex")
VISITORS, PHASES, THREADS = 700, 3, 4
MIDNIGHT = START.replace(hour=0)
ROWS = (
    "SELECT event_timestamp, run, endpoint, layer, unit, arm, reason, config, segment FROM "
    "assignments"
)


@pytest.fixture(scope="module")
def chains(tmp_path_factory):
    """By target."""
    seen = {}
    for target in TARGETS:
        with pytest.MonkeyPatch.context() as environment:
            led_to(target, environment)
            shop = Shop(
                tmp_path_factory.mktemp(target),
                profiles=PROFILES,
                target=target,
                offline=target != "local",
            )
            seen[target] = _chain(shop)
    return seen


@pytest.fixture(params=TARGETS)
def seen(request, chains):
    return chains[request.param]


def led_to(target, environment):
    """An empty one, to which the cloud's variable leads."""
    if target == "local":
        return
    cloud = "AWS" if target == "sagemaker" else "GCP"
    for name in list(STRAY) if cloud == "AWS" else list(filter(stray, list(os.environ))):
        environment.delenv(name, raising=False)
    running = aws_stack() if cloud == "AWS" else gcp_stack()
    environment.setenv(f"{cloud}_ENDPOINT_URL", running.url)
    Stack(running.url, cloud.lower()).reset()


def _chain(shop):
    """What everybody was answered, what was logged of it, and what became of it."""
    with shop.project as project:
        isthmus.apply(project)
        experiment.start(project, "blend_up")
        answers = []
        for phase in range(PHASES):
            shop.now = START + phase * DAY
            if phase:
                experiment.ramp(project, "blend_up", Decimal((60, 80, 100)[phase]))
            answers.append(_asked(project))
        shop.now = START + 5 * DAY
        told = _told(project, answers)
        seen = results(project, "blend_up")
        logged = project.target.warehouse.query(ROWS, {}).to_pylist()
        stopped = experiment.stop(project, "blend_up", ship="treatment", because="it is better")
        shipped = _asked(project)
        checked = audit(project, "blend_up")
    return {
        "answers": answers,
        "logged": sorted(logged, key=repr),
        "told": told,
        "seen": seen,
        "stopped": stopped,
        "shipped": shipped,
        "audit": checked,
        "closed": _closed(shop),
    }


def _asked(project):
    """By a gateway that reads the document as it is now: everybody's answer.

    One that fails fails the test.
    """
    requests = [{"visitor_id": f"v{n}", "platform": ("ios", "web")[n % 2]} for n in range(VISITORS)]
    with Gateway(project, "ranker") as gateway, ThreadPoolExecutor(THREADS) as threads:
        answers = list(threads.map(gateway.assign, requests))
    assert not any(answer.problems for answer in answers)
    return {
        request["visitor_id"]: answer for request, answer in zip(requests, answers, strict=True)
    }


def _told(project, answers):
    """Whoever was assigned sees four items each day from then on, and clicks 40 of 100 in the
    treatment, 20 in the control.
    """
    chance = random.Random(20261127)
    shown, clicks = [], []
    for phase, of_phase in enumerate(answers):
        moment = START + phase * DAY + timedelta(minutes=5)
        for unit, answer in of_phase.items():
            arm = answer.assignments.get("blend_up.1")
            for at in range(4 if arm else 0):
                name = f"i{phase}-{unit}-{at}"
                shown.append(
                    {"event_id": name, "event_timestamp": moment, "visitor_id": unit, "item_id": 1}
                )
                if chance.random() < (0.4 if arm == "treatment" else 0.2):
                    clicks.append(
                        {
                            "event_id": f"c{name}",
                            "event_timestamp": moment,
                            "impression_id": name,
                            "item_id": 1,
                        }
                    )
    ingest(project, event="impression", data=pd.DataFrame(shown))
    ingest(project, event="click", data=pd.DataFrame(clicks))
    return shown, clicks


def _closed(shop):
    """Its parameters become the endpoint's own, by a change of project.yaml; then it is closed, and
    everybody has them.
    """
    file = shop.folder / "project.yaml"
    file.write_text(PROJECT.replace("default: 0.5", "default: 0.7"))
    with shop.again().project as project:
        closed = experiment.close(project, "blend_up")
        return closed, {unit: answer.parameters for unit, answer in _asked(project).items()}


def test_nobody_changes_arm_and_a_ramp_only_adds(seen):
    arms = [
        {unit: answer.assignments.get("blend_up.1") for unit, answer in of.items()}
        for of in seen["answers"]
    ]
    assert [sum(arm is not None for arm in of.values()) < VISITORS for of in arms] == [
        True,
        True,
        False,
    ]
    for earlier, later in pairwise(arms):
        assert all(later[unit] == arm for unit, arm in earlier.items() if arm)
    assert {answer.parameters["blend"] for of in seen["answers"] for answer in of.values()} == {
        0.5,
        0.7,
    }


def test_the_log_has_each_unit_by_the_hash_and_nobody_is_lost(seen):
    assert (seen["audit"].sound, seen["audit"].units, seen["audit"].differ) == (True, VISITORS, 0)
    last = {unit: answer.assignments["blend_up.1"] for unit, answer in seen["answers"][-1].items()}
    assert {row["unit"]: row["arm"] for row in seen["logged"]} == last


def test_results_are_a_direct_count(seen):
    shown, clicks = seen["told"]
    first = {
        row["unit"]: row["event_timestamp"].date()
        for row in sorted(seen["logged"], key=lambda row: row["event_timestamp"], reverse=True)
    }
    arm = {row["unit"]: row["arm"] for row in seen["logged"]}
    until = seen["seen"].until
    complete = {unit for unit, day in first.items() if day + 2 * DAY <= until.date()}
    owner = {row["event_id"]: row["visitor_id"] for row in shown}
    ctr = next(metric for metric in seen["seen"].metrics if metric.metric.name == "ctr")
    for name, sums in ctr.arms.items():
        units = {unit for unit in complete if arm[unit] == name}
        views = sum(unit in units for unit in owner.values())
        assert (sums.units, sums.d) == (len(units), views)
        assert sums.y == sum(owner[click["impression_id"]] in units for click in clicks)


def test_the_arm_that_is_better_ships_to_all_and_then_is_the_endpoints_own(seen):
    effect = next(of for of in seen["seen"].effects if of.role == "decides")
    assert effect.side == "better"
    assert seen["stopped"].ships == "treatment"
    assert {answer.parameters["blend"] for answer in seen["shipped"].values()} == {0.7}
    closed, parameters = seen["closed"]
    assert closed.run == "blend_up.1"
    assert {tuple(of.items()) for of in parameters.values()} == {(("blend", 0.7),)}


def test_every_target_says_the_same(chains):
    local, *others = map(_canonical, chains.values())
    assert others == [local] * 2


def _canonical(seen):
    arms = [{unit: answer.assignments for unit, answer in of.items()} for of in seen["answers"]]
    return (
        arms,
        seen["logged"],
        _digits(msgspec.to_builtins(msgspec.structs.replace(seen["seen"], target=""))),
    )


def _digits(value):
    """Floats to 9 digits."""
    if isinstance(value, dict):
        return {key: _digits(of) for key, of in value.items()}
    if isinstance(value, list | tuple):
        return [_digits(of) for of in value]
    return f"{value:.9g}" if isinstance(value, float) else value
