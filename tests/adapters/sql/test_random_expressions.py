"""Random expressions of the neutral subset have one value on the laptop, on Athena and on BigQuery.

Of Athena this judges our text in the offline stack, which is DuckDB below: Trino's own functions are
judged by its documentation (docs/parity.md).
"""

import pytest

from isthmus_stack.gcp.googlesql.compiled import available

from .random_expressions import LOUD, compare

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


@pytest.mark.soak
@pytest.mark.timeout(1_800)  # each is two minutes on an idle machine
@pytest.mark.parametrize(("seed", "depth"), [(1, 1), (2, 2)])
def test_a_hundred_thousand_values_of_random_expressions_are_one_in_three_engines(seed, depth):
    comparison = compare(seed=seed, count=1_000, depth=depth)
    assert_one_value(comparison)
    assert comparison.cells > 100_000
