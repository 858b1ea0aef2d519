"""A project that serves, for verbs that are disturbed: how it is made, what stands in it, and how
its processes end.
"""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from isthmus.experiments import experiment
from isthmus.rollouts.verbs import rollout
from isthmus.tests.cli.running import create, edit

_SPLIT = """      champion: {model: ranker@champion, traffic: 90}
      challenger: {model: ranker@challenger, traffic: 10}
"""
_MORE = """
rollouts:
  home:
    steps: [{traffic: 25, bake: 15m}]
    guardrails: [{metric: error_rate, max: 1%, min_requests: 200}]

experiments:
  order:
    endpoint: home
    hypothesis: A list by the model's scores is clicked more often than a shuffled one.
    arms: {shuffled: {explore: 100%}, ranked: {explore: 0%}}
    metric: ctr
    plan: {minimum_effect: 25%}
"""
_PROMOTE = ["models", "promote", "ranker@1", "--alias", "challenger", "--because", "it is liked"]


def serving_project(folder, run):
    """The starter with two versions, of which an endpoint is to serve both; with a rollout and an
    experiment that can start.
    """
    create(folder)
    project = folder / "project.yaml"
    edit(project, "      champion: {model: ranker@champion, traffic: 100}\n", _SPLIT)
    edit(
        project,
        "position: {type: int, min: 1}\n",
        "position: {type: int, min: 1}\n      exposure_id: {type: string, required: false}\n",
    )
    project.write_text(project.read_text() + _MORE)
    for command in (["apply"], ["ingest"], ["materialize"], ["train", "models/history.yaml"]):
        run(command)
    edit(folder / "ranker.py", "mean().item()", "mean().item() + 0.001")
    run(["train", "models/history.yaml"])
    run(_PROMOTE)


def standing(project):
    """Who serves, with which traffic, and what a rollout and an experiment have decided; without
    times.

    A rollout's id is not told: a number is given once, also to a start that was killed.
    """
    stands = {}
    if (
        "home" in project.spec.endpoints
        and (state := _settled(project.target.endpoints)) is not None
    ):
        stands["variants"] = [
            (v.name, v.model, v.version, v.percent, v.phase) for v in state.variants
        ]
    for key, wanted in {
        "traffic/home": ("owner", "split", "done"),
        "rollouts/home": ("phase", "stage", "plan"),
        "experiments/live": ("layers", "runs", "version"),
    }.items():
        stored = project.target.state.get(key)
        if stored is not None:
            document = json.loads(stored.value)
            stands[key] = {name: _timeless(document.get(name)) for name in wanted}
    if "rollouts/home" in stands:
        stands["rollout's history"] = [entry.what for entry in rollout.history(project, "home")]
    if "experiments/live" in stands:
        stands["experiment's history"] = [
            (change.run, change.what, change.after) for change in experiment.history(project)
        ]
    return stands


def end_all(folder):
    """Kill what a project's verbs left running: processes whose command line names its folder."""
    while left := [pid for pid in _processes() if str(folder).encode() in _command(pid)]:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _settled(endpoints, *, within=60):
    """The endpoint once nothing in it is starting any more, as after its supervisor died."""
    deadline = time.monotonic() + within
    while (
        (state := endpoints.observe("home")) is not None
        and state.phase == "updating"
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    return state


def _timeless(value):
    if isinstance(value, dict):
        return {
            key: _timeless(item)
            for key, item in value.items()
            if key not in {"at", "since", "started", "written", "changed"}
        }
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _processes():
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and int(entry.name) != os.getpid()
    ]


def _command(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return b"" if stat[0] in "ZX" else Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
