"""Of several contents under one id, the one that was stored first stands, until a correction is
declared.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest

from isthmus.errors import NotFound, Unavailable
from isthmus.events.intake.ingest import ingest
from isthmus.events.refusals.open_rows import Group, quarantine, summary
from isthmus.events.tables.relations import quarantine_table, raw_table
from isthmus.events.validation.values import CONFLICT
from isthmus.feature_store.port import TableSpec

from .conftest import IMPRESSION, apply_tables, arrow_table, counts, impression, make_project, seen


@pytest.mark.parametrize("order", ["ab", "ba", "aba", "baab"])
def test_of_two_contents_under_one_id_the_one_that_was_stored_first_stands_and_the_other_is_quarantined_once(
    project, order
):
    contents = {"a": impression(1, item_id=3), "b": impression(1, item_id=4)}
    reports = [
        ingest(project, event="impression", data=arrow_table([contents[name]]), max_bad=1)[0]
        for name in order
    ]
    assert [counts(report) for report in reports] == [
        (1, 1, 0, 0) if n == 0 else (1, 0, 1, 0) if name == order[0] else (1, 0, 0, 1)
        for n, name in enumerate(order)
    ]
    assert [row["item_id"] for row in seen(project, "impression")] == [
        contents[order[0]]["item_id"]
    ]
    (row,) = quarantine(project, "impression").to_pylist()
    assert json.loads(row["payload"])["item_id"] == contents[order[1]]["item_id"]
    assert (row["attribute"], row["reason"], row["retry"]) == ("event_id", CONFLICT, False)
    assert summary(project, "impression") == (
        Group(count=1, attribute="event_id", reason=CONFLICT, retry=False),
    )


def test_of_two_contents_in_one_batch_the_one_whose_digest_sorts_first_is_stored(tmp_path):
    a, b = impression(1, item_id=3), impression(1, item_id=4)
    results = []
    for rows in ([a, b], [b, a], [b, a, b, a]):
        folder = tmp_path / str(len(results))
        with make_project(folder) as project:
            (report,) = ingest(project, event="impression", data=arrow_table(rows), max_bad=1)
            assert counts(report) == (len(rows), 1, len(rows) // 2 - 1, len(rows) // 2)
            results.append(
                (
                    seen(project, "impression"),
                    quarantine(project, "impression")["payload_digest"].to_pylist(),
                )
            )
    assert len(results[0][0]) == len(results[0][1]) == 1
    assert results.count(results[0]) == len(results)


def test_a_declared_correction_takes_the_place_of_what_is_stored_and_the_old_file_may_come_again(
    project,
):
    old, new = (
        arrow_table([impression(1, item_id=3), impression(2)]),
        arrow_table([impression(1, item_id=4), impression(2), impression(3)]),
    )
    ingest(project, event="impression", data=old)
    (report,) = ingest(project, event="impression", data=new, corrects=True)
    assert (*counts(report), report.corrected) == (3, 2, 1, 0, 1)
    assert [row["item_id"] for row in seen(project, "impression")] == [4, 2, 3]
    for data, corrects in ((old, False), (new, False), (new, True)):
        (report,) = ingest(project, event="impression", data=data, corrects=corrects)
        assert (report.stored, report.already_there) == (0, data.num_rows)
    (report,) = ingest(project, event="impression", data=old, corrects=True)  # and back again
    assert (report.stored, report.corrected) == (1, 1)
    assert [row["item_id"] for row in seen(project, "impression")] == [3, 2, 3]
    assert quarantine(project, "impression").num_rows == 0
    corrections = project.target.warehouse.query(
        "SELECT correction FROM impression_raw WHERE event_id = 'i1' ORDER BY correction", {}
    )
    assert corrections["correction"].to_pylist() == [0, 1, 2]


def test_a_refused_content_is_no_longer_open_once_it_was_declared_a_correction(project):
    first, second, third = (arrow_table([impression(1, item_id=n)]) for n in (3, 4, 5))
    ingest(project, event="impression", data=first)
    ingest(project, event="impression", data=second, max_bad=1)
    assert quarantine(project, "impression").num_rows == 1
    for data in (second, third):
        ingest(project, event="impression", data=data, corrects=True)
        assert quarantine(project, "impression").num_rows == 0


def test_a_table_from_before_the_stamps_is_read_as_before_and_what_it_holds_stands(tmp_path):
    contents = [arrow_table([impression(1, item_id=n)]) for n in (3, 4)]
    stored = []
    for n, data in enumerate(contents):
        with make_project(tmp_path / str(n)) as project:
            ingest(project, event="impression", data=data)
            names = [c.name for c in raw_table(IMPRESSION).columns[:-2]]
            stored.append(
                project.target.warehouse.query(f"SELECT {', '.join(names)} FROM impression_raw", {})
            )
    with make_project(tmp_path / "old", make=False) as project:
        warehouse = project.target.warehouse
        warehouse.apply(
            TableSpec(
                name="impression_raw",
                columns=raw_table(IMPRESSION).columns[:-2],
                time_column="event_timestamp",
            )
        )
        for n, table in enumerate(stored):
            warehouse.append("impression_raw", table, batch=f"old-{n}")
        warehouse.apply(quarantine_table(IMPRESSION))
        for verb in (
            lambda: ingest(project, event="impression", data=contents[0]),
            lambda: quarantine(project, "impression"),
        ):
            with pytest.raises(
                NotFound, match="has no correction, stored_timestamp in impression_raw"
            ) as refusal:
                verb()
            assert refusal.value.remedy == "isthmus apply"
        apply_tables(project)
        smaller = min(stored, key=lambda table: table["payload_digest"].to_pylist())
        assert [row["item_id"] for row in seen(project, "impression")] == smaller[
            "item_id"
        ].to_pylist()
        (loser,) = quarantine(project, "impression").to_pylist()
        assert loser["payload_digest"] == max(
            table["payload_digest"].to_pylist()[0] for table in stored
        )
        assert loser["reason"] == CONFLICT
        (report,) = ingest(
            project, event="impression", data=arrow_table([impression(1, item_id=5)]), max_bad=1
        )
        assert counts(report) == (1, 0, 0, 1)
        assert [row["item_id"] for row in seen(project, "impression")] == smaller[
            "item_id"
        ].to_pylist()


def test_a_repeat_of_a_batch_that_was_cut_short_has_its_stamp_whatever_was_ingested_between(
    tmp_path, lines
):
    clock = iter(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(10_000))
    rows, more = lines([impression(n) for n in range(3)]), lines([impression(9)], "more.jsonl")
    with make_project(tmp_path, clock=lambda: next(clock)) as project:
        state = project.target.state

        def cut(call):
            if call.operation == "warehouse.append":
                raise Unavailable("cut")

        project.target.calls.before = cut
        for source in (rows, more):
            with pytest.raises(Unavailable):
                ingest(project, event="impression", data=source)
        project.target.calls.before = None
        assert len(state.keys("ingest/impression/")) == 2
        stamps = {
            json.loads(state.get(key).value)["stored_timestamp"]
            for key in state.keys("ingest/impression/")
        }
        ingest(project, event="impression", data=more)
        assert len(state.keys("ingest/impression/")) == 1
        ingest(project, event="impression", data=rows)
        assert state.keys("ingest/") == ()
        stored = project.target.warehouse.query(
            "SELECT event_id, stored_timestamp FROM impression_raw ORDER BY event_id", {}
        ).to_pylist()
    moments = [row["stored_timestamp"].replace(tzinfo=UTC) for row in stored]
    assert moments[:3] == [min(map(datetime.fromisoformat, stamps))] * 3
    assert moments[3] == max(map(datetime.fromisoformat, stamps)) > moments[0]
