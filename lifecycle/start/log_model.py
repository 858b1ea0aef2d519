"""Write the objective, the feature views and the model that are proposed for a log."""

from __future__ import annotations

from ...project.reading.names import NAME_LENGTH
from ...project.reading.quantities import duration_text
from .log_shape import Attribute, LogShape
from .role_words import without_id

HISTORY_DAYS = 14  # of an item's history
_SMOOTHING = 10  # rows at the log's mean that an item begins with


def is_ranked(shape: LogShape) -> bool:
    """Return whether a ranking model can be trained on a log: it has items and outcomes."""
    return shape.item is not None and shape.outcome is not None


def objective_name(shape: LogShape) -> str:
    """Return the name of the proposed objective: `ctr` of clicks, `mean_stars` of a number, ..."""
    if shape.value is not None:
        return f"mean_{shape.value.name}"[:NAME_LENGTH].rstrip("_")
    return "ctr" if shape.outcome == "click" else f"{shape.outcome}_rate"


def objective_rate(shape: LogShape) -> str:
    """Return the YAML that says what the proposed objective maximises, and within which time."""
    summed = f"sum {shape.outcome}.{shape.value.name}" if shape.value else shape.outcome
    return f"rate: {summed} / {shape.exposure}, within: {duration_text(shape.within)}"


def entity_name(key: Attribute) -> str:
    """Return the entity's name, from its key column: `item` for `item_id`."""
    return without_id(key.name)


def view_queries(shape: LogShape) -> dict[str, str]:
    """Return the SQL of the proposed feature views, by name."""
    if not is_ranked(shape) or shape.item is None:
        owner = shape.item or shape.user
        return {f"{entity_name(owner)}_history": _count_view(shape, owner)} if owner else {}
    entity, key = entity_name(shape.item), shape.item.name
    rate = shape.mean if shape.value else max(shape.mean, 0.001)
    what = (
        f"how much of {shape.value.name} followed"
        if shape.value
        else (f"how often that was followed by a {shape.outcome}")
    )
    window = (
        f"WINDOW last_{HISTORY_DAYS}d AS (PARTITION BY {key} ORDER BY event_timestamp\n"
        f"                    RANGE BETWEEN INTERVAL {HISTORY_DAYS} DAY PRECEDING "
        "AND CURRENT ROW)\n"
    )
    views = {
        f"{entity}_history": (
            f"-- How often it was shown, and {what}: smoothed by {_SMOOTHING} rows at the log's "
            "mean.\n"
            f"SELECT {key}, event_timestamp, created_timestamp,\n"
            f"       count(*) OVER last_{HISTORY_DAYS}d AS {entity}_shown_{HISTORY_DAYS}d,\n"
            f"       (sum(outcome) OVER last_{HISTORY_DAYS}d + {_SMOOTHING * rate:.9g}) / "
            f"(count(*) OVER last_{HISTORY_DAYS}d + {_SMOOTHING}) AS {_mean_name(shape)}\n"
            f"FROM {objective_name(shape)}\n{window}"
        )
    }
    own = _owned_by(shape, "item")
    if own:
        names = ", ".join(f"{a.name} AS {_item_name(shape, a)}" for a in own)
        columns = ", ".join(a.name for a in own)
        views[f"{entity}_profile"] = (
            "-- What the log says of it, from when it was first said.\n"
            f"SELECT {key}, min(event_timestamp) AS event_timestamp, {names}\n"
            f"FROM events_{shape.exposure}\nGROUP BY {key}, {columns}\n"
        )
    return views


def _mean_name(shape: LogShape) -> str:
    """Return the name of the proposed feature for an item's recent mean of the objective."""
    entity = entity_name(shape.item) if shape.item else ""
    return f"{entity}_{'mean' if shape.value else 'rate'}_{HISTORY_DAYS}d"


def _count_view(shape: LogShape, key: Attribute) -> str:
    """Return the SQL of a feature view that counts an entity's events in the last 7 days."""
    entity = entity_name(key)
    return (
        "-- The entity's key, event_timestamp and the features.\n"
        f"SELECT {key.name}, event_timestamp,\n       count(*) OVER last_7d AS "
        f"{entity}_{shape.exposure}s_7d\nFROM events_{shape.exposure}\n"
        f"WINDOW last_7d AS (PARTITION BY {key.name} ORDER BY event_timestamp\n"
        "                   RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT ROW)\n"
    )


def _owned_by(shape: LogShape, owner: str) -> list[Attribute]:
    """Return the log's attributes that always have one value for the same owner.

    `owner` is "item" or "list".
    """
    return [
        a
        for a in shape.attributes
        if a.of == owner and a.type in ("int", "float", "string", "bool")
    ]


def _item_name(shape: LogShape, attribute: Attribute) -> str:
    """Return the feature name of an item's attribute: the entity's name, then the attribute's.

    No attribute of the exposure has it, as a training row has both.
    """
    name = f"{entity_name(shape.item)}_{attribute.name}" if shape.item else attribute.name
    while name in {other.name for other in shape.attributes}:
        name = f"own_{name}"
    return name


def feature_names(shape: LogShape) -> list[str]:
    """Return the names of the features of the model that is proposed for a log."""
    assert shape.item is not None  # noqa: S101  the caller has seen that there is one
    entity = entity_name(shape.item)
    return [
        f"{entity}_history.{_mean_name(shape)}",
        f"{entity}_history.{entity}_shown_{HISTORY_DAYS}d",
        *(f"{entity}_profile.{_item_name(shape, a)}" for a in _owned_by(shape, "item")),
        *(a.name for a in _owned_by(shape, "list")),
    ]


def model_text(shape: LogShape) -> str:
    """Return the YAML text of the model configuration that is proposed for a log."""
    listed = ",\n           ".join(feature_names(shape))
    if shape.value is None:
        trainer, parameters = "isthmus.logistic", "{C: 0.1}"
    else:
        trainer, parameters = "isthmus.linear", "{alpha: 1}"
    return (
        "model: ranker                    # the registered model that a run becomes a version of\n"
        "alias: champion\n"
        f"objective: {objective_name(shape)}\n"
        f"features: [{listed}]\n"
        f"trainer: {trainer}\n"
        f"parameters: {parameters}\n"
    )
