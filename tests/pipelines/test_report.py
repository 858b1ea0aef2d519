"""Pages are whole in themselves, safe against what a user writes, and show what was computed."""

import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import Invalid
from isthmus.pipelines import figures, report, runs
from isthmus.pipelines.compare import compare
from isthmus.pipelines.document import local_path
from isthmus.pipelines.evaluation import SCHEMA
from isthmus.pipelines.metrics import day_of
from isthmus.pipelines.statistics import Pairs
from isthmus.reports import page, plots
from isthmus.tests.pipelines import trained

VOID = {"meta", "line", "circle", "polyline", "br"}


class Whole(HTMLParser):
    """Every element is closed in its order."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert not {"src", "href", "srcset"} & {name for name, _ in attrs}
        assert tag != "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = trained.make_project(tmp_path_factory.mktemp("report") / "shop")
    trained.configure(folder, "other", "parameters: {sign: -0.2}\ngate: {calibration: {within: [0.5, 2]}} # <script>alert(1)</script>\n")
    with pytest.MonkeyPatch.context() as patch, trained.open_project(folder) as project:
        for name in ("good", "other"):
            trained.run_here(project, name, trained.data(), patch)
        yield project


def test_every_page_is_self_contained_html(shop):
    pages = [local_path(report.run_uri(shop.target.blobs, name)) for name in ("r1", "r2")]
    pages += [report.comparison_page(shop, compare(shop, "r1", "r2")), report.leak_page(shop, "r1").page]
    for path in pages:
        text = path.read_text()
        Whole(text)
        assert "http" not in text.replace("http-equiv", "")
        assert "url(" not in text
        assert 'name="viewport"' in text
        assert len(text) < 200_000


def test_what_a_user_writes_is_text_and_not_markup(shop):
    text = local_path(report.run_uri(shop.target.blobs, "r2")).read_text()
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text


def test_the_page_shows_the_run_s_figures(shop):
    text = local_path(report.run_uri(shop.target.blobs, "r2")).read_text()
    run = runs.get_run(shop, "r2")
    for one in (run.evaluation.auc.value, run.champion.difference.value, *(period.auc for period in run.evaluation.periods)):
        assert f"{one:.3f}" in text
    assert str(run.evaluation.rows) in text.replace(",", "")


def test_the_picture_is_a_png(shop):
    path = report.demo_picture(shop, ["r1", "r2"])
    assert path.name == "demo-calibration.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_leak_needs_a_feature_that_is_made_of_outcomes(shop):
    with pytest.raises(Invalid, match="position is not made of past outcomes"):
        report.leak_page(shop, "r1", feature="position")


def test_the_leak_flatters(shop):
    found = report.leak_page(shop, "r1", feature="item_ctr")
    assert found.leaked.value > found.honest.value


def predictions(rows):
    scores, hits, days = zip(*rows, strict=True)
    columns = [
        [f"e{i}" for i in range(len(rows))],
        pa.array(np.array(days, dtype="datetime64[D]").astype("datetime64[ms]")),
        pa.array(hits, pa.int64()),
        pa.array(scores, pa.float64()),
        pa.array([0.1] * len(rows)),
        pa.array([0] * len(rows)),
        *(pa.nulls(len(rows)) for _ in ("unit", "ranked_within", "item")),
    ]
    return pa.table(columns, names=SCHEMA.names).cast(SCHEMA)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.9]), st.integers(0, 1)), min_size=2, max_size=40))
def test_the_area_under_the_drawn_curve_is_the_auc(rows):
    table = predictions([(score, hit, 3) for score, hit in rows])
    hits = table["outcome"].to_numpy()
    if 0 < hits.sum() < len(hits):
        x, y = figures.roc(table)
        assert (x[-1], y[-1]) == (1, 1)
        area = Pairs(table["prediction"].to_numpy(), hits, day_of(table)).auc(np.ones(len(hits), np.int64))
        assert float(np.trapezoid(y, x)) == pytest.approx(area)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_calibration_bins_hold_every_row_once(rows):
    table = predictions([(score, hit, 3) for score, hit in rows])
    bins = figures.calibration_bins(table)
    assert sum(one.rows for one in bins) == len(rows)
    assert sum(one.observed * one.rows for one in bins) == pytest.approx(sum(hit for _, hit in rows))
    assert all(one.low <= one.observed <= one.high for one in bins)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_an_axis_has_a_few_ticks_inside_it(low, width):
    width = max(width, abs(low) * 1e-6)  # narrower than that a float cannot tell the ticks apart
    found = plots.axis("x", low, low + width)
    assert 2 <= len(found.ticks) <= 7
    assert all(low - width / 1e3 <= value <= low + width * 1.001 for value, _ in found.ticks)


def test_text_is_escaped_wherever_it_goes():
    evil = '"><script>x</script>'
    drawn = plots.chart(evil, plots.axis(evil, 0, 1), plots.axis(evil, 0, 1), [plots.Series(name=evil, style="a", x=[0], y=[0])])
    parts = [page.heading(evil, evil), page.table((evil,), [(evil,)]), page.verdict([evil, evil]), page.code(evil), drawn]
    text = page.page(evil, parts, evil)
    Whole(text)
    assert not re.search(r"<script", text)
