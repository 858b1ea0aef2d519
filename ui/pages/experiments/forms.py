"""Draw the forms that change an experiment's run, and make the changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

from ....core.runtime.project import Project
from ....errors import Invalid
from ....experiments import experiment
from ....experiments.design.runs import FrozenRun
from ....experiments.results import comparison
from ....experiments.running.answers import RunStatus
from ...parts.forms import Field, Form
from .experiments import path

_WHY = Field(name="because", label="Why", required=True)


def start(name: str) -> Form:
    """Return the form that starts a run of an experiment."""
    return Form(
        action=f"{path(name)}/start",
        button="Start a run",
        command=f"isthmus experiment start {name}",
    )


def of_run(status: RunStatus, run: FrozenRun, *, startable: bool) -> Iterator[Form]:
    """Yield the forms that act on an experiment's run: look at results, ramp, ship, stop.

    Which there are depends on the run's state. `startable` says whether project.yaml still has the
    experiment.
    """
    name = run.definition.experiment.name
    yield Form(
        action=f"{path(name)}/look",
        button="Look now",
        command=f"isthmus experiment results {name}",
        note="Asks the log, once, and counts as a look.",
    )
    if status.state == "running":
        yield _ramp(name, status)
        yield _ship(name, run)
    if status.state in ("running", "shipped"):
        yield _stop(name)
    if status.state == "shipped":
        note = (
            "To make what has shipped the endpoint's own. It moves traffic for some minutes, so "
            "it is not done from here:"
        )
        yield Form(action="", button="", command=f"isthmus experiment close {name}", note=note)
    if status.state in ("stopped", "closed") and startable:
        yield start(name)


def _ramp(name: str, status: RunStatus) -> Form:
    """Return the form that changes the share of the layer that a run holds."""
    share = Field(
        name="share",
        label="Share of the layer",
        hint="percent",
        kind="number",
        value=f"{status.share.normalize():f}",
        required=True,
    )
    return Form(
        action=f"{path(name)}/ramp",
        button="Change the share",
        fields=(share, _WHY),
        command=f"isthmus experiment ramp {name} {share.value}",
        note="Units enter or leave. Nobody changes arm.",
    )


def _stop(name: str) -> Form:
    """Return the form that stops an experiment's run."""
    return Form(
        action=f"{path(name)}/stop",
        button="Stop the run",
        fields=(_WHY,),
        command=f'isthmus experiment stop {name} --because "..."',
        note="Every unit has the endpoint's own parameters again.",
        careful=True,
    )


def _ship(name: str, run: FrozenRun) -> Form:
    """Return the form that ships an arm: all units outside the holdout then get its parameters."""
    arms = tuple((arm.name, arm.name) for arm in run.shippable)
    arm = Field(
        name="arm", label="Arm", kind="choice", choices=arms, value=run.arms[-1].name, required=True
    )
    return Form(
        action=f"{path(name)}/ship",
        button="Ship an arm",
        fields=(arm, _WHY),
        command=f'isthmus experiment stop {name} --ship {arm.value} --because "..."',
        note="Ends the comparison. Every unit but the holdout has this arm's parameters until the "
        "run is closed.",
        careful=True,
    )


def look(project: Project, fields: Mapping[str, str]) -> str:
    """Compute a run's results from the log now, and return the URL path of their page.

    If the units were not split as planned, only that is stored and shown, without figures.
    """
    comparison.results(project, fields["name"], despite_split=True)
    return path(fields["name"])


def begin(project: Project, fields: Mapping[str, str]) -> str:
    """Start a run of an experiment by a submitted form; return the URL path of its state."""
    experiment.start(project, fields["name"])
    return _state_path(fields)


def ramp(project: Project, fields: Mapping[str, str]) -> str:
    """Change a run's share of its layer by a submitted form; return the URL path of its state."""
    because = fields.get("because", "").strip()
    if not because:
        raise Invalid(
            "a share is changed for a reason, which the history keeps", remedy="write why"
        )
    experiment.ramp(project, fields["name"], _percent(fields.get("share", "")), because=because)
    return _state_path(fields)


def stop(project: Project, fields: Mapping[str, str]) -> str:
    """Stop an experiment's run by a submitted form; return the URL path of its state."""
    experiment.stop(project, fields["name"], because=fields.get("because", ""))
    return _state_path(fields)


def ship(project: Project, fields: Mapping[str, str]) -> str:
    """Ship an experiment's arm by a submitted form; return the URL path of the run's state."""
    if not (arm := fields.get("arm", "")):
        raise Invalid("no arm is named", remedy="choose the one that ships")
    experiment.stop(project, fields["name"], because=fields.get("because", ""), ship=arm)
    return _state_path(fields)


def _state_path(fields: Mapping[str, str]) -> str:
    """Return the URL path, with an anchor, of a run's state on its experiment's page.

    `fields` are those of the form that changed it.
    """
    return f"{path(fields['name'])}#stands"


def _percent(text: str) -> Decimal:
    """Parse a form's text as a percentage of a layer; raise Invalid if it is no number."""
    try:
        return Decimal(text.strip().removesuffix("%"))
    except InvalidOperation:
        raise Invalid(f"{text!r} is no share of a layer", remedy="write a percentage: 40") from None
