"""An A/B test from its start to its close, through a gateway of two workers over HTTP, on one
target. Also for benchmarks/experiments/chain.py.

A sticky endpoint with two variants, and arms that differ by a parameter of the models: what is
logged shows both.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

import isthmus
from isthmus.core.runtime import stacks
from isthmus.endpoints.deploy.deploy import deploy
from isthmus.events.intake.ingest import ingest
from isthmus.experiments import experiment
from isthmus.experiments.measure.audit import audit
from isthmus.experiments.results.comparison import results
from isthmus.experiments.simulation.http_calls import HttpCalls
from isthmus.tests.conformance.toy_models import remove_endpoints, until
from isthmus.tests.endpoints import mini

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
NAME, RUN = "plus_up", "plus_up.1"
TESTED = """    routing: sticky
    parameters: {plus: {type: float, default: 0}}
experiments:
  plus_up:
    arms: {control: {}, treatment: {plus: 1000}}
    share: 20%
    holdout: 5%
    metric: ctr
    plan: {minimum_effect: 20%, days: 14}
"""
ITEMS, SLOTS = [1, 2, 3, 4], 2
RAMPS = (Decimal(40), Decimal(100))
PHASES = 5  # 20, 40, 100 %, shipped, closed
WORKERS = 2
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
GROUP = 1_000  # requests whose answers are awaited together
ASSIGNED = (
    "SELECT run, endpoint, layer, unit, arm, reason, min(config) AS config FROM assignments "
    "GROUP BY run, endpoint, layer, unit, arm, reason"
)
SHOWN = (  # a row of a stream may stand there twice, as the same event
    "SELECT DISTINCT event_id, endpoint, unit, variant, version, assignments, parameters, config, "
    "entity, entity_key, position, score, propensity, explored FROM exposures"
)


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """`taken`: seconds from a verb's return until both workers went by it."""

    target: str
    requests: int
    failed: tuple[str, ...]
    seconds: float  # that the requests took
    taken: dict[str, float]
    answers: list[
        dict[str, Any]
    ]  # by phase, the last one after the close: each unit's arm, variant, parameters and scores
    assigned: list[str]  # canonical rows: each unit's once, with the first config that had it
    shown: list[str]  # of the exposures, each once, without ids and times
    repeated: int  # rows of the exposures that a stream delivered once more
    results: Any
    audit: Any

    @property
    def canonical(self) -> dict[str, Any]:
        """What must be the same on every target."""
        return {
            "assignments answered": self.answers,
            "rows of assignments": self.assigned,
            "rows of exposures": self.shown,
            "results": self.results,
        }


def digest(value: Any) -> str:
    return sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:12]


def played(folder: Path, target: str, requests: int) -> Chain:
    """In an empty folder.

    What stands for a cloud is what its variable names, else a stack of the project's own, which
    ends with it.
    """
    where = {"target": target, "offline": target != "local"}
    try:
        prepared(folder, where)
        return _played(folder, where, _Visit(requests // PHASES))
    finally:
        with mini.opened(folder, **where) as project:
            remove_endpoints(project.target)
        stacks.stop(folder, forget=True)


def _played(folder: Path, where: dict[str, Any], visit: _Visit) -> Chain:
    with (
        gateway(folder, where) as running,
        HttpCalls(running.url, threads=4) as calls,
        mini.opened(folder, **where) as project,
    ):
        taken = {"start": running.takes(experiment.start(project, NAME).config)}
        visit.phase(calls)
        for percent in RAMPS:
            taken[f"ramp {percent} %"] = running.takes(
                experiment.ramp(project, NAME, percent).config
            )
            visit.phase(calls)
        visit.log(project)
        seen = results(project, NAME)
        taken["stop --ship"] = running.takes(
            experiment.stop(project, NAME, ship="treatment", because="it is better").config
        )
        visit.phase(calls)
    file = folder / "project.yaml"
    file.write_text(file.read_text().replace("default: 0}", "default: 1000}"))
    with (
        gateway(folder, where) as running,
        HttpCalls(running.url, threads=4) as calls,
        mini.opened(folder, **where) as project,
    ):
        taken["close"] = running.takes(experiment.close(project, NAME).config)
        visit.phase(calls)
        return Chain(
            target=project.target.name,
            requests=visit.requests,
            failed=tuple(visit.failed),
            seconds=visit.seconds,
            taken=taken,
            answers=visit.answers,
            assigned=canonical(project, ASSIGNED),
            shown=canonical(project, SHOWN, rows=visit.rows),
            repeated=project.target.warehouse.query("SELECT count(*) AS n FROM exposures", {})["n"][
                0
            ].as_py()
            - visit.rows,
            results=digits(
                msgspec.to_builtins(
                    msgspec.structs.replace(seen, target="", started=NEVER, stopped=None)
                )
            ),
            audit=audit(project, NAME),
        )


def prepared(folder: Path, where: dict[str, Any]) -> None:
    """Filled, and an endpoint that serves."""
    position = "      position:   {type: int}\n"
    text = mini.FILES["project.yaml"].replace("    explore: 5%\n", TESTED)
    text = text.replace(
        position, f"{position}      exposure_id: {{type: string, required: false}}\n"
    )
    mini.filled(folder, mini.FILES | {"project.yaml": text, "profiles.yaml": PROFILES}, **where)
    sys.modules.pop("mini_ranker", None)  # another chain's, whose folder may be gone
    with mini.opened(folder, **where) as project:
        mini.register(project, "popular")
        mini.register(project, "both")
        deploy(project, "ranker")


class _Visit:
    """Who comes to the gateway: the same units in each phase, each twice."""

    def __init__(self, of_phase: int) -> None:
        self._of_phase = of_phase
        self._shown: list[
            tuple[str, str, str, str]
        ] = []  # what an impression and its click are made of
        self.requests = self.rows = 0
        self.seconds = 0.0
        self.failed: list[str] = []
        self.answers: list[dict[str, Any]] = []

    def phase(self, calls: HttpCalls) -> None:
        answers: dict[str, Any] = {}
        began = time.monotonic()
        for first in range(0, self._of_phase, GROUP):
            asked = [
                self._body(number) for number in range(first, min(first + GROUP, self._of_phase))
            ]
            for request, reply in zip(asked, calls.post("/rank", asked), strict=True):
                self.requests += 1
                if reply.status != 200:
                    self.failed.append(f"{reply.status} {reply.error}")
                    continue
                self._answered(request["visitor_id"], reply.body, answers)
        self.seconds += time.monotonic() - began
        self.answers.append(answers)

    def _body(self, number: int) -> dict[str, Any]:
        return {
            "visitor_id": f"v{number % max(self._of_phase // 2, 1)}",
            "segment_id": "a",
            "item_id": ITEMS,
            "slots": SLOTS,
        }

    def _answered(self, unit: str, answer: dict[str, Any], answers: dict[str, Any]) -> None:
        arm = answer.get("assignments", {}).get(RUN)
        said = {
            "arm": arm,
            "variant": answer["variant"],
            "parameters": answer.get("parameters"),
            "scores": answer["scores"],
        }
        assert answers.setdefault(unit, said) == said, "a unit is answered alike all the time"
        self.rows += len(answer["items"])
        of_phase = len(self.answers)
        for position, (item, exposure) in enumerate(
            zip(answer["items"], answer["exposures"], strict=True)
        ):
            self._shown.append((f"{of_phase}-{unit}-{position}", arm, item, exposure))

    def log(self, project: isthmus.Project) -> None:
        """Each exposure is seen, and clicked by 40 of 100 in the treatment, by 20 elsewhere."""
        common = {"event_timestamp": project.now()}
        impressions = [
            {
                **common,
                "event_id": f"i-{exposure}",
                "item_id": item,
                "segment_id": "a",
                "position": 1,
                "exposure_id": exposure,
            }
            for _, _, item, exposure in self._shown
        ]
        clicks = [
            {
                **common,
                "event_id": f"c-{exposure}",
                "impression_id": f"i-{exposure}",
                "item_id": item,
            }
            for name, arm, item, exposure in self._shown
            if int(sha256(name.encode()).hexdigest()[:8], 16) / 2**32
            < (0.4 if arm == "treatment" else 0.2)
        ]
        for event, rows in (("impression", impressions), ("click", clicks)):
            ingest(project, event=event, data=pa.Table.from_pylist(rows))


class _Running:
    def __init__(self, url: str) -> None:
        self.url = url

    def read(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as reply:
            return reply.read().decode()

    def configs(self) -> list[str]:
        """The version of experiments/live at each worker."""
        lines = self.read("/metrics").splitlines()
        return [
            line.rpartition(" ")[2]
            for line in lines
            if line.startswith("isthmus_gateway_config_version{")
        ]

    def takes(self, config: int) -> float:
        """Seconds until each worker goes by it."""
        began = time.monotonic()
        until(
            lambda: self.configs() == [str(config)] * WORKERS,
            what=f"config {config} at {WORKERS} workers",
        )
        return time.monotonic() - began


@contextmanager
def gateway(folder: Path, where: dict[str, Any]) -> Iterator[_Running]:
    """Two workers that are ready. At its end all that was answered is delivered, or this fails."""
    command = [
        sys.executable,
        "-m",
        "isthmus",
        "gateway",
        "--port",
        "0",
        "--workers",
        str(WORKERS),
        "--json",
    ]
    command += ["--target", where["target"], *(["--offline"] if where["offline"] else [])]
    log = folder / "gateway.log"
    with log.open("w") as errors:
        child = subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        text = ""
        while not text.endswith("}\n"):
            line = child.stdout.readline()
            assert line, log.read_text()
            text += line
        running = _Running(json.loads(text)["url"])
        until(lambda: _is_ready(running), what="the gateway")
        yield running
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=120) == 0, log.read_text()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate(timeout=60)


def _is_ready(running: _Running) -> bool:
    try:
        return json.loads(running.read("/health"))["ready_workers"] == WORKERS
    except OSError:
        return False


def canonical(project: isthmus.Project, sql: str, *, rows: int | None = None) -> list[str]:
    """Sorted, floats to 9 digits.

    `rows`: so many are waited for, as streams deliver in their own time.
    """
    if rows is not None:
        count = "SELECT count(DISTINCT event_id) AS n FROM exposures"
        until(
            lambda: project.target.warehouse.query(count, {})["n"][0].as_py() >= rows,
            what=f"{rows} rows of exposures",
        )
    listed = project.target.warehouse.query(sql, {}).to_pylist()
    told = ({name: value for name, value in row.items() if name != "event_id"} for row in listed)
    return sorted(json.dumps(digits(row), sort_keys=True, default=str) for row in told)


def digits(value: Any) -> Any:
    """Floats to 9 digits."""
    if isinstance(value, dict):
        return {key: digits(of) for key, of in value.items()}
    if isinstance(value, list | tuple):
        return [digits(of) for of in value]
    return f"{value:.9g}" if isinstance(value, float) else value
