"""Pages are whole in themselves, safe against what a user writes, and show what was computed."""

import re
from datetime import date
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import Invalid
from isthmus.pipelines.evaluation.forward_evaluation import SCHEMA
from isthmus.pipelines.evaluation.metrics import day_of
from isthmus.pipelines.evaluation.statistics import Pairs
from isthmus.pipelines.run_pages import figures, runs
from isthmus.pipelines.run_pages.calibration_picture import demo_picture
from isthmus.pipelines.run_pages.compare import compare
from isthmus.pipelines.run_pages.comparison_page import comparison_page
from isthmus.pipelines.run_pages.leak_comparison import _choose, leak_page
from isthmus.pipelines.run_pages.report_store import run_uri
from isthmus.pipelines.runs.document import local_path
from isthmus.project.specs.description import Feature, Model
from isthmus.reports import flow, page, plots
from isthmus.tests.pipelines import trained

VOID = {"meta", "line", "br", "link", "input"}


class Balanced(HTMLParser):
    """Every element is closed in its order."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, _attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


class Whole(Balanced):
    """Nothing is fetched, no script runs."""

    def handle_starttag(self, tag, attrs):
        assert not {"src", "srcset"} & {name for name, _ in attrs}
        for name, value in attrs:
            assert name != "href" or re.fullmatch(r"#\w+|(\.\./r\d+/)?\w+\.\w+", value), (
                "links stay within the store"
            )
        assert tag != "script"
        super().handle_starttag(tag, attrs)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = trained.make_project(tmp_path_factory.mktemp("report") / "shop")
    trained.configure(
        folder,
        "other",
        "parameters: {sign: -0.2}\ngate: {calibration: {within: [0.5, 2]}} # "
        "<script>alert(1)</script>\n",
    )
    with pytest.MonkeyPatch.context() as patch, trained.open_project(folder) as project:
        for name in ("good", "other"):
            trained.run_here(project, name, trained.data(), patch)
        yield project


def test_every_page_is_self_contained_html(shop):
    pages = [local_path(run_uri(shop.target.blobs, name)) for name in ("r1", "r2")]
    pages += [comparison_page(shop, compare(shop, "r1", "r2")), leak_page(shop, "r1").page]
    for path in pages:
        text = path.read_text()
        Whole(text)
        assert "http" not in text.replace("http-equiv", "")
        assert "url(" not in text
        assert 'name="viewport"' in text
        assert len(text) < 200_000


def test_what_a_user_writes_is_text_and_not_markup(shop):
    text = local_path(run_uri(shop.target.blobs, "r2")).read_text()
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text


def test_the_page_shows_the_run_s_figures(shop):
    text = local_path(run_uri(shop.target.blobs, "r2")).read_text()
    run = runs.get_run(shop, "r2")
    for one in (
        run.evaluation.auc.value,
        run.champion.difference.value,
        *(period.auc for period in run.evaluation.periods),
    ):
        assert f"{one:.3f}" in text
    assert str(run.evaluation.rows) in text.replace(",", "")


def test_the_picture_is_a_png(shop):
    path = demo_picture(shop, ["r1", "r2"])
    assert path.name == "demo-calibration.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_leak_needs_a_feature_that_is_made_of_outcomes(shop):
    with pytest.raises(Invalid, match="position is not made of past outcomes"):
        leak_page(shop, "r1", feature="position")


COUNTED = Model(
    name="counted",
    path="models/counted.yaml",
    model="ranker",
    objective="ctr",
    features=tuple(Feature(view="item_history", name=name) for name in ("seen", "item_ctr")),
    trainer="ranker.train",
)


def test_a_count_of_what_was_shown_is_not_made_of_outcomes_whatever_it_is_called(shop):
    with pytest.raises(Invalid, match="seen is not made of past outcomes"):
        _choose(shop.description, COUNTED, "seen")
    assert str(_choose(shop.description, COUNTED, None)) == "item_history.item_ctr"


def test_the_leak_flatters(shop):
    found = leak_page(shop, "r1", feature="item_ctr")
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
@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.9]), st.integers(0, 1)), min_size=2, max_size=40
    )
)
def test_the_area_under_the_drawn_curve_is_the_auc(rows):
    table = predictions([(score, hit, 3) for score, hit in rows])
    hits = table["outcome"].to_numpy()
    if 0 < hits.sum() < len(hits):
        x, y = figures.roc(table)
        assert (x[-1], y[-1]) == (1, 1)
        area = Pairs(table["prediction"].to_numpy(), hits, day_of(table)).auc(
            np.ones(len(hits), np.int64)
        )
        assert float(np.trapezoid(y, x)) == pytest.approx(area)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_calibration_bins_hold_every_row_once(rows):
    table = predictions([(score, hit, 3) for score, hit in rows])
    bins = figures.calibration_bins(table)
    assert sum(one.rows for one in bins) == len(rows)
    assert sum(one.observed * one.rows for one in bins) == pytest.approx(
        sum(hit for _, hit in rows)
    )
    assert all(one.low <= one.observed <= one.high for one in bins)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_an_axis_has_a_few_ticks_inside_it(low, width):
    width = max(width, abs(low) * 1e-6)  # narrower than that a float cannot tell the ticks apart
    found = plots.axis("x", low, low + width)
    assert 2 <= len(found.ticks) <= 7
    assert all(low - width / 1e3 <= value <= low + width * 1.001 for value, _ in found.ticks)


def test_a_chart_of_210_days_has_a_point_a_week_and_every_row_in_its_table():
    table = predictions(
        [
            (0.1 * (day % 7 + (number % 3)), number % 2, day)
            for day in range(210)
            for number in range(8)
        ]
    )
    (seen,) = (figures.ChartedRun(name="model", style="a", predictions=table),)
    spans = figures.by_time(table, date(1970, 1, 1), 7)
    assert len(spans) == 30
    assert sum(span.rows for span in spans) == table.num_rows
    drawn = figures.daily_chart([seen], "click")
    Whole(drawn)
    desk, _, phone = drawn.partition('<div class="on-phone">')
    assert desk.count("<circle") == phone.count("<circle") == 30
    assert "AUC within days, by week" in drawn
    assert f"{spans[0].value:.3f}" in drawn.partition("<details>")[2]


def test_every_mark_of_a_picture_says_what_it_is():
    dots = plots.Series(
        name="model",
        style="a",
        x=[1, 2],
        y=[0.25, 0.5],
        low=[0.2, 0.4],
        high=[0.3, 0.6],
        kind="dots",
    )
    chance = plots.Series(name="chance", style="quiet", x=[0, 3], y=[0, 1])
    drawn = plots.chart("", plots.axis("", 0, 3), plots.axis("", 0, 1), [dots, chance])
    assert re.findall("<title>(.*?)</title>", drawn) == [
        "model 1: 0.25 (0.2 .. 0.3)",
        "model 2: 0.5 (0.4 .. 0.6)",
        "chance",
    ]
    ranges = plots.ranges(
        "", plots.axis("", -1, 1), [plots.Range(name="ctr", value=0.1, low=-0.1, high=0.3)]
    )
    assert "<title>ctr: 0.1 (-0.1 .. 0.3)</title>" in ranges


def test_a_strip_has_a_bar_a_stretch_and_a_name_where_it_fits():
    stretches = [
        plots.Stretch(name="champion", style="a", low=0, high=95, title="champion 95 %"),
        plots.Stretch(name="challenger", style="b", low=95, high=100, title="challenger 5 %"),
    ]
    drawn = plots.strips(
        "Split", plots.axis("%", 0, 100), [plots.Strip(name="now", stretches=stretches)]
    )
    widths = [float(width) for width in re.findall('<rect.*? width="([0-9.]+)"', drawn)]
    assert widths[0] == pytest.approx(19 * widths[1], rel=0.01)
    assert re.findall("<title>(.*?)</title>", drawn) == ["champion 95 %", "challenger 5 %"]
    assert ">champion</text>" in drawn
    assert ">challenger</text>" not in drawn, "5 % of the width are too narrow for it"


def test_bars_stand_on_the_floor_and_are_as_high_as_their_figures():
    days = plots.Series(
        name="", style="a", x=[0, 1, 2], y=[2, 4, 0], kind="bars", titles=["Mon", "Tue", "Wed"]
    )
    drawn = plots.chart("Volume", plots.axis("day", -1, 3), plots.axis("events", 0, 4), [days])
    bars = [
        tuple(map(float, of))
        for of in re.findall('<rect.*? y="([0-9.]+)" width="[0-9.]+" height="([0-9.]+)"', drawn)
    ]
    assert [height for _, height in bars] == pytest.approx([bars[1][1] / 2, bars[1][1], 0])
    assert len({round(top + height, 3) for top, height in bars}) == 1
    assert re.findall("<title>(.*?)</title>", drawn) == ["Mon", "Tue", "Wed"]


def test_what_is_made_of_what_is_drawn_from_left_to_right():
    names = [["event click", "event impression"], ["objective ctr"]]
    columns = [[flow.Box(name=name, style="a", title=name) for name in column] for column in names]
    links = [flow.Link(source=name, target="objective ctr") for name in names[0]]
    drawn = flow.flow("Made of", columns, links)
    Balanced(drawn)
    lefts = [float(left) for left in re.findall('<rect.*? x="([0-9.]+)"', drawn)]
    assert lefts[0] == lefts[1] < lefts[2]
    assert "<title>event click -&gt; objective ctr</title>" in drawn


def test_a_line_that_passes_a_column_has_a_row_of_its_own_there():
    columns = [[flow.Box(name=name, style="a", title=name)] for name in ("event", "view", "model")]
    pairs = [("event", "view"), ("view", "model"), ("event", "model")]
    drawn = flow.flow(
        "Made of", columns, [flow.Link(source=source, target=target) for source, target in pairs]
    )
    (top,) = re.findall('<rect.*? y="([0-9.]+)"[^>]*><title>view', drawn)
    levels = [
        float(level)
        for level in re.findall(r"([0-9.]+) H", re.findall('<path.*? d="([^"]*)"', drawn)[2])
    ]
    assert levels[0] > float(top) + 26, "below the box"


def test_text_is_escaped_wherever_it_goes():
    evil = '"><script>x</script>'
    drawn = plots.chart(
        evil,
        plots.axis(evil, 0, 1),
        plots.axis(evil, 0, 1),
        [plots.Series(name=evil, style="a", x=[0], y=[0])],
    )
    stretch = plots.Stretch(name=evil, style="a", low=0, high=100, title=evil)
    strips = plots.strips(
        evil, plots.axis(evil, 0, 1), [plots.Strip(name=evil, stretches=[stretch])]
    )
    cells = [evil, page.link(evil, "#there")]
    parts = [
        page.heading(evil, evil),
        page.table((evil, evil), [cells]),
        page.verdict([evil, evil]),
        page.code(evil),
        drawn,
        strips,
    ]
    parts.append(
        flow.flow(evil, [[flow.Box(name=evil, style="a", title=evil)]], [], behind=page.words(evil))
    )
    text = page.page(evil, parts, evil)
    Whole(text)
    assert not re.search(r"<script", text)
