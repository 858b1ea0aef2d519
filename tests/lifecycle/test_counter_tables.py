"""Counter tables: made by apply where a rule counts, shown and priced by plan, gone with destroy."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

import isthmus
from isthmus.lifecycle.resources import counter_tables
from isthmus.lifecycle.resources.destroy import to_destroy
from isthmus.tests.endpoints import mini

RULES = "    rules:\n      - cap: {by: item_id, max: 2, per: unit, in: 24h}\n"


def counters(plan):
    return [
        (item.action, item.name, item.detail, item.by)
        for item in plan.items
        if item.kind == "counter table"
    ]


@pytest.fixture
def project(tmp_path):
    mini.write(tmp_path)
    with mini.opened(tmp_path) as opened:
        assert counters(isthmus.plan(opened)) == []
    (tmp_path / "project.yaml").write_text(
        (tmp_path / "project.yaml").read_text().rstrip() + "\n" + RULES
    )
    with mini.opened(tmp_path) as opened:
        yield opened


def test_a_rule_that_counts_gets_its_table_and_destroy_takes_it(project):
    assert counters(isthmus.plan(project)) == [("+", "ranker", "", "apply")]
    assert isthmus.apply(project).made["counter table"] == 1
    assert project.target.counters.observe("ranker") == "ready"
    assert counters(isthmus.plan(project)) == [("=", "ranker", "", "apply")]
    assert "- 1 counter table " in str(to_destroy(project))
    isthmus.destroy(project)
    assert project.target.counters.observe("ranker") is None


def test_a_price_is_told_and_a_target_without_counters_gets_no_table(project):
    adapter = project.target.adapter
    for price, words in ((0.75, "0.75 USD or more"), (None, "unknown")):
        priced = SimpleNamespace(count_price=lambda _profile, price=price: price)
        project.target.adapter = msgspec.structs.replace(adapter, priced=priced)
        assert counter_tables.price(project) == f"(a million answers: {words})"
    project.target.adapter = msgspec.structs.replace(adapter, ports={})
    assert list(counter_tables.due(project)) == []
