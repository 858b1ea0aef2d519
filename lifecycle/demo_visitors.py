"""New visitors come to the shop's gateway: each sees what an experiment's arm ranks for them, and clicks as the shop's world has it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from random import Random
from typing import Any, final

import msgspec

from ..events.emit import emit
from ..project.modules import importable
from ..runtime import Project

VISITORS = 1_200
CANDIDATES, SLOTS = 30, 3
_MOST_SESSIONS = 3  # of a visitor; the log's most eager ones have fifty
_GROUP = 2_000  # impressions that are emitted at once
_CLICKED = timedelta(seconds=30)

Rows = list[dict[str, Any]]


class Visits(msgspec.Struct, frozen=True, kw_only=True):
    visitors: int
    requests: int
    shown: int
    clicks: int


def visit(project: Project, endpoint: str) -> Visits:
    """Everybody comes one to three times. Impressions and clicks are logged as the shop's own site does: nothing in them names an arm."""
    from ..endpoints.gateway.gateway import Gateway

    site = _Site(project)
    requests = 0
    with Gateway(project, endpoint) as gateway:
        for number, visitor in enumerate(site.visitors, 1):
            for session in range(min(visitor["sessions"], _MOST_SESSIONS)):
                candidates = site.candidates()
                asked = {"visitor_id": visitor["visitor_id"], "country": visitor["country"], "item_id": candidates, "slots": SLOTS}
                site.show(visitor, f"{visitor['visitor_id']}-{session}", gateway.rank(asked).items)
                requests += 1
            project.progress("visit", number, VISITORS)
    site.log()
    return Visits(visitors=VISITORS, requests=requests, shown=site.shown, clicks=site.clicked)


@final
class _Site:
    """What the shop's world says of who comes, and whether they click."""

    def __init__(self, project: Project) -> None:
        self._project = project
        importable(str(project.folder))
        self._world: Any = import_module("world")
        self._items = {item["item_id"]: item for item in self._world.items(Random(0))}  # noqa: S311  those of the log
        self._chance = Random(1)  # noqa: S311  a simulation's
        # other people each time: who came in an earlier demo has seen its lists
        self.visitors: Rows = self._world.visitors(self._chance, VISITORS, f"n{project.wall():%y%m%d%H%M%S}-")
        self.shown = self.clicked = 0
        self._impressions: Rows = []
        self._clicks: Rows = []

    def candidates(self) -> list[int]:
        return self._chance.sample(list(self._items), CANDIDATES)

    def show(self, visitor: Mapping[str, Any], session: str, items: tuple[int | str, ...]) -> None:
        for position, number in enumerate(items, 1):
            item = self._items[int(number)]
            self._impressions.append(_impression(visitor, session, item, position) | {"event_timestamp": self._project.now()})
            if self._chance.random() < self._world.chance(visitor, item, position):
                shown = self._impressions[-1]
                clicked = {"event_id": f"c-{shown['event_id']}", "impression_id": shown["event_id"]}
                self._clicks.append(clicked | {"event_timestamp": shown["event_timestamp"] + _CLICKED})
        if len(self._impressions) >= _GROUP:
            self.log()

    def log(self) -> None:
        for event, rows in (("impression", self._impressions), ("click", self._clicks)):
            emit(self._project, event, rows)
        self.shown += len(self._impressions)
        self.clicked += len(self._clicks)
        self._impressions, self._clicks = [], []


def _impression(visitor: Mapping[str, Any], session: str, item: Mapping[str, Any], position: int) -> dict[str, Any]:
    return {
        "event_id": f"{session}-{position}",
        "visitor_id": visitor["visitor_id"],
        "session_id": session,
        "item_id": item["item_id"],
        "position": position,
        "item_kind": item["item_kind"],
        "country": visitor["country"],
    }
