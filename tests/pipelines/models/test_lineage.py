"""Lineage is read from the project: what a view's SQL names, what a configuration uses, what an
endpoint serves.
"""

from pathlib import Path

import pytest

from isthmus.errors import Invalid
from isthmus.pipelines.models.lineage import LineageEdge, Node, edges, graph
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
    assert LineageEdge(source, target, "segment_ctr_7d") in edges(description.spec)


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


CONTENT = """name: reader
entities:
  item: {key: item_id, type: int}
  user: {key: user_id, type: string}
events:
  item_published: {attributes: {item_id: {type: int}, title: {type: string}}}
  viewing: {attributes: {user_id: {type: string}, item_id: {type: int}}}
  click:
    attributes:
      viewing_id: {type: string}
      exposure_id: {type: string, required: false}
      user_id: {type: string}
      item_id: {type: int}
objectives:
  ctr: {rate: click / viewing, within: 1h}
  served_ctr: {rate: click / exposures, within: 1h}
feature_views:
  item_text: {entity: item, extract: {from: item_published, reads: [title], with: isthmus.text}}
  user_taste: {entity: user, profile: {of: item_text, by: click, window: 30d}}
endpoints:
  ranker: {objective: ctr, unit: user_id, variants: {champion: {model: ranker@champion, traffic: 100}}}
"""
MODEL = """model: ranker
alias: champion
objective: ctr
features: [user_taste.user_taste_count, {cosine: [user_taste, item_text], as: taste}]
trainer: isthmus.logistic
"""


@pytest.fixture
def content(tmp_path):
    (tmp_path / "project.yaml").write_text(CONTENT)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "taste.yaml").write_text(MODEL)
    return load(tmp_path / "project.yaml")


def test_views_of_content_are_made_of_what_they_read(content):
    found = {(str(e.source), str(e.target)) for e in edges(content.spec) if e.target.kind == "view"}
    assert found == {
        ("event item_published", "view item_text"),
        ("event click", "view user_taste"),
        ("view item_text", "view user_taste"),
    }


@pytest.mark.parametrize("form", ["text", "mermaid", "dot"])
def test_an_objective_of_what_gateways_showed_is_drawn(content, form):
    assert "exposures" in graph(content, form=form)
