"""The page of a model's graph in a browser: small and large models, both themes, phone and desk,
by keyboard and by axe-core.
"""

import re

import msgspec
import pytest

from isthmus.pipelines.model_graph import page
from isthmus.tests.pipelines.model_graph.worlds import MOMENT, graph_of_size, spec_of
from isthmus.tests.pipelines.run_pages.test_report import Whole
from isthmus.tests.ui.chromium import MISSING, PROGRAM, Chromium
from isthmus.tests.ui.drawn import OUTSIDE, OVERFLOW, PAPER, judged

SIZES = (3, 12, 50)
browsing = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason=MISSING)]
FOCUS = "document.activeElement"
# the texts of boxes that stand out of their frames
TOO_LONG = """[...document.querySelectorAll("svg .node")].filter(node => {
  const frame = node.querySelector(".frame").getBoundingClientRect();
  return [...node.querySelectorAll("text")].some(text =>
    text.getBoundingClientRect().right > frame.right + 1);
}).map(node => node.getAttribute("aria-label"))"""


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    spec = spec_of(tmp_path_factory.mktemp("page") / "shop")
    return {size: graph_of_size(spec, size) for size in SIZES}


def html(*graphs):
    return page.html(graphs, project="shop", when=MOMENT, target="local")


@pytest.fixture(scope="module")
def pages(graphs, tmp_path_factory):
    """The address of a page of each size, and of all on one page."""
    folder = tmp_path_factory.mktemp("pages")
    texts = {**{str(size): html(graph) for size, graph in graphs.items()}}
    texts["all"] = html(*graphs.values())
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text)
    return {name: (folder / f"{name}.html").as_uri() for name in texts}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("chromium")) as chromium:
        yield chromium


@pytest.mark.parametrize("size", SIZES)
def test_every_node_is_a_box_and_an_entry_and_every_edge_a_line_and_links(graphs, size):
    graph, text = graphs[size], html(graphs[size])
    Whole(text)
    svg = re.search("<svg.*?</svg>", text, re.DOTALL)[0]
    assert len(re.findall('<a class="node"', svg)) == len(graph.nodes)
    assert len(re.findall("<path ", svg)) == len(graph.edges)
    assert len(re.findall("<li ", text)) == len(graph.nodes)
    ids = re.findall(' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(' href="#([^"]+)"', text)) <= set(ids)
    assert "<script" not in text
    assert re.findall("https?://", text) == []
    listed = text.partition('<ul class="nodes">')[2]
    for edge in graph.edges:
        assert f">{edge.source}</a>" in listed
        assert f">{edge.target}</a>" in listed


def test_names_are_escaped(graphs):
    evil = '"><script>x</script>'
    entry = graphs[3].nodes[0]
    renamed = msgspec.structs.replace(entry, about=evil, detail=evil)
    graph = msgspec.structs.replace(
        graphs[3], model=evil, nodes=(renamed, *graphs[3].nodes[1:]), notes=(evil,)
    )
    text = html(graph)
    Whole(text)
    assert "<script" not in text


def test_a_project_without_a_model_has_a_page_that_says_so():
    text = html()
    Whole(text)
    assert "has no model yet" in text


class TestInABrowser:
    pytestmark = browsing

    @pytest.mark.parametrize("name", [*map(str, SIZES), "all"])
    def test_nothing_stands_out_of_the_screen_or_of_its_box(self, chromium, pages, name):
        for width in (390, 1280):
            for theme, paper in PAPER.items():
                chromium.looks(width=width, theme=theme)
                chromium.go(pages[name])
                assert chromium.ask(OVERFLOW) <= 0
                assert chromium.ask(OUTSIDE) == 0
                assert chromium.ask(TOO_LONG) == []
                assert chromium.ask("getComputedStyle(document.body).backgroundColor") == paper

    def test_axe_finds_nothing(self, chromium, pages):
        judged(chromium, pages.values())

    @pytest.mark.parametrize("size", SIZES)
    def test_letters_of_the_picture_are_large_enough_to_read(self, chromium, pages, size):
        """12 px are drawn as at least 10: a picture that is too wide scrolls."""
        for width in (390, 1280):
            chromium.looks(width=width, theme="light")
            chromium.go(pages[str(size)])
            drawn, own = chromium.ask(
                "(svg => [svg.getBoundingClientRect().width, svg.viewBox.baseVal.width])"
                "(document.querySelector('svg.flow'))"
            )
            assert drawn / own >= 10 / 12

    def test_the_keyboard_reaches_a_box_sees_it_and_follows_an_edge(self, chromium, pages, graphs):
        chromium.looks(width=1280, theme="light")
        chromium.go(pages["50"])
        chromium.key("Tab", 9)  # what scrolls
        chromium.key("Tab", 9)
        label, outline, frame = chromium.ask(
            f"[{FOCUS}.getAttribute('aria-label'), getComputedStyle({FOCUS}).outlineStyle, "
            f"getComputedStyle({FOCUS}.querySelector('.frame')).strokeWidth]"
        )
        assert label.startswith("event ")
        assert (outline, frame) == ("solid", "3px")
        lines = (
            "[...document.querySelectorAll('.near')].filter(line => getComputedStyle(line).stroke"
        )
        shown = chromium.ask(f"{lines} !== 'none').length")
        name = label.partition(":")[0]
        ends = [edge for edge in graphs[50].edges if name in (str(edge.source), str(edge.target))]
        assert shown == len(ends) > 0, "the lines of the box in focus alone"
        chromium.key("Enter", 13)
        entry = "document.querySelector('li:target')"
        assert chromium.ask(f"{entry}.querySelector('strong').textContent") in name
        top = chromium.ask(f"{entry}.getBoundingClientRect().top")
        assert -1 <= top < 900, "it is scrolled to"
        chromium.key("Tab", 9)  # back to the box
        chromium.key("Tab", 9)  # the first thing that is made of it
        following = chromium.ask(f"{FOCUS}.textContent")
        assert following in {str(edge.target) for edge in ends}
        chromium.key("Enter", 13)
        assert chromium.ask(f"{entry}.querySelector('strong').textContent") in following
