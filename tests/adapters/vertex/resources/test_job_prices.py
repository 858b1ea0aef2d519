"""Prices of custom jobs, and the fee of a run: by the table or by Google's parts, else unknown."""

from decimal import Decimal

from isthmus.adapters.vertex.machines import job_machine
from isthmus.adapters.vertex.resources import job_prices
from isthmus.pipelines.port import StepSpec
from isthmus.target import Profile


def profile(**options):
    options = {"location": "us-central1"} | options
    return Profile(name="vertex", adapter="vertex", project="shop", options=options)


def rate(profile, **step):
    return job_prices.run_prices(profile, [StepSpec(name="fit", **step)]).rates["fit"]


def test_a_machine_of_the_table_has_its_price_and_each_run_its_fee():
    chosen = profile(jobs={"machine": "n1-standard-4"})
    assert job_machine(chosen) == "n1-standard-4"
    assert rate(chosen).hourly == Decimal("0.21849885")
    assert rate(chosen, kind="training").hourly == rate(chosen).hourly
    prices = job_prices.run_prices(chosen, [])
    assert (prices.fee, prices.table) == (Decimal("0.03"), job_prices.TABLE)


def test_a_machine_or_a_location_that_the_table_lacks_has_none():
    assert rate(profile()).hourly is None
    assert rate(profile(location="europe-west1"), machine="n1-standard-4").hourly is None
