"""Aliases follow the gate: pass goes on, inconclusive challenges, fail gets nothing, and a person's
reason is kept.
"""

import msgspec
import pyarrow as pa
import pytest

from isthmus.errors import NotFound, Refused
from isthmus.pipelines.training import promotion
from isthmus.tests.pipelines import trained

pytestmark = pytest.mark.slow

GATE = "gate: {auc_vs_champion: {at_least: 0}}\n"


@pytest.fixture
def shop(tmp_path):
    folder = trained.make_project(tmp_path / "shop")
    trained.configure(folder, "worse", "alias: champion\nparameters: {sign: -1}\n" + GATE)
    trained.configure(folder, "nearly", "alias: champion\nparameters: {digits: 2}\n" + GATE)
    trained.configure(folder, "better", "alias: champion\nparameters: {sign: 1}\n" + GATE)
    trained.configure(folder, "bad", "alias: champion\nparameters: {sign: -0.9}\n")
    with trained.open_project(folder) as project:
        yield project


def champion(project):
    return project.target.registry.get("ranker", "champion").version


def test_a_failed_gate_gets_no_alias_unless_a_person_gives_a_reason(shop, monkeypatch):
    trained.run_here(shop, "good", trained.data(), monkeypatch)
    run = trained.run_here(shop, "worse", trained.data(), monkeypatch)
    assert (run.gate, run.alias, run.alias_why_not) == (
        "fail",
        None,
        "not champion: its gate fails",
    )
    assert champion(shop) == 1
    assert shop.target.registry.get("ranker", 2).approval == "rejected"
    for alias in ("champion", "challenger"):
        with pytest.raises(Refused, match="its gate fails; auc_vs_champion -0") as refused:
            promotion.promote(shop, "ranker", 2, alias)
        assert "--because" in refused.value.remedy
    assert champion(shop) == 1
    promoted = promotion.promote(shop, "ranker", 2, because="the log of that day was broken")
    assert (champion(shop), promoted.approval) == (2, "approved")
    (kept,) = promotion.promotions(shop, "ranker")[-1:]
    assert (kept.gate, kept.because) == ("fail", "the log of that day was broken")


def test_a_version_that_a_person_rejected_stays_rejected(shop, monkeypatch):
    trained.run_here(shop, "good", trained.data(), monkeypatch)
    shop.target.registry.set_approval("ranker", 1, "rejected", "it flatters")
    with pytest.raises(Refused, match="it was rejected"):
        promotion.promote(shop, "ranker", 1, because="I like it")


def test_the_first_champion_too_needs_a_reason_while_a_feature_was_not_looked_at(
    tmp_path, monkeypatch
):
    """A feature without any value cannot be told from the label."""
    folder = trained.make_project(tmp_path / "shop")
    trained.configure(folder, "first", "alias: champion\ngate: {leaks: none}\n")
    table = trained.data()
    place = table.column_names.index("item_ctr")
    table = table.set_column(place, "item_ctr", pa.nulls(table.num_rows, pa.float64()))
    with trained.open_project(folder) as project:
        run = trained.run_here(project, "first", table, monkeypatch)
        assert (run.gate, run.alias) == ("inconclusive", None)
        assert "not looked at: item_ctr (it has no value)" in str(run)
        with pytest.raises(
            Refused, match="its gate is inconclusive; leaks not looked at: item_ctr"
        ):
            promotion.promote(project, "ranker", 1)
        promotion.promote(project, "ranker", 1, because="nobody sends it yet")
        assert champion(project) == 1


def test_an_inconclusive_run_does_not_become_champion_by_itself(shop, monkeypatch):
    trained.run_here(shop, "good", trained.data(), monkeypatch)
    run = trained.run_here(shop, "nearly", trained.data(), monkeypatch)
    assert (run.gate, run.alias) == ("inconclusive", None)
    assert "not champion: its gate is inconclusive" in str(run)
    assert champion(shop) == 1
    promotion.promote(shop, "ranker", 2, "challenger")  # it may challenge
    assert promotion.promote(shop, "ranker", 2, because="cheaper to serve").approval == "approved"
    assert champion(shop) == 2


def test_a_run_of_rows_that_nobody_called_independent_is_inconclusive_at_most(
    tmp_path, monkeypatch
):
    folder = trained.make_project(tmp_path / "shop")
    file = folder / "project.yaml"
    file.write_text(file.read_text().replace(", unit: event_id", ""))
    trained.configure(folder, "better", "alias: champion\nparameters: {sign: 1}\n" + GATE)
    trained.configure(folder, "bad", "alias: champion\nparameters: {sign: -0.9}\n")
    with trained.open_project(folder) as project:
        trained.run_here(project, "bad", trained.data(), monkeypatch)
        run = trained.run_here(project, "better", trained.data(), monkeypatch)
        assert [check.verdict for check in run.checks.checks] == ["pass"]
        assert (run.gate, run.alias, champion(project)) == ("inconclusive", None, 1)
    assert "write unit: (who a row of impression is about) into objectives.ctr" in str(run)


def test_a_unit_with_one_row_each_is_asked_for_no_ranking(tmp_path, monkeypatch):
    folder = trained.make_project(tmp_path / "shop")
    file = folder / "project.yaml"
    file.write_text(
        file.read_text()
        .replace("unit: event_id", "unit: user_id")
        .replace("      position: {type: int}", "      user_id: {type: int}")
    )
    trained.configure(folder, "better", "alias: champion\nparameters: {sign: 1}\n" + GATE)
    trained.configure(folder, "bad", "alias: champion\nparameters: {sign: -0.9}\n")
    table = trained.data()
    table = table.append_column("user_id", pa.array(range(table.num_rows), pa.int64()))
    with trained.open_project(folder) as project:
        trained.run_here(project, "bad", table, monkeypatch)
        run = trained.run_here(project, "better", table, monkeypatch)
        assert ([check.name for check in run.checks.checks], run.gate) == (
            ["auc_vs_champion"],
            "pass",
        )
    assert "no ranking is judged: no two rows have the same user_id" in str(run)


def test_a_run_that_beats_the_champion_replaces_it(shop, monkeypatch):
    trained.run_here(shop, "bad", trained.data(), monkeypatch)
    run = trained.run_here(shop, "better", trained.data(), monkeypatch)
    assert (run.gate, run.alias) == ("pass", "champion")
    assert champion(shop) == 2
    assert shop.target.registry.get("ranker", 2).approval == "approved"


def test_the_first_champion_is_let_through_without_a_comparison(shop, monkeypatch):
    run = trained.run_here(shop, "better", trained.data(), monkeypatch)
    assert (run.gate, run.alias, run.champion.why_not) == (
        "inconclusive",
        "champion",
        "no champion yet",
    )


def test_training_again_keeps_a_person_s_decision(shop, monkeypatch):
    trained.run_here(shop, "good", trained.data(), monkeypatch)
    trained.run_here(shop, "nearly", trained.data(), monkeypatch)
    promotion.promote(shop, "ranker", 2, because="cheaper to serve")
    trained.run_here(shop, "nearly", trained.data(), monkeypatch)
    assert champion(shop) == 2
    assert shop.target.registry.get("ranker", 2).approval == "approved"


def test_promoting_twice_is_recorded_once(shop, monkeypatch):
    trained.run_here(shop, "good", trained.data(), monkeypatch)
    for _ in range(2):
        promotion.promote(shop, "ranker", 1, "fallback")
    assert [
        msgspec.structs.replace(one, at="") for one in promotion.promotions(shop, "ranker")
    ] == [
        promotion.Promotion(
            model="ranker",
            version=1,
            alias="fallback",
            before=None,
            gate=None,
            run="r1",
            because=None,
            at="",
        )
    ]


def test_a_promotion_cut_before_the_alias_moved_is_completed(shop, monkeypatch):
    trained.run_here(shop, "good", trained.data(), monkeypatch)
    calls = shop.target.calls

    def cut(call):
        if call.operation == "registry.set_alias":
            calls.before = None
            raise ConnectionError("cut")

    calls.before = cut
    with pytest.raises(ConnectionError):
        promotion.promote(shop, "ranker", 1, "fallback")
    assert promotion.promote(shop, "ranker", 1, "fallback").aliases == {"champion", "fallback"}
    assert len(promotion.promotions(shop, "ranker")) == 1


def test_an_unknown_version_is_not_found(shop):
    with pytest.raises(NotFound):
        promotion.promote(shop, "ranker", 7)
