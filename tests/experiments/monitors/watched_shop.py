"""A shop that two monitors watch for three weeks, in which the few find less from week to week: for
the tests of monitors.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import msgspec
import pandas as pd

import isthmus
from isthmus.endpoints.gateway.log.streams import EXPOSURES, RANKINGS
from isthmus.events.intake.emit import emit_stream
from isthmus.events.intake.ingest import ingest
from isthmus.feature_store.offline.materialize import materialize

START = datetime(2026, 11, 2, tzinfo=UTC)
DAY = timedelta(days=1)
WEEKS, ANSWERS, SLOTS = 3, 600, 3
FEW = (0.4, 0.32, 0.25)  # their part of who comes, by week
FINDS = {"m": (0.3, 0.32, 0.34), "f": (0.3, 0.24, 0.16)}  # a click on a place, by week
CATEGORIES = {
    1: "shoes",
    2: "shoes",
    3: "shoes",
    4: "bags",
    5: "bags",
    6: "bags",
    7: "hats",
    8: "hats",
    9: "hats",
}  # 9 is never sent
MOVED = (1, START + 16 * DAY + timedelta(hours=12), "bags")  # an item, and when it becomes what
PROJECT = """
name: watched
entities:
  item: {key: item_id, type: int}
events:
  impression:
    attributes: {exposure_id: {type: string}, item_id: {type: int}}
  click:
    attributes: {impression_id: {type: string}}
objectives:
  ctr: {rate: click / impression, within: 30m}
tables:
  items: items.csv
feature_views:
  item_profile: {entity: item}
endpoints:
  ranker:
    objective: ctr
    unit: visitor_id
    explore: 20%
    attributes: {gender: {type: string}}
    variants: {champion: {model: ranker@champion, traffic: 100}}
monitors:
  category_bias:
    endpoint: ranker
    items: item_profile.item_category
    alarm: {shown_to_organic: 2, calibration: [0.67, 1.5], gini_rise: 0.05}
  item_bias: {endpoint: ranker, items: item_id}
  served_alike: {endpoint: ranker, units: gender, window: 7d, alarm: {satisfied_ratio: 0.8, mix_drift: 5%}}
"""
FILES = {
    "project.yaml": PROJECT,
    "features/item_profile.sql": "SELECT item_id, CAST(since AS TIMESTAMP) AS event_timestamp, category AS item_category "
    "FROM items\n",
    "models/popular.yaml": "model: ranker\nalias: champion\nobjective: ctr\nfeatures: [item_id]\ntrainer: "
    "ranker.train\n",
    "ranker.py": "def train(data, label, features): ...\n",
    "profiles.yaml": "default: local\ntargets:\n  local: {}\n",
}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one visitor was shown at one time, and what was clicked."""

    number: int
    at: datetime
    unit: str
    gender: str
    version: str
    explored: bool
    items: tuple[int, ...]
    clicked: tuple[bool, ...]

    @property
    def week(self):
        return (self.at - START).days // 7

    @property
    def said(self):
        """One in ten leaves the gender out, always."""
        return self.gender if int(self.unit[1:]) % 10 else None


def answers(seed=20261126):
    """Week by week from a pool of people of each kind, so that some come again."""
    chance = random.Random(seed)
    for number in range(WEEKS * ANSWERS):
        week = number // ANSWERS
        gender = "f" if chance.random() < FEW[week] else "m"
        explored = chance.random() < 0.2
        shelf = list(range(1, 9)) if explored else [1, 2, 4, 7]
        yield Answer(
            number=number,
            at=START + week * 7 * DAY + timedelta(minutes=(number % ANSWERS) * 16),
            unit=f"{gender}{chance.randrange(400)}",
            gender=gender,
            version=f"ranker@{week + 1}",
            explored=explored,
            items=tuple(chance.sample(shelf, SLOTS)),
            clicked=tuple(chance.random() < FINDS[gender][week] for _ in range(SLOTS)),
        )


def category(item, at):
    moved, when, becomes = MOVED
    return becomes if item == moved and at >= when else CATEGORIES[item]


def rankings(answer):
    return {
        "event_id": f"q-{answer.number}",
        "event_timestamp": answer.at,
        "endpoint": "ranker",
        "gateway": "q",
        "sequence": answer.number,
        "unit": answer.unit,
        "variant": "champion",
        "version": answer.version,
        "entity": "item",
        "candidates": "[]",
        "model_order": "[]",
        "explored": answer.explored,
        "explore": 0.2,
        "milliseconds": 1.0,
        "attributes": f'{{"gender":"{answer.said}"}}' if answer.said else None,
    }


def exposures(answer):
    for position, item in enumerate(answer.items, 1):
        yield {
            "event_id": f"q-{answer.number}-{position}",
            "event_timestamp": answer.at,
            "endpoint": "ranker",
            "unit": answer.unit,
            "variant": "champion",
            "version": answer.version,
            "entity": "item",
            "entity_key": str(item),
            "position": position,
            "score": 0.2,
            "propensity": 0.5,
            "explored": answer.explored,
        }


def events(answer):
    """(impressions, clicks)."""
    shown = [
        {
            "event_id": f"i{row['event_id']}",
            "event_timestamp": row["event_timestamp"],
            "exposure_id": row["event_id"],
            "item_id": item,
        }
        for row, item in zip(exposures(answer), answer.items, strict=True)
    ]
    clicks = [
        {
            "event_id": f"c{row['event_id']}",
            "event_timestamp": row["event_timestamp"] + timedelta(minutes=1),
            "impression_id": row["event_id"],
        }
        for row, clicked in zip(shown, answer.clicked, strict=True)
        if clicked
    ]
    return shown, clicks


def shelf():
    item, when, becomes = MOVED
    rows = [(number, START - DAY, name) for number, name in CATEGORIES.items()] + [
        (item, when, becomes)
    ]
    return "item_id,since,category\n" + "".join(
        f"{number},{since:%Y-%m-%d %H:%M:%S},{name}\n" for number, since, name in rows
    )


class Watched:
    """The project, opened, with its clock at the end of the third week; `log` is what happened."""

    def __init__(self, folder, *, log=None, materialized=True):
        for name, text in (FILES | {"items.csv": shelf()}).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        self.folder, self.now = folder, START + WEEKS * 7 * DAY
        self.project = isthmus.open(folder)
        self.project.target.clock = lambda: self.now
        self.log = list(answers()) if log is None else log
        isthmus.apply(self.project)
        emit_stream(self.project, RANKINGS, [rankings(answer) for answer in self.log])
        emit_stream(
            self.project, EXPOSURES, [row for answer in self.log for row in exposures(answer)]
        )
        shown, clicks = zip(*map(events, self.log), strict=True)
        for event, rows in (("impression", shown), ("click", clicks)):
            ingest(
                self.project, event=event, data=pd.DataFrame([row for some in rows for row in some])
            )
        if materialized:
            materialize(self.project)
