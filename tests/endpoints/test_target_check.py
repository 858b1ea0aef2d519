"""What one target refuses of an endpoint, at the line that asks for it."""

import pytest

from isthmus.adapters.rows import rows
from isthmus.endpoints.target_check import can_count, can_run, check_target
from isthmus.project.load import load
from isthmus.tests.project import home_shop


@pytest.fixture
def description(tmp_path):
    home_shop.write(tmp_path)
    return load(tmp_path)


def test_a_cap_per_unit_is_refused_where_nothing_counts(description):
    endpoint = description.spec.endpoints["ranker"]
    (problem,) = check_target(description, endpoint, "toy", rows())
    assert (
        problem.message
        == "endpoints.ranker.rules[5].cap.per: a cap per unit is not supported yet on toy"
    )
    assert problem.remedy == "take it out, or choose another target"
    assert "per: unit" in home_shop.FILES["project.yaml"].lstrip().splitlines()[problem.line - 1]
    assert (can_run(endpoint, rows()), can_count(endpoint, rows())) == (True, False)


def test_what_counts_refuses_nothing_of_it_and_what_a_target_says_nothing_of_is_not_judged(
    description,
):
    endpoint = description.spec.endpoints["ranker"]
    assert (
        check_target(description, endpoint, "toy", rows(counters="native"))
        == check_target(description, endpoint, "toy", {})
        == ()
    )
