"""The parity table: a row without a test, or a test without a row, fails the build.

And the optional ports, which most targets refuse.
"""

import pytest

from isthmus.adapters.rows import ROWS
from isthmus.core.plugins import installed
from isthmus.core.runtime.project import Project
from isthmus.endpoints.deploy.adoption import describe
from isthmus.endpoints.serving.payloads import MAX_BYTES
from isthmus.errors import NotFound
from isthmus.project.specs.description import ParsedProject, ProjectSpec
from isthmus.tests.conformance.rows import asserting, columns
from isthmus.tests.conformance.toy_models import (
    endpoint,
    register,
    remove_endpoints,
    settled,
    until,
    variant,
)


@pytest.fixture
def rows(adapter):
    return installed.adapter(adapter).capabilities


def test_every_row_has_a_test(rows):
    assert sorted(set(rows) - set(asserting())) == []


def test_every_test_names_a_row(rows):
    assert sorted(set(asserting()) - set(rows)) == []


def test_every_adapter_has_the_same_rows(rows):
    """A row that is left out is not a promise that is kept."""
    assert {column.name: sorted(set(column.capabilities) ^ set(rows)) for column in columns()} == {
        column.name: [] for column in columns()
    }
    assert sorted(rows) == sorted(ROWS)


def test_a_row_is_filed_under_its_own_name_and_a_refusal_says_why(rows):
    assert [name for name, row in rows.items() if row.name != name] == []
    assert [name for name, row in rows.items() if row.level == "refused" and not row.why] == []


def test_a_quantity_is_given_in_its_unit(rows):
    for name, kind in ROWS.items():
        assert kind is None or rows[name].level == "refused" or type(rows[name].value) is kind, (
            f"{name} is {rows[name].value!r}"
        )


def test_what_a_target_lets_through_its_model_server_takes(rows):
    assert (
        rows["invoke.max_bytes"].level == "refused" or rows["invoke.max_bytes"].value <= MAX_BYTES
    )


@pytest.mark.needs("import")
def test_an_endpoint_that_stands_is_looked_for_under_the_providers_name(target, tmp_path):
    """What is taken over was made by the provider's own SDK:
    tests/adapters/{sagemaker,vertex}/test_adoption.py.
    """
    project = Project(
        ParsedProject(spec=ProjectSpec(name="conf"), folder=str(tmp_path), places={}), target
    )
    with pytest.raises(NotFound, match="has no endpoint 77 in "):
        describe(project, "77")


@pytest.mark.needs("guarded_replace")
def test_a_version_is_replaced_under_the_providers_own_guard(target, tmp_path):
    guarded = target.extra("guarded_replace")
    spec = endpoint(variant(register(target, tmp_path, 1.0), "champion"))
    target.endpoints.apply(spec)
    assert settled(target).phase == "ready"
    two = register(target, tmp_path, 2.0)
    guarded.replace("ranker", "champion", two.version, None)
    state = until(
        lambda: (
            (s := target.endpoints.observe("ranker"))
            and s.phase == "ready"
            and s.variants[0].version == two.version
            and s
        )
    )
    assert state.variants[0].percent == 100
    remove_endpoints(target)


@pytest.mark.needs("shadow.native")
def test_a_shadow_gets_the_requests_and_its_answers_go_nowhere(target, tmp_path):
    shadow = target.extra("shadow.native")
    one, two = register(target, tmp_path, 1.0), register(target, tmp_path, 2.0)
    target.endpoints.apply(endpoint(variant(one, "champion")))
    assert settled(target).phase == "ready"
    shadow.mirror("ranker", variant(two, "shadow"))
    answers = {
        target.endpoints.invoke("ranker", [{"x": 0}], variant=None, request_id=f"q-{n}").predictions
        for n in range(20)
    }
    assert answers == {(1.0,)}
    remove_endpoints(target)


@pytest.mark.parametrize("name", ["pipes", "shadow", ""])
def test_a_port_that_nobody_has_is_refused_by_its_name(target, name):
    from isthmus.errors import Unsupported

    with pytest.raises(Unsupported) as refusal:
        target.extra(name)
    assert refusal.value.capability == name
