"""All rows of the parity table for an adapter that states only some; the others are refused."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Literal

from ..errors import Invalid
from ..project.reading.names import did_you_mean
from ..target import Capability

# Row -> the type of its quantity; None: it has a level alone.
ROWS: dict[str, type[Decimal | timedelta | int] | None] = {
    "traffic.resolution": Decimal,  # per cent
    "traffic.fenced": None,
    "traffic.touch": None,
    "capacity.instances": None,
    "invoke.variant": None,
    "routing.sticky": None,
    "invoke.max_bytes": int,
    "invoke.parameters": None,
    "counters": None,
    "shadow.native": None,
    "guarded_replace": None,
    "metrics.delay": timedelta,
    "metrics.percentiles": None,
    "events.delay": timedelta,
    "events.read": None,
    "events.replay": timedelta,  # how long a stream keeps what a consumer has not committed
    "warehouse.batch_atomic": None,
    "warehouse.asof": None,
    "online.sync": None,
    "online.put": None,
    "registry.alias": None,
    "pipelines.fail_fast": None,
    "import": None,
}
_WHY = "this adapter does not have it yet"


def rows(
    **levels: Literal["native", "emulated", "refused"] | Decimal | timedelta | int,
) -> dict[str, Capability]:
    """Return the capabilities of an adapter by name, from a level or a quantity for each.

    A level is "native", "emulated" or "refused", as in `rows(warehouse_asof="native")`; a quantity,
    as in `invoke_max_bytes=1_500_000`, counts as native. What is left out is refused. Raises
    Invalid for an unknown capability or a wrong kind of value.
    """
    names = {name.replace(".", "_"): name for name in ROWS}
    for key in levels:
        if key not in names:
            raise Invalid(
                f"{key} is not a row of the parity table",
                remedy=did_you_mean(key, names, has="rows are"),
            )
    return {name: _capability(name, levels.get(key, "refused")) for key, name in names.items()}


def _capability(
    name: str, level: Literal["native", "emulated", "refused"] | Decimal | timedelta | int
) -> Capability:
    """Build the capability of this name, from its level or its quantity."""
    quantity = ROWS[name]
    if level == "refused":
        return Capability(name=name, level="refused", why=_WHY)
    if isinstance(level, str):
        if quantity is not None or level not in ("native", "emulated"):
            raise Invalid(
                f"{name} is {level!r}",
                remedy=f"give {_expectation(quantity)}, or leave it out: it is refused then",
            )
        return Capability(name=name, level=level)
    if type(level) is not quantity:
        raise Invalid(
            f"{name} is {level!r}",
            remedy=f"give {_expectation(quantity)}, or leave it out: it is refused then",
        )
    return Capability(name=name, level="native", value=level)


def _expectation(quantity: type[Decimal | timedelta | int] | None) -> str:
    """Return in words which values a capability takes, for error messages.

    `quantity` is the type of its quantity; None: it has a level only.
    """
    return (
        "native or emulated" if quantity is None else f"its quantity, of type {quantity.__name__}"
    )
