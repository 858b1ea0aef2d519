"""Measure what a pipeline step costs above the process that it runs.

Three trivial steps in a chain stand beside bare subprocesses and kfp.local. `python -m
benchmarks.pipelines.pipeline_steps [--kfp-python /path/to/venv/bin/python]`: KFP is measured in an
environment of its own (`pip install kfp`), at its fastest: SubprocessRunner without a virtual
environment, no `pip install` in each step, its import not counted (the pipeline is called again and
again in one process).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from ..measure import Line, best, cpu_seconds, table

STEPS = 3
_KFP = """
import sys, time
from kfp import dsl, local
local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[1], raise_on_error=True)

@dsl.component(install_kfp_package=False)
def step(text: str) -> str:
    return text

@dsl.pipeline
def chain():
    before = step(text="a")
    for _ in range(STEPS - 1):
        before = step(text=before.output)

seen = []
for _ in range(4):
    started = time.perf_counter()
    chain()
    seen.append(time.perf_counter() - started)
print(min(seen[1:]), file=sys.stderr)
"""


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kfp-python")
    arguments, _ = parser.parse_known_args([] if argv is None else argv)
    python = [sys.executable, "-c", "pass"]
    bare = best(lambda: [subprocess.run(python, check=True) for _ in range(STEPS)], runs=5)
    lines = [
        Line(
            name="/bin/true, subprocess.run",
            value=_a_step(
                best(lambda: [subprocess.run(["/bin/true"], check=True) for _ in range(STEPS)])
            ),
        ),
        Line(name="python -c pass, subprocess.run", value=_a_step(bare), ratio=1.0),
    ]
    for name, command in (
        ("isthmus, steps are /bin/true", ("/bin/true",)),
        ("isthmus, steps are python -c pass", ("{python}", "-c", "pass")),
    ):
        total, steps = chain(command)
        lines.append(Line(name=f"{name}: the steps", value=_a_step(steps), ratio=steps / bare))
        lines.append(
            Line(name=f"{name}: submit to seen done", value=_a_step(total), ratio=total / bare)
        )
    if arguments.kfp_python:
        spent = kfp(arguments.kfp_python)
        lines.append(
            Line(
                name="kfp.local, SubprocessRunner without venv",
                value=_a_step(spent),
                ratio=spent / bare,
            )
        )
    imports = cpu_seconds(
        [
            sys.executable,
            "-c",
            "import isthmus.pipelines.step.job, isthmus.adapters.local.storage.blobs",
        ]
    ) - cpu_seconds(python)
    table(
        f"pipeline steps ({STEPS} in a chain; wall time a step, least of some runs)",
        lines,
        note=f"a step's own imports cost {imports * 1e3:.0f} ms CPU; all durable: {fsyncs()} "
        "fsyncs a step here",
    )


def chain(command: tuple[str, ...]) -> tuple[float, float]:
    """Return wall seconds of a chain of steps that the cache does not know.

    They are those from submit until a watcher sees the end, and from first start to last end.
    """
    from isthmus.adapters import targets
    from isthmus.core.runtime.project import Project
    from isthmus.pipelines.graphs.graph import Pipeline, Step
    from isthmus.pipelines.runs.submission import submit
    from isthmus.pipelines.runs.watch import watch
    from isthmus.project.specs.description import ParsedProject, ProjectSpec
    from isthmus.target import Profile

    with tempfile.TemporaryDirectory() as folder:
        profile = Profile(
            name="local",
            adapter="local",
            project="bench",
            options={"home": str(Path(folder) / ".isthmus")},
        )
        with Project(
            ParsedProject(spec=ProjectSpec(name="bench"), folder=folder), targets.load(profile)
        ) as project:
            names = [f"s{number}" for number in range(STEPS)]
            steps = tuple(
                Step(name=name, command=command, needs=(names[i - 1],) if i else (), cache=False)
                for i, name in enumerate(names)
            )
            graph, numbers = Pipeline(name="bench", steps=steps), count(1)
            inner: list[float] = []

            def once() -> None:
                state = watch(project, submit(project, graph, run=f"r{next(numbers)}"))
                if state.phase != "done":
                    raise SystemExit(f"the benchmark's own run ended {state.phase}")
                started = [step.started for step in state.steps if step.started]
                ended = [step.ended for step in state.steps if step.ended]
                inner.append((max(ended) - min(started)).total_seconds())

            once()
            return best(once, runs=5), min(inner)


def kfp(python: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        file = (
            Path(folder) / "chain.py"
        )  # KFP reads a component's source, so it has to be in a file
        file.write_text(_KFP.replace("STEPS", str(STEPS)), encoding="utf-8")
        environment = os.environ | {
            "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
        }  # it calls `python3`
        done = subprocess.run(
            [python, file, folder],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env=environment,
        )
        if done.returncode:
            raise SystemExit(f"kfp.local failed:\n{done.stderr[-2000:]}")
        return float(done.stderr.strip().splitlines()[-1])


def fsyncs() -> int:
    """Return how many writes a finished step makes durable, counted and not guessed."""
    from unittest.mock import patch

    from isthmus.adapters import targets
    from isthmus.core.runtime.project import Project
    from isthmus.pipelines.graphs.graph import Pipeline, Step
    from isthmus.pipelines.runs.submission import submit
    from isthmus.pipelines.step import job as module
    from isthmus.project.specs.description import ParsedProject, ProjectSpec
    from isthmus.target import Profile

    with tempfile.TemporaryDirectory() as folder:
        profile = Profile(
            name="local",
            adapter="local",
            project="bench",
            options={"home": str(Path(folder) / ".isthmus")},
        )
        with Project(
            ParsedProject(spec=ProjectSpec(name="bench"), folder=folder), targets.load(profile)
        ) as project:
            with patch.object(type(project.target.pipelines), "submit"):
                submit(
                    project,
                    Pipeline(name="bench", steps=(Step(name="s", command=("/bin/true",)),)),
                    run="r1",
                )
            count = 0
            real = os.fsync

            def counted(descriptor: int) -> None:
                nonlocal count
                count += 1
                real(descriptor)

            with patch.object(os, "fsync", counted):
                module.main(
                    ["--run", f"{project.target.blobs.root}/runs/r1/run.json", "--step", "s"]
                )
            return count


def _a_step(seconds: float) -> str:
    return f"{seconds / STEPS * 1e3:.0f} ms"


if __name__ == "__main__":
    started = time.perf_counter()
    main(sys.argv[1:])
    print(f"  {time.perf_counter() - started:.0f} s")
