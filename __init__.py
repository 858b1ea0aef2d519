"""Isthmus: describe a ranking product once; run it on a laptop, on SageMaker or on Vertex AI.

The verbs live in their rooms and are loaded on first touch, so that `import isthmus` costs nothing.
Imports here are absolute: pytest imports this file once more under the checkout's own name.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

_WHERE = {
    "open": "isthmus.runtime",
    "Project": "isthmus.runtime",
    "validate": "isthmus.lifecycle.validate",
    "plan": "isthmus.lifecycle.plan",
    "apply": "isthmus.lifecycle.apply",
    "destroy": "isthmus.lifecycle.destroy",
    "ingest": "isthmus.events.ingest",
    "emit": "isthmus.events.emit",
    "materialize": "isthmus.feature_store.materialize",
    "training_set": "isthmus.feature_store.training_set",
    "train": "isthmus.pipelines.training",
    "promote": "isthmus.pipelines.models",
    "deploy": "isthmus.endpoints.deploy",
    "traffic": "isthmus.endpoints.traffic",
    "Gateway": "isthmus.endpoints.gateway",
}

__all__ = sorted(_WHERE)  # noqa: PLE0605  the table above is the one list


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'isthmus' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    """The verbs that are loaded; in an interactive session all, which completion offers.

    freezegun reads every name of every module while time stands still: what it loaded then would load pandas, which dies of it.
    """
    return [name for name in __all__ if hasattr(sys, "ps1") or _WHERE[name] in sys.modules]
