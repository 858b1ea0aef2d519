"""A monitor of items (items_sql.py): refused by name until its figures have landed."""

from __future__ import annotations

from ...errors import Invalid
from ...project.monitor_specs import Monitor
from ...project.streams import Stream
from ...runtime import Project
from .reading import Reading, Seen

STREAM: Stream = "exposures"


def seen(_project: Project, monitor: Monitor, _of: Reading) -> Seen:
    raise Invalid(f"monitor {monitor.name}: items are not supported yet by this version", remedy="a monitor of units is")
