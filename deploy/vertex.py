"""Any project to Vertex AI, from raw files to served endpoints.

    python deploy/vertex.py [--project FOLDER] [--target NAME] [--bucket gs://...]
    [--service-account ...] [--offline] [--yes]

Stages that have been done are found and kept, so it may be run again after anything. The traffic of
an endpoint that exists is not touched, but by --rollout, which is refused while one runs: steps,
guardrails and the way back are those of project.yaml. Ctrl-C leaves it as it is; `isthmus rollout
run` goes on. The image that jobs and endpoints run is deploy/Dockerfile. deploy/sagemaker.py is
this text, but for the target's name and the identity that jobs act as: each is there to be read,
and copied, alone.
"""
# ruff: noqa: INP001  a script, not a package

from __future__ import annotations

from pathlib import Path

import click

import isthmus as im
from isthmus.errors import IsthmusError


@click.command(help=__doc__.partition("\n")[0])
@click.option(
    "--project",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Default: here.",
)
@click.option("--target", default="vertex", show_default=True, help="A target of profiles.yaml.")
@click.option("--bucket")
@click.option("--service-account", help="What jobs and model servers act as.")
@click.option(
    "--offline", is_flag=True, help="Use the local stack: no account, nothing leaves this machine."
)
@click.option(
    "--rollout",
    is_flag=True,
    help="Then drive each endpoint's rollout, until it is promoted, taken back, or asks a person.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def main(
    *,
    folder: Path,
    target: str,
    bucket: str | None,
    service_account: str | None,
    offline: bool,
    rollout: bool,
    yes: bool,
) -> None:
    try:
        with im.open(
            folder / "project.yaml",
            target=target,
            bucket=bucket,
            service_account=service_account,
            offline=offline,
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


if __name__ == "__main__":
    main()
