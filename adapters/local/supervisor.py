"""Run `endpoints/supervisor.py`: by this module's name watchers of an earlier release start the supervisor."""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    module = "isthmus.adapters.local.endpoints.supervisor"
    runpy.run_module(module, run_name="__main__", alter_sys=True)
