"""Materialize against what a reader may rely on: append-only, one row per (key, event, created),
late events as corrections.
"""

import itertools
import tempfile
from datetime import timedelta
from shutil import copytree

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import Busy, NotFound, OutcomeUnknown, Unavailable
from isthmus.events.intake.ingest import ingest
from isthmus.feature_store.joins.view_history import computed_sql
from isthmus.feature_store.offline import watermarks
from isthmus.feature_store.offline.materialize import materialize, watermark
from isthmus.feature_store.online.reads import read
from isthmus.feature_store.views.sources import view_sources

from ..sampled import costly
from .shop import START, Clock, history, items, open_shop, plain, put, spec

HOUR = timedelta(hours=1)


def test_a_first_materialize_reports_rows_keys_and_up_to_when(shop, clock):
    put(shop, "b1", impressions=[(1, 0, 0), (2, 1, 0), (3, 2, 1)], clicks=[(1, 0.1)])
    now = clock.to(10)
    profile, seen = materialize(shop)
    assert (profile.view, profile.rows, profile.keys_online, profile.until) == (
        "item_profile",
        3,
        3,
        now,
    )
    assert (seen.view, seen.rows, seen.keys_online, seen.until) == ("item_history", 3, 2, now)
    assert watermark(shop, "item_history") == now
    rows = history(shop)
    assert [
        (
            r["entity_key"],
            r["item_id"],
            r["event_timestamp"],
            r["created_timestamp"],
            r["item_impressions"],
        )
        for r in rows
    ] == [
        ("0", 0, plain(0), plain(0.5), 1),
        ("0", 0, plain(1), plain(1.5), 2),
        ("1", 1, plain(2), plain(2.5), 1),
    ]
    assert rows[1]["item_ctr"] == pytest.approx(2 / 12)


def test_a_row_that_is_not_known_yet_waits_for_its_time(shop, clock):
    put(shop, "b1", impressions=[(1, 0, 0), (2, 1, 0)])
    clock.to(1.25)
    assert materialize(shop, ["item_history"])[0].rows == 1
    clock.to(2)
    assert materialize(shop, ["item_history"])[0].rows == 1
    assert [r["created_timestamp"] for r in history(shop)] == [plain(0.5), plain(1.5)]


def test_until_in_the_past_computes_only_what_was_known_then(shop, clock):
    put(shop, "b1", impressions=[(1, 0, 0), (2, 5, 0)])
    clock.to(10)
    report = materialize(shop, ["item_history"], until=START + 2 * HOUR)[0]
    assert (report.rows, report.until) == (1, START + 2 * HOUR)
    assert (
        materialize(shop, ["item_history"], until=START + HOUR)[0].until == START + 2 * HOUR
    )  # nothing is unpublished


def test_a_materialize_before_the_first_event_does_not_make_the_history_known_late(shop, clock):
    clock.to(5)
    assert materialize(shop, ["item_history"])[0].rows == 0
    put(shop, "b1", impressions=[(1, 0, 0), (2, 1, 0)])
    clock.to(10)
    assert materialize(shop, ["item_history"])[0].rows == 2
    assert [r["created_timestamp"] for r in history(shop)] == [plain(0.5), plain(1.5)]
    assert read(shop, "item_history", [0]).rows[0]["item_impressions"] == 2
    put(shop, "b2", impressions=[(3, 2, 0)])
    clock.to(11)
    assert materialize(shop, ["item_history"])[0].rows == 1  # and then it goes on as ever


def test_where_the_clock_stands_still_too_a_first_event_is_no_correction(shop, clock):
    now = clock.to(10)
    materialize(shop, ["item_history"])
    put(shop, "b1", impressions=[(1, 0, 0)])
    report = materialize(shop, ["item_history"])[0]
    assert (report.rows, report.until) == (1, now + timedelta(milliseconds=1))
    assert [r["created_timestamp"] for r in history(shop)] == [plain(0.5)]


def test_late_events_become_corrections_known_only_now_and_the_past_stays(shop, clock):
    put(shop, "b1", impressions=[(1, 0, 0), (3, 2, 0)])
    clock.to(10)
    materialize(shop)
    before = history(shop)
    put(shop, "late", impressions=[(2, 1, 0)], clicks=[(1, 0.2)])
    now = clock.to(20)
    assert materialize(shop, ["item_history"])[0].rows == 3
    after = history(shop)
    assert [r for r in after if r["created_timestamp"] <= plain(10)] == before
    corrections = [r for r in after if r["created_timestamp"] > plain(10)]
    assert {r["created_timestamp"] for r in corrections} == {now.replace(tzinfo=None)}
    assert [(r["event_timestamp"], r["item_impressions"]) for r in corrections] == [
        (plain(0), 1),
        (plain(1), 2),
        (plain(2), 3),
    ]
    assert read(shop, "item_history", [0]).rows == [
        {"item_impressions": 3, "item_ctr": pytest.approx(2 / 13)}
    ]


def stored(project, event, rows, **options):
    """As a producer's table of naive UTC times comes in."""
    data = pa.Table.from_pylist([{"event_timestamp": plain(hours), **row} for hours, row in rows])
    return ingest(project, event=event, data=data, **options)[0]


def test_a_declared_correction_changes_the_objective_for_everybody_and_histories_from_now_on(
    shop, clock
):
    clock.to(9)
    stored(
        shop,
        "impression",
        [(hours, {"event_id": f"i{hours}", "item_id": 0}) for hours in (0, 1, 2)],
    )
    stored(shop, "click", [(0.1, {"event_id": "c1", "impression_id": "i0"})])
    clock.to(10)
    materialize(shop)
    before = history(shop)
    corrected = (1.1, {"event_id": "c1", "impression_id": "i1"})
    refused = stored(shop, "click", [corrected], max_bad=1)
    assert (refused.stored, refused.quarantined) == (0, 1)
    clock.to(15)
    assert materialize(shop, ["item_history"])[0].rows == 0

    assert stored(shop, "click", [corrected], corrects=True).corrected == 1
    labels = shop.target.warehouse.query(
        "SELECT event_id, outcome, created_timestamp FROM ctr ORDER BY event_id", {}
    ).to_pylist()
    assert [(row["event_id"], row["outcome"]) for row in labels] == [
        ("i0", 0),
        ("i1", 1),
        ("i2", 0),
    ]
    assert [row["created_timestamp"] for row in labels] == [
        plain(hours + 0.5) for hours in (0, 1, 2)
    ]
    now = clock.to(20)
    assert materialize(shop, ["item_history"])[0].rows == 1
    after = history(shop)
    assert [row for row in after if row["created_timestamp"] <= plain(10)] == before
    (row,) = [
        row for row in after if row["created_timestamp"] > plain(10)
    ]  # the rows after it have one click before them, as before
    assert (row["event_timestamp"], row["created_timestamp"], row["item_ctr"]) == (
        plain(0),
        now.replace(tzinfo=None),
        1 / 11,
    )


def test_an_outcome_belongs_to_the_exposure_of_its_id_that_was_shown_last_before_it(shop, clock):
    clock.to(25)
    shown = [
        (hours, {"event_id": "i1", "item_id": item}) for hours, item in ((23.9, 0), (24.1, 1))
    ]  # before midnight and after
    assert stored(shop, "impression", shown).stored == 2
    clicks = [
        (24.2, {"event_id": "c1", "impression_id": "i1"}),
        (24.3, {"event_id": "c2", "impression_id": "i1"}),
    ]
    for click, outcomes in (
        ([(24.0, {"event_id": "c0", "impression_id": "i1"})], [1, 0]),
        (clicks, [1, 1]),
    ):
        stored(shop, "click", click)
        labels = shop.target.warehouse.query(
            "SELECT item_id, outcome FROM ctr ORDER BY item_id", {}
        )
        assert labels["outcome"].to_pylist() == outcomes


def test_a_click_that_two_exposures_of_one_id_could_claim_leaves_the_first_without_an_outcome(
    shop, clock
):
    clock.to(25)
    stored(
        shop,
        "impression",
        [(hours, {"event_id": "i1", "item_id": item}) for hours, item in ((23.9, 0), (24.1, 1))],
    )
    stored(shop, "click", [(24.2, {"event_id": "c1", "impression_id": "i1"})])
    labels = shop.target.warehouse.query("SELECT item_id, outcome FROM ctr ORDER BY item_id", {})
    assert labels["outcome"].to_pylist() == [0, 1]


def test_running_again_with_nothing_new_changes_nothing(shop, clock):
    put(shop, "b1", impressions=[(1, 0, 0)])
    clock.to(10)
    materialize(shop)
    before, mark = history(shop), watermark(shop, "item_history")
    assert materialize(shop, ["item_history"])[0].rows == 0
    clock.to(11)
    assert materialize(shop, ["item_history"])[0].rows == 0
    assert history(shop) == before
    assert mark < watermark(shop, "item_history")


def test_on_a_clock_that_stands_still_a_second_correction_is_newer_than_the_first(tmp_path):
    with open_shop(tmp_path, described=spec(now=START + 10 * HOUR)) as shop:
        seen = []
        for number in range(3):
            put(
                shop,
                f"b{number}",
                impressions=[(number, number, 0)],
                clicks=[(number, number + 0.1)],
            )
            materialize(shop)
            materialize(shop)
            seen.append(read(shop, "item_history", [0]).rows[0]["item_impressions"])
        assert seen == [1, 2, 3]
        triples = [
            (r["entity_key"], r["event_timestamp"], r["created_timestamp"]) for r in history(shop)
        ]
        assert len(set(triples)) == len(triples)


def test_a_changed_static_table_corrects_the_rows_that_it_changes(shop, clock):
    clock.to(1)
    materialize(shop, ["item_profile"])
    items(shop.folder, prices=(1.5, 9.0, 4.0))
    clock.to(2)
    from isthmus.feature_store.tables.static_tables import load_static

    load_static(shop, "items")
    assert materialize(shop, ["item_profile"])[0].rows == 1
    changed = [r for r in history(shop, "item_profile") if r["item_id"] == 1]
    assert [(r["item_price"], r["created_timestamp"]) for r in changed] == [
        (2.5, plain(-48)),
        (9.0, plain(2)),
    ]


def test_an_unknown_view_is_named_with_what_was_meant(shop):
    with pytest.raises(NotFound, match="item_histroy") as error:
        materialize(shop, ["item_histroy"])
    assert error.value.remedy == "did you mean item_history?"


def test_a_destroyed_history_and_online_store_are_rebuilt(shop, clock):
    put(shop, "b1", impressions=[(1, 0, 0), (2, 1, 1)])
    clock.to(10)
    materialize(shop)
    before = history(shop)
    for resource in list(shop.target.inventory.list("shop")):
        if resource.kind == "online_view":
            shop.target.inventory.delete(resource)
    clock.to(11)
    materialize(shop)
    assert read(shop, "item_history", [0, 1]).rows[1]["item_impressions"] == 1
    for resource in list(shop.target.inventory.list("shop")):
        if resource.name == "item_history":
            shop.target.inventory.delete(resource)
    clock.to(12)
    materialize(shop)
    assert history(shop) == before


def test_another_command_at_once_is_refused(shop, clock, tmp_path):
    import fcntl

    (tmp_path / ".isthmus").mkdir(exist_ok=True)
    with (tmp_path / ".isthmus" / "lock").open("a+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(Busy):
            materialize(shop)


# What may happen between two runs: events that came in time, late ones, clicks that change an
# outcome.
steps = st.lists(
    st.tuples(
        st.integers(1, 30),  # hours until the next run
        st.lists(
            st.tuples(st.integers(0, 40), st.integers(0, 1)), max_size=4
        ),  # impressions: hours before that run, item
        st.lists(st.integers(0, 8), max_size=2),  # clicks on the n-th impression so far
    ),
    min_size=1,
    max_size=4,
)


@costly(6, of=12)
@given(steps=steps)
def test_history_is_append_only_and_its_newest_rows_are_what_the_events_say(steps):
    with (
        tempfile.TemporaryDirectory() as folder,
        open_shop(folder, clock=(clock := Clock())) as shop,
    ):
        hours, numbers, shown, clicked = 50, itertools.count(), [], set()
        before = []
        for run, (pause, impressions, clicks) in enumerate(steps):
            hours += pause
            fresh = [(next(numbers), hours - ago, item) for ago, item in impressions]
            shown += fresh
            hits = {n: h for n, h, _ in shown if n in clicks and n not in clicked}
            clicked |= set(hits)
            put(shop, f"b{run}", impressions=fresh, clicks=[(n, h + 0.1) for n, h in hits.items()])
            since, until = watermark(shop, "item_history"), clock.to(hours)
            materialize(shop, ["item_history"])
            rows = history(shop)
            triples = [
                (r["entity_key"], r["event_timestamp"], r["created_timestamp"]) for r in rows
            ]
            assert len(set(triples)) == len(triples)
            if before:  # until there are rows nothing is published
                assert [
                    r for r in rows if r["created_timestamp"] <= since.replace(tzinfo=None)
                ] == before
            newest = {
                (r["entity_key"], r["event_timestamp"]): features(r) for r in rows
            }  # rows are in created order
            computed = computed_now(shop, until)
            assert newest == {
                (r["entity_key"], r["event_timestamp"]): features(r) for r in computed
            }
            served = {}
            for row in rows:
                served[row["item_id"]] = (
                    row  # in order of event, then created: the last is the newest
                )
            answer = read(shop, "item_history", list(served))
            assert [features(row) for row in answer.rows] == [
                features(row) for row in served.values()
            ]
            before = rows


def computed_now(project, until):
    source = view_sources(project.description, ["item_history"])[0]
    return project.target.warehouse.query(computed_sql(source), {"until": until}).to_pylist()


def features(row):
    return row["item_impressions"], round(row["item_ctr"], 12)


@costly(4, of=8)
@given(
    arrivals=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), min_size=1, max_size=8),
    stops=st.sets(st.integers(1, 60), min_size=1, max_size=4),
)
def test_in_time_events_make_the_same_history_in_one_run_or_in_many(arrivals, stops):
    histories = []
    for moments in ([61], [*sorted(stops), 61]):
        with (
            tempfile.TemporaryDirectory() as folder,
            open_shop(folder, clock=(clock := Clock())) as shop,
        ):
            put(shop, "b", impressions=[(n, h, item) for n, (h, item) in enumerate(arrivals)])
            for moment in moments:
                clock.to(moment)
                materialize(shop, ["item_history"])
            histories.append(history(shop))
    assert histories[0] == histories[1]


class Killed(BaseException):
    """As abrupt as an exception can be: nothing in the product catches it."""


@pytest.mark.parametrize("side", ["before", "after"])
def test_cut_at_any_call_and_run_again_later_nothing_is_lost_or_doubled(
    side, twice_filled, tmp_path, monkeypatch
):
    clean = cut_at(copytree(twice_filled, tmp_path / "clean"), side, None, monkeypatch)
    for number in itertools.count(1):
        found = cut_at(copytree(twice_filled, tmp_path / str(number)), side, number, monkeypatch)
        if found is None:
            break
        rows, served = found
        assert served == clean[1]
        triples = [(r["entity_key"], r["event_timestamp"], r["created_timestamp"]) for r in rows]
        assert len(set(triples)) == len(triples)
        # A correction is dated by the run that published it: all else is as if nothing had
        # happened.
        assert [undated(r) for r in rows] == [undated(r) for r in clean[0]]
    assert number > 5  # intent, batch, watermark, sync, what was synced


@pytest.fixture(scope="module")
def twice_filled(tmp_path_factory):
    """A shop's folder, to be copied: materialized once, and then more came, a late event among it."""
    folder = tmp_path_factory.mktemp("twice")
    with open_shop(folder, clock=(clock := Clock())) as shop:
        put(shop, "b1", impressions=[(1, 0, 0), (2, 26, 1), (3, 30, 0)])
        clock.to(40)
        materialize(shop, ["item_history"])
        put(shop, "b2", impressions=[(4, 1, 0), (5, 41, 1), (6, 70, 0)])
    return folder


def cut_at(folder, side, number, monkeypatch):
    """A second materialize (with a late event in it) cut at its n-th mutating call; then a third,
    an hour later.
    """
    with open_shop(folder, clock=(clock := Clock())) as shop:
        clock.to(80)
        calls = itertools.count(1)

        def cut(_call):
            if next(calls) == number:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(shop.target.calls, side, cut)
            try:
                materialize(shop, ["item_history"])
                if number is not None:
                    return None
            except Killed:
                pass
        clock.to(81)
        materialize(shop, ["item_history"])
        return history(shop), read(shop, "item_history", [0, 1]).rows


def undated(row):
    return {
        k: v for k, v in row.items() if k != "created_timestamp" or v not in (plain(80), plain(81))
    }


class DateByDate:
    """A warehouse that publishes a batch one date at a time and overwrites what has the same name,
    as object stores do.
    """

    def __init__(self, inner):
        self.inner = inner
        self.dates = None  # publish so many, then die
        self.published = {}

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def save(self, table, sql, params, *, batch):
        rows = self.inner.query(sql, params).to_pylist()
        found = self.inner.query(f"SELECT * FROM {table} LIMIT 0", {}).schema
        schema = found.remove(found.get_field_index("dt"))
        import pyarrow as pa

        for number, day in enumerate(sorted({row["event_timestamp"].date() for row in rows})):
            if number == self.dates:
                raise OutcomeUnknown("cut between two dates")
            chosen = sorted((row for row in rows if row["event_timestamp"].date() == day), key=str)
            name = f"{batch}.{day}"
            if name in self.published:
                assert self.published[name] == chosen, (
                    "the repeat of a batch would overwrite rows with others"
                )
            self.published[name] = chosen
            self.inner.append(table, pa.Table.from_pylist(chosen, schema), batch=name)


def test_a_batch_that_is_half_there_is_neither_read_nor_doubled(shop, clock):
    from isthmus.feature_store.offline.training_set import join_view

    warehouse = DateByDate(shop.target.warehouse)
    shop.target.__dict__["warehouse"] = warehouse
    put(shop, "b1", impressions=[(1, 0, 0), (2, 26, 0), (3, 50, 0)])
    clock.to(60)
    materialize(shop, ["item_history"])
    put(shop, "late", impressions=[(4, 1, 0), (5, 62, 0)])
    clock.to(80)
    warehouse.dates = 1
    with pytest.raises(OutcomeUnknown):
        materialize(shop, ["item_history"])
    source = view_sources(shop.description, ["item_history"])[0]
    assert len(history(shop)) > 3
    assert join_view(shop, source).known_until == START + 60 * HOUR  # what the join reads by
    warehouse.dates = None
    clock.to(90)
    materialize(shop, ["item_history"])
    rows = history(shop)
    triples = [(r["entity_key"], r["event_timestamp"], r["created_timestamp"]) for r in rows]
    assert len(set(triples)) == len(triples)
    assert {(r["event_timestamp"]): r["item_impressions"] for r in rows} == {
        plain(0): 1, plain(1): 2, plain(26): 3, plain(50): 2, plain(62): 3,
    }  # fmt: skip
    assert watermarks.read(shop, "item_history").mark.pending is None


def test_an_outage_at_the_first_call_leaves_nothing_half_made(shop, clock, monkeypatch):
    put(shop, "b1", impressions=[(1, 0, 0)])
    clock.to(10)

    def down(_call):
        raise Unavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(shop.target.calls, "before", down)
        with pytest.raises(Unavailable):
            materialize(shop)
    assert watermark(shop, "item_history") is None
    assert [report.rows for report in materialize(shop)] == [3, 1]
