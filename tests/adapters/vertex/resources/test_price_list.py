"""Google's catalogue through the genuine HTTP session, whose answers are a fixture in the API's
form: no project was asked.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from requests import Response
from requests.adapters import BaseAdapter

from isthmus.adapters import targets
from isthmus.adapters.common import price_list
from isthmus.adapters.vertex import credentials
from isthmus.adapters.vertex.resources import job_prices, prices
from isthmus.adapters.vertex.session import Session
from isthmus.endpoints.port import VariantSpec
from isthmus.pipelines.port import StepSpec
from isthmus.target import Profile

LOCATION = "europe-west1"


def sku(description, nanos, *, unit="h", regions=(LOCATION,), usage="OnDemand", units="0"):
    rate = {"unitPrice": {"currencyCode": "USD", "units": units, "nanos": nanos}}
    pricing = {"pricingExpression": {"usageUnit": unit, "tieredRates": [rate]}}
    return {
        "description": description,
        "category": {"usageType": usage},
        "serviceRegions": list(regions),
        "pricingInfo": [pricing],
    }


PREDICTION = "Vertex AI: Online/Batch Prediction"
PAGES = {
    "": (
        [
            sku(f"{PREDICTION} N1 Predefined Instance Core running in Belgium", 40_000_000),
            sku(
                f"{PREDICTION} N1 Predefined Instance Core running in Tokyo",
                90_000_000,
                regions=["asia-northeast1"],
            ),
            sku(f"{PREDICTION} E2 Instance Core running in Belgium", 25_000_000),
            sku(f"{PREDICTION} N2 Instance Core running in Belgium", 1, units="1"),
            sku(f"{PREDICTION} N2 Instance Ram running in Belgium", 2, unit="mo"),
        ],
        "next",
    ),
    "next": (
        [
            sku(
                f"{PREDICTION} N1 Predefined Instance Ram running in Belgium",
                5_000_000,
                unit="GiBy.h",
            ),
            sku(f"{PREDICTION} E2 Instance Ram running in Belgium", 3_000_000, unit="GiBy.h"),
            sku(
                f"{PREDICTION} E2 Instance Ram running in Belgium",
                1_000_000,
                unit="GiBy.h",
                usage="Preemptible",
            ),
            sku(f"{PREDICTION} G2 Instance Core running in Belgium", 3_000_000),
            sku(f"{PREDICTION} G2 Instance Ram running in Belgium", 3_000_000, unit="GiBy.h"),
            sku(
                "Vertex AI: Training/Pipelines on N1 Predefined Instance Core running in Belgium",
                1_000_000,
            ),
            sku(
                "Vertex AI: Training/Pipelines on N1 Predefined Instance Ram running in Belgium",
                2_000_000,
                unit="GiBy.h",
            ),
            sku("Vertex AI: Training/Pipelines on E2 Instance Core in Belgium", 3_000_000),
            sku(
                "Vertex AI: Training/Pipelines on E2 Instance RAM in Belgium",
                4_000_000,
                unit="GiBy.h",
            ),
            sku(
                "Vertex AI: Training/Pipelines Management fee on E2 Instance Core in Belgium",
                5_000_000,
            ),
        ],
        "",
    ),
}


class Google(BaseAdapter):
    """Answers the catalogue's address."""

    def __init__(self):
        super().__init__()
        self.status, self.asked = 200, []

    def send(self, request, **_):
        self.asked.append(request.url)
        skus, following = PAGES[parse_qs(urlsplit(request.url).query).get("pageToken", [""])[0]]
        answer = Response()
        answer.status_code, answer.request, answer.url = self.status, request, request.url
        answer._content = json.dumps({"skus": skus, "nextPageToken": following}).encode()
        return answer

    def close(self):
        pass


@pytest.fixture
def google(tmp_path, monkeypatch, price_folder):
    monkeypatch.setattr(price_list, "folder", price_folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(credentials, "default", lambda _: (AnonymousCredentials(), "example"))
    google = Google()

    def http(session):
        http = AuthorizedSession(session.credentials)
        http.mount("https://cloudbilling.googleapis.com/", google)
        return http

    monkeypatch.setattr(Session, "http", http)
    return google


@pytest.fixture
def target(google):
    profile = Profile(
        name="vertex",
        adapter="vertex",
        project="shop",
        options={"bucket": "gs://example", "location": LOCATION},
    )
    return targets.load(profile, clock=lambda: datetime(2026, 11, 29, tzinfo=UTC))


def cost(target, machine):
    return targets.estimate(
        target.profile, [VariantSpec(name="a", model="ranker", version=1, machine=machine)]
    )


def test_a_machine_costs_its_processors_and_its_memory_by_googles_list_of_the_day(target, google):
    assert cost(target, "n1-standard-4").hourly_cost is None
    targets.ask_prices(target)
    assert cost(target, "n1-standard-4").hourly_cost == 4 * Decimal("0.04") + 15 * Decimal("0.005")
    assert cost(target, "e2-highmem-2").hourly_cost == 2 * Decimal("0.025") + 16 * Decimal("0.003")
    assert cost(target, "n1-standard-4").table == "2026-11-29"
    assert len(google.asked) == 2
    targets.ask_prices(target)
    assert len(google.asked) == 2


def test_a_step_of_a_run_costs_the_parts_of_custom_jobs_without_the_fee_of_other_machines(target):
    targets.ask_prices(target)
    machines = ("n1-standard-4", "e2-standard-2", "n2-standard-4")
    steps = [StepSpec(name=machine.replace("-", "_"), machine=machine) for machine in machines]
    priced = job_prices.run_prices(target.profile, steps)
    assert [rate.hourly for rate in priced.rates.values()] == [
        4 * Decimal("0.001") + 15 * Decimal("0.002"),
        2 * Decimal("0.003") + 8 * Decimal("0.004"),
        None,
    ]
    assert priced.table == "2026-11-29"


@pytest.mark.parametrize(
    "machine", ["n2-standard-4", "g2-standard-4", "c3-standard-4", "n1-custom"]
)
def test_a_part_without_its_price_an_accelerator_and_a_machine_of_no_size_are_unknown(
    target, machine
):
    targets.ask_prices(target)
    assert cost(target, machine).hourly_cost is None


def test_who_may_not_ask_goes_on_with_the_table(target, google):
    google.status = 403
    targets.ask_prices(target)
    assert cost(target, "n1-standard-4").table == prices.TABLE
