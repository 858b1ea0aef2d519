"""When a minute of an endpoint's traffic is seen."""

from datetime import timedelta
from types import SimpleNamespace

from isthmus_stack.core.clock import Clock
from isthmus_stack.core.state import State
from isthmus_stack.gcp.services.monitoring import online_prediction
from isthmus_stack.gcp.services.monitoring.descriptors import PREFIX

ENDPOINT = "projects/123456789012/locations/us-central1/endpoints/ranker"


def test_a_minute_is_seen_five_minutes_after_its_end_by_the_stacks_clock(monkeypatch):
    monkeypatch.delenv(online_prediction.DELAY, raising=False)
    clock, state = Clock("manual"), State()
    call = SimpleNamespace(clock=clock, store=lambda kind: state.store((), kind))

    def responses():
        return sum(
            point.value
            for series in online_prediction.visible_series(
                call, "123456789012", f"{PREFIX}response_count"
            )
            for point in series.points
        )

    online_prediction.record_request(
        call, ENDPOINT, "1", status=200, milliseconds=4.0, predictions=2
    )
    end = clock.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    clock.advance((end - clock.now()).total_seconds() + 299)
    assert responses() == 0
    clock.advance(1)
    assert responses() == 1
    assert not list(
        online_prediction.visible_series(call, "999999999999", f"{PREFIX}response_count")
    ), "of another project"
