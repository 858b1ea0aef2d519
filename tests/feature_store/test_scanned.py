"""The price of the as-known check in bytes: what the stored tables weigh, as often as a view's SQL reads them."""

import pytest

import isthmus
from isthmus.feature_store.as_known import price
from isthmus.feature_store.port import TableState
from isthmus.feature_store.scanned import scanned_bytes, spoken_bytes
from isthmus.project import scaffold


class Weighed:
    """A warehouse whose stored tables have sizes; of views it says nothing, as Athena's adapter."""

    sizes = {"impression_raw": 1000, "click_raw": 10}

    def observe(self, table):
        return TableState(columns=(), rows=None, size=self.sizes.get(table))


def test_an_objective_is_its_exposures_twice_and_both_of_its_events_and_nothing_is_told_where_nothing_is_paid(tmp_path):
    scaffold.create(tmp_path / "shop", example=None)
    with isthmus.open(tmp_path / "shop" / "project.yaml") as project:
        isthmus.apply(project)
        assert scanned_bytes(project) is None
        project.target.warehouse = Weighed()
        assert scanned_bytes(project, ["item_history"]) == 2 * 1000 + 10


@pytest.mark.parametrize(("number", "told"), [(999, "999 bytes"), (1500, "1.5 kB"), (3_400_000_000, "3.4 GB"), (2_000_000_000_000, "2 TB")])
def test_bytes_are_told_as_clouds_bill_them(number, told):
    assert spoken_bytes(number) == told


def test_the_price_names_what_one_moment_would_read():
    assert price(3, scanned=1_000_000_000).endswith("; about 7 GB read; 3 GB with --moments 1")
    assert price(1, scanned=1_000_000_000).endswith("; about 3 GB read")
