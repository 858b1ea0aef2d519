"""Isthmus: describe a ranking product once; run it on a laptop, on SageMaker or on Vertex AI.

The verbs live in their rooms and are loaded on first touch, so that `import isthmus` costs nothing.
Imports here are absolute: pytest imports this file once more under the checkout's own name.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what type checkers and editors see; a test holds it to the table below
    from isthmus import endpoints as endpoints
    from isthmus import events as events
    from isthmus.core.runtime.project import Project as Project
    from isthmus.core.runtime.project import open as open
    from isthmus.endpoints.deploy.adoption import adopt as adopt
    from isthmus.endpoints.deploy.deploy import deploy as deploy
    from isthmus.endpoints.gateway.gateway import Gateway as Gateway
    from isthmus.endpoints.traffic.manual import traffic as traffic
    from isthmus.events.intake.emit import emit as emit
    from isthmus.events.intake.ingest import ingest as ingest
    from isthmus.experiments import experiment as experiment
    from isthmus.experiments import monitor as monitor
    from isthmus.feature_store.offline.materialize import materialize as materialize
    from isthmus.feature_store.offline.query import query as query
    from isthmus.feature_store.offline.training_set import training_set as training_set
    from isthmus.lifecycle.checks.doctor import doctor as doctor
    from isthmus.lifecycle.checks.first_account import first_account as first_account
    from isthmus.lifecycle.checks.first_account import first_round as first_round
    from isthmus.lifecycle.checks.validate import validate as validate
    from isthmus.lifecycle.demo.demo import demo as demo
    from isthmus.lifecycle.resources.apply import apply as apply
    from isthmus.lifecycle.resources.destroy import destroy as destroy
    from isthmus.lifecycle.resources.guard import guard as guard
    from isthmus.lifecycle.resources.plan import plan as plan
    from isthmus.lifecycle.resources.status import status as status
    from isthmus.lifecycle.stacks import stack as stack
    from isthmus.lifecycle.start.init import init as init
    from isthmus.lifecycle.start.trust import trust as trust
    from isthmus.lifecycle.streams import stream as stream
    from isthmus.lifecycle.verbs import dataset as dataset
    from isthmus.lifecycle.verbs import features as features
    from isthmus.lifecycle.verbs import models as models
    from isthmus.lifecycle.verbs import runs as runs
    from isthmus.lifecycle.verbs.predict import predict as predict
    from isthmus.lifecycle.verbs.tune import tune as tune
    from isthmus.pipelines.training.compilation import compile_run as compile_run
    from isthmus.pipelines.training.promotion import promote as promote
    from isthmus.pipelines.training.training import train as train
    from isthmus.project.schema import schema as schema
    from isthmus.rollouts.verbs import rollout as rollout

_WHERE = {
    "open": "isthmus.core.runtime.project",
    "Project": "isthmus.core.runtime.project",
    "init": "isthmus.lifecycle.start.init",
    "schema": "isthmus.project.schema",
    "doctor": "isthmus.lifecycle.checks.doctor",
    "first_account": "isthmus.lifecycle.checks.first_account",
    "first_round": "isthmus.lifecycle.checks.first_account",
    "demo": "isthmus.lifecycle.demo.demo",
    "validate": "isthmus.lifecycle.checks.validate",
    "trust": "isthmus.lifecycle.start.trust",
    "plan": "isthmus.lifecycle.resources.plan",
    "apply": "isthmus.lifecycle.resources.apply",
    "status": "isthmus.lifecycle.resources.status",
    "destroy": "isthmus.lifecycle.resources.destroy",
    "guard": "isthmus.lifecycle.resources.guard",
    "ingest": "isthmus.events.intake.ingest",
    "emit": "isthmus.events.intake.emit",
    "materialize": "isthmus.feature_store.offline.materialize",
    "query": "isthmus.feature_store.offline.query",
    "training_set": "isthmus.feature_store.offline.training_set",
    "train": "isthmus.pipelines.training.training",
    "compile_run": "isthmus.pipelines.training.compilation",
    "promote": "isthmus.pipelines.training.promotion",
    "tune": "isthmus.lifecycle.verbs.tune",
    "predict": "isthmus.lifecycle.verbs.predict",
    "deploy": "isthmus.endpoints.deploy.deploy",
    "adopt": "isthmus.endpoints.deploy.adoption",
    "traffic": "isthmus.endpoints.traffic.manual",
    "Gateway": "isthmus.endpoints.gateway.gateway",
    "rollout": "isthmus.rollouts.verbs",  # a module, as those that follow: im.rollout.start(...)
    "experiment": "isthmus.experiments",
    "monitor": "isthmus.experiments",
    "events": "isthmus",
    "dataset": "isthmus.lifecycle.verbs",
    "features": "isthmus.lifecycle.verbs",
    "runs": "isthmus.lifecycle.verbs",
    "models": "isthmus.lifecycle.verbs",
    "endpoints": "isthmus",
    "stack": "isthmus.lifecycle.stacks",
    "stream": "isthmus.lifecycle.streams",
}

if not TYPE_CHECKING:  # a checker that saw this `__getattr__` would believe every name
    __all__ = sorted(_WHERE)  # noqa: PLE0605  the table above is the one list

    def __getattr__(name: str) -> object:
        if name not in _WHERE:
            raise AttributeError(f"module 'isthmus' has no attribute {name!r}")
        room = import_module(_WHERE[name])
        inside = room.__name__ != __name__ and hasattr(
            room, name
        )  # asking ourselves would never end
        return getattr(room, name) if inside else import_module(f"{_WHERE[name]}.{name}")

    def __dir__() -> list[str]:
        """Name the verbs that are loaded; in an interactive session all, which completion offers.

        freezegun reads every name of every module while time stands still: what it loaded then
        would load pandas, which dies of it.
        """
        return [
            name
            for name in __all__
            if hasattr(sys, "ps1") or name in vars(sys.modules.get(_WHERE[name], object))
        ]
