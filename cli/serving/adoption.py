"""import: what stands on a cloud already, as this project's."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ...errors import Invalid
from ..console.command import command
from ..console.console import Console

if TYPE_CHECKING:
    from ...core.runtime.project import Project


@command(
    changes=True,
    help="Take over what stands on CLOUD (the target's adapter): an endpoint, whoever made it, as "
    "project.yaml says it. Nothing that runs "
    "is changed. `--adopt` registers its models and tags it as this project's: traffic and "
    "rollouts can move it then.",
)
@click.argument("cloud")
@click.argument("kind", type=click.Choice(["endpoint"]))
@click.argument("name")
@click.option(
    "--as",
    "alias",
    metavar="NAME",
    help="What this project calls it. Default: its own name, as far as it is one here.",
)
@click.option(
    "--model",
    metavar="NAME",
    help="The registered model that its models become versions of. Default: the endpoint's name.",
)
@click.option(
    "--objective",
    metavar="NAME",
    help="The objective that it serves, where project.yaml has more than one.",
)
@click.option("--adopt", "adopt_it", is_flag=True, help="Adopt it without asking.")
def import_(
    console: Console,
    *,
    cloud: str,
    kind: str,
    name: str,
    alias: str | None,
    model: str | None,
    objective: str | None,
    adopt_it: bool,
) -> None:
    """Run `isthmus import`: describe an endpoint in the cloud; with `adopt_it` take it over.

    `kind` and `name` say what to take over, `alias` is its name in the project.
    """
    from ...endpoints.deploy.adoption import adopt, describe

    with console.open() as project:
        _check_cloud(project, cloud)
        standing = describe(project, name, name=alias, model=model, objective=objective)
        already = " already: nothing was changed" if standing.adopted else ""
        if (
            not (standing.adopted or adopt_it or console.as_json or console.dry_run)
            and sys.stdin.isatty()
        ):
            adopt_it = click.confirm(f"{standing}     adopt it?")
        if console.dry_run or (adopt_it and not standing.adopted):
            console.would(standing, f"{standing}\n{standing.yaml}")
            standing = adopt(project, name, name=alias, model=model, objective=objective)
    console.result(standing, f"{standing}{already}\n{standing.yaml}", raw=True)
    if standing.adopted:
        console.next(
            "endpoints list", f"traffic {standing.endpoint} {standing.variants[-1].name}=PERCENT"
        )
    else:
        console.next(f"import {cloud} {kind} {name} --adopt")


def _check_cloud(project: Project, cloud: str) -> None:
    """Raise Invalid if the project's target is not on the cloud of this name."""
    from ...project.profiles.profiles import profiles

    if project.target.adapter.name == cloud:
        return
    names = [
        name for name, profile in profiles(project.description).items() if profile.adapter == cloud
    ]
    raise Invalid(
        f"target {project.target.name} is of {project.target.adapter.name}, not of {cloud}",
        remedy=f"--target {' or '.join(names)}"
        if names
        else f"profiles.yaml has no target of {cloud}",
    )
