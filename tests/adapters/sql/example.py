"""The example project, as every test of SQL uses it."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import msgspec

import isthmus
from isthmus.endpoints.gateway.log.exposed_view import exposed_view
from isthmus.events.port import Column
from isthmus.events.tables.relations import exactly_once_view
from isthmus.experiments.measure.cells_sql import cells_sql as cells_of_run
from isthmus.experiments.measure.cells_sql import win_rate
from isthmus.experiments.measure.log_cells import cells_sql
from isthmus.experiments.measure.run_units import ENDPOINT_UNITS, segment_units, versions_sql
from isthmus.experiments.measure.trend_sql import trend_sql
from isthmus.experiments.monitors.arms_sql import satisfied_sql, spread_sql
from isthmus.experiments.monitors.items_sql import Grouping, items_sql
from isthmus.experiments.monitors.training_shares import trained_sql
from isthmus.experiments.monitors.units_sql import units_sql
from isthmus.experiments.statistics.trend import DayWeight
from isthmus.feature_store.joins.point_in_time import JoinView
from isthmus.feature_store.tables.relations import objective_view
from isthmus.project.features.tile_sql import stream_view_sql
from isthmus.project.load import load
from isthmus.project.metrics.metrics import of_objectives
from isthmus.project.specs.description import Attribute, Endpoint, Entity, Event
from isthmus.project.specs.stream_views import StreamDefinition, StreamFeature
from isthmus.tests.experiments.fuller_shop import METRICS, SHOP

FOLDER = Path(isthmus.__file__).parent / "examples" / "openbandit"


VIEW = Event(
    name="view",
    attributes=(
        Attribute(name="exposure_id", type="string"),
        Attribute(name="seconds", type="float"),
        Attribute(name="position", type="int"),
    ),
)


@cache
def example():
    return load(FOLDER / "project.yaml")


def texts():
    """The three views, the objective's view, the exactly-once view, exposed events, sums of
    experiments and what monitors count.
    """
    spec = example().spec
    ctr = spec.objectives["ctr"]
    by_unit = msgspec.structs.replace(ctr, unit="segment_id")
    return {
        **{name: view.sql for name, view in spec.feature_views.items()},
        "ctr": objective_view(spec, ctr).view_sql,
        "dwell": objective_view(spec, dwell(ctr)).view_sql,
        "item_live": stream_view_sql("item_live", spec.entities["item"], live()),
        "events_impression": exactly_once_view(spec.events["impression"]).view_sql,
        "view_exposed": exposed_view(VIEW).view_sql,
        "run_cells": run_sql(),
        "run_segments": run_sql(
            units=segment_units(("platform", "country", "model_version")), segmented=True
        ),
        "run_versions": _asked(versions_sql()),
        "run_wins": wins_sql(),
        "run_numbers": number_sql(),
        "run_trend": trend_of_run(METRICS[0]),
        "run_trend_of_total": trend_of_run(METRICS[3]),
        "endpoint_units": run_sql(units=ENDPOINT_UNITS, arms=1),
        "monitor_units": _asked(units_sql(watched(), watched().endpoints["ranker"])),
        "monitor_items": _asked(
            items_sql(watched(), watched().endpoints["ranker"], Grouping(view=KINDS))
        ),
        "monitor_item_keys": _asked(
            items_sql(clicked(), watched().endpoints["ranker"], Grouping())
        ),
        "monitor_trained": _asked(
            trained_sql("ctr", Entity(name="item", key="item_id", type="int"), Grouping(view=KINDS))
        ),
        "run_spread": _asked(spread_sql()),
        "run_satisfied": _asked(satisfied_sql(watched(), watched().endpoints["ranker"])),
        "arms_by_row": _asked(cells_sql(spec.analyses["policy_test"], ctr)),
        "arms_by_unit": _asked(cells_sql(spec.analyses["policy_test"], by_unit)),
        "run_drops": run_sql(drop_above=2),
        "arms_drops": _asked(
            cells_sql(msgspec.structs.replace(spec.analyses["policy_test"], drop_above=2), by_unit)
        ),
    }


def live():
    """A stream view with tiles of a part of an hour, and every kind of feature."""
    kinds = {
        "item_shown_10m": ("count", "impression", None, 10, "int64"),
        "item_clicked_1h": ("count", "click", None, 60, "int64"),
        "item_place_sum": ("sum", "impression", "position", 10, "int64"),
        "item_place_mean": ("mean", "impression", "position", 60, "float64"),
        "item_place_min": ("min", "impression", "position", 5, "int64"),
        "item_chance_max": ("max", "impression", "propensity", 60, "float64"),
        "item_chance_sum": ("sum", "impression", "propensity", 10, "float64"),
    }
    return StreamDefinition(
        every=timedelta(minutes=5),
        lateness=timedelta(minutes=5),
        delay=timedelta(minutes=1),
        features=tuple(
            StreamFeature(
                name=name,
                aggregate=aggregate,
                event=event,
                attribute=attribute,
                window=timedelta(minutes=minutes),
                type=kind,
            )
            for name, (aggregate, event, attribute, minutes, kind) in kinds.items()
        ),
    )


def dwell(ctr):
    """An objective that adds up an attribute of its outcomes, up to a cap a row."""
    return msgspec.structs.replace(ctr, name="dwell", outcome="stay", sums="seconds", at_most=600.0)


def wins_sql():
    """An interleaved run's query: of an objective and of a sum, whose clicks come to what was
    credited by one way and by two.
    """
    sql = cells_of_run(
        SHOP, [win_rate(metric) for metric in METRICS[:2]], unit="visitor_id", arms=1, credited=True
    )
    return _literal(
        sql,
        {
            "arm0": "'interleaved'",
            "control_credit": "'champion'",
            "treatment_credit": "'challenger'",
        },
    )


def run_sql(*, arms=2, **how):
    """A run's query over a fuller shop: its totals, days by themselves, the time before, a shift."""
    sql = cells_of_run(SHOP, METRICS, unit="visitor_id", arms=arms, daily=("ctr", "basket"), **how)
    names = ("control", "treatment") if arms == 2 else ("all",)
    return _literal(
        sql,
        {f"arm{at}": f"'{name}'" for at, name in enumerate(names)}
        | {"shift3": "2.5", "shift4_x": "1.5"},
    )


def number_sql():
    """A run's query of an objective that is a number."""
    of_number = of_objectives([dwell(SHOP.objectives["ctr"])])
    sql = cells_of_run(SHOP, list(of_number.values()), unit="visitor_id", arms=2)
    return _literal(sql, {"arm0": "'control'", "arm1": "'treatment'"})


def trend_of_run(metric):
    """A run's second query: of a rate, and of a metric without a denominator."""
    weights = {0: DayWeight(0.001, 1e-05), 1: DayWeight(-0.001, 0.25)}
    sql = trend_sql(
        SHOP,
        metric,
        unit="visitor_id",
        arms=("control", "treatment"),
        slopes=({"control": weights, "treatment": weights},),
    )
    own = {"arm0": "'control'", "arm1": "'treatment'", "shift0": "0.0"}
    return _literal(sql, own | {"today": "TIMESTAMP '2019-12-01 00:00:00'"})


def _literal(sql, own):
    day, moment = "'2019-11-23'", "TIMESTAMP '2019-12-01 00:00:00'"
    values = {
        "run": "'r.1'",
        "endpoint": "'ranker'",
        "since": day,
        "earliest": day,
        "until": moment,
        "known": moment,
    } | own
    for name, literal in values.items():
        sql = sql.replace(f"${name}", literal)
    return sql


@cache
def watched():
    """A project with monitors, as far as their queries read it."""
    ranker = Endpoint(name="ranker", objective="ctr", unit="visitor_id", variants=())
    return msgspec.structs.replace(SHOP, endpoints={"ranker": ranker})


def clicked():
    """The same where the click itself names the exposure."""
    of = {
        "impression": Event(name="impression", attributes=()),
        "click": Event(name="click", attributes=VIEW.attributes[:1]),
    }
    return msgspec.structs.replace(watched(), events=of)


KINDS = JoinView(
    history="kind_history",
    key="entity_key",
    features=(Column(name="item_kind", type="string"),),
    ttl=timedelta(days=30),
    known_until=datetime(2019, 12, 1, tzinfo=UTC),
    unique=True,
)
DAYS = {
    "since": "'2019-11-24'",
    "earliest": "'2019-11-24'",
    "before": "'2019-11-17'",
    "first_end": "'2019-11-08'",
    "first": "'2019-11-01'",
}


def _asked(sql):
    moment = "TIMESTAMP '2019-12-01 00:00:00'"
    values = {
        "control": "'random'",
        "treatment": "'bts'",
        "endpoint": "'ranker'",
        "entity": "'item'",
        "run": "'r.1'",
    } | DAYS
    values |= {
        "start_time": "TIMESTAMP '2019-11-01 00:00:00'",
        "end_time": moment,
        "as_of": moment,
        "start_date": "'2019-11-01'",
        "end_date": "'2019-12-01'",
    }
    values |= {"until": moment, "known_0": moment, "known": moment}
    for name, literal in values.items():
        sql = sql.replace(f"${name}", literal)
    return sql
