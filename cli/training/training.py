"""The commands train, `isthmus runs` and `isthmus models`.

runs: list, show, compare, tag, note, cancel, why-rerun, log, step, export; models: list, promote,
replay, graph.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import msgspec

from ...errors import IsthmusError
from ...reports.columns import plural
from ..console.command import command
from ..console.console import Console, relative
from ..console.project_clock import opened
from ..console.tables import grid
from .run_costs import say_cost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...core.runtime.project import Project
    from ...project.specs.description import Model, ProjectSpec


@command(
    changes=True,
    help="Train configurations (models/*.yaml): point-in-time training set, fit, forward "
    "evaluation, gate, register.",
)
@click.argument("configs", nargs=-1)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the configurations for this run: parameters.C=1.",
)
@click.option(
    "--trial",
    metavar="STUDY/NUMBER",
    help="Take the parameters that this trial of `isthmus tune` tried: t4/13.",
)
@click.option(
    "--tag", "tags", multiple=True, metavar="TAG", help="Give the runs a tag (again for more)."
)
@click.option("--note", default="", metavar="TEXT", help="Say what the runs are for.")
@click.option(
    "--curve",
    is_flag=True,
    help="Measure a learning curve, too: train on 10, 20, 40 and 70 % of the units as well, each "
    "tested on the same rows. Nothing of that is registered.",
)
def train(
    console: Console,
    configs: tuple[str, ...],
    overrides: tuple[str, ...],
    tags: tuple[str, ...],
    note: str,
    *,
    trial: str | None,
    curve: bool,
) -> None:
    """Run `isthmus train`: train, evaluate and register model configurations (`configs`).

    `overrides` change keys, as KEY=VALUE; `trial` names a tuning trial whose parameters are taken;
    `curve` measures a learning curve, too.
    """
    from ...pipelines.run_pages.run_text import next_steps
    from ...pipelines.training.training import configuration
    from ...pipelines.training.training import train as run
    from ...pipelines.tuning.trial_parameters import trial_overrides

    if not configs:
        raise click.UsageError(_configurations(console.path))
    first, *others = configs
    if trial is not None and others:
        raise click.UsageError("--trial is of one configuration: name that alone")
    done = []
    with console.open() as project:
        spec = project.spec
        if trial is not None:
            overrides = (*trial_overrides(project, first, trial), *overrides)
        # a name that is wrong stops it before the first run
        models = [configuration(project, config, overrides) for config in configs]
        if console.dry_run:
            _preview(console, project, models, overrides, curve=curve)
        for config in configs:
            done.append(
                run(
                    project,
                    config,
                    overrides=overrides,
                    tags=tags,
                    note=note,
                    curve=curve,
                    on_estimate=lambda cost: say_cost(console, cost),
                )
            )
            console.say(str(done[-1]))
    if console.as_json:
        console.result(done)
    console.next(*_endpoints_of(next_steps(done[-1]), done[-1].model, spec))
    if any(record.status == "failed" or record.gate == "fail" for record in done):
        raise SystemExit(1)


def _preview(
    console: Console,
    project: Project,
    models: Sequence[Model],
    overrides: tuple[str, ...],
    *,
    curve: bool,
) -> None:
    """Store what `train` would do, with what each run would cost, for the end of a dry run."""
    from ...pipelines.training.training import estimate

    estimates = [estimate(project, model, overrides, curve=curve) for model in models]
    console.would(
        [
            msgspec.to_builtins(model) | {"estimate": cost}
            for model, cost in zip(models, estimates, strict=True)
        ],
        "\n".join(
            f"{project.target.name:<7} train {' '.join((model.path, *overrides))}   "
            f"{model.trainer}   {plural(len(model.features), 'feature')}\n{cost}"
            for model, cost in zip(models, estimates, strict=True)
        ),
    )


def _configurations(path: str) -> str:
    """Return the error for `train` without arguments, which lists the configurations at a path."""
    from ...project.load import load

    files = [model.path for model in load(Path(path)).spec.models.values()]
    listing = (
        f"this project has {', '.join(files)}" if files else "this project has none in models/"
    )
    return f"say which configurations to train: {listing}"


def _endpoints_of(commands: tuple[str, ...], model: str, spec: ProjectSpec) -> tuple[str, ...]:
    """Replace `deploy MODEL` in suggested commands by `deploy ENDPOINT` for a model's endpoints."""
    names = [
        name
        for name, endpoint in spec.endpoints.items()
        if any(v.model == model for v in endpoint.variants)
    ]
    other = [command for command in commands if command != f"deploy {model}"]
    return (
        (*other, *(f"deploy {name}" for name in names)) if len(other) < len(commands) else commands
    )


@click.group(help="List, show, compare, tag and cancel runs; why a step ran again.")
def runs() -> None:
    """Group the commands on training runs: list, show, compare, tag, cancel and others."""


@command(help="Every run: when, what, its figures and its gate.")
@click.option(
    "--sort",
    metavar="FIGURE",
    help="Best first by a figure: auc, ndcg@10, log_loss, auc_vs_champion; spearman, rmse of a "
    "number. Default: oldest first.",
)
@click.option(
    "--where",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Only these: model, alias, gate, tag, parameters.C, ... (again for more).",
)
@click.option(
    "--cost",
    is_flag=True,
    help="What each run cost in USD: the seconds of its steps by their machines' prices.",
)
def list_runs(console: Console, sort: str | None, where: tuple[str, ...], *, cost: bool) -> None:
    """Run `isthmus runs list`: print the training runs, sorted and filtered.

    `sort` is a metric, `where` are conditions FIELD=VALUE; with `cost` each run's cost is printed.
    """
    from ...lifecycle.verbs.runs import list as read
    from ...pipelines.run_pages.run_list import comparable, leading_figures

    with console.open() as project:
        listed = read(project, sort=sort, where=where, cost=cost)
    shown = leading_figures(listed, sort)
    rows = [run.overview(shown, cost=cost) for run in listed]
    text = (
        grid(map(tuple, map(dict.values, rows)), head=tuple(rows[0]))
        if rows
        else "no such run"
        if where
        else "no runs yet"
    )
    note = (
        ["figures are of each run's own rows, which differ: runs compare pairs them"]
        if sort and not comparable(listed)
        else []
    )
    console.result(listed, text, *note)


@command(help="One run's record.")
@click.argument("run")
def show(console: Console, run: str) -> None:
    """Run `isthmus runs show`: print the record of one training run."""
    from ...lifecycle.verbs.runs import show as read
    from ...pipelines.run_pages.run_list import AnnotatedRun

    with console.open() as project:
        shown = read(project, run)
        where = project.target.name
    if isinstance(shown, AnnotatedRun):
        console.result(shown)
    else:  # no record yet: it may be running, or have been stopped
        rows = [
            (
                step.name,
                step.phase,
                f"{step.started:%H:%M:%S}" if step.started else "",
                step.reason or "",
            )
            for step in shown.steps
        ]
        cost = [f"  cost   {shown.cost}"] if shown.cost else []
        console.result(
            shown, f"{where:<7} run {run}   {shown.phase}", grid(rows, indent="  "), *cost
        )


@command(
    changes=True,
    help="Ask a run to stop. A finished one is left as it is; what its finished steps made is "
    "kept in the cache.",
)
@click.argument("run")
def cancel(console: Console, run: str) -> None:
    """Run `isthmus runs cancel`: ask the provider to stop a run."""
    from ...lifecycle.verbs.runs import cancel as stop
    from ...pipelines.runs.watch import observe

    with console.open() as project:
        previous_phase = observe(project, run).phase
        console.would(
            {"run": run, "phase": previous_phase},
            f"{project.target.name:<7} run {run}   {previous_phase} -> cancelled",
        )
        state = stop(project, run)
    console.result(
        state,
        f"{project.target.name:<7} run {run}   "
        + (state.phase if previous_phase != state.phase else f"{state.phase} already"),
    )
    console.next(f"runs show {run}")


@command(
    help="Runs side by side, each paired with the first on the rows that both were tested on; "
    "with a page."
)
@click.argument("runs", nargs=-1, required=True)
def compare(console: Console, runs: tuple[str, ...]) -> None:
    """Run `isthmus runs compare`: print runs side by side, each compared with the first."""
    from ...lifecycle.verbs.runs import compare as measure
    from ...pipelines.run_pages.comparison_page import comparison_page

    with console.open() as project:
        compared = measure(project, *runs)
        try:
            page = relative(comparison_page(project, compared))
        except (
            IsthmusError,
            OSError,
        ) as error:  # a read-only folder, a full disk: the figures stay
            page = f"not written: {error}"
    console.result(compared, f"{compared}\npage      {page}")


@command(changes=True, help="Give a run tags, by which `runs list --where tag=...` finds it.")
@click.argument("run")
@click.argument("tags", nargs=-1)
@click.option("--remove", multiple=True, metavar="TAG", help="Take a tag away (again for more).")
def tag(console: Console, run: str, tags: tuple[str, ...], remove: tuple[str, ...]) -> None:
    """Run `isthmus runs tag`: add tags to a training run, and remove others."""
    from ...lifecycle.verbs.runs import tag as give
    from ...pipelines.run_pages.run_list import note_lines

    if not (tags or remove):
        raise click.UsageError("no tag to give or to take away")
    with console.open() as project:
        console.would(
            {"run": run, "tags": tags, "remove": remove},
            f"{project.target.name:<7} run {run}   tags {' '.join(tags)}",
        )
        notes = give(project, run, tags, remove=remove)
    console.result(notes, "\n".join([f"run {run}", *note_lines(notes)]))


@command(
    changes=True,
    help="Say what a run is about, over what was said before; an empty text takes it away.",
)
@click.argument("run")
@click.argument("text")
def note(console: Console, run: str, text: str) -> None:
    """Run `isthmus runs note`: write a training run's note over the earlier one."""
    from ...lifecycle.verbs.runs import note as write
    from ...pipelines.run_pages.run_list import note_lines

    with console.open() as project:
        console.would(
            {"run": run, "note": text}, f"{project.target.name:<7} run {run}   note {text}"
        )
        notes = write(project, run, text)
    console.result(notes, "\n".join([f"run {run}", *note_lines(notes)]))


@command(help="Which part of each step's cache key changed, so that it had to run again.")
@click.argument("run")
@click.option("--step", help="Only this step.")
def why_rerun(console: Console, run: str, step: str | None) -> None:
    """Run `isthmus runs why-rerun`: print which parts of steps' cache keys changed.

    With `step` only that step's.
    """
    from ...lifecycle.verbs.runs import why_rerun as explain

    with console.open() as project:
        changes = explain(project, run, step)
    rows = [
        (change.step, change.part, _brief(change.before), _brief(change.after))
        for change in changes
    ]
    nothing = f"{run}: every step was in the cache, or had never finished before"
    console.result(
        changes, grid(rows, head=("step", "part", "before", "after")) if rows else nothing
    )


def _brief(text: str | None) -> str | None:
    """Return a value cut for a table: 12 digits of a SHA-256 digest, 40 characters of a text."""
    if text is None or len(text) <= 40:
        return text
    return text[:12] if len(text) == 64 and text.isalnum() else f"{text[:37]}..."


@command(help="What a run's step printed.")
@click.argument("run")
@click.argument("step")
def log(console: Console, run: str, step: str) -> None:
    """Run `isthmus runs log`: print what a step of a run printed."""
    from ...lifecycle.verbs.runs import log as read

    with console.open() as project:
        written = read(project, run, step)
    console.result(written, written.log, raw=True)


@command(
    name="step",
    help="Run one step of an earlier run again, by itself, on that run's inputs and with today's "
    "code: for whoever writes a trainer. Nothing is stored or registered.",
)
@click.argument("run")
@click.argument("name", metavar="STEP")
@click.option(
    "--with",
    "config",
    metavar="CONFIG",
    help="Take the settings of this configuration (models/*.yaml) in place of the run's.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the configuration for this once: parameters.C=1.",
)
def step(
    console: Console, run: str, name: str, config: str | None, overrides: tuple[str, ...]
) -> None:
    """Run `isthmus runs step`: run one step of an earlier run again with today's code.

    `config` names another configuration, `overrides` change its keys. Nothing is stored.
    """
    from ...lifecycle.verbs.runs import step as again

    with console.open() as project:
        log = io.StringIO() if console.as_json else None
        console.result(again(project, run, name, config=config, overrides=overrides, log=log))


@command(
    changes=True,
    help="Copy runs that ended (default: all) to the MLflow server that `tracking` of "
    "profiles.yaml names. What is there stays one run.",
)
@click.argument("runs", nargs=-1)
@click.option(
    "--to", type=click.Choice(["mlflow"]), default="mlflow", show_default=True, help="Where to."
)
def export(console: Console, runs: tuple[str, ...], to: Literal["mlflow"]) -> None:
    """Run `isthmus runs export`: copy training runs (default: all) to an MLflow server."""
    from ...lifecycle.verbs.runs import export as copy

    with console.open() as project:
        console.would(
            {"runs": runs, "to": to},
            f"{project.target.name:<7} export {' '.join(runs) or 'all runs'} to {to}",
        )
        copied = copy(project, *runs, to=to)
    rows = [(entry.run, entry.state, entry.url) for entry in copied]
    console.result(copied, grid(rows, head=("run", "in MLflow", "page")) if rows else "no runs yet")


for _name, _command in (
    ("list", list_runs),
    ("show", show),
    ("compare", compare),
    ("tag", tag),
    ("note", note),
    ("cancel", cancel),
    ("why-rerun", why_rerun),
    ("log", log),
    ("step", step),
    ("export", export),
):
    runs.add_command(_command, _name)


@click.group(help="Versions, aliases, promotion and lineage.")
def models() -> None:
    """Group the commands on registered models: versions, promotion, lineage and replay."""


@command(help="Every version of the project's registered models.")
def list_models(console: Console) -> None:
    """Run `isthmus models list`: print every registered version of the project's models."""
    from ...lifecycle.verbs.models import list as versions

    with console.open() as project:
        registered = versions(project)
    rows = [
        (f"{v.model}@{v.version}", ", ".join(sorted(v.aliases)), v.approval, v.digest[:12])
        for v in registered
    ]
    console.result(
        registered,
        grid(rows, head=("version", "aliases", "approval", "digest"))
        if rows
        else "no version yet: isthmus train models/...",
    )


@command(
    changes=True,
    help="Give VERSION (e.g. ranker@2) an alias. An inconclusive version becomes champion only "
    "--because somebody says why.",
)
@click.argument("version")
@click.option("--alias", default="champion", show_default=True)
@click.option(
    "--because", metavar="TEXT", help="Why a person decides so; recorded with the version."
)
def promote(console: Console, version: str, alias: str, because: str | None) -> None:
    """Run `isthmus models promote`: give a model version (`ranker@2`) an alias, if its gate allows.

    `because` is a person's reason, which is recorded.
    """
    from ...lifecycle.verbs.models import promote as move

    name, separator, number = version.partition("@")
    if not separator or not number.isdigit():
        raise click.UsageError(f"a version is MODEL@NUMBER, such as ranker@2, not {version!r}")
    with console.open() as project:
        console.would(
            {"version": version, "alias": alias},
            f"{project.target.name:<7} {version}   becomes {alias}",
        )
        promoted = move(project, name, int(number), alias, because=because)
        where = project.target.name
    console.result(
        promoted,
        f"{where:<7} {promoted.model}@{promoted.version}   "
        f"{', '.join(sorted(promoted.aliases))}   {promoted.approval}",
    )


@command(
    help="What is made of what: events, objectives, views, models, endpoints. Of one CONFIG "
    "(models/*.yaml) also features, transforms and versions, with what its newest run says of each "
    "feature. As html a page, of every model without CONFIG."
)
@click.argument("config", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "dot", "html"]),
    default="text",
    show_default=True,
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it there. Default: a page goes among the project's reports, all else is printed.",
)
def graph(
    console: Console,
    config: str | None,
    form: Literal["text", "mermaid", "dot", "html"],
    output: Path | None,
) -> None:
    """Run `isthmus models graph`: print or write the lineage graph of the project or one model."""
    from ...lifecycle.verbs.models import graph as draw
    from ...project.load import load

    if config is None and form != "html":
        # of the project's files alone: no target is asked
        drawn = draw(load(Path(console.path)), form=form, output=output)
    else:
        with console.open() as project:
            drawn = draw(project, config, form=form, output=output)
    if drawn.page is None:
        console.result(drawn, raw=True)
    else:
        what = "page" if form == "html" else "file"
        console.result(drawn, f"{what}      {relative(drawn.page)}")


_moment = click.DateTime()


@command(
    changes=True,
    help="What VERSION (e.g. ranker@3) would have earned in place of what an endpoint served, "
    "from its logged answers: by its own scores, "
    "with the features as they were known then, under the same rules.",
)
@click.argument("version")
@click.option(
    "--endpoint",
    metavar="NAME",
    help="Whose log. Default: the only endpoint that serves the model.",
)
@click.option(
    "--since",
    type=_moment,
    help="Answers from this moment (UTC) on. Default: 28 days before --until.",
)
@click.option("--until", type=_moment, help="Answers before this moment (UTC). Default: now.")
def replay(
    console: Console,
    version: str,
    endpoint: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Run `isthmus models replay`: estimate from logged answers what a version would have earned.

    `endpoint` is whose log is read, from `since` to `until`.
    """
    from ...lifecycle.verbs.models import replay as replay_version

    begin, end = (moment.replace(tzinfo=UTC) if moment else None for moment in (since, until))
    with opened(console) as project:
        console.would(
            {"replay": version, "endpoint": endpoint}, f"{project.target.name:<7} replay {version}"
        )
        console.result(replay_version(project, version, endpoint=endpoint, since=begin, until=end))


for _name, _command in (
    ("list", list_models),
    ("promote", promote),
    ("replay", replay),
    ("graph", graph),
):
    models.add_command(_command, _name)
