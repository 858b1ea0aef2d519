"""The section `datasets:`: scored rows with their outcome, as a stream and as a table."""

from __future__ import annotations

from datetime import timedelta

import msgspec


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """`served: {objective: served_ctr, stream: true, lateness: 5m}`."""

    name: str
    objective: str  # one that counts the gateway's exposures
    stream: bool = False  # a worker appends the examples as they become known
    lateness: timedelta = timedelta(minutes=5)  # how late an event may come


def examples_name(dataset: str) -> str:
    """Return the name of a data set's examples as an event."""
    return f"examples_{dataset}"
