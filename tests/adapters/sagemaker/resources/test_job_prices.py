"""Prices of processing and training jobs: of their region, kind and machine, else unknown."""

from decimal import Decimal

from isthmus.adapters.sagemaker.machines import job_machine
from isthmus.adapters.sagemaker.resources import job_prices
from isthmus.pipelines.port import StepSpec
from isthmus.target import Profile

STEPS = (
    StepSpec(name="rows"),
    StepSpec(name="fit", kind="training"),
    StepSpec(name="big", machine="ml.m5.xlarge"),
    StepSpec(name="odd", kind="training", machine="ml.m5.xlarge"),
)


def profile(**options):
    options = {"region": "us-east-1"} | options
    return Profile(name="production", adapter="sagemaker", project="shop", options=options)


def rates(profile):
    return {name: rate.hourly for name, rate in job_prices.run_prices(profile, STEPS).rates.items()}


def test_a_kind_of_job_and_its_machine_have_a_price_of_their_own():
    assert rates(profile()) == {
        "rows": Decimal("0.115"),
        "fit": Decimal("0.115"),
        "big": Decimal("0.23"),
        "odd": None,
    }
    assert job_prices.run_prices(profile(), STEPS).table == job_prices.TABLE
    assert job_prices.run_prices(profile(), STEPS).fee == 0


def test_a_region_that_the_table_lacks_has_none():
    assert set(rates(profile(region="eu-central-1")).values()) == {None}


def test_a_profiles_machine_is_that_of_steps_that_name_none():
    chosen = profile(jobs={"machine": "ml.t3.large"})
    assert job_machine(chosen) == "ml.t3.large"
    assert rates(chosen)["rows"] == Decimal("0.10")
