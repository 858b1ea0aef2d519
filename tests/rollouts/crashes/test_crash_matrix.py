"""A controller killed before or after each of its changing calls, or stopped there while another
goes on: nothing differs.

By default every third pair of scenario and target is played, and each kind of point (what is done,
in which phase of which step) is cut in one way, the next one in the next way. ISTHMUS_EVERY_CRASH=1
cuts every point in every way on every target: 5,200 rollouts, minutes.
"""

import os

import pytest

from ..scene import STICKY, TARGETS
from .crashes import SCENARIOS, WAYS, every_cut, matrix, one_cut_each

pytestmark = pytest.mark.soak

CELLS = [(traits, scenario) for traits in (*TARGETS, STICKY) for scenario in SCENARIOS]


@pytest.mark.timeout(3600)
def test_whenever_a_controller_dies_or_sleeps_the_rollout_ends_the_same(capsys):
    """Some ten seconds: hundreds of whole rollouts."""
    every = bool(os.environ.get("ISTHMUS_EVERY_CRASH"))
    played = [*enumerate(CELLS)][:: 1 if every else 3]
    cells = [
        matrix(traits, scenario, every_cut if every else one_cut_each(turn))
        for turn, (traits, scenario) in played
    ]
    points, runs, late = (
        sum(getattr(cell, field) for cell in cells) for field in ("points", "runs", "late")
    )
    broken = [line for cell in cells for line in cell.broken]
    with capsys.disabled():
        print(
            f"\n{points:,} points x {len(WAYS)} ways, {len(played)} of {len(CELLS)} pairs of "
            f"scenario and target, the last under sticky routing: {runs:,} of them run, "
            f"{len(broken)} differ ({late} saw a call that came late where none can be fenced, "
            "and baked anew)"
        )
    assert broken == []
