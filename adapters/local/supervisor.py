"""Entry point of an endpoint's supervisor, under the name that watchers of every release run.

The code is endpoints/supervisor.py.
"""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    module = "isthmus.adapters.local.endpoints.supervisor"
    runpy.run_module(module, run_name="__main__", alter_sys=True)
