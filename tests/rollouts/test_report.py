"""A rollout's page is whole in itself, shows what was decided on what, and is drawn by a real
browser as it should be.
"""

import json
import re
import subprocess

import pytest

from isthmus.rollouts.page import report
from isthmus.rollouts.page.verdict_history import retrace
from isthmus.rollouts.state import documents
from isthmus.tests.pipelines.run_pages.test_report import Whole
from isthmus.tests.rollouts.scenario_files import FILES, rehearsal
from isthmus.tests.rollouts.scene import LOCAL, SAGEMAKER
from isthmus.tests.ui.chromium import MISSING, PROGRAM

BY_NAME = {path.stem: path for path in FILES}
# Asks the page itself: what it fetched, whether anything stands out of a phone's screen, and what
# was drawn how large
PROBE = """<script>addEventListener("load", () => { const boxes = selector => [...document.querySelectorAll(selector)].filter(
  e => e.getClientRects().length).map(e => e.getBoundingClientRect()); document.title = JSON.stringify({ fetched: performance.getEntriesByType("resource").length,
  width: document.documentElement.scrollWidth, screen: innerWidth, pictures: boxes("svg").map(b => [b.width, b.height]),
  lines: boxes("polyline").length, sections: boxes("section").length }); });</script>"""


def page_of(name, traits=LOCAL):
    result, world = rehearsal(BY_NAME[name], traits)
    ports = world.ports()
    return result, ports, ports.blobs.get(report.write(ports, result.state)).decode()


@pytest.mark.parametrize(
    "name", ["errors", "drift", "no_data", "person_aborts", "aborted_in_the_grace_time", "recovery"]
)
def test_a_page_is_self_contained_and_tells_the_whole_history(name):
    result, _, text = page_of(name, SAGEMAKER)
    Whole(text)
    assert "http" not in text.replace("http-equiv", "")
    for entry in result.entries:
        assert f"<td>{entry.at:%Y-%m-%d %H:%M:%S}</td><td>{entry.what}</td>" in text
    assert (result.state.end or result.state.phase).capitalize() in text


def test_what_is_drawn_is_what_was_decided_on():
    """The last point of a bake that failed is the check of the abort, figure by figure."""
    result, ports, _ = page_of("errors_in_step_2")
    points = retrace(result.state.plan, documents.kept_minutes(ports.blobs, result.state))
    abort = next(entry for entry in result.entries if entry.what == "abort")
    assert len(abort.checks) == 3
    for check in abort.checks:
        last = points[check.guardrail][-1]
        assert (last.bake, last.check, last.until) == ("2-0", check, abort.window[1])


def test_the_minutes_of_every_bake_are_kept_however_it_ended():
    for name, bakes in (
        ("person_aborts", ["1-0"]),
        ("drift", ["1-0", "1-1", "2-0", "3-0", "handing", "promoted"]),
        ("recovery", []),
    ):
        result, ports, _ = page_of(name)
        assert set(bakes) <= set(documents.kept_minutes(ports.blobs, result.state))


def test_what_people_write_is_text_on_the_page(tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(
        BY_NAME["person_aborts"].read_text().replace("looks odd", '"<script>alert(1)</script>"')
    )
    result, world = rehearsal(path, LOCAL)
    ports = world.ports()
    text = ports.blobs.get(report.write(ports, result.state)).decode()
    Whole(text)
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_a_browser_draws_the_page_on_a_phones_screen_and_fetches_nothing(tmp_path):
    """Starts Chromium, which takes seconds."""
    _, _, text = page_of("errors_in_step_2")
    path = tmp_path / "report.html"
    path.write_text(
        text.replace("</body>", f"{PROBE}</body>").replace("<details>", "<details open>")
    )
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=500,900",
        "--virtual-time-budget=2000",
        f"--user-data-dir={tmp_path}/c",
    ]
    drawn = subprocess.run(
        [PROGRAM, *flags, "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    seen = json.loads(re.search(r"<title>(.*?)</title>", drawn)[1])
    assert seen["fetched"] == 0
    assert seen["width"] <= seen["screen"]
    assert len(seen["pictures"]) == 1 + 2 * 3, (
        "the traffic, and of each guardrail its value and its evidence"
    )
    assert all(width > 200 and height > 100 for width, height in seen["pictures"])
    assert seen["sections"] == 1 + 3 + 2
