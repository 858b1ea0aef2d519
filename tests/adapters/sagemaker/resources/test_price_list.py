"""AWS's price list through the genuine client, whose answers are a fixture in the API's form:
prices made up, no account was asked.
"""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO

import pytest
from botocore.awsrequest import AWSResponse

from isthmus.adapters import targets
from isthmus.adapters.common import price_list
from isthmus.adapters.common.price_list import from_cache
from isthmus.adapters.sagemaker.resources import job_prices, prices
from isthmus.adapters.sagemaker.session import aws_of
from isthmus.endpoints.port import VariantSpec
from isthmus.pipelines.port import StepSpec
from isthmus.target import Profile

DAY = datetime(2026, 11, 29, 12, tzinfo=UTC)
REGION = "eu-central-1"


def product(usage, *usd, unit="Hrs", currency="USD"):
    dimensions = {
        f"d{at}": {"unit": unit, "pricePerUnit": {currency: price}} for at, price in enumerate(usd)
    }
    return json.dumps(
        {
            "product": {"attributes": {"usagetype": usage}},
            "terms": {"OnDemand": {"t": {"priceDimensions": dimensions}}},
        }
    )


PAGES = {
    ("AmazonSageMaker", None): (
        [
            product("EUC1-Host:ml.m5.large", "0.1380000000"),
            product("EUC1-Train:ml.m5.large", "9"),
            product("EUC1-Processing:ml.m5.large", "8"),
        ],
        "next",
    ),
    ("AmazonSageMaker", "next"): (
        [
            product("EUC1-Host:ml.c5.large", "0.2", "0.1"),
            product("EUC1-Host:ml.c5.xlarge", "1", currency="CNY"),
            product("EUC1-Host:ml.m5.xlarge", "0.276"),
            product("EUC1-AsyncInf:ml.r5.large", "0.3"),
        ],
        None,
    ),
    ("AmazonAthena", None): (
        [product("EUC1-DataScannedInTB", "5.0000", unit="Terabytes"), product("EUC1-DPU", "0.3")],
        None,
    ),
}


class Amazon:
    """Answers GetProducts where it would be sent."""

    def __init__(self, aws):
        self.asked, self.status = [], 200
        client = aws.client("pricing", retrying=False, within=10, region="us-east-1")
        client.meta.events.register("before-send.pricing.GetProducts", self.answer)

    def answer(self, request, **_):
        wanted = json.loads(request.body)
        self.asked.append(
            (request.url, {each["Field"]: each["Value"] for each in wanted["Filters"]})
        )
        if self.status != 200:
            return self.said({"__type": "AccessDeniedException", "Message": "no"}, request)
        texts, following = PAGES[wanted["ServiceCode"], wanted.get("NextToken")]
        return self.said(
            {"PriceList": texts, **({"NextToken": following} if following else {})}, request
        )

    def said(self, content, request):
        raw = BytesIO(json.dumps(content).encode())
        raw.stream = lambda *_, **__: iter([raw.getvalue()])
        return AWSResponse(request.url, self.status, {}, raw)


class Account:
    """A target on an account, whose clock is moved."""

    def __init__(self):
        self.now = DAY
        options = {"bucket": "s3://example", "region": REGION}
        self.profile = Profile(
            name="production", adapter="sagemaker", project="shop", options=options
        )
        self.target = targets.load(self.profile, clock=lambda: self.now)
        self.amazon = Amazon(aws_of(self.target))

    def estimate(self, machine="ml.m5.large"):
        return targets.estimate(
            self.profile, [VariantSpec(name="a", model="ranker", version=1, machine=machine)]
        )


@pytest.fixture
def account(tmp_path, monkeypatch, price_folder):
    monkeypatch.setattr(price_list, "folder", price_folder)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "XDG_CACHE_HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    return Account()


def test_a_region_that_the_table_lacks_has_the_prices_that_aws_tells_and_their_day(account):
    assert account.estimate().hourly_cost is None
    targets.ask_prices(account.target)
    assert account.amazon.asked[0] == (
        "https://api.pricing.us-east-1.amazonaws.com/",
        {"regionCode": REGION, "productFamily": "ML Instance"},
    )
    assert (account.estimate().hourly_cost, account.estimate().table) == (
        Decimal("0.138"),
        "2026-11-29",
    )
    assert account.estimate("ml.m5.xlarge").hourly_cost == Decimal("0.276")
    assert prices.scanning(account.profile) == 5


def test_training_and_processing_have_the_prices_that_aws_tells_of_them(account):
    steps = [StepSpec(name="rows"), StepSpec(name="fit", kind="training")]
    assert job_prices.run_prices(account.profile, steps).rates["fit"].hourly is None
    targets.ask_prices(account.target)
    prices = job_prices.run_prices(account.profile, steps)
    assert {name: rate.hourly for name, rate in prices.rates.items()} == {"rows": 8, "fit": 9}
    assert prices.table == "2026-11-29"


@pytest.mark.parametrize("machine", ["ml.c5.large", "ml.c5.xlarge", "ml.r5.large", "ml.z9.large"])
def test_two_prices_one_in_another_currency_and_none_are_unknown(account, machine):
    targets.ask_prices(account.target)
    assert account.estimate(machine).hourly_cost is None


@pytest.mark.parametrize(("days", "again"), [(0, False), (7, False), (8, True), (-1, True)])
def test_it_is_asked_again_after_a_week_and_where_its_day_is_to_come(account, days, again):
    targets.ask_prices(account.target)
    before = len(account.amazon.asked)
    account.now += timedelta(days=days)
    targets.ask_prices(account.target)
    assert (len(account.amazon.asked) > before) == again


def test_who_may_not_ask_goes_on_with_the_last_list_and_without_one_with_the_table(account):
    account.amazon.status = 400
    targets.ask_prices(account.target)
    assert account.estimate().table == prices.TABLE
    account.amazon.status = 200
    targets.ask_prices(account.target)
    account.amazon.status, account.now = 400, DAY + timedelta(days=30)
    targets.ask_prices(account.target)
    assert account.estimate().table == "2026-11-29"


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b'{"date": 1}', b'{"date": "2026-11-29", "hourly": {"ml.m5.large": "much"}}'],
)
def test_a_file_of_the_cache_that_is_none_of_ours_is_asked_for_again(account, tmp_path, content):
    targets.ask_prices(account.target)
    (kept,) = tmp_path.rglob("*.json")
    kept.write_bytes(content)
    assert from_cache("aws", REGION) is None
    targets.ask_prices(account.target)
    assert account.estimate().table == "2026-11-29"


def test_a_list_of_another_form_and_a_cache_that_cannot_be_written_are_done_without(
    account, tmp_path, monkeypatch
):
    (tmp_path / "isthmus").write_text("in the way")
    targets.ask_prices(account.target)
    monkeypatch.setitem(PAGES, ("AmazonAthena", None), (['{"product": {}}'], None))
    targets.ask_prices(account.target)
    assert account.estimate().table == prices.TABLE


def test_what_is_no_price_is_not_kept(account, tmp_path, monkeypatch):
    monkeypatch.setitem(
        PAGES, ("AmazonSageMaker", None), ([product("EUC1-Host:ml.m5.large", "much")], None)
    )
    targets.ask_prices(account.target)
    assert account.estimate().table == prices.TABLE
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_list_that_cannot_take_its_place_leaves_nothing_beside_it(account, tmp_path):
    place = tmp_path / "isthmus" / "prices" / f"aws-{REGION}-2.json"
    place.mkdir(parents=True)
    targets.ask_prices(account.target)
    assert list(place.parent.iterdir()) == [place]
    assert account.estimate().table == prices.TABLE


def test_offline_nothing_is_asked_and_the_table_holds(account):
    targets.ask_prices(account.target)
    options = account.profile.options | {"endpoint_url": "http://127.0.0.1:9"}
    offline = Profile(name="production", adapter="sagemaker", project="shop", options=options)
    assert (
        targets.estimate(offline, [VariantSpec(name="a", model="ranker", version=1)]).table
        == prices.TABLE
    )
