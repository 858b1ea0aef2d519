"""The as-known check on the laptop's own warehouse: what it finds, whom it leaves alone, and what
materialize does with it.
"""

from datetime import timedelta

import msgspec
import pytest

from isthmus.core.runtime.project import Project
from isthmus.errors import NotFound, Refused
from isthmus.feature_store.as_known.check import check_as_known, usual_computations
from isthmus.feature_store.offline import watermarks
from isthmus.feature_store.offline.materialize import materialize
from isthmus.feature_store.tables.static_tables import load_static
from isthmus.lifecycle.resources.apply import apply
from isthmus.lifecycle.resources.plan import plan
from isthmus.tests.cli.running import create, isthmus

from .shop import START, items, open_shop, put, spec

ROLLING = (
    "SELECT item_id, event_timestamp, {} AS created_timestamp, count(*) OVER w AS "
    "item_impressions, avg(outcome) OVER w AS item_ctr\n"
    "FROM ctr WINDOW w AS (PARTITION BY item_id {})"
)
FRAME = "ORDER BY event_timestamp RANGE BETWEEN INTERVAL 2 DAY PRECEDING AND "
PEEKS = {
    "created = event": ROLLING.format(
        "created_timestamp - INTERVAL 30 MINUTE", f"{FRAME} CURRENT ROW"
    ),
    "the outcome itself": (
        "SELECT item_id, event_timestamp, event_timestamp + INTERVAL 0 SECOND AS "
        "created_timestamp, outcome AS item_ctr FROM ctr"
    ),
    "a mean over the whole log": ROLLING.format("created_timestamp", ""),
    "10 minutes FOLLOWING": ROLLING.format(
        "created_timestamp", f"{FRAME} INTERVAL 10 MINUTE FOLLOWING"
    ),
}
NEWEST = (
    "SELECT item_id, event_timestamp, created_timestamp, 1 AS item_ctr FROM (SELECT *, "
    "row_number() OVER (PARTITION BY item_id ORDER BY event_timestamp DESC, event_id) AS nth "
    "FROM ctr) AS aged WHERE nth = 1"
)
NEXT = (
    "SELECT item_id, event_timestamp, created_timestamp,\n lead(outcome) OVER (PARTITION BY "
    "item_id ORDER BY event_timestamp, event_id) "
    "AS item_ctr FROM ctr"
)


def with_sql(project, sql, view="item_history"):
    """The same project with another text of one view."""
    changed = msgspec.structs.replace(project.spec.feature_views[view], sql=sql)
    described = msgspec.structs.replace(
        project.spec, feature_views={**project.spec.feature_views, view: changed}
    )
    description = msgspec.structs.replace(project.description, spec=described)
    return Project(description, project.target)


@pytest.fixture(scope="module")
def bandit(tmp_path_factory):
    """The example with its real log, ingested."""
    folder = create(tmp_path_factory.mktemp("bandit") / "shop", example="openbandit")
    import isthmus as im

    with im.open(folder / "project.yaml") as project:
        apply(project, plan(project))
        im.ingest(project)
        yield project


def test_nothing_of_the_example_is_blamed(bandit):
    profile, history_, segments = check_as_known(bandit)
    assert profile.moments == ()
    for report in (history_, segments):
        assert (report.peek, report.blamed, report.notes, len(report.moments)) == (None, 0, (), 3)
        assert report.rows > 0
        assert report.computations == usual_computations(3) == 7
        assert str(report).endswith(
            "rows that became known within a day before them: none saw later data"
        )


@pytest.mark.parametrize("name", PEEKS)
def test_peeks_over_the_example_are_found(bandit, name):
    (report,) = check_as_known(with_sql(bandit, PEEKS[name]), ["item_history"])
    assert report.peek is not None
    assert report.peek.what == "seen the future"
    assert report.peek.created_timestamp <= report.peek.moment
    assert report.blamed > 0


@pytest.fixture
def log(shop, clock):
    """Ten days of one impression an hour, clicked now and then; the clock stands at the end."""
    put(
        shop,
        "b1",
        impressions=[(n, n, n % 3) for n in range(240)],
        clicks=[(n, n + 0.1) for n in range(0, 240, 7)],
    )
    clock.to(241)
    return shop


def test_materialize_refuses_a_view_that_peeks_and_writes_nothing(log):
    peeking = with_sql(log, PEEKS["10 minutes FOLLOWING"].replace("10 MINUTE", "5 HOUR"))
    before = (
        peeking.target.warehouse.observe("item_profile"),
        watermarks.read(peeking, "item_profile").token,
    )
    with pytest.raises(Refused) as refused:
        materialize(peeking)
    assert "item_history: the row of item_id " in refused.value.message
    assert "has seen the future: item_" in refused.value.message
    assert (
        "likely: features/item_history.sql:2: a frame that FOLLOWs its row" in refused.value.remedy
    )
    assert (
        (
            peeking.target.warehouse.observe("item_profile"),
            watermarks.read(peeking, "item_profile").token,
        )
        == before
        == (None, None)
    )


@pytest.mark.parametrize(
    ("sql", "words", "cause"),
    [
        (
            PEEKS["created = event"],
            "without what became known later, it is not there",
            ":1: created_timestamp is earlier than that of a row",
        ),
        (
            PEEKS["a mean over the whole log"],
            "item_impressions is 80; at",
            ":1: a window without ORDER BY takes later rows, too",
        ),
        (NEXT, "item_ctr is ", ":2: a frame that FOLLOWs its row"),
        (NEWEST, "disappears when later data come", "a filter that later rows undo"),
    ],
)
def test_what_was_seen_is_told_with_its_row_its_values_and_the_likely_cause(log, sql, words, cause):
    (report,) = check_as_known(with_sql(log, sql), ["item_history"])
    assert words in str(report)
    assert cause in report.cause
    assert f"the row of item_id {report.peek.entity_key} at 2024-03-" in str(report)


def test_a_view_is_checked_before_its_first_batch_and_after_its_sql_changed_and_in_no_batch_between(
    log, clock
):
    first = {report.view: report.as_known for report in materialize(log)}
    assert first["item_profile"] is None  # it reads nothing that has a time
    assert len(first["item_history"].moments) == 3
    put(log, "b2", impressions=[(1000, 241, 0)])
    clock.to(250)
    assert {report.view: report.as_known for report in materialize(log, ["item_history"])} == {
        "item_history": None
    }
    changed = with_sql(log, log.spec.feature_views["item_history"].sql.replace("+ 10)", "+ 20)"))
    assert materialize(changed, ["item_history"])[0].as_known.peek is None
    with pytest.raises(Refused):
        materialize(with_sql(log, PEEKS["a mean over the whole log"]), ["item_history"])
    relaid = with_sql(log, "-- the same\n" + changed.spec.feature_views["item_history"].sql)
    assert materialize(relaid, ["item_history"])[0].as_known is None


def test_a_view_without_data_is_checked_once_there_is_some(shop, clock):
    assert materialize(shop, ["item_history"])[0].as_known.moments == ()
    put(shop, "b1", impressions=[(1, 1, 0), (2, 2, 0)])
    clock.to(3)
    assert len(materialize(shop, ["item_history"])[0].as_known.moments) > 0
    clock.to(4)
    assert materialize(shop, ["item_history"])[0].as_known is None


def test_late_events_are_not_the_views_fault(log, clock):
    materialize(log)
    put(
        log,
        "late",
        impressions=[(2000 + n, n + 0.5, n % 3) for n in range(0, 200, 5)],
        clicks=[(2000, 0.6)],
    )
    clock.to(300)
    assert materialize(log, ["item_history"])[0].rows > 100
    assert [report.blamed for report in check_as_known(log, moments=7)] == [0, 0]


def test_a_view_that_reads_no_outcome_is_computed_once_a_moment_and_once_for_all(log):
    shown = with_sql(
        log,
        "SELECT item_id, event_timestamp, count(*) AS item_impressions FROM "
        "events_impression GROUP BY 1, 2",
    )
    (report,) = check_as_known(shown, ["item_history"])
    assert (report.peek, report.computations, len(report.moments)) == (None, 4, 3)
    whole = (
        "SELECT item_id, event_timestamp, count(*) OVER (PARTITION BY item_id) AS "
        "item_impressions FROM events_impression"
    )
    (peeking,) = check_as_known(with_sql(log, whole), ["item_history"])
    assert (peeking.peek.feature, peeking.peek.flipped, peeking.computations) == (
        "item_impressions",
        False,
        8,
    )


def test_the_moments_are_those_of_the_seed_and_lie_in_equal_parts_of_the_history(log):
    (report,) = check_as_known(log, ["item_history"], moments=8)
    assert report == check_as_known(log, ["item_history"], moments=8)[0]
    hours = [(moment - START) / timedelta(hours=1) for moment in report.moments]
    assert [int(hour // 30) for hour in hours] == list(range(8))  # 240 hours in 8 parts
    assert report.computations == usual_computations(8) == 19


def test_a_static_table_with_times_is_restricted_to_what_was_known(tmp_path, clock):
    price = (
        "SELECT item_id, TIMESTAMP '2024-02-28 00:00:00' AS event_timestamp, {} AS "
        "created_timestamp, max(price) AS x FROM items GROUP BY 1"
    )
    (tmp_path / "items.csv").write_text(
        "item_id,price,created_timestamp\n0,1.5,2024-03-01 00:00:00\n0,3.5,2024-03-02 "
        "00:00:00\n1,2.5,2024-03-03 00:00:00\n"
    )
    described = spec()
    views = {
        "item_history": msgspec.structs.replace(
            described.feature_views["item_history"], sql=price.format("max(created_timestamp)")
        )
    }
    clock.to(100)
    with open_shop(
        tmp_path, clock=clock, described=msgspec.structs.replace(described, feature_views=views)
    ) as project:
        (honest,) = check_as_known(project, moments=3)
        assert (honest.peek, honest.notes, len(honest.moments)) == (None, (), 3)
        (peeking,) = check_as_known(
            with_sql(project, price.format("min(created_timestamp)")), moments=3
        )
        assert (peeking.peek.value, peeking.peek.other) == (3.5, 1.5)


def test_a_static_table_without_times_is_warned_of_when_its_loads_differ(log, clock):
    joined = with_sql(
        log,
        "SELECT ctr.item_id, ctr.event_timestamp, ctr.created_timestamp, items.price AS item_ctr "
        "FROM ctr JOIN items ON items.item_id = ctr.item_id",
    )
    assert check_as_known(joined, ["item_history"])[0].notes == ()
    items(log.folder, prices=(9.0, 9.0, 9.0))
    load_static(log, "items")
    (report,) = check_as_known(joined, ["item_history"])
    assert report.peek is None
    assert report.notes == (
        (
            "warning: items changed since it was first loaded, and does not say when: every row "
            "sees its newest load"
        ),
    )


def test_an_outcome_event_at_its_impressions_time_is_said_to_be_beyond_this_check(log):
    clicks = with_sql(
        log,
        "SELECT i.item_id, c.event_timestamp, count(*) AS item_ctr FROM events_click AS c "
        "JOIN events_impression AS i ON i.event_id = c.impression_id GROUP BY 1, 2",
    )
    assert check_as_known(clicks, ["item_history"])[0].notes == ()
    put(log, "at-once", clicks=[(1, 1), (2, 2)])
    (report,) = check_as_known(clicks, ["item_history"])
    assert report.notes == (
        (
            "2 click events carry their impression's time: a row at the impression's own time "
            "cannot be judged by time"
        ),
    )


def test_the_command_says_the_price_first_and_exits_with_1_for_a_view_that_peeks(tmp_path):
    folder = create(tmp_path / "shop")
    for command in ("apply", "ingest"):
        isthmus(folder, command)
    said = isthmus(folder, "features", "check", "--moments", "2")
    assert said.out.splitlines()[0] == "at most 5 computations of each, 16 where a row is to blame"
    assert said.out.splitlines()[1].startswith("item_history   2 moments, ")
    assert said.out.endswith("none saw later data\n")
    file = folder / "features/item_history.sql"
    file.write_text(file.read_text().replace("CURRENT ROW", "INTERVAL 1 DAY FOLLOWING"))
    peeking = isthmus(folder, "features", "check", "--json", ok=False)
    assert peeking.code == 1
    assert peeking.json[0]["peek"]["what"] == "seen the future"
    refused = isthmus(folder, "materialize", ok=False)
    assert refused.code == 1
    assert "has seen the future" in refused.err
    file.write_text(file.read_text().replace("INTERVAL 1 DAY FOLLOWING", "CURRENT ROW"))
    first = isthmus(folder, "materialize").out
    assert first.startswith(
        "first, whether they see later data (at most 7 computations of each, 22 where a row "
        "is to blame): item_history\n"
    )
    assert "item_history   3 moments, " in first
    again = isthmus(folder, "materialize").out
    assert "moments" not in again
    assert "computations" not in again


def test_an_unknown_view_and_no_moment_are_refused_by_name(log):
    with pytest.raises(NotFound, match="item_histroy"):
        check_as_known(log, ["item_histroy"])
    with pytest.raises(Refused, match="0 moments"):
        check_as_known(log, moments=0)
