"""Every page on a phone of 390 px: none scrolls sideways as a whole, and what a page is for is on
the screen without scrolling a table.
"""

import subprocess
import sys
from pathlib import Path

import pytest

import isthmus
from isthmus.experiments.results.page import report as experiment_file
from isthmus.pipelines.run_pages.compare import compare
from isthmus.pipelines.run_pages.comparison_page import comparison_page
from isthmus.tests.rollouts.test_report import page_of

from . import test_operations, test_pages
from .chromium import MISSING, PROGRAM, Chromium
from .drawn import serving
from .operations import operating

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason=MISSING)]
WIDTH = 390
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# how far the cells of a column, in all tables that have it, reach to the right
REACH = """[...document.querySelectorAll("table")].filter(table => table.getClientRects().length)
  .flatMap(table => {
    const heads = [...table.querySelectorAll("thead th, thead td")].map(head => head.innerText);
    const column = heads.findIndex(head => head.replaceAll("\\n", " ").startsWith(%r));
    return column < 0 ? [] : [...table.querySelectorAll("tbody tr")].map(row => {
      const text = document.createRange();
      text.selectNodeContents(row.children[column]);
      return text.getBoundingClientRect().right;
    });
  })"""
COLUMNS = {
    test_pages.HOME: ["verdict"],
    "/experiments/blend_up": ["against control"],
    "/runs": ["auc"],
    "/runs/r2": ["value (95 %)"],
    "/runs/compare?first=r1&others=r2": ["difference"],
}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("chromium")) as chromium:
        chromium.looks(width=WIDTH, theme="light", height=844)
        yield chromium


def check(chromium, address, columns=()):
    chromium.go(address)
    assert chromium.ask(SIDEWAYS) <= 0, address
    for column in columns:
        reaches = chromium.ask(REACH % column)
        assert reaches, (address, column)
        assert max(reaches) <= WIDTH, (address, column)


def test_pages_of_experiments(chromium, shop):
    with serving(lambda: shop.project) as host:
        for path in test_pages.PATHS:
            check(chromium, f"{host}{path}", COLUMNS.get(path, ()))
    check(
        chromium,
        experiment_file(shop.project, "blend_up").as_uri(),
        COLUMNS["/experiments/blend_up"],
    )


def test_pages_of_operations(chromium, tmp_path):
    with (
        pytest.MonkeyPatch.context() as patch,
        operating(tmp_path / "shop", patch) as project,
    ):
        with serving(lambda: project) as host:
            for path in test_operations.PATHS:
                check(chromium, f"{host}{path}", COLUMNS.get(path, ()))
        check(
            chromium,
            comparison_page(project, compare(project, "r1", "r2")).as_uri(),
            COLUMNS["/runs/compare?first=r1&others=r2"],
        )
        check(
            chromium,
            f"{project.target.blobs.root}/runs/r2/report.html",
            COLUMNS["/runs/r2"],
        )


def test_page_of_a_rollout(chromium, tmp_path):
    _, _, text = page_of("errors")
    path = tmp_path / "rollout.html"
    path.write_text(text)
    check(chromium, path.as_uri(), ["guardrail", "verdict"])


def test_pages_of_the_built_site(chromium, tmp_path):
    """Its pictures are as large as a person can read, and scroll within themselves."""
    pytest.importorskip("mkdocs", reason="there is no mkdocs here: make setup")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=Path(isthmus.__file__).parent,
        check=True,
        timeout=600,
    )
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        check(chromium, page.as_uri())
    chromium.go((tmp_path / "index.html").as_uri())
    width, box, scrolls = chromium.ask(
        "(flow => [flow.clientWidth, flow.parentElement.clientWidth, "
        "getComputedStyle(flow.parentElement).overflowX])"
        "(document.querySelector('img[src$=\"flow.svg\"]'))"
    )
    assert width > WIDTH > box
    assert scrolls == "auto"
