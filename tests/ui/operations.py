"""A project in operation: two runs, versions, an endpoint under rules, a log.

Its host and its metrics are objects of this process.
"""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import isthmus
from isthmus.endpoints.gateway.decide import caps as capping
from isthmus.endpoints.gateway.log.streams import RANKINGS
from isthmus.endpoints.port import Bucket, EndpointState, VariantState
from isthmus.errors import Unavailable
from isthmus.events.intake.emit import emit_stream
from isthmus.events.intake.ingest import ingest
from isthmus.experiments.monitors import snapshot
from isthmus.experiments.monitors.snapshot import MonitorSnapshot
from isthmus.experiments.monitors.units import UnitCell, rows
from isthmus.pipelines.run_pages.notes import tag
from isthmus.pipelines.training import promotion
from isthmus.tests.pipelines import trained

RULES = """
endpoints:
  ranker:
    objective: ctr
    unit: visitor_id
    explore: 5%
    variants:
      champion:   {model: ranker@champion, traffic: 75}
      challenger: {model: ranker@2, traffic: 25}
    rules:
      - pin: {item_id: 7, position: 1, until: 2020-02-01}
      - cap: {by: item_id, max: 2, per: response}
      - block: {where: {item_id: 9}}
      - cap: {by: item_id, max: 3, per: unit, in: 24h}
    attributes: {gender: {type: string, required: false}}
monitors:
  served_alike: {endpoint: ranker, units: gender, window: 3d, alarm: {satisfied_ratio: 0.8}}
  not_yet: {endpoint: ranker, items: item_id}
  from_the_page: {endpoint: ranker, units: gender}
"""
NOW = datetime(2020, 1, 7, 12, tzinfo=UTC)  # before the project's
LINES = {"a": '["pin 7 1 -> 1"]', "b": '["pin 7 2 -> 1","cap item_id 2: 51 3 -> out"]', "c": None}
ANSWERS = ["a", "a", "b", "b", "b", "c", "c", "c", "c", "c"]


class Host:
    """Serves two variants, of which the second is to get more; or is away."""

    away = False

    def observe(self, name):
        if self.away:
            raise Unavailable("nobody answers", remedy="look at the provider's status page")
        shares = (("champion", 1, 75, 60), ("challenger", 2, 25, 40))
        variants = [
            VariantState(
                name=variant,
                model="ranker",
                version=version,
                percent=Decimal(now),
                target_percent=Decimal(then),
                instances=1,
                target_instances=2,
                phase="ready",
            )
            for variant, version, now, then in shares
        ]
        return EndpointState(
            name=name, phase="updating", revision="r", token="t", variants=tuple(variants)
        )


class Minutes:
    """The champion has requests in every minute, the challenger in one, of which a fifth fails."""

    def read(self, _endpoint, window):
        length = (window.end - window.start) // timedelta(minutes=1)
        every = [window.start + timedelta(minutes=number) for number in range(length)]
        return {
            "champion": tuple(_bucket(start, 30, 0) for start in every),
            "challenger": (_bucket(every[-1], 10, 2),),
        }


def _bucket(start, requests, errors):
    return Bucket(
        start=start,
        requests=requests,
        client_errors=0,
        server_errors=errors,
        mean_ms=5.0,
        p50_ms=4.0,
        p90_ms=8.0,
        p99_ms=9.0,
    )


def operating(folder, monkeypatch):
    """Open; two runs, of which the second is not yet promoted to champion when its alias is given
    by hand.
    """
    trained.make_project(folder)
    trained.configure(folder, "other", "parameters: {sign: -0.2}\n")
    text = trained.PROJECT.replace(
        "impression_id: {type: string}",
        "impression_id: {type: string}\n      visitor_id: {type: string}",
    )
    (folder / "project.yaml").write_text(text + RULES)
    project = trained.open_project(folder)
    isthmus.apply(project)
    for name in ("good", "other"):
        trained.run_here(project, name, trained.data(), monkeypatch)
    tag(project, "r2", ["cold-start"])
    promotion.promote(project, "ranker", 2, "challenger", because="it reads <less>")
    _log(project, folder)
    (cap,) = capping.caps_of(project.spec.endpoints["ranker"].rules)
    shown = capping.entries([cap], [{"item_id": 7}, {"item_id": 8}], project.now())
    project.target.counters.add("ranker", "v1", shown, until=project.wall() + timedelta(days=2))
    for day in (5, 6, 7):
        snapshot.keep(project.target.blobs, looked(project, date(2020, 1, day)))
    project.target.endpoints, project.target.metrics = Host(), Minutes()
    return project


def _log(project, folder):
    shown = [
        {
            "event_id": f"i{number}",
            "event_timestamp": f"2020-01-0{2 + number % 3}T10:00:00Z",
            "item_id": 1,
        }
        for number in range(30)
    ]
    events = [{**row, "position": 1 if row["event_id"] != "i7" else "first"} for row in shown]
    path = folder / "impressions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in events))
    ingest(project, event="impression", data=path, max_bad=0.5)
    project.target.events.apply(RANKINGS)  # as the first `deploy` does
    emit_stream(
        project, RANKINGS, [_answer(number, LINES[kind]) for number, kind in enumerate(ANSWERS)]
    )


SATISFIED = {
    "ranker@1": (200, 200),
    "ranker@2": (120, 200),
    "ranker@10": (100, 200),
}  # of 1,000 units of each gender: f, m


def looked(project, until):
    """A look: each version serves f worse, the tenth follows on the 7th.

    Every day has 1,000 of each; on the 6th no f finds anything.
    """
    monitor = project.spec.monitors["served_alike"]
    days = [until - timedelta(days=back) for back in range(3)]
    cells = [
        *_cells("first", "", "", (0, 0)),
        *(
            cell
            for day in days
            for cell in _cells("day", f"{day}", "", (0 if day.day == 6 else 300, 300))
        ),
    ]
    versions = ["ranker@1", "ranker@2"] if until.day < 7 else ["ranker@2", "ranker@10"]
    cells += [
        cell for version in versions for cell in _cells("now", "", version, SATISFIED[version])
    ]
    return MonitorSnapshot(
        target="local",
        monitor=monitor.name,
        endpoint=monitor.endpoint,
        kind="units",
        groups=monitor.units,
        window=3,
        alarm=monitor.alarm,
        as_of=datetime(until.year, until.month, until.day, tzinfo=UTC) + timedelta(days=1),
        since=days[-1],
        until=until,
        first=(date(2020, 1, 1), date(2020, 1, 3)),
        units=4000,
        rows=tuple(rows(cells, monitor.alarm)),
    )


def _cells(period, day, version, satisfied):
    of = {"period": period, "day": day, "version": version, "back": False}
    for group, found in zip("fm", satisfied, strict=True):
        yield UnitCell(**of, group=group, satisfied=True, units=found)
        yield UnitCell(**of, group=group, satisfied=False, units=1000 - found)


def _answer(number, rules):
    return {
        "event_id": f"q-{number}", "event_timestamp": NOW, "endpoint": "ranker", "gateway": "q", "sequence": number, "unit": "v1",
        "variant": "champion", "version": "ranker@1", "entity": "item", "candidates": "[7,8]", "model_order": "[1,0]",
        "explored": False, "explore": 0.05, "milliseconds": 1.5, "rules": rules, "rules_digest": "d",
    }  # fmt: skip
