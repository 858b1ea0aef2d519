"""Any project to SageMaker, from raw files to served endpoints.

    python deploy/sagemaker.py [--project FOLDER] [--target NAME] [--bucket s3://...] [--role
    arn:...] [--offline] [--yes]

Stages that have been done are found and kept, so it may be run again after anything. The traffic of
an endpoint that exists is not touched, but by --rollout, which is refused while one runs: steps,
guardrails and the way back are those of project.yaml. Ctrl-C leaves it as it is; `isthmus rollout
run` goes on. The image that jobs and endpoints run is deploy/Dockerfile. The way itself is
deploy/project_to_cloud.py, which has to lie beside this script.
"""
# ruff: noqa: INP001  a script, not a package

from __future__ import annotations

from pathlib import Path

import click
from project_to_cloud import deploy_project, with_options


@click.command(help=__doc__.partition("\n")[0])
@with_options("sagemaker", click.option("--role"))
def main(
    *,
    folder: Path,
    target: str,
    bucket: str | None,
    role: str | None,
    offline: bool,
    rollout: bool,
    yes: bool,
) -> None:
    """Deploy the project of the folder."""
    deploy_project(
        folder,
        target=target,
        bucket=bucket,
        role=role,
        offline=offline,
        rollout=rollout,
        yes=yes,
    )


if __name__ == "__main__":
    main()
