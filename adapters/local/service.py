"""Entry point of an endpoint's service, under the name that systemd units run.

The code is endpoints/service.py.
"""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    module = "isthmus.adapters.local.endpoints.service"
    runpy.run_module(module, run_name="__main__", alter_sys=True)
