"""doctor --first-account: an account before anything is made there."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ...core.runtime.project import Project
from ...core.runtime.project import open as open_project
from ...errors import Invalid
from ...target import AccountCheck, Estimate
from ..console.console import Console


def first_account(
    console: Console,
    *,
    policy: Path | None,
    trial: bool,
    minutes: int,
    record: Path | None,
    yes: bool,
) -> None:
    """Check a cloud account and print what it lacks; exit with code 1 if a check fails.

    With `trial` each kind of resource is also created and deleted once, for at most `minutes`.
    `record` is a folder for the provider's answers, `policy` a file with the rights to look for.
    """
    from ...lifecycle.checks import first_account as accounts

    rights = _policy(policy) if policy else None
    with open_project(
        console.path, target=console.target, offline=console.offline, progress=console.progress
    ) as project:
        checks = accounts.first_account(project, policy=rights)
        ready = not any(check.status == "fails" for check in checks)
        if not trial:
            console.result({"checks": checks, "round": None}, _text(project, checks))
        else:
            console.say(_text(project, checks))
            console.ask(
                project, "Go on?", lambda: _bound(accounts.bound(project), minutes), yes=yes
            )
            done = accounts.first_round(
                project,
                record=record,
                minutes=minutes,
                on_stage=lambda name, result: console.say(f"  {name:<12} {result}"),
            )
            console.result({"checks": checks, "round": done}, str(done))
            ready = ready and done.ok
    if not ready:
        raise SystemExit(1)


def _text(project: Project, checks: tuple[AccountCheck, ...]) -> str:
    """Return the checks of a cloud account as text, a line each."""
    return "\n".join([project.target.name, *map(str, checks)])


def _bound(estimate: Estimate, minutes: int) -> str:
    """Return a sentence on the most time and money that trying out a cloud account takes.

    `minutes` is the longest time; `estimate` has the hourly cost of the machines.
    """
    cost = (
        "an unknown sum"
        if estimate.hourly_cost is None
        else f"{estimate.hourly_cost * minutes / 60:.2f} USD"
    )
    return (
        f"at most {minutes} minutes and {cost} of machines ({estimate.machines}, price table of "
        f"{estimate.table}), and cents for requests"
    )


def _policy(file: Path) -> dict[str, object]:
    """Read an IAM policy from a JSON file; raise Invalid if the file holds none."""
    try:
        policy = msgspec.json.decode(file.read_bytes(), type=dict[str, object])
    except msgspec.DecodeError as error:
        raise Invalid(
            f"{file} is no policy: {error}", remedy="isthmus stack policy > policy.json"
        ) from error
    if "Statement" not in policy:
        raise Invalid(
            f"{file} is no policy: it has no Statement", remedy="isthmus stack policy > policy.json"
        )
    return policy
