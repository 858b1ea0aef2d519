"""Prices: from a dated table, for a region; unknown rather than a guess. The budget of a plan."""

from decimal import Decimal
from types import SimpleNamespace

import pytest

from isthmus.adapters import targets
from isthmus.adapters.sagemaker.resources import prices
from isthmus.adapters.sagemaker.resources.prices import Machines
from isthmus.endpoints.port import VariantSpec
from isthmus.lifecycle.resources.plan import _budget, _estimated
from isthmus.target import Profile


def listed(region):
    return prices.current(profile(region=region))


def profile(adapter="sagemaker", **options):
    return Profile(
        name="production",
        adapter=adapter,
        project="shop",
        options={"region": "us-east-1", **options},
    )


def variants(*machines):
    return [
        VariantSpec(name=f"v{at}", model="ranker", version=1, machine=machine)
        for at, machine in enumerate(machines)
    ]


def test_a_price_is_of_its_region_and_machine():
    assert prices.hourly(listed("us-east-1"), "ml.m5.large", 2) == Decimal("0.230")


@pytest.mark.parametrize(
    ("region", "machine"),
    [("mars-north-1", "ml.m5.large"), ("us-east-1", "ml.z9.large"), ("", "ml.m5.large")],
)
def test_what_is_not_in_the_table_is_unknown(region, machine):
    assert prices.hourly(listed(region), machine, 1) is None


def test_what_athena_reads_has_a_price_in_the_regions_of_the_table_alone():
    assert prices.scanning(profile()) == 5
    assert prices.scanning(profile(region="ap-northeast-1")) is None


def test_a_sum_with_an_unknown_part_is_unknown():
    known, unknown = (
        Machines(machine="ml.m5.large", count=1),
        Machines(machine="ml.z9.large", count=1),
    )
    assert prices.total(listed("us-east-1"), [known, known]) == Decimal("0.230")
    assert prices.total(listed("us-east-1"), [known, unknown]) is None
    assert prices.total(listed("us-east-1"), []) == 0


def test_an_estimate_counts_the_profiles_machines_and_a_variants_own():
    found = targets.estimate(
        profile(serving={"instance": "ml.m5.xlarge", "count": 2}), variants("", "", "ml.c5.xlarge")
    )
    assert found.machines == "4 x ml.m5.xlarge, 2 x ml.c5.xlarge"
    assert found.hourly_cost == 4 * Decimal("0.23") + 2 * Decimal("0.204")
    assert found.table == prices.TABLE


def test_the_laptop_has_no_prices_and_nothing_declared_costs_nothing():
    assert targets.estimate(profile("local"), variants("")) is None
    assert targets.estimate(profile(), []) is None


def budget(limit, *machines, **options):
    chosen = profile(**({"budget": limit} if limit else {}), **options)
    project = SimpleNamespace(target=SimpleNamespace(profile=chosen, name=chosen.name))
    return list(_budget(project, targets.estimate(chosen, variants(*machines)), Decimal(0)))


@pytest.mark.parametrize(
    ("region", "price"), [("us-east-1", Decimal("0.75")), ("ap-northeast-1", None)]
)
def test_a_million_counted_answers_are_a_million_writes_and_reads(region, price):
    assert prices.counting(profile(region=region)) == price


def test_a_plan_above_its_budget_is_refused_with_both_figures():
    (item,) = budget("0.20 USD/h", "ml.m5.large", "ml.m5.large")
    assert (item.action, item.kind) == ("!", "budget")
    assert "0.23 USD/h once deployed (2 x ml.m5.large) is above 0.20 USD/h" in item.detail


@pytest.mark.parametrize("limit", ["0.23 USD/h", "1.00 USD/h", None])
def test_a_plan_within_its_budget_or_without_one_is_not(limit):
    assert budget(limit, "ml.m5.large", "ml.m5.large") == []


@pytest.mark.parametrize(
    "limit", ["0.01 USD/h", {"limit": "0.01 USD/h"}, {"limit": "0.01 USD/h", "unknown": "refuse"}]
)
def test_a_budget_refuses_a_cost_that_nobody_knows_with_what_allows_it(limit):
    (item,) = budget(limit, "ml.m5.large", region="ap-northeast-1")
    assert item.action == "!"
    assert "no price of 1 x ml.m5.large there in the table of" in item.detail
    assert "write budget: {limit: 0.01 USD/h, unknown: allow}" in item.detail


def test_an_unknown_cost_that_is_allowed_or_offline_is_only_shown():
    allowing = {"limit": "0.01 USD/h", "unknown": "allow"}
    assert budget(allowing, "ml.m5.large", region="ap-northeast-1") == []
    assert budget(allowing, "ml.m5.large")[0].action == "!"  # a cost that is known is still judged
    assert (
        budget(
            "0.01 USD/h", "ml.m5.large", region="ap-northeast-1", endpoint_url="http://127.0.0.1:9"
        )
        == []
    )
    found = targets.estimate(profile(region="ap-northeast-1"), variants("ml.m5.large"))
    assert (
        _estimated("", found, standing=False)
        == f"unknown once deployed: 1 x ml.m5.large, price table of {prices.TABLE}"
    )
