"""plan, apply, status, destroy."""

from __future__ import annotations

import click

from ...errors import Refused
from ..console.command import command, waits
from ..console.console import Console


@command(help="What would be made, where, and what differs. It only reads.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 when there is something to change."
)
def plan(console: Console, detailed_exitcode: bool) -> None:
    """Run `isthmus plan`: print what `apply` and `deploy` would change on the target.

    With `detailed_exitcode` it exits with 2 if there is something to change.
    """
    from ...lifecycle.resources.plan import plan as compare

    with console.open() as project:
        planned = compare(project)
    console.result(planned)
    if over := next((item for item in planned.refused if item.kind == "budget"), None):
        raise Refused(
            f"budget of {over.name}{over.detail}",
            remedy="smaller or fewer instances under `serving:`, or a higher `budget:`",
        )
    if any(item.by == "apply" and item.action in "+~" for item in planned.items):
        console.next("apply")
    elif planned.refused:
        pass  # each line says its way on
    elif any(item.action == "." and item.by == "deploy" for item in planned.items):
        console.next("ingest", "materialize", "train models/...")
    elif planned.changes:
        console.next(
            *(
                f"deploy {item.name}"
                for item in planned.items
                if item.by == "deploy" and item.action in "+~"
            )
        )
    if detailed_exitcode and planned.changes:
        raise SystemExit(2)


@command(
    changes=True,
    help="Make the tables and views that the project describes. It never deletes and never moves "
    "traffic.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def apply(console: Console, yes: bool) -> None:
    """Run `isthmus apply`: create the tables and views that the project describes.

    With `yes` it does not ask before.
    """
    from ...lifecycle.resources.apply import apply as make
    from ...lifecycle.resources.plan import plan as compare

    with console.open() as project:
        if console.dry_run:
            console.would(compare(project))
        console.ask(project, "apply?", lambda: compare(project), yes=yes)
        applied = make(project)
    console.result(applied)
    console.next("ingest")


@command(help="What exists, how fresh it is, who has the traffic.")
@click.option(
    "--untagged",
    is_flag=True,
    help="Also what bears the project's name on a cloud and not its tags: destroy may miss it.",
)
def status(console: Console, untagged: bool) -> None:
    """Run `isthmus status`: print what exists on the target, how fresh it is and who owns traffic.

    With `untagged` also what bears the project's name and not its tags.
    """
    from ...lifecycle.resources.status import status as look

    with console.open() as project:
        console.result(look(project, untagged=untagged))


@command(
    changes=True,
    help="Remove what apply and deploy made. Runs, models, reports, raw data and your files stay.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@waits
def destroy(console: Console, yes: bool, wait: bool) -> None:
    """Run `isthmus destroy`: remove the resources that `apply` and `deploy` made.

    With `yes` it does not ask; with `wait` it first waits until ended rollouts release traffic.
    """
    from ...lifecycle.resources.destroy import destroy as remove
    from ...lifecycle.resources.destroy import to_destroy, wait_released

    with console.open() as project:
        if wait and not console.dry_run:
            wait_released(project)
        gone = to_destroy(project)
        if gone.resources and not yes and not console.dry_run:
            name = project.spec.name
            if console.as_json:
                raise Refused(
                    f"destroy would remove {len(gone.resources)} things of {name} without "
                    "having asked",
                    remedy="add --yes",
                )
            if (
                click.prompt(
                    f'{gone}    type "{name}" to go on',
                    prompt_suffix=": ",
                    default="",
                    show_default=False,
                )
                != name
            ):
                raise Refused("that is not the project's name: nothing was changed")
        console.would(gone)
        console.result(remove(project))
        folder = project.folder
    if console.offline and not console.dry_run:
        from ...core.runtime.stacks import stop

        if stop(folder, forget=True):
            console.say("the offline stack is stopped")
