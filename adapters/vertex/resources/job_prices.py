"""Prices of the machines of custom jobs by the hour, the steps of runs, and of a pipeline's run.

They are from Google's list in the user's cache (price_list.py), else from a table of what
cloud.google.com/vertex-ai/pricing says of custom training and of Vertex AI Pipelines in
us-central1, where independent copies of that page agree; the oldest is of 2026-09. A price that is
in neither is unknown.

Vertex AI chooses a step's machine itself, from the processors and the memory that the step asks for
(machines.container_limits). The price is that of the machine which the profile names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from ....pipelines.port import StepSpec
from ....target import Profile, RunPrices, StepRate
from ...common.price_list import job_prices
from ..machines import job_machine
from .prices import PROVIDER, machine_price

TABLE = "2026-09"
_TABLE: Mapping[str, Mapping[str, str]] = {"us-central1": {"n1-standard-4": "0.21849885"}}
_RUN = Decimal("0.03")  # USD of each run of a pipeline, in every location


def run_prices(profile: Profile, steps: Sequence[StepSpec]) -> RunPrices:
    """Return the USD an hour of each step's machine in the profile's location, and a run's fee.

    Disks, storage, queries and data transfer are not included.
    """
    location = str(profile.options.get("location", ""))
    prices, table = job_prices(
        PROVIDER, location, profile, shipped=_TABLE.get(location, {}), date=TABLE
    )
    rates = {}
    for step in steps:
        machine = step.machine or job_machine(profile)
        rates[step.name] = StepRate(machine=machine, hourly=machine_price(prices, machine))
    return RunPrices(table=table, rates=rates, fee=_RUN)
