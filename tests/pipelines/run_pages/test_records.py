"""A run's record holds what a reader needs to trust it, survives a round trip, and is listed in
order.
"""

import msgspec
import pytest

from isthmus.errors import NotFound
from isthmus.pipelines.run_pages import figure_text, records, runs
from isthmus.pipelines.run_pages.records import Run
from isthmus.pipelines.runs import names as run_names
from isthmus.tests.pipelines import trained


@pytest.fixture
def shop(tmp_path):
    with trained.open_project(trained.make_project(tmp_path / "shop")) as project:
        yield project


@pytest.mark.slow
def test_a_record_says_what_was_trained_on_what(shop, monkeypatch):
    run = trained.run_here(shop, "good", trained.data(), monkeypatch)
    assert run.config == (shop.folder / "models" / "good.yaml").read_text()
    assert (run.data.rows, run.data.features, run.data.types) == (2100, 1, {"item_ctr": "float64"})
    assert run.data.empty == {"item_history": 42}
    assert (run.data.start.day, run.data.end.day) == (1, 8)
    assert run.code == shop.target.registry.get("ranker", 1).digest
    assert [period.rows for period in run.evaluation.periods] == [315, 294, 325, 259, 292]
    assert msgspec.json.decode(msgspec.json.encode(run), type=Run) == run


@pytest.mark.slow
def test_runs_are_listed_oldest_first_beyond_ten(shop, monkeypatch):
    run = trained.run_here(shop, "good", trained.data(), monkeypatch)
    for number in (11, 2, 10):
        records.keep(shop.target.blobs, msgspec.structs.replace(run, name=f"r{number}"))
    assert [one.name for one in runs.list_runs(shop)] == ["r1", "r2", "r10", "r11"]
    assert runs.of_version(shop.target.blobs, "ranker@1").name == "r11"


@pytest.mark.slow
def test_an_unknown_run_says_which_there_are(shop, monkeypatch):
    with pytest.raises(NotFound, match=r"there is: none yet"):
        runs.get_run(shop, "r1")
    trained.run_here(shop, "good", trained.data(), monkeypatch)
    with pytest.raises(NotFound, match=r"no finished training run r9 \(there is: r1\)"):
        runs.get_run(shop, "r9")


def test_a_name_is_given_once_even_if_somebody_else_takes_it_first(shop, monkeypatch):
    state, put = shop.target.state, type(shop.target.state).put
    raced = []

    def race(self, key, value, *, expect):
        if not raced:
            raced.append(put(self, key, value, expect=expect))
        return put(self, key, value, expect=expect)

    monkeypatch.setattr(type(state), "put", race)
    assert [run_names.next_name(shop), run_names.next_name(shop)] == ["r2", "r3"]


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2019-11-24", "2019-11-30", "24-30 Nov 2019"),
        ("2019-11-24", "2019-12-02", "24 Nov - 2 Dec 2019"),
        ("2019-12-30", "2020-01-02", "30 Dec 2019 - 2 Jan 2020"),
        ("2019-11-24", "2019-11-24", "24 Nov 2019"),
    ],
)
def test_spans_of_days_are_said_shortly(first, last, said):
    from datetime import date

    assert figure_text.days(date.fromisoformat(first), date.fromisoformat(last)) == said
