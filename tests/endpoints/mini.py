"""A small project with data, features and two registered versions: what deploy and the gateway
need.
"""

from __future__ import annotations

import json
import sys

import isthmus
from isthmus.events.intake.ingest import ingest
from isthmus.pipelines.models import predictor
from isthmus.project.modules import importable

FILES = {
    "project.yaml": """
name: mini
now: 2024-01-10T00:00:00Z
entities:
  item:    {key: item_id, type: int}
  segment: {key: segment_id, type: string}
events:
  impression:
    owner: a@example.com
    attributes:
      item_id:    {type: int}
      segment_id: {type: string}
      position:   {type: int}
  click:
    owner: a@example.com
    attributes:
      impression_id: {type: string}
      item_id:       {type: int}
objectives:
  ctr: {rate: click / impression, within: 30m, goal: maximise}
feature_views:
  item_history:    {entity: item}
  segment_history: {entity: segment, ttl: 2d}
endpoints:
  ranker:
    objective: ctr
    unit: visitor_id
    variants:
      champion:   {model: ranker@champion,   traffic: 90}
      challenger: {model: ranker@challenger, traffic: 10}
    explore: 5%
""",
    "profiles.yaml": "default: local\ntargets:\n  local: {}\n",
    "features/item_history.sql": """
SELECT item_id, event_timestamp, created_timestamp, count(*) OVER w AS item_impressions
FROM ctr WINDOW w AS (PARTITION BY item_id ORDER BY event_timestamp RANGE BETWEEN INTERVAL 30 DAY PRECEDING AND CURRENT ROW)
""",
    "features/segment_history.sql": """
SELECT segment_id, event_timestamp, created_timestamp, count(*) OVER w AS segment_impressions
FROM ctr WINDOW w AS (PARTITION BY segment_id ORDER BY event_timestamp RANGE BETWEEN INTERVAL 30 DAY PRECEDING AND CURRENT ROW)
""",
    "models/popular.yaml": """
model: ranker
alias: champion
objective: ctr
window: 2024-01-01 .. 2024-01-10
features: [item_history.item_impressions]
trainer: mini_ranker.popular
""",
    "models/both.yaml": """
model: ranker
alias: challenger
objective: ctr
window: 2024-01-01 .. 2024-01-10
features: [position, item_history.item_impressions, segment_history.segment_impressions]
serve_as: {position: 1}
trainer: mini_ranker.both
""",
    "mini_ranker.py": """
class Weighted:
    def __init__(self, weights):
        self.weights = weights

    def predict(self, rows, *, plus=0.0):
        return [plus + sum(w * float(row[name] or 0) for name, w in self.weights.items()) for row in rows]


def popular(data, label, features):
    return Weighted({"item_impressions": 1.0})


def both(data, label, features):
    return Weighted({"item_impressions": -1.0, "segment_impressions": 0.001, "position": 100.0})
""",
}
KEYS = {"item_history": "item_id", "segment_history": "segment_id"}
# item 4 is shown 16 times, 3 12 times, 2 8 times, 1 4 times; segment a until 9 January, segment old
# only on the 1st
SHOWN = [1, 2, 2, 3, 3, 3, 4, 4, 4, 4]
REQUEST = {"visitor_id": "v1", "segment_id": "a", "item_id": [1, 2, 3, 4], "slots": 3}


def write(folder, files=FILES):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())


def opened(folder, **where):
    return isthmus.open(folder / "project.yaml", **where)


def filled(folder, files=FILES, **where):
    """Written, applied, ingested and materialized; no model yet. `where`: see isthmus.open."""
    write(folder, files)
    impressions = [
        {
            "event_id": f"i{n}",
            "event_timestamp": f"2024-01-0{2 + n // 5}T10:00:00Z"
            if n % 20
            else "2024-01-01T10:00:00Z",
            "item_id": SHOWN[n % 10],
            "segment_id": "a" if n % 20 else "old",
            "position": 1,
        }
        for n in range(40)
    ]
    clicks = [
        {
            "event_id": "c1",
            "event_timestamp": "2024-01-02T10:01:00Z",
            "impression_id": "i1",
            "item_id": 2,
        }
    ]
    with opened(folder, **where) as project:
        isthmus.apply(project)
        for event, rows in (("impression", impressions), ("click", clicks)):
            path = folder / f"{event}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            ingest(project, event=event, data=path)
        isthmus.materialize(project)
    return folder


def register(project, configuration, weights=None, *, alias=None):
    """A version of this configuration, as `train` would register it."""
    importable(str(project.folder))
    sys.modules.pop("mini_ranker", None)  # another folder's, of a test before
    sys.path.insert(0, str(project.folder))
    try:
        import mini_ranker
    finally:
        sys.path.pop(0)

    model = project.spec.models[configuration]
    made = getattr(mini_ranker, configuration)(None, None, None)
    if weights is not None:
        made.weights = weights
    folder = project.folder / "made" / configuration
    digest = predictor.save(made, folder, model=model, keys=KEYS)
    uri = f"{project.target.blobs.root}/models/ranker/{digest}"
    project.target.blobs.upload(folder, uri)
    version = project.target.registry.register("ranker", uri=uri, digest=digest, image="")
    project.target.registry.set_alias("ranker", alias or model.alias, version.version)
    return version
