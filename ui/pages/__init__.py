"""Which pages there are, and what may be changed from them.

Each is drawn by a function of a module here, imported when it is asked for.
"""

from __future__ import annotations

import msgspec


class Page(msgspec.Struct, frozen=True):
    """A page and its address.

    `path`: names in braces are added to the query that `draw` takes.

    `title`: in the navigation; "": it is reached from another page.
    """

    path: str
    draw: str  # module:function below this package, a view.Draw
    title: str = ""
    files: tuple[str, ...] = ()  # what can be downloaded from behind its path: `.diff`


class Action(msgspec.Struct, frozen=True):
    """A change that a POST to `path` makes.

    Actions with the same `turn` run one after the other; "": those to the same URL do.
    """

    path: str
    act: str  # module:function below this package, a view.Act
    turn: str = ""


PAGES = (
    Page("/experiments", "experiments.experiments:page", "Experiments"),
    Page("/experiments/{name}", "experiments.experiment:page"),
    Page("/new", "experiments.new_experiment:page", "New experiment", files=(".diff",)),
    Page("/endpoints", "endpoints.endpoints:page", "Endpoints"),
    Page("/endpoints/{endpoint}", "endpoints.endpoint:page"),
    Page("/endpoints/{endpoint}/rollout", "endpoints.rollout:page"),
    Page("/rollouts", "endpoints.rollouts:page", "Rollouts"),
    Page("/runs", "models.runs:page", "Runs"),
    Page("/runs/compare", "models.run_comparison:page"),
    Page("/runs/{run}", "models.run:page"),
    Page("/models", "models.models:page", "Models"),
    Page("/models/{version}", "models.version:page"),
    Page("/models/graph/{config}", "models.graph:page"),
    Page("/bias", "monitors.monitors:page", "Bias"),
    Page("/bias/{monitor}", "monitors.monitor:page"),
    Page("/events", "events.events:page", "Events"),
    Page("/events/{event}", "events.event:page"),
)
_LIVE = "experiments/live"  # the document that they change
ACTIONS = (
    Action("/experiments/{name}/start", "experiments.forms:begin", turn=_LIVE),
    Action("/experiments/{name}/look", "experiments.forms:look"),
    Action("/experiments/{name}/ramp", "experiments.forms:ramp", turn=_LIVE),
    Action("/experiments/{name}/ship", "experiments.forms:ship", turn=_LIVE),
    Action("/experiments/{name}/stop", "experiments.forms:stop", turn=_LIVE),
    Action("/new", "experiments.new_experiment:write"),
    Action("/bias/{monitor}/look", "monitors.monitor:look"),
)
HOME = PAGES[0].path
