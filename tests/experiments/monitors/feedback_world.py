"""A shop whose model teaches itself, for the tests of monitors and benchmarks/experiments/monitors.py.

Two kinds of visitors, 60 : 40, each like items of their own kind. A version knows of each item how
often it was clicked while the version before served, and nothing of visitors; version 1 knows
nothing. It orders twenty drawn candidates by that and shows five, or draws five,
in one answer of twenty. Who clicked nothing in a window hardly comes back; new visitors come 60 :
40.

Made so that the page's figures come out (EXPERIMENTS.md, section 8): in six versions the many go
from 60 to about 75 %, and from the second one on the few are satisfied half to three quarters as
often.
"""

from __future__ import annotations

import numpy as np

from isthmus.experiments.monitors.units import UnitCell, rows

KINDS = ("many", "few")
MIX = 0.6
VERSIONS = 6
ITEMS, CANDIDATES, SLOTS, ANSWERS = 80, 20, 5, 2  # answers: of a visitor in a window
EXPLORE = 0.05
BASE, WORTH, LIKING = (
    -3.5,
    0.2,
    1.5,
)  # log-odds of a click: of all, their spread over items, one's own kind
BACK = {True: 0.95, False: 0.05}  # who comes again, by whether something was clicked
NEW = 0.3  # of a window's first visitors come anew in each later one
PRIOR = (2.0, 40.0)  # clicks and exposures that a model adds to an item's


def windows(random, *, visitors, liking=LIKING):
    """Of each version: for each kind, units and those with a click. `liking` 0: all like all."""
    worth = np.repeat(BASE + random.normal(0, WORTH, ITEMS // 2), 2)  # each kind has the same shelf
    item_kind = np.arange(ITEMS) % 2
    kinds = (random.random(visitors) >= MIX).astype(int)
    scores = np.zeros(ITEMS)
    for _ in range(VERSIONS):
        clicked, shown, satisfied = _served(
            random,
            scores,
            kinds,
            worth[None, :] + liking * (item_kind[None, :] == np.arange(2)[:, None]),
        )
        yield {
            name: (int((kinds == at).sum()), int((satisfied & (kinds == at)).sum()))
            for at, name in enumerate(KINDS)
        }
        scores = (clicked + PRIOR[0]) / (shown + PRIOR[1])
        again = random.random(len(kinds)) < np.where(satisfied, BACK[True], BACK[False])
        new = (random.random(int(NEW * visitors)) >= MIX).astype(int)
        kinds = np.concatenate([kinds[again], new])


def alarms(random, alarm, **world):
    """Of each version: the figures that are alarms, by the rows of a monitor whose window is that
    version's.
    """
    seen = list(windows(random, **world))
    begun = _cells("first", seen[0])
    return [
        {
            row.figure
            for row in rows([*_cells("now", kinds), *begun], alarm)
            if row.alarm and row.scope == "window"
        }
        for kinds in seen
    ]


def _cells(period, kinds):
    of = {"period": period, "day": "", "version": "ranker@1", "back": False}
    return [
        UnitCell(group=name, satisfied=found, units=hits if found else units - hits, **of)
        for name, (units, hits) in kinds.items()
        for found in (True, False)
    ]


def _served(random, scores, kinds, chances):
    """(clicks by item, exposures by item, whether each visitor clicked).

    `chances`: log-odds by kind and item.
    """
    clicked, shown, satisfied = np.zeros(ITEMS), np.zeros(ITEMS), np.zeros(len(kinds), dtype=bool)
    for _ in range(ANSWERS):
        candidates = random.random((len(kinds), ITEMS), dtype=np.float32).argpartition(
            CANDIDATES, axis=1
        )[:, :CANDIDATES]
        drawn = random.random(len(kinds)) < EXPLORE
        order = (
            np.where(drawn[:, None], 0.0, scores[candidates])
            + random.random(candidates.shape) * 1e-9
        )
        items = np.take_along_axis(
            candidates, (-order).argpartition(SLOTS, axis=1)[:, :SLOTS], axis=1
        )
        hit = random.random(items.shape) < 1 / (1 + np.exp(-chances[kinds[:, None], items]))
        clicked += np.bincount(items[hit], minlength=ITEMS)
        shown += np.bincount(items.ravel(), minlength=ITEMS)
        satisfied |= hit.any(axis=1)
    return clicked, shown, satisfied
