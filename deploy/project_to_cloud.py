"""Share the options and the way itself between deploy/sagemaker.py and deploy/vertex.py."""
# ruff: noqa: INP001  beside the scripts, not a package

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import isthmus as im
from isthmus.errors import IsthmusError

_Command = Callable[..., None]
_BEFORE = (
    click.option(
        "--project",
        "folder",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path(),
        help="Default: here.",
    ),
)
_AFTER = (
    click.option(
        "--offline",
        is_flag=True,
        help="Use the local stack: no account, nothing leaves this machine.",
    ),
    click.option(
        "--rollout",
        is_flag=True,
        help="Then drive each endpoint's rollout, until it is promoted, taken back, or asks a "
        "person.",
    ),
    click.option("--yes", is_flag=True, help="Do not ask."),
)


def with_options(
    target: str, identity: Callable[[_Command], _Command]
) -> Callable[[_Command], _Command]:
    """Give a command the options of both scripts, with the target's own identity among them."""
    options = (
        *_BEFORE,
        click.option(
            "--target", default=target, show_default=True, help="A target of profiles.yaml."
        ),
        click.option("--bucket"),
        identity,
        *_AFTER,
    )

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def deploy_project(
    folder: Path, *, target: str, offline: bool, rollout: bool, yes: bool, **of_target: Any
) -> None:
    """Bring a project from raw files to served endpoints, and roll them out if asked to.

    `of_target` is the bucket, and the identity that the target's jobs act as.
    """
    try:
        with im.open(
            folder / "project.yaml", target=target, offline=offline, **of_target
        ) as project:
            plan = im.plan(project)
            click.echo(plan)
            if plan.refused:
                raise click.ClickException("the plan is refused: nothing was changed")
            if not yes:
                click.confirm("Apply?", abort=True)
            im.apply(project, plan)
            im.ingest(project)
            im.materialize(project)
            for model in sorted(
                project.spec.models.values(), key=lambda model: model.alias != "champion"
            ):  # the others are judged by it
                run = im.train(project, model.path)
                click.echo(run)
                if run.gate == "fail":
                    raise click.ClickException(f"{run.version} fails its gate: nothing is deployed")
            for endpoint in project.spec.endpoints:
                click.echo(im.deploy(project, endpoint))
            for endpoint in project.spec.rollouts if rollout else ():
                started = im.rollout.start(project, endpoint)
                click.echo(started)
                outcome = started.wait()
                click.echo(
                    f"{endpoint}   {outcome}; from here on: isthmus rollout run {endpoint} "
                    f"--target {target}"
                )
                if outcome not in ("promoted", "waiting"):
                    raise click.ClickException(
                        f"{endpoint}: the rollout was {outcome}: isthmus rollout history {endpoint}"
                    )
    except IsthmusError as error:
        raise click.ClickException(
            f"{error}\n{error.remedy}" if error.remedy else str(error)
        ) from error
