"""Judge statistics through the whole chain: simulated visitors, gateway, log, query, verdict.

`python -m benchmarks.experiments.simulate [--rounds 5]`, over HTTP, seeds fixed. A round is one
traffic in which 20 layers test the same visitors, each with arms that are alike; then two A/B tests
whose effect is known; then a split that is broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from math import sqrt
from pathlib import Path

import isthmus
from isthmus.endpoints.deploy.deploy import deploy
from isthmus.experiments.experiment import stop
from isthmus.experiments.results.comparison import results
from isthmus.experiments.simulation.clock import on_simulated_clock
from isthmus.experiments.simulation.simulate import Session, simulate
from isthmus.experiments.simulation.simulation_file import read
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.endpoints import mini

from ..measure import SMALL, scaled

LAYERS = scaled(20, 2)
VISITING = scaled(250, 60)
EFFECT, LOST = 0.4, 0.3
UNIT = "      segment_id: {type: string}\n      visitor_id: {type: string, required: false}\n"
VISITORS = """
sessions: 2
items: 4
candidates: 4
slots: 3
attributes: {segment_id: [a]}
events:
  impression: {}
  click: {of: impression, chance: 20%, after: 30s}
late: {share: 10%, by: 1d}
"""


def main() -> bool:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=scaled(5, 1))
    arguments, _ = parser.parse_known_args()
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder, mini.opened(_project(Path(folder))) as project:
        try:
            deploy(project, "ranker")
            failed = not all(
                [
                    _alike(project, arguments.rounds),
                    _better(project, 2 * arguments.rounds),
                    _broken(project, arguments.rounds),
                ]
            )
        finally:
            remove_endpoints(project.target)
    print(f"\n{time.process_time() - started:.0f} CPU s, without the model servers")
    return failed and not SMALL  # so few visitors show nothing


def _project(folder):
    mini.filled(folder)
    names = [f"alike_{number}" for number in range(LAYERS)] + ["better", "broken"]
    layers = "".join(f"  layer_{name}: {{endpoint: ranker}}\n" for name in names)
    tests = "".join(
        f"  {name}: {{layer: layer_{name}, arms: {{control: {{}}, treatment: {{}}}}, metric: "
        "ctr}\n"
        for name in names
    )
    file = folder / "project.yaml"
    text = file.read_text().replace("      segment_id: {type: string}\n", UNIT)
    file.write_text(f"{text}layers:\n{layers}experiments:\n{tests}")
    with mini.opened(folder) as project:
        mini.register(project, "popular")
        mini.register(project, "both")
        isthmus.apply(project)
    return folder


def _file(project, head):
    path = project.folder / "world.yaml"
    path.write_text(head + VISITORS)
    return path


def _alike(project, rounds):
    """Count how often a look shows what is not there, in 20 tests at once on the same visitors.

    A single look and any look are counted.
    """
    once = always = alarms = count = 0
    for number in range(rounds):
        going = Session(project)
        for layer in range(LAYERS):
            going.start(f"alike_{layer}", {})
        going.play(
            read(
                _file(
                    project, f"endpoint: ranker\ndays: 2\nvisitors: {VISITING}\nseed: {number}\n"
                ),
                project.spec,
            )
        )
        for layer in range(LAYERS):
            report = results(going.project, f"alike_{layer}", despite_split=True)
            effect = report.effects[0]
            once += effect.once is not None and not effect.once.low <= 0 <= effect.once.high
            always += effect.side != "open"
            alarms += report.split.alarm
            count += 1
            stop(going.project, f"alike_{layer}", because="the next round begins")
    print(
        f"\narms that are alike, {count} tests: a single look cries in {_share(once, count)} "
        f"(5 %), any look in {_share(always, count)}"
    )
    print(f"  split alarms {alarms} (0.1 % at most)")
    return abs(once - 0.05 * count) < 4 * sqrt(count * 0.05 * 0.95) and alarms == 0


def _better(project, worlds):
    """Return whether the intervals hold the truth, and print the mean of what is shown."""
    head = (
        f"experiment: better\ndays: 2\nvisitors: {VISITING}\neffects: {{treatment: {{click: "
        f"+{100 * EFFECT:g}%}}}}\n"
    )
    truths = [_once(project, "better", f"{head}seed: {100 + number}\n") for number in range(worlds)]
    truths = [truth for truth in truths if truth.low is not None] if SMALL else truths
    covered = sum(truth.low <= truth.true <= truth.high for truth in truths)
    mean = sum(truth.shown for truth in truths) / worlds
    print(
        f"\na true {EFFECT:+.0%} in {worlds} worlds: intervals hold it in "
        f"{_share(covered, worlds)} (95 % at least)"
    )
    print(f"  shown on average {mean:+.1%}")
    return covered >= 0.95 * worlds - 4 * sqrt(worlds * 0.95 * 0.05)


def _once(project, name, head):
    (truth,) = _simulated(project, name, head).truths
    return truth


def _broken(project, worlds):
    head = (
        f"experiment: broken\ndays: 2\nvisitors: {scaled(600, 30)}\nbroken: {{arm: treatment, "
        f"loses: {100 * LOST:g}%}}\n"
    )
    reports = [
        _simulated(project, "broken", f"{head}seed: {200 + number}\n").results
        for number in range(worlds)
    ]
    invalid = sum(report.conclusion.word == "invalid" for report in reports)
    print(
        f"\na split that loses {LOST:.0%} of an arm of {reports[0].complete // 2:,} or so: told "
        f"as invalid in {invalid} of {worlds}"
    )
    print(f"  the last: {reports[-1].split}")
    return invalid > 0


def _simulated(project, name, head):
    simulated = simulate(project, _file(project, head))
    if simulated.played.failed or simulated.played.rejected or simulated.played.undelivered:
        raise SystemExit(f"not all was answered and stored: {simulated.played}")
    stop(on_simulated_clock(project), name, because="the next world begins")
    return simulated


def _share(part, whole):
    return f"{100 * part / whole:.1f} %"


if __name__ == "__main__":
    sys.exit(main())
