"""What the tests of the pipeline half share: a project without files on a fresh local target, and
steps that leave a trace.
"""

from datetime import timedelta

from isthmus.adapters import targets
from isthmus.core.runtime.project import Project
from isthmus.pipelines.graphs.graph import Pipeline, Step
from isthmus.pipelines.runs.submission import submit
from isthmus.pipelines.runs.watch import watch
from isthmus.project.specs.description import ParsedProject, ProjectSpec
from isthmus.target import Profile

TRACE = "import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write(sys.argv[2] + chr(10))"


def make(folder, name="bench"):
    profile = Profile(
        name="local", adapter="local", project=name, options={"home": str(folder / ".isthmus")}
    )
    return Project(
        ParsedProject(spec=ProjectSpec(name=name), folder=str(folder)), targets.load(profile)
    )


def tracing(project, name, more="", **fields):
    """A step whose command notes its name in `trace`, then runs more Python (argv: trace, name,
    then the extra arguments).
    """
    extra = fields.pop("arguments", ())
    return Step(
        name=name,
        command=(
            "{python}",
            "-c",
            TRACE + "\n" + more,
            str(project.folder / "trace"),
            name,
            *extra,
        ),
        **fields,
    )


def trace(project):
    file = project.folder / "trace"
    return file.read_text().split() if file.exists() else []


def run(project, name, *steps, pipeline="bench", types=None, parameters=None, retry_of=None):
    """Submit and follow to the end."""
    graph = Pipeline(name=pipeline, steps=steps, parameters=types or {})
    return watch(
        project, submit(project, graph, parameters=parameters, run=name, retry_of=retry_of)
    )


def phases(state):
    return {step.name: step.phase for step in state.steps}


SOON = timedelta(seconds=120)
