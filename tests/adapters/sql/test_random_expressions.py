"""Random expressions of the neutral subset have one value on the laptop, on Athena and on BigQuery.

Of Athena this judges our text in the offline stack, which is DuckDB below: Trino's own functions are
judged by its documentation (docs/parity.md).
"""

import random

import pytest

from isthmus_stack.gcp.googlesql.compiled import available

from .random_expressions import LOUD, Engines, compare, same

pytestmark = pytest.mark.skipif(
    not available(),
    reason="the wheel zetasql is not installed: BigQuery's texts are judged by nobody",
)


def assert_one_value(comparison):
    assert not comparison.silent, str(comparison)
    unknown = [d for d in comparison.loud if not any(word in d.example for word in LOUD)]
    assert not unknown
    assert comparison.cells > 0.8 * 2 * 56 * comparison.expressions


def test_random_expressions_over_awkward_values_have_one_value_in_three_engines():
    assert_one_value(compare(seed=27, count=60))


QUERIES = [
    "SELECT f, count(*) AS n FROM x GROUP BY f",
    "SELECT DISTINCT h FROM x",
    "SELECT count(DISTINCT h) AS n, count(DISTINCT s) AS m, count(DISTINCT t) AS o FROM x",
    "SELECT lower(s) AS l, sum(a) / count(b) AS r FROM x GROUP BY lower(s)",
    "SELECT s, stddev(f) AS d, avg(a) AS v, min(k) AS w FROM x GROUP BY s HAVING count(*) > 1",
    "SELECT x.n, y.n AS m FROM x JOIN x AS y ON x.f = y.g",
    "SELECT x.n, y.n AS m FROM x LEFT JOIN x AS y ON x.s = y.k AND x.a < y.b",
    "SELECT k FROM x WHERE f IN (SELECT g FROM x WHERE a / b > 0)",
]


@pytest.mark.parametrize("sql", QUERIES)
def test_groups_and_joins_of_awkward_values_have_the_same_rows_in_three_engines(sql):
    engines = Engines(random.Random(3))
    expected, *others = (
        sorted(run(sql), key=repr) for run in (engines.laptop, engines.athena, engines.bigquery)
    )
    assert expected
    for rows in others:
        assert len(rows) == len(expected)
        for left, right in zip(expected, rows, strict=True):
            assert all(map(same, left, right)), (left, right)


@pytest.mark.soak
@pytest.mark.timeout(1_800)  # each is two minutes on an idle machine
@pytest.mark.parametrize(("seed", "depth"), [(1, 1), (2, 2)])
def test_a_hundred_thousand_values_of_random_expressions_are_one_in_three_engines(seed, depth):
    comparison = compare(seed=seed, count=1_000, depth=depth)
    assert_one_value(comparison)
    assert comparison.cells > 100_000
