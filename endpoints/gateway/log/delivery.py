"""Delivery of a gateway's log to its streams, also to tables that lack the latest columns."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ....core.runtime.project import Project
from ....events.intake.emit import emit_stream
from ....events.port import Rejected, Row
from ....project.specs.streams import Stream
from .streams import LATER, STREAMS


def deliver(project: Project, stream: Stream, rows: Sequence[Row]) -> Sequence[Rejected]:
    """Write rows to a log stream, and return the rows that it rejected.

    Columns that an older table does not have are left out.
    """
    refused = emit_stream(project, STREAMS[stream], rows)
    lacking = LATER.intersection(name for refusal in refused for name in refusal.unknown)
    if not lacking:
        return refused
    bare = [
        {name: value for name, value in rows[refusal.index].items() if name not in lacking}
        for refusal in refused
    ]
    again = emit_stream(project, STREAMS[stream], bare)
    return [
        msgspec.structs.replace(refusal, index=refused[refusal.index].index) for refusal in again
    ]
