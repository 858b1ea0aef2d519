"""The graph of one model: every edge from its events to its endpoints, and what is said of each."""

import re

import msgspec
import pytest

from isthmus.errors import Invalid
from isthmus.pipelines.builtin.column_weights import ColumnWeight
from isthmus.pipelines.evaluation.distribution import Distribution
from isthmus.pipelines.model_graph.graph import model_graph, percent
from isthmus.pipelines.model_graph.text import drawn
from isthmus.pipelines.models.model_columns import ModelColumn
from isthmus.pipelines.run_pages.records import TrainingSetData
from isthmus.project.load import load
from isthmus.tests.pipelines.model_graph.worlds import (
    MOMENT,
    VERSION,
    graph_of_size,
    model_of_size,
    run_of,
    spec_of,
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return spec_of(tmp_path_factory.mktemp("graph") / "shop")


def about(graph):
    return {str(entry.node): entry.about for entry in graph.nodes}


def test_every_edge_from_events_to_endpoints_is_there(spec):
    found = {(str(edge.source), str(edge.target)) for edge in graph_of_size(spec, 3).edges}
    assert found == {
        ("event impression", "objective ctr"),
        ("event click", "objective ctr"),
        ("objective ctr", "view item_history"),
        ("view item_history", "view item_trend"),
        ("event impression", "feature position"),
        ("view item_trend", "feature item_trend.rate_of_1_days"),
        ("view item_history", "feature item_history.rate_of_2_days"),
        ("feature item_trend.rate_of_1_days", "transform shown"),
        ("feature position", "transform place"),
        ("transform shown", "transform place"),
        ("objective ctr", "model history"),
        ("feature item_trend.rate_of_1_days", "model history"),
        ("feature item_history.rate_of_2_days", "model history"),
        ("transform shown", "model history"),
        ("transform place", "model history"),
        ("model history", "version ranker@1"),
        ("version ranker@1", "endpoint home"),
    }


def test_a_column_says_its_gain_its_nulls_and_its_coverage(spec):
    said = about(graph_of_size(spec, 3))
    total = 100 * (1 + 1 / 2 + 1 / 3 + 1 / 4)
    assert said["feature item_trend.rate_of_1_days"] == (
        f"gain {10_000 / total:.1f} %, 0 % null, known in 100 % of 1,000 rows"
    )
    assert said["transform place"] == (
        f"cross position, shown into 64; gain {2_500 / total:.1f} %, 0.3 % null, "
        "known in 99.7 % of 1,000 rows"
    )
    assert said["feature position"] == "0 % null, known in 100 % of 1,000 rows", (
        "only a transform reads it"
    )
    assert said["model history"] == "trainer isthmus.boosting, trees=20"


def test_the_largest_weight_is_the_measure_of_the_others_whatever_its_sign(spec):
    model = model_of_size(3)
    columns = [
        ModelColumn(
            name=name,
            rows=10,
            nulls=0,
            known=10,
            weight=ColumnWeight(measure="weight", value=value),
        )
        for name, value in (("item_trend.rate_of_1_days", -2.0), ("shown", 0.5))
    ]
    graph = model_graph(model, spec, run=run_of(model, columns))
    shares = {str(entry.node): entry.share for entry in graph.nodes}
    assert shares["feature item_trend.rate_of_1_days"] == 1
    assert shares["transform shown"] == 0.25
    assert shares["transform place"] is None
    assert "weight -2," in about(graph)["feature item_trend.rate_of_1_days"]
    assert about(graph)["transform place"].endswith("; weight unknown")


def test_without_a_run_the_graph_has_no_figures(spec):
    graph = model_graph(model_of_size(3), spec)
    assert (graph.run, graph.notes) == (None, ())
    assert "gain" not in drawn(graph, "text")


def test_a_run_of_before_has_nulls_of_features_and_says_what_it_lacks(spec):
    model = model_of_size(3)
    run = run_of(model, (), data=_data())
    graph = model_graph(model, spec, run=run)
    assert about(graph)["feature item_trend.rate_of_1_days"] == (
        "weight unknown, 12.5 % null, known in 87.5 % of 8 rows"
    )
    assert graph.notes == (
        "r1 was trained before weights were kept: isthmus train models/history.yaml",
    )


def _data():
    return TrainingSetData(
        start=MOMENT, end=MOMENT, as_of=MOMENT, first=None, last=None, rows=8, positives=1,
        digest="d", exposure="impression", outcome="click", types={}, features=1, views=1,
        distributions=(Distribution(feature="item_trend.rate_of_1_days", rows=8, nulls=1),),
    )  # fmt: skip


def test_a_file_that_changed_since_its_run_is_told(spec):
    model = model_of_size(3)
    changed = msgspec.structs.replace(model, parameters={"trees": 9}, transforms=())
    changed = msgspec.structs.replace(changed, listed=())
    (note,) = model_graph(changed, spec, run=run_of(model)).notes
    assert note == (
        "models/history.yaml has other features, transforms, parameters than r1 was trained with"
    )


def test_the_text_has_what_counts_most_first_and_each_thing_once_in_full(spec):
    text = drawn(graph_of_size(spec, 12), "text")
    lines = text.splitlines()
    gains = [line for line in lines if "├── " in line and line.find("├── ") == 8 and "gain" in line]
    shares = [float(line.partition("gain ")[2].partition(" %")[0]) for line in gains]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) > 8
    assert lines[0] == "endpoint home"
    assert lines[-1] == "figures of run r1"
    assert text.count("trainer isthmus.boosting") == 1


@pytest.mark.parametrize(("form", "arrow"), [("mermaid", " -->"), ("dot", " ->")])
def test_a_drawing_has_every_edge(spec, form, arrow):
    graph = graph_of_size(spec, 12)
    assert drawn(graph, form).count(arrow) == len(graph.edges)


def test_a_drawing_for_other_tools_has_legal_ids_and_quoted_texts(spec):
    graph = graph_of_size(spec, 12)
    mermaid = drawn(graph, "mermaid").splitlines()[1:]
    places = [line for line in mermaid if " --> " not in line and "-->|" not in line]
    ids = [re.fullmatch(r"  (\w+)[^\w\"]+\"[^\"]*\"[^\w\"]+", line) for line in places]
    assert all(ids)
    assert len({found[1] for found in ids if found}) == len(graph.nodes)
    for line in mermaid[len(places) :]:
        assert re.fullmatch(r"  \w+ -->(\|\"[^\"]*\"\|)? \w+", line)
    for line in drawn(graph, "dot").splitlines()[3:-1]:
        assert re.fullmatch(r"  \"[^\"]*\"( -> \"[^\"]*\")?( \[label=\"[^\"]*\".*\])?;", line)


def test_a_gain_is_a_share_of_all_that_the_run_had_not_of_what_the_file_has_today(spec):
    model = model_of_size(3)
    run = run_of(model)
    fewer = msgspec.structs.replace(model, transforms=(), listed=())
    name = "feature item_trend.rate_of_1_days"
    now, then = model_graph(fewer, spec, run=run), model_graph(model, spec, run=run)
    assert about(now)[name] == about(then)[name]


def test_an_unknown_format_is_refused(spec):
    with pytest.raises(Invalid, match="'svg' is no format"):
        drawn(graph_of_size(spec, 3), "svg")


def test_an_endpoint_that_shall_serve_a_model_is_drawn_until_a_version_does(tmp_path):
    folder = tmp_path / "shop"
    spec_of(folder)
    text = (folder / "project.yaml").read_text()
    (folder / "project.yaml").write_text(
        f"{text}endpoints:\n  home:\n    objective: ctr\n    unit: visitor_id\n"
        "    variants: {champion: {model: ranker@champion, traffic: 100}}\n"
    )
    (folder / "models").mkdir()
    (folder / "models" / "history.yaml").write_text(
        "model: ranker\nalias: champion\nobjective: ctr\nfeatures: [item_history.f0]\n"
        "trainer: isthmus.logistic\n"
    )
    spec = load(folder / "project.yaml").spec

    def makers(graph):
        return {str(edge.source) for edge in graph.edges if str(edge.target) == "endpoint home"}

    assert makers(model_graph(spec.models["history"], spec)) == {"model history"}
    assert makers(model_graph(spec.models["history"], spec, versions=[VERSION])) == {
        "version ranker@1"
    }
    assert makers(model_graph(spec.models["history"], spec, planned=False)) == set()


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.0004, "<0.1 %"), (0.9996, ">99.9 %"), (0.029, "2.9 %")],
)
def test_a_share_that_is_not_quite_all_or_none_is_not_shown_as_such(share, text):
    assert percent(share) == text
