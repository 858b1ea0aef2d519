"""What `isthmus ingest` asks, and what its flags do."""

import io

import pytest

from isthmus.tests.cli.running import isthmus

IMPRESSION = "event_id,event_timestamp,item_id,position\n"


@pytest.fixture
def applied(new):
    isthmus(new, "apply")
    return new


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("answer", "stored"), [("y\n", 3), ("n\n", 0)])
def test_the_first_ingest_of_old_events_asks_a_person_whether_they_are_a_back_fill(
    applied, monkeypatch, answer, stored
):
    path = applied / "old.csv"
    path.write_text(IMPRESSION + "".join(f"i{n},1997-0{n}-01T00:00:00Z,{n},1\n" for n in (1, 2, 3)))
    said = isthmus(
        applied,
        "ingest",
        "old.csv",
        "--event",
        "impression",
        "--max-bad",
        "100%",
        stdin=Terminal(answer),
    )
    assert (
        "impression: 3 events are older than its max_lateness, 1997-01-01 .. 1997-03-01" in said.out
    )
    assert f"3 read   {stored} stored   0 already there   {3 - stored} quarantined" in said.out


def test_without_a_person_old_events_are_quarantined_and_the_report_says_the_key_its_line_and_the_flag(
    applied,
):
    path = applied / "old.csv"
    path.write_text(IMPRESSION + "".join(f"i{n},1997-0{n}-01T00:00:00Z,{n},1\n" for n in (1, 2, 3)))
    said = isthmus(applied, "ingest", "old.csv", "--event", "impression", ok=False)
    (line,) = [
        n
        for n, text in enumerate((applied / "project.yaml").read_text().splitlines(), 1)
        if text == "  impression:"
    ]
    assert said.out.splitlines()[1:] == [
        "  3   event_timestamp   is older than 30 days (max_lateness)   1997-01-01 .. 1997-03-01",
        (
            "      a back-fill is taken by --backfill; or raise events.impression.max_lateness "
            f"(project.yaml, line {line})"
        ),
    ]
    groups = isthmus(applied, "events", "quarantine", "impression").out.splitlines()
    assert groups[0].split("  ")[:2] == ["3", "event_timestamp"]
    assert "1997-01-01 .. 1997-03-01" in groups[0]
    again = isthmus(applied, "ingest", "old.csv", "--event", "impression", "--backfill")
    assert "3 read   3 stored   0 already there   0 quarantined" in again.out
    assert "nothing is quarantined" in isthmus(applied, "events", "quarantine", "impression").out


def test_a_correction_is_declared_by_a_flag(applied):
    for name, item in (("first.csv", 1), ("second.csv", 2)):
        (applied / name).write_text(IMPRESSION + f"i1,2026-01-05T10:00:00Z,{item},1\n")
    isthmus(applied, "ingest", "first.csv", "--event", "impression")
    refused = isthmus(applied, "ingest", "second.csv", "--event", "impression", ok=False)
    assert "same id, other content" in refused.out
    taken = isthmus(applied, "ingest", "second.csv", "--event", "impression", "--corrects")
    assert "1 read   1 stored   0 already there   0 quarantined   1 corrected" in taken.out
