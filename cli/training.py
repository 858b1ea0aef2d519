"""train, runs list | show | compare | why-rerun | log, models list | promote | graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..errors import NotFound
from .console import Console, command, relative
from .tables import grid

if TYPE_CHECKING:
    from ..project.specs import ProjectSpec


@command(changes=True, help="Train configurations (models/*.yaml): point-in-time training set, fit, forward evaluation, gate, register.")
@click.argument("configs", nargs=-1, required=True)
def train(console: Console, configs: tuple[str, ...]) -> None:
    from ..pipelines.records import next_steps
    from ..pipelines.training import configuration
    from ..pipelines.training import train as run

    done = []
    with console.open() as project:
        spec = project.spec
        models = [configuration(project, config) for config in configs]  # a name that is wrong stops it before the first run
        console.would(
            models,
            "\n".join(
                f"{project.target.name:<7} train {m.path}   {m.trainer}   {len(m.features)} feature{'s' if len(m.features) != 1 else ''}"
                for m in models
            ),
        )
        for config in configs:
            found = run(project, config)
            done.append(found)
            console.say(str(found))
    if console.as_json:
        console.result(done)
    console.next(*_endpoints_of(next_steps(done[-1]), done[-1].model, spec))
    if any(found.status == "failed" or found.gate == "fail" for found in done):
        raise SystemExit(1)


def _endpoints_of(commands: tuple[str, ...], model: str, spec: ProjectSpec) -> tuple[str, ...]:
    """`deploy MODEL` is said of the model: here it becomes its endpoints', of which there may be none."""
    names = [name for name, endpoint in spec.endpoints.items() if any(v.model == model for v in endpoint.variants)]
    other = [command for command in commands if command != f"deploy {model}"]
    return (*other, *(f"deploy {name}" for name in names)) if len(other) < len(commands) else commands


@click.group(help="List, show, compare and cancel runs; why a step ran again.")
def runs() -> None: ...


@command(help="Every run: when, what, its figures and its gate.")
def list_runs(console: Console) -> None:
    from ..pipelines.runs import list_runs as read

    with console.open() as project:
        found = read(project)
    rows = [
        (
            r.name,
            f"{r.started:%Y-%m-%d %H:%M}",
            r.configuration,
            r.version or r.status,
            r.alias or "",
            "" if r.evaluation is None or r.evaluation.auc is None else f"{r.evaluation.auc.value:.3f}",
            r.gate or "",
        )
        for r in found
    ]
    console.result(
        found, grid(rows, head=("run", "started", "configuration", "version", "alias", "auc", "gate")) if rows else "no runs yet"
    )


@command(help="One run's record.")
@click.argument("run")
def show(console: Console, run: str) -> None:
    from ..pipelines.runs import get_run
    from ..pipelines.watch import observe

    with console.open() as project:
        try:
            console.result(get_run(project, run))
        except NotFound as missing:  # no record yet: it may be running, or have been stopped
            try:
                state = observe(project, run)
            except NotFound:
                raise missing from None
            rows = [(step.name, step.phase, f"{step.started:%H:%M:%S}" if step.started else "", step.reason or "") for step in state.steps]
            console.result(state, f"{project.target.name:<7} run {run}   {state.phase}\n{grid(rows, indent='  ')}")


@command(changes=True, help="Ask a run to stop. A finished one is left as it is; what its finished steps made is kept in the cache.")
@click.argument("run")
def cancel(console: Console, run: str) -> None:
    from ..pipelines.watch import cancel as stop
    from ..pipelines.watch import observe

    with console.open() as project:
        before = observe(project, run).phase
        console.would({"run": run, "phase": before}, f"{project.target.name:<7} run {run}   {before} -> cancelled")
        if before in ("running", "cancelling"):
            stop(project, run)
        state = observe(project, run)
    console.result(state, f"{project.target.name:<7} run {run}   " + (state.phase if before != state.phase else f"{state.phase} already"))
    console.next(f"runs show {run}")


@command(help="Two runs side by side, paired on the rows that both were tested on; with a page.")
@click.argument("first")
@click.argument("second")
def compare(console: Console, first: str, second: str) -> None:
    from ..pipelines.compare import compare as measure
    from ..pipelines.report import comparison_page

    with console.open() as project:
        found = measure(project, first, second)
        page = comparison_page(project, found)
    console.result(found, f"{found}\npage      {relative(page)}")


@command(help="Which part of each step's cache key changed, so that it had to run again.")
@click.argument("run")
@click.option("--step", help="Only this step.")
def why_rerun(console: Console, run: str, step: str | None) -> None:
    from ..pipelines.why import why_rerun as explain

    with console.open() as project:
        found = explain(project, run, step)
    console.result(
        found,
        grid([(c.step, c.part, _brief(c.before), _brief(c.after)) for c in found], head=("step", "part", "before", "after"))
        or f"{run}: every step was in the cache, or had never finished before",
    )


def _brief(text: str | None) -> str | None:
    """Digests by their first twelve digits, long values by their beginning."""
    if text is None or len(text) <= 40:
        return text
    return text[:12] if len(text) == 64 and text.isalnum() else f"{text[:37]}..."


@command(help="What a run's step printed.")
@click.argument("run")
@click.argument("step")
def log(console: Console, run: str, step: str) -> None:
    from ..pipelines.watch import log as read

    with console.open() as project:
        text = read(project, run, step)
    console.result({"run": run, "step": step, "log": text}, text)


for _name, _command in (
    ("list", list_runs),
    ("show", show),
    ("compare", compare),
    ("cancel", cancel),
    ("why-rerun", why_rerun),
    ("log", log),
):
    runs.add_command(_command, _name)


@click.group(help="Versions, aliases, promotion and lineage.")
def models() -> None: ...


@command(help="Every version of the project's registered models.")
def list_models(console: Console) -> None:
    with console.open() as project:
        served = {variant.model for endpoint in project.spec.endpoints.values() for variant in endpoint.variants}  # adopted ones, too
        names = sorted(served | {model.model for model in project.spec.models.values()})
        found = [version for name in names for version in project.target.registry.versions(name)]
    rows = [(f"{v.model}@{v.version}", ", ".join(sorted(v.aliases)), v.approval, v.digest[:12]) for v in found]
    console.result(
        found, grid(rows, head=("version", "aliases", "approval", "digest")) if rows else "no version yet: isthmus train models/..."
    )


@command(
    changes=True, help="Give VERSION (e.g. ranker@2) an alias. An inconclusive version becomes champion only --because somebody says why."
)
@click.argument("version")
@click.option("--alias", default="champion", show_default=True)
@click.option("--because", metavar="TEXT", help="Why a person decides so; recorded with the version.")
def promote(console: Console, version: str, alias: str, because: str | None) -> None:
    from ..pipelines.models import promote as move

    name, at, number = version.partition("@")
    if not at or not number.isdigit():
        raise click.UsageError(f"a version is MODEL@NUMBER, such as ranker@2, not {version!r}")
    with console.open() as project:
        console.would({"version": version, "alias": alias}, f"{project.target.name:<7} {version}   becomes {alias}")
        found = move(project, name, int(number), alias, because=because)
        where = project.target.name
    console.result(found, f"{where:<7} {found.model}@{found.version}   {', '.join(sorted(found.aliases))}   {found.approval}")


@command(help="What is made of what: events, objectives, views, models, endpoints.")
@click.option("--format", "form", type=click.Choice(["text", "mermaid", "dot"]), default="text", show_default=True)
def graph(console: Console, form: str) -> None:
    from pathlib import Path

    from ..pipelines.lineage import graph as draw
    from ..project.load import load

    drawn = draw(load(Path(console.path)), form=form)
    console.result({"format": form, "graph": drawn}, drawn)


for _name, _command in (("list", list_models), ("promote", promote), ("graph", graph)):
    models.add_command(_command, _name)
