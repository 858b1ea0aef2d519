"""The past of a consumer, as the warehouse of this machine gives it."""

from datetime import timedelta

from isthmus.events.consume.cold_start import past_events
from isthmus.events.consume.consumer import StreamInput
from isthmus.events.intake.emit import emit, stream_of
from isthmus.events.tables import relations
from isthmus.tests.events.conftest import CLICK, IMPRESSION, NOW, SPEC, make_project


def test_pages_are_in_order_of_time_over_all_streams_and_have_each_event_once(tmp_path):
    with make_project(tmp_path) as project:
        for event in (IMPRESSION, CLICK):
            project.target.events.apply(stream_of(event))
        for table in relations.tables(SPEC):
            project.target.warehouse.apply(table)
        moments = [NOW - timedelta(minutes=number % 40) for number in range(1, 100)]
        for number, moment in enumerate(moments):
            own = {"event_id": f"e{number}", "event_timestamp": moment, "item_id": number % 80}
            if number % 3:
                row = own | {"position": 1, "policy": "random", "propensity": 0.5}
                assert emit(project, "impression", [row]) == ()
            else:
                assert emit(project, "click", [own | {"impression_id": "i"}] * 2) == ()
        inputs = tuple(
            StreamInput(event=name, stream=f"{name}_raw", relation=f"events_{name}")
            for name in ("impression", "click", "purchase", "nothing")
        )
        since = NOW - timedelta(minutes=30)
        pages = list(past_events(project.target.warehouse, inputs, since=since, until=NOW, page=7))
    assert all(len(page) == 7 for page in pages[:-1])
    events = [event for page in pages for event in page]
    assert [moment for moment, _, _ in events] == sorted(
        moment for moment in moments if moment >= since
    )
    assert len({row["event_id"] for _, _, row in events}) == len(events)
    assert {inputs[number].event for _, number, _ in events} == {"impression", "click"}
    assert all(row["event_timestamp"].tzinfo is not None for _, _, row in events)
