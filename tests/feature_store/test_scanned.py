"""The price of the as-known check in bytes: what the stored tables weigh, as often as a view's SQL
reads them.
"""

from decimal import Decimal

import pytest
from msgspec.structs import replace

import isthmus
from isthmus.adapters.sagemaker.hooks import Prices
from isthmus.errors import Refused
from isthmus.feature_store.as_known.check import check_as_known, price
from isthmus.feature_store.as_known.cost import Scan, scanned_bytes, spoken_bytes
from isthmus.feature_store.port import TableState
from isthmus.project import scaffold


class Weighed:
    """A warehouse whose stored tables have sizes; of views it says nothing, as Athena's adapter."""

    sizes = {"impression_raw": 1000, "click_raw": 10}

    def observe(self, table):
        return TableState(columns=(), rows=None, size=self.sizes.get(table))


def test_an_objective_is_its_exposures_twice_and_both_of_its_events_and_nothing_is_told_where_nothing_is_paid(
    tmp_path,
):
    scaffold.create(tmp_path / "shop", example="starter")
    with isthmus.open(tmp_path / "shop" / "project.yaml") as project:
        isthmus.apply(project)
        assert scanned_bytes(project) is None
        project.target.warehouse = Weighed()
        assert scanned_bytes(project, ["item_history"]) == 2 * 1000 + 10


@pytest.mark.parametrize(
    ("number", "told"),
    [(999, "999 bytes"), (1500, "1.5 kB"), (3_400_000_000, "3.4 GB"), (2_000_000_000_000, "2 TB")],
)
def test_bytes_are_told_as_clouds_bill_them(number, told):
    assert spoken_bytes(number) == told


def test_the_price_names_what_one_moment_would_read():
    assert price(3, scan=Scan(size=1_000_000_000)).endswith(
        "; about 7 GB read; 3 GB with --moments 1"
    )
    assert price(1, scan=Scan(size=1_000_000_000)).endswith("; about 3 GB read")
    paid = Scan(size=1_000_000_000_000, usd_per_tb=Decimal(5))
    assert price(3, scan=paid).endswith(
        "; about 7 TB (35.00 USD) read; 3 TB (15.00 USD) with --moments 1"
    )


@pytest.mark.parametrize(
    ("size", "moments", "region", "remedy"),
    [
        (100, 3, "us-east-1", None),  # 7 computations of 200 GB and a little: 7 USD
        (1000, 3, "us-east-1", "--moments 1 reads 6 TB"),
        (1000, 1, "us-east-1", None),
        (10_000, 1, "us-east-1", "a higher `budget:`"),
        (10_000, 3, "ap-northeast-1", None),  # not in the table: never a guess
    ],
)
def test_a_check_that_reads_more_than_an_hour_of_the_budget_pays_for_is_refused_before_it_runs(
    tmp_path, size, moments, region, remedy
):
    scaffold.create(tmp_path / "shop", example="starter")
    with isthmus.open(tmp_path / "shop" / "project.yaml") as project:
        isthmus.apply(project)
        project.target.warehouse = AskedNothing(sizes={"impression_raw": size * 10**9})
        project.target.profile = replace(
            project.target.profile, options={"region": region, "budget": "40.00 USD/h"}
        )
        project.target.adapter = replace(
            project.target.adapter,
            priced=Prices(),
        )
        with pytest.raises(Refused if remedy else Asked) as refused:
            check_as_known(project, ["item_history"], moments=moments)
        assert remedy is None or (
            refused.value.remedy.startswith(remedy)
            and "40.00 USD/h; nothing was computed" in str(refused.value)
        )


class Asked(Exception):
    """The check began."""


class AskedNothing(Weighed):
    def __init__(self, *, sizes):
        self.sizes = sizes

    def query(self, *_query):
        raise Asked
