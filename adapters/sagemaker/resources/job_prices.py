"""Prices of the machines of processing and training jobs by the hour: the steps of runs.

They are from AWS's list in the user's cache (price_list.py), else from a table of what the AWS
Price List Query API answered in us-east-1, as others wrote it down: `USE1-Train:ml.m5.large` on
2026-08-11, `USE1-Train:ml.g5.2xlarge` on 2026-08-20, `USE1-Processing:` of the four machines below
on 2026-07-30. A price that is in neither is unknown. SageMaker's pipelines themselves are free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....pipelines.port import StepSpec
from ....target import Profile, RunPrices, StepRate
from ...common.price_list import job_prices
from ..machines import job_machine
from .prices import PROVIDER

TABLE = "2026-07"  # year and month of the oldest row
_TABLE: Mapping[str, Mapping[str, str]] = {
    "us-east-1": {
        "training ml.m5.large": "0.115",
        "training ml.g5.2xlarge": "1.515",
        "processing ml.m5.large": "0.115",
        "processing ml.m5.xlarge": "0.23",
        "processing ml.t3.medium": "0.05",
        "processing ml.t3.large": "0.10",
    },
}


def run_prices(profile: Profile, steps: Sequence[StepSpec]) -> RunPrices:
    """Return the USD an hour of each step's machine in the profile's region.

    Disks, storage, queries and data transfer are not included.
    """
    region = str(profile.options.get("region", ""))
    prices, table = job_prices(
        PROVIDER, region, profile, shipped=_TABLE.get(region, {}), date=TABLE
    )
    rates = {}
    for step in steps:
        machine = step.machine or job_machine(profile)
        job = "training" if step.kind == "training" else "processing"
        rates[step.name] = StepRate(machine=machine, hourly=prices.get(f"{job} {machine}"))
    return RunPrices(table=table, rates=rates)
