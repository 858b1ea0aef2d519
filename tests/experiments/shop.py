"""A shop in which a run of an experiment was assigned by the hash, with everything its visitors
did: for the tests of results.
"""

from __future__ import annotations

import random
from copy import copy
from datetime import UTC, datetime, timedelta
from shutil import copytree

import pandas as pd

import isthmus
from isthmus.endpoints.gateway.decide.assignment import Assigner
from isthmus.endpoints.gateway.log import log_rows
from isthmus.endpoints.gateway.log.streams import ASSIGNMENTS, EXPOSURES, RANKINGS
from isthmus.events.intake.emit import emit_stream
from isthmus.events.intake.ingest import ingest
from isthmus.experiments.design import runs
from isthmus.experiments.experiment import start

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
VISITORS, DAYS = 2400, 6
PROJECT = """
name: shop
entities:
  item: {key: item_id, type: int}
events:
  impression:
    attributes: {item_id: {type: int}, visitor_id: {type: string}}
  click:
    attributes: {impression_id: {type: string}, item_id: {type: int}}
  purchase:
    attributes: {visitor_id: {type: string}, amount: {type: float}}
objectives:
  ctr: {rate: click / impression, within: 30m}
metrics:
  bought:  {any: purchase, within: 2d}
  revenue: {sum: purchase.amount, within: 2d}
  clicks:  {sum: click, within: 2d, before: 2d}
endpoints:
  ranker:
    objective: ctr
    unit: visitor_id
    variants: {champion: {model: ranker@champion, traffic: 100}}
    attributes: {platform: {type: string}}
    parameters: {blend: {type: float, default: 0.5}}
monitors:
  item_bias: {endpoint: ranker, items: item_id}
experiments:
  blend_up:
    arms: {control: {}, treatment: {blend: 0.7}}
    share: 60%
    metric: ctr
    guardrails: [{metric: bought, max_drop: 60%}]
    also: [revenue, clicks]
    segments: [platform, model_version]
    plan: {minimum_effect: 20%, days: 14}
  open_end:
    arms: {control: {}, treatment: {blend: 0.1}}
    share: 40%
    metric: ctr
"""
MODEL = """
model: ranker
alias: champion
objective: ctr
window: 2026-10-01 .. 2026-11-01
features: [item_id]
trainer: ranker.train
"""


class Shop:
    """`now` is moved by who holds it."""

    def __init__(
        self, folder, text=PROJECT, *, profiles="default: local\ntargets:\n  local: {}\n", **where
    ):
        (folder / "project.yaml").write_text(text)
        (folder / "models").mkdir()
        (folder / "models" / "popular.yaml").write_text(MODEL)
        (folder / "ranker.py").write_text("def train(data, label, features): ...\n")
        (folder / "profiles.yaml").write_text(profiles)
        self.folder, self.now, self.where = folder, START, where
        self.again()

    def again(self):
        """Opened, with the clock that is moved."""
        self.project = isthmus.open(self.folder, **self.where)
        self.project.target.clock = lambda: self.now
        return self

    def copied(self, folder):
        """Another of the same past: what is done there is not done here."""
        other = copy(self)
        other.folder = copytree(self.folder, folder)
        return other.again()

    def filled(self, *, a_day=4):
        """Visitors come for six days, and are shown `a_day` of their six items on each.

        Of open_end's treatment every third is assigned and not logged, as by a broken client.

        From the second day on the model is a new version.
        """
        isthmus.apply(self.project)
        for experiment in ("blend_up", "open_end"):
            start(self.project, experiment)
        self.log = [visitor for visitor in visitors(self.project, a_day) if not lost(visitor)]
        self.now = START + (DAYS + 3) * DAY
        emit_stream(
            self.project, ASSIGNMENTS, [row for visitor in self.log for row in visitor["assigned"]]
        )
        emit_stream(self.project, EXPOSURES, [exposure(visitor) for visitor in self.log])
        emit_stream(
            self.project, RANKINGS, [row for visitor in self.log for row in rankings(visitor)]
        )
        for event in ("impression", "click", "purchase"):
            ingest(
                self.project,
                event=event,
                data=pd.DataFrame([row for visitor in self.log for row in visitor[event]]),
            )
        return self


def version(moment):
    return "ranker@1" if moment < START + DAY else "ranker@2"


def answer(visitor, moment):
    return {
        "event_timestamp": moment,
        "endpoint": "ranker",
        "unit": f"v{visitor['number']}",
        "variant": "champion",
        "version": version(moment),
        "entity": "item",
        "explored": False,
    }


def exposure(visitor):
    shown = {"entity_key": "1", "position": 1, "score": 0.5, "propensity": 1.0}
    return answer(visitor, visitor["came"]) | shown | {"event_id": f"q-{visitor['number']}-1"}


def rankings(visitor):
    """Of the first visit and one a day later; and of one before the run began, by an older version."""
    came, ranked = (
        visitor["came"],
        {
            "gateway": "q",
            "candidates": "[1]",
            "model_order": "[0]",
            "explore": 0.0,
            "milliseconds": 1.0,
        },
    )
    visits = [(came, {}), (came + DAY, {}), (START - DAY, {"version": "ranker@0"})]
    for at, (moment, own) in enumerate(visits):
        number = 3 * visitor["number"] + at
        yield (
            answer(visitor, moment) | ranked | own | {"event_id": f"q-{number}", "sequence": number}
        )


def lost(visitor):
    return (visitor["run"], visitor["arm"]) == ("open_end.1", "treatment") and visitor[
        "number"
    ] % 3 == 0


def visitors(project, a_day=4):
    """Who clicks 20 of 100 impressions in the control does so for 30 in the treatment of blend_up;
    one in eight buys.
    """
    live = runs.read(project.target.state).live
    chance = random.Random(20261126)
    assigner = Assigner(live, "ranker", {"blend": 0.5})
    for number in range(VISITORS):
        name, came = f"v{number}", START + timedelta(minutes=1) + DAY * (number % DAYS)
        context = {"platform": ("ios", "web")[number % 2]}
        decision = assigner.decide(name, context)
        ((run, arm),) = decision.arms.items()
        shown = [
            {
                "event_id": f"i{number}-{at}",
                "event_timestamp": came + DAY * (at // a_day),
                "visitor_id": name,
                "item_id": 1,
            }
            for at in range(6)
        ]
        rate = 0.3 if (run, arm) == ("blend_up.1", "treatment") else 0.2
        yield {
            "number": number,
            "run": run,
            "arm": arm,
            "came": came,
            "assigned": [
                row
                for assigned in decision.assignments
                for row in log_rows.assignment(
                    assigned,
                    name,
                    "ranker",
                    config=live.version,
                    moment=came,
                    segments=("platform",),
                    context=context,
                )
            ],
            "impression": shown,
            "click": [
                {
                    "event_id": f"c{row['event_id']}",
                    "event_timestamp": row["event_timestamp"] + timedelta(minutes=1),
                    "impression_id": row["event_id"],
                    "item_id": 1,
                }
                for row in shown
                if chance.random() < rate
            ],
            "purchase": [
                {
                    "event_id": f"p{number}",
                    "event_timestamp": came + timedelta(hours=2),
                    "visitor_id": name,
                    "amount": 10.0 + number % 7,
                }
            ]
            if chance.random() < 0.125
            else [],
        }
