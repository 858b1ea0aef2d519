"""What a profile's replicas cost by the table, and what is unknown."""

from decimal import Decimal

import pytest

from isthmus.adapters.vertex.machines import image, serving_replicas
from isthmus.adapters.vertex.resources import prices
from isthmus.core.plugins.installed import adapter
from isthmus.endpoints.port import VariantSpec
from isthmus.errors import Invalid
from isthmus.feature_store.as_known.cost import Scan
from isthmus.target import Profile


def profile(**options):
    return Profile(name="vertex", adapter="vertex", project="shop", options=options)


def variant(name, **more):
    return VariantSpec(name=name, model="ranker", version=1, **more)


def test_an_estimate_counts_the_fewest_replicas_by_machine_and_says_how_old_the_table_is():
    variants = [
        variant("champion"),
        variant("challenger", machine="n1-standard-4", instances=(2, 5)),
    ]
    options = {
        "location": "us-central1",
        "serving": {"machine": "n1-standard-2", "replicas": "1..3"},
    }
    estimate = prices.estimate(profile(**options), variants)
    assert estimate.hourly_cost == Decimal("0.1095") + 2 * Decimal("0.219")
    assert (
        estimate.machines == "1 x n1-standard-2, 2 x n1-standard-4 without the online store's nodes"
    )
    assert estimate.table == prices.TABLE


@pytest.mark.parametrize(
    ("location", "machine"),
    [("asia-northeast1", "n1-standard-2"), ("us-central1", "a3-megagpu-8g")],
)
def test_a_price_that_is_not_in_the_table_is_unknown_and_so_is_every_sum_with_it(location, machine):
    assert prices.hourly(prices.current(profile(location=location)), machine, 1) is None
    both = [variant("champion", machine=machine), variant("challenger", machine="n1-standard-2")]
    assert prices.estimate(profile(location=location), both).hourly_cost is None


@pytest.mark.parametrize(("text", "replicas"), [("1..3", (1, 3)), ("2", (2, 2)), (None, (1, 1))])
def test_replicas_are_those_of_the_profile_where_a_variant_says_nothing(text, replicas):
    serving = {"replicas": text} if text else {}
    assert serving_replicas(profile(serving=serving), variant("champion")) == replicas
    assert serving_replicas(profile(serving=serving), variant("champion", instances=(4, 6))) == (
        4,
        6,
    )


def test_a_project_without_an_image_is_told_offline_it_needs_none():
    with pytest.raises(Invalid, match="target vertex has no image"):
        image(profile())
    assert image(profile(endpoint_url="http://127.0.0.1:1")) == "isthmus"
    assert (
        image(profile(image="somewhere/ranker:1", endpoint_url="http://127.0.0.1:1"))
        == "somewhere/ranker:1"
    )


def test_a_counted_answer_is_a_document_read_and_one_written_where_the_price_is_known():
    assert prices.count_price(profile(location="us-central1")) == Decimal("0.30") + Decimal("0.90")
    assert prices.count_price(profile(location="elsewhere")) is None


def test_bytes_that_a_query_reads_have_a_price_by_location_told_for_a_tb_and_not_for_a_tib():
    scan = Scan(size=2**40, usd_per_tb=prices.scanning(profile(location="us-central1")))
    assert scan.cost(2) == pytest.approx(Decimal("12.50"))
    assert prices.scanning(profile(location="europe-west1")) is None
    assert adapter("vertex").priced.scan_price(profile(location="us-central1")) is not None
