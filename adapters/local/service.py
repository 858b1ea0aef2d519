"""Run `endpoints/service.py`: by this module's name systemd units start what keeps an endpoint up."""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    module = "isthmus.adapters.local.endpoints.service"
    runpy.run_module(module, run_name="__main__", alter_sys=True)
