"""Lineage is read from the project: what a view's SQL names, what a configuration uses, what an
endpoint serves.
"""

from pathlib import Path

import pytest

from isthmus.errors import Invalid
from isthmus.pipelines.models.lineage import Edge, Node, edges, graph
from isthmus.project.load import load

EXAMPLE = Path(__file__).parents[3] / "examples" / "openbandit"


@pytest.fixture(scope="module")
def description():
    return load(EXAMPLE / "project.yaml")


def test_every_edge_of_the_example_is_found(description):
    found = {(str(e.source), str(e.target)) for e in edges(description.spec)}
    assert found == {
        ("event impression", "objective ctr"),
        ("event click", "objective ctr"),
        ("table items", "view item_profile"),
        ("table item_prior", "view item_profile"),
        ("objective ctr", "view item_history"),
        ("objective ctr", "view segment_history"),
        ("objective ctr", "model popularity"),
        ("view item_profile", "model popularity"),
        ("objective ctr", "model logistic"),
        ("event impression", "model logistic"),
        ("view item_profile", "model logistic"),
        ("view item_history", "model logistic"),
        ("view segment_history", "model logistic"),
        ("model popularity", "endpoint ranker"),
        ("model logistic", "endpoint ranker"),
    }


def test_an_edge_says_which_features(description):
    source, target = Node("view", "segment_history"), Node("model", "logistic")
    assert Edge(source, target, "segment_ctr_7d") in edges(description.spec)


def test_the_tree_names_everything_once_in_full(description):
    text = graph(description)
    assert text.splitlines()[0] == "endpoint ranker"
    assert text.count("table item_prior") == 1
    assert (
        text.count("(above)")
        == text.count("objective ctr") - 1 + text.count("view item_profile") - 1
    )


@pytest.mark.parametrize("form", ["mermaid", "dot"])
def test_a_drawing_has_every_edge(description, form):
    arrow = {"mermaid": "-->", "dot": "->"}[form]
    text = graph(description, form=form)
    assert text.count(f" {arrow}") == len(edges(description.spec))
    assert text.startswith({"mermaid": "flowchart LR", "dot": "digraph lineage {"}[form])


def test_an_unknown_format_is_refused(description):
    with pytest.raises(Invalid, match="'svg' is no format") as refusal:
        graph(description, form="svg")
    assert refusal.value.remedy == "one of text, mermaid, dot, html"
