"""Monitors over a log of three weeks: every figure against a direct count, what is kept, what the
console says.
"""

import importlib.util
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import isthmus
from isthmus.errors import Invalid, NotFound
from isthmus.experiments.monitors import snapshot, units
from isthmus.experiments.monitors.monitor import show as look
from isthmus.experiments.monitors.units_sql import units_sql
from isthmus.feature_store.sql import subset as neutral
from isthmus.tests.cli.running import at_terminal, too_wide
from isthmus.tests.cli.running import isthmus as command

from .watched_shop import DAY, START, WEEKS, Watched, answers

WEEK = 7 * DAY


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    shop = Watched(tmp_path_factory.mktemp("watched"))
    with shop.project:
        yield shop


@pytest.fixture(scope="module")
def alike(shop):
    return look(shop.project, "served_alike")


def firsts(log):
    """By unit, its first answer that says something of it, else its first."""
    first = {}
    for answer in sorted(log, key=lambda answer: (answer.said is None, answer.at)):
        first.setdefault(answer.unit, answer)
    return first


def people(log, week):
    return firsts([answer for answer in log if answer.week == week])


def group(answer):
    return answer.said or units.NOBODY_SAID


def of_group(some, name):
    return {unit for unit, answer in some.items() if group(answer) == name}


def satisfied(log):
    return {answer.unit for answer in log if any(answer.clicked)}


@pytest.mark.parametrize("name", ["m", "f", units.NOBODY_SAID])
def test_units_are_counted_once_with_what_they_found_and_whether_they_come_again(shop, alike, name):
    last = [answer for answer in shop.log if answer.week == 2]
    now, before, first = (of_group(people(shop.log, week), name) for week in (2, 1, 0))
    everybody, at_first = (len(people(shop.log, week)) for week in (2, 0))
    rows = {
        figure: alike.by_group(figure)[name]
        for figure in ("mix", "mix_drift", "satisfied", "returning")
    }
    assert (rows["mix"].count, rows["mix"].value) == (len(now), pytest.approx(len(now) / everybody))
    assert rows["mix_drift"].value == pytest.approx(len(now) / everybody - len(first) / at_first)
    assert rows["satisfied"].value == pytest.approx(len(now & satisfied(last)) / len(now))
    assert rows["returning"].value == pytest.approx(
        len(before & people(shop.log, 2).keys()) / len(before)
    )


def test_a_day_is_counted_by_itself_and_has_no_alarm(shop, alike):
    for at in range(7):
        day = START + 2 * WEEK + at * DAY
        log = [answer for answer in shop.log if answer.at.date() == day.date()]
        there = of_group(firsts(log), "m")
        row = alike.by_group("satisfied", scope="day", label=f"{day:%Y-%m-%d}")["m"]
        assert (row.count, row.value) == (
            len(there),
            pytest.approx(len(there & satisfied(log)) / len(there)),
        )
    assert not [row for row in alike.alarms if row.scope == "day"]


def test_a_window_over_two_versions_has_figures_of_each(shop):
    seen = look(shop.project, "served_alike", as_of=START + 2 * WEEK + 3 * DAY)
    assert seen.labels("version") == ("ranker@2", "ranker@3")
    log = [
        answer
        for answer in shop.log
        if START + WEEK + 3 * DAY <= answer.at < START + 2 * WEEK + 3 * DAY
    ]
    there = {
        unit
        for unit, answer in firsts(log).items()
        if answer.version == "ranker@3" and answer.said == "m"
    }
    row = seen.by_group("satisfied", scope="version", label="ranker@3")["m"]
    assert (row.count, row.value) == (
        len(there),
        pytest.approx(len(there & satisfied(log)) / len(there)),
    )


def test_who_finds_less_and_becomes_less_is_an_alarm(alike):
    told = {(row.figure, row.group) for row in alike.alarms if row.scope == "window"}
    assert told == {("satisfied_ratio", "f"), ("mix_drift", "f")}
    assert alike.by_group("satisfied_ratio")["f"].against == "m"


def test_a_look_is_kept_once_a_day_and_one_at_an_earlier_time_is_not(shop, alike):
    blobs = shop.project.target.blobs
    look(shop.project, "served_alike", as_of=START + WEEK)
    assert list(snapshot.stored_snapshots(blobs, "served_alike")) == [alike]
    assert (
        look(shop.project, "served_alike", last=True)
        == snapshot.newest(blobs, "served_alike")
        == alike
    )


def test_the_first_window_begins_where_requests_say_the_attribute(tmp_path):
    """A log that is older than its monitor: from nobody said to somebody said is no drift."""
    unsaid = [
        replace(answer, unit=f"{answer.unit}0") if answer.week == 0 else answer
        for answer in answers()
    ]
    older = Watched(tmp_path, log=unsaid, materialized=False)
    with older.project:
        seen = look(older.project, "served_alike")
    assert seen.first[0] == (START + WEEK).date()
    assert abs(seen.by_group("mix_drift")[units.NOBODY_SAID].value) < 0.05


def test_what_cannot_be_seen_is_said(shop):
    with pytest.raises(NotFound, match="no monitor served_alik") as unknown:
        look(shop.project, "served_alik")
    assert unknown.value.remedy == "did you mean served_alike?"
    with pytest.raises(Invalid, match="has answered nobody that rankings tells of"):
        look(shop.project, "served_alike", as_of=START)
    with pytest.raises(Invalid, match="has not come yet"):
        look(shop.project, "served_alike", as_of=shop.now + DAY)
    with pytest.raises(Invalid, match="--last is the newest look"):
        look(shop.project, "served_alike", as_of=START + DAY, last=True)
    with pytest.raises(NotFound, match="nobody has looked at item_bias yet"):
        look(shop.project, "item_bias", last=True)


def test_the_console_shows_groups_alarms_and_what_they_mean(shop, alike):
    said = command(shop.folder, "monitor", "served_alike", "--last").out.splitlines()
    assert said[0] == "served_alike   ranker, 7 days to 2026-11-22"
    assert said[1].split() == [
        "gender",
        "active",
        "units",
        "mix",
        "(first",
        "week)",
        "satisfied",
        "returning",
    ]
    (few,) = (line for line in said if line.startswith("  f "))
    assert few.count("ALARM") == 2
    assert "of m's" in few
    assert any(line.startswith("what it means   f is less of those who come") for line in said)
    assert said[-1].startswith("next   isthmus monitor category_bias")
    listed = command(shop.folder, "monitor", "list").out
    assert "served_alike" in listed
    assert "never" in listed, "nobody has looked at the others"


@pytest.mark.parametrize("words", [("served_alike", "--last"), ("list",)])
def test_what_the_console_shows_fits_a_terminal_of_80_columns(shop, alike, words, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    _, seen = at_terminal(shop.folder, "monitor", *words)
    assert too_wide(seen) == []


def test_an_alarm_is_an_exit_code_where_one_asks_for_it(shop, alike):
    assert command(shop.folder, "monitor", "served_alike", "--last").code == 0
    assert (
        command(
            shop.folder, "monitor", "served_alike", "--last", "--detailed-exitcode", ok=False
        ).code
        == 3
    )
    earlier = ("--as-of", f"{START + WEEK:%Y-%m-%d}", "--detailed-exitcode")
    assert command(shop.folder, "monitor", "served_alike", *earlier).code == 0, (
        "no alarm in the first week"
    )
    assert command(shop.folder, "monitor", "nobody", "--detailed-exitcode", ok=False).code == 1


def test_a_scheduled_call_looks_at_every_monitor_and_tells_of_each_alarm(shop, alike, monkeypatch):
    spec = importlib.util.spec_from_file_location(
        "deployed_monitors", Path(isthmus.__file__).parent / "deploy" / "monitors.py"
    )
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monitors = shop.project.spec.monitors
    monkeypatch.setattr(
        shop.project,
        "spec",
        replace(shop.project.spec, monitors={"served_alike": monitors["served_alike"]}),
    )
    monkeypatch.setattr(isthmus, "open", lambda *_, **__: nullcontext(shop.project))
    lines = script.look()
    assert lines["served_alike"].startswith("ALARM   mix_drift f  -0.1"), lines
    with pytest.raises(RuntimeError, match="served_alike   ALARM"):
        script.handler()
    monkeypatch.setattr(
        script.im.monitor, "show", lambda _project, name: look(shop.project, f"{name}s")
    )
    assert script.look()["served_alike"].startswith(
        "error   project.yaml has no monitor served_alikes"
    )


def test_the_json_has_what_the_text_says(shop, alike):
    told = command(shop.folder, "monitor", "served_alike", "--last", "--json").json
    assert [row["group"] for row in told["rows"] if row["alarm"] and row["scope"] == "window"] == [
        "f",
        "f",
    ]
    assert [
        line["monitor"] for line in command(shop.folder, "monitor", "list", "--json").json
    ] == list(shop.project.spec.monitors)


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        (None, units.NOBODY_SAID),
        ('{"gender":"f"}', "f"),
        ('{"gender":true}', "true"),
        ('{"gender":3}', "3"),
        ("{}", units.NOBODY_SAID),
    ],
)
def test_a_group_is_called_as_a_request_says_it(attributes, name):
    assert units.group_of(attributes, "gender") == name


moments = st.integers(0, 21 * 4 - 1).map(
    lambda quarter: START.replace(tzinfo=None) + quarter * timedelta(hours=6)
)
people_drawn = st.sampled_from("abc")
logs = st.tuples(
    st.lists(
        st.tuples(
            people_drawn,
            moments,
            st.sampled_from(["ranker@1", "ranker@2"]),
            st.sampled_from([None, "x", "y"]),
        ),
        max_size=14,
    ),
    st.lists(st.tuples(people_drawn, moments), max_size=8),
)
TABLES = """
CREATE TABLE rankings(
  event_id VARCHAR, endpoint VARCHAR, unit VARCHAR, version VARCHAR, attributes VARCHAR, event_timestamp TIMESTAMP, dt VARCHAR);
CREATE TABLE events_click(impression_id VARCHAR, event_timestamp TIMESTAMP, dt VARCHAR);
CREATE TABLE impression_exposed(event_id VARCHAR, unit VARCHAR);
INSERT INTO impression_exposed VALUES ('a', 'a'), ('b', 'b'), ('c', 'c');
"""


def test_the_query_is_in_the_neutral_subset(shop):
    assert neutral.check(units_sql(shop.project.spec, shop.project.spec.endpoints["ranker"])) == ()


@settings(max_examples=40)
@given(logs)
def test_the_query_counts_what_a_count_by_hand_does(shop, log):
    asked, clicked = log
    start = START.replace(tzinfo=None)
    days = [f"{start + week * WEEK:%Y-%m-%d}" for week in range(WEEKS)]
    with duckdb.connect(config={"threads": "1"}) as connection:
        connection.execute(TABLES)
        for number, (unit, at, version, said) in enumerate(asked):
            row = [f"{number:03}", "ranker", unit, version, said, at, f"{at:%Y-%m-%d}"]
            connection.execute("INSERT INTO rankings VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        for unit, at in clicked:
            connection.execute(
                "INSERT INTO events_click VALUES (?, ?, ?)", [unit, at, f"{at:%Y-%m-%d}"]
            )
        sql = units_sql(shop.project.spec, shop.project.spec.endpoints["ranker"])
        names = {
            "since": days[2],
            "earliest": days[2],
            "before": days[1],
            "first": days[0],
            "first_end": days[1],
        }
        answer = connection.execute(
            sql,
            {"endpoint": "ranker", "until": start + 3 * WEEK, "known": start + 3 * WEEK, **names},
        ).fetchall()
    assert sorted(answer, key=repr) == sorted(by_hand(asked, clicked, start), key=repr)


def by_hand(asked, clicked, start):
    """(period, day, version, attributes, satisfied, back, units)."""

    def standing(rows):
        first = {}
        for _, (unit, _at, version, said) in sorted(
            enumerate(rows), key=lambda pair: (pair[1][3] is None, pair[1][1], pair[0])
        ):
            first.setdefault(unit, (version, said))
        return first

    def within(week):
        return [row for row in asked if (row[1] - start) // WEEK == week]

    hits = {(unit, f"{at:%Y-%m-%d}") for unit, at in clicked if at >= start + 2 * WEEK}
    now, before, first = (standing(within(week)) for week in (2, 1, 0))
    rows = [
        ("now", "", version, said, int(unit in {hit for hit, _ in hits}), 0)
        for unit, (version, said) in now.items()
    ]
    rows += [
        ("before", "", version, said, 0, int(unit in now))
        for unit, (version, said) in before.items()
    ]
    rows += [("first", "", "", said, 0, 0) for _, said in first.values()]
    for day in {f"{at:%Y-%m-%d}" for _, at, _, _ in within(2)}:
        of_day = standing([row for row in within(2) if f"{row[1]:%Y-%m-%d}" == day])
        rows += [
            ("day", day, "", said, int((unit, day) in hits), 0)
            for unit, (_, said) in of_day.items()
        ]
    return [(*row, rows.count(row)) for row in set(rows)]
