"""The demo's answers follow from its figures; none is written down beforehand."""

from decimal import Decimal

import pytest

from isthmus.endpoints.gateway.log.streams import EXPOSURES
from isthmus.events.intake.emit import emit_stream
from isthmus.lifecycle.demo.demo import _exposures
from isthmus.lifecycle.demo.result import ServedTraffic, _traffic
from isthmus.tests.endpoints import mini
from isthmus.tests.endpoints.gateway.test_streams import SHOWN


def served(**requests):
    split = {"champion": Decimal("90.00"), "challenger": Decimal("10.00")}
    return ServedTraffic(
        split=split, requests=requests, errors=0, p50_ms=1.0, p99_ms=2.0, exposures=0
    )


@pytest.mark.parametrize(
    ("requests", "answer"),
    [
        (
            {"champion": 1_776, "challenger": 224},
            "yes: 90/10 was set, 1,776/224 of 2,000 requests came",
        ),
        (
            {"champion": 1_740, "challenger": 260},
            "no: 90/10 was set, and 1,740/260 of 2,000 requests came",
        ),  # 4.5 sigma
        ({"challenger": 2_000}, "no: 90/10 was set, and 0/2,000 of 2,000 requests came"),
        ({}, "no: 90/10 was set, and 0/0 of 0 requests came"),
    ],
)
def test_traffic_went_where_it_was_sent_when_its_split_may_be_chance(requests, answer):
    assert _traffic(served(**requests)) == answer


def test_an_exposure_that_its_stream_repeats_is_counted_once(tmp_path):
    mini.write(tmp_path)
    with mini.opened(tmp_path) as project:
        project.target.events.apply(EXPOSURES)
        for _ in range(2):
            assert (
                emit_stream(
                    project,
                    EXPOSURES,
                    [SHOWN | {"event_id": "q-1-1"}, SHOWN | {"event_id": "q-1-2"}],
                )
                == ()
            )
        assert _exposures(project) == 2
