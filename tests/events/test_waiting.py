"""What comes too early waits for its reference or its time; what comes too late is refused, or
taken as a back-fill.
"""

import importlib
from datetime import datetime, timedelta

import msgspec

from isthmus.events.intake.ingest import ingest
from isthmus.events.refusals.open_rows import quarantine, summary
from isthmus.project.specs.description import Attribute, Event, ProjectSpec

from .conftest import NOW, SPEC, click, counts, impression, make_project, seen

LIVE = msgspec.structs.replace(SPEC, now=None)


def test_a_click_before_its_impression_is_stored_when_the_impression_comes(
    project, lines, monkeypatch
):
    purchase = {"event_id": "p1", "event_timestamp": "2019-11-30T23:59:00Z", "click_id": "c1"}
    ingest(project, event="purchase", data=lines([purchase], "purchases.jsonl"), max_bad=1)
    (report,) = ingest(
        project, event="click", data=lines([click(1), click(2)], "clicks.jsonl"), max_bad=1
    )
    assert counts(report) == (2, 0, 0, 2)
    assert [row["retry"] for row in quarantine(project, "click").to_pylist()] == [True, True]

    judged = events_judged(monkeypatch)
    reports = {
        r.event: r
        for r in ingest(project, event="impression", data=lines([impression(1)], "i.jsonl"))
    }
    assert {name: r.retried for name, r in reports.items()} == {
        "impression": 0,
        "click": 1,
        "purchase": 1,
    }
    assert judged == ["impression", "click", "purchase"], "each once"
    assert [row["event_id"] for row in seen(project, "click")] == ["c1"]
    assert [row["event_id"] for row in seen(project, "purchase")] == ["p1"]
    assert [row["event_id"] for row in quarantine(project, "click").to_pylist()] == ["c2"]
    assert quarantine(project, "purchase").num_rows == 0


def events_judged(monkeypatch):
    """The names of the events whose batches are judged from now on."""
    module, names = importlib.import_module("isthmus.events.intake.ingest"), []
    settle = module.settle

    def noted(spec, warehouse, event, staged, **options):
        names.append(event.name)
        return settle(spec, warehouse, event, staged, **options)

    monkeypatch.setattr(module, "settle", noted)
    return names


def referring(name, to):
    return Event(
        name=name, attributes=(Attribute(name=f"{to}_id", type="string", event=to, required=False),)
    )


def test_events_that_wait_for_each_other_by_turns_are_all_stored_once_the_first_is_there(
    tmp_path, lines
):
    spec = ProjectSpec(
        name="shop",
        now=NOW,
        events={"ask": referring("ask", "reply"), "reply": referring("reply", "ask")},
    )
    moment = {"event_timestamp": stamped(NOW - timedelta(hours=1))}
    asks = [
        moment | {"event_id": "a3", "reply_id": "r2"},
        moment | {"event_id": "a1", "reply_id": "r0"},
    ]
    replies = [moment | {"event_id": "r2", "ask_id": "a1"}, moment | {"event_id": "r0"}]
    with make_project(tmp_path, spec) as project:
        ingest(project, event="ask", data=lines(asks), max_bad=1)
        reports = ingest(project, event="reply", data=lines(replies, "replies.jsonl"), max_bad=1)
        assert {report.event: (report.stored, report.retried) for report in reports} == {
            "reply": (1, 1),
            "ask": (0, 2),
        }
        assert [[row["event_id"] for row in seen(project, name)] for name in spec.events] == [
            ["a1", "a3"],
            ["r0", "r2"],
        ]
        assert quarantine(project, "ask").num_rows == quarantine(project, "reply").num_rows == 0


def stamped(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_an_event_ahead_of_the_clock_waits_for_its_time_and_then_for_its_reference(tmp_path, lines):
    now = [NOW]
    with make_project(tmp_path, LIVE, clock=lambda: now[0]) as project:
        rows = [
            click(n, event_timestamp=stamped(NOW + timedelta(seconds=ahead)))
            for n, ahead in ((1, 120), (2, 121), (3, 3600))
        ]
        ingest(
            project,
            event="impression",
            data=lines([impression(1), impression(3)], "impressions.jsonl"),
        )
        for _ in range(2):
            (report,) = ingest(project, event="click", data=lines(rows), max_bad=1)
        assert counts(report) == (3, 0, 1, 2)
        waiting = quarantine(project, "click").to_pylist()
        assert [(row["event_id"], row["attribute"], row["retry"]) for row in waiting] == [
            ("c2", "event_timestamp", True),
            ("c3", "event_timestamp", True),
        ]
        assert (
            waiting[0]["reason"]
            == "2019-12-01 00:02:01 is 121 s ahead of the clock, more than 2 minutes (max_ahead)"
        )
        (group,) = summary(project, "click")
        assert (group.count, group.reason) == (
            2,
            "ahead of the clock, more than 2 minutes (max_ahead)",
        )
        assert (group.first, group.last) == tuple(
            (NOW + timedelta(seconds=n)).replace(tzinfo=None) for n in (121, 3600)
        )

        now[0] = NOW + timedelta(hours=2)
        reports = {
            r.event: r
            for r in ingest(project, event="impression", data=lines([impression(5)], "one.jsonl"))
        }
        assert reports["click"].retried == 1
        assert [row["event_id"] for row in seen(project, "click")] == ["c1", "c3"]
        assert [
            (row["event_id"], row["attribute"]) for row in quarantine(project, "click").to_pylist()
        ] == [("c2", "impression_id")]
        ingest(project, event="impression", data=lines([impression(2)], "two.jsonl"))
        assert [row["event_id"] for row in seen(project, "click")] == ["c1", "c2", "c3"]
        assert quarantine(project, "click").num_rows == 0


def test_a_replayed_logs_clock_is_its_now(project, lines):
    path = lines([impression(1, event_timestamp=stamped(NOW + timedelta(hours=1)))])
    for _ in range(2):
        (report,) = ingest(
            project, event="impression", data=path, max_bad=1
        )  # the wall's clock is years ahead
        assert counts(report) == (1, 0, 0, 1)


OLD = [impression(n, event_timestamp=f"1997-09-{20 + n % 3}T00:00:00Z") for n in range(30)]


def test_events_older_than_max_lateness_are_one_line_with_their_days_and_the_key_to_change(
    project, lines
):
    (report,) = ingest(project, event="impression", data=lines([*OLD, impression(100)]), max_bad=1)
    (reason,) = report.reasons
    assert (reason.count, reason.attribute, reason.reason) == (
        30,
        "event_timestamp",
        "is older than 30 days (max_lateness)",
    )
    assert (reason.first, reason.last) == (datetime(1997, 9, 20), datetime(1997, 9, 22))  # noqa: DTZ001
    assert (
        reason.remedy
        == "a back-fill is taken by --backfill; or raise events.impression.max_lateness"
    )
    (report,) = ingest(project, event="impression", data=lines([*OLD, impression(100)]), max_bad=1)
    assert report.reasons[0].remedy == "raise events.impression.max_lateness"
    (group,) = summary(project, "impression")
    assert (group.count, group.reason, group.first, group.last) == (
        30,
        reason.reason,
        reason.first,
        reason.last,
    )


def test_a_first_ingest_asks_whether_what_is_old_is_a_back_fill_and_a_later_one_does_not(
    project, lines
):
    asked = []

    def answer(event, late):
        asked.append((event, late.count, late.first, late.last))
        return len(asked) == 2

    path = lines(OLD)
    for stored, there, refused in (
        (0, 0, 30),
        (30, 0, 0),
        (0, 30, 0),
    ):  # what is stored is there, however old it is by now
        (report,) = ingest(
            project, event="impression", data=path, max_bad=1, confirm_backfill=answer
        )
        assert counts(report) == (30, stored, there, refused)
    assert asked == [("impression", 30, datetime(1997, 9, 20), datetime(1997, 9, 22))] * 2  # noqa: DTZ001
    assert quarantine(project, "impression").num_rows == 0


def test_a_back_fill_takes_what_is_old_and_nothing_else_that_is_wrong(project, lines):
    rows = [*OLD, impression(50, event_timestamp="1997-01-01T00:00:00Z", item_id=412)]
    (report,) = ingest(project, event="impression", data=lines(rows), max_bad=1, backfill=True)
    assert counts(report) == (31, 30, 0, 1)
    assert quarantine(project, "impression")["attribute"].to_pylist() == ["item_id"]
