"""The verbs of `isthmus monitor`. They go by the target's simulated clock after a simulation."""

from __future__ import annotations

from .monitors import monitor as monitors
from .monitors.monitor import list
from .simulation.clock import by_simulated_clock

__all__ = ["list", "show"]  # im.monitor
__dir__ = __all__.copy  # what completion offers

show = by_simulated_clock(monitors.show)
