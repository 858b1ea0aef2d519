"""Any project to Vertex AI, from raw files to served endpoints.

    python deploy/vertex.py [--project FOLDER] [--target NAME] [--bucket gs://...]
    [--service-account ...] [--offline] [--yes]

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
@with_options(
    "vertex", click.option("--service-account", help="What jobs and model servers act as.")
)
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
    """Deploy the project of the folder."""
    deploy_project(
        folder,
        target=target,
        bucket=bucket,
        service_account=service_account,
        offline=offline,
        rollout=rollout,
        yes=yes,
    )


if __name__ == "__main__":
    main()
