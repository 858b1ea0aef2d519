"""Which pages there are, and what may be changed from them.

Each is drawn by a function of a module here, imported when it is asked for.
"""

from __future__ import annotations

import msgspec


class Page(msgspec.Struct, frozen=True):
    """`path`: what stands in braces goes to `draw` among the query.

    `title`: in the navigation; "": it is reached from another page.
    """

    path: str
    draw: str  # module:function below this package, a view.Draw
    title: str = ""
    files: tuple[str, ...] = ()  # what can be downloaded from behind its path: `.diff`


class Action(msgspec.Struct, frozen=True):
    """A POST to `path`.

    Of those of one `turn` one goes after the other; "": those to the same URL do.
    """

    path: str
    act: str  # module:function below this package, a view.Act
    turn: str = ""


PAGES = (
    Page("/experiments", "experiments:page", "Experiments"),
    Page("/experiments/{name}", "experiment:page"),
    Page("/new", "new_experiment:page", "New experiment", files=(".diff",)),
    Page("/endpoints", "endpoints:page", "Endpoints"),
    Page("/endpoints/{endpoint}", "endpoint:page"),
    Page("/endpoints/{endpoint}/rollout", "endpoint_rollout:page"),
    Page("/runs", "runs:page", "Runs"),
    Page("/runs/compare", "runs_compared:page"),
    Page("/runs/{run}", "run:page"),
    Page("/models", "models:page", "Models"),
    Page("/models/{version}", "model_version:page"),
    Page("/bias", "bias:page", "Bias"),
    Page("/bias/{monitor}", "monitor:page"),
    Page("/events", "events:page", "Events"),
    Page("/events/{event}", "event:page"),
)
_LIVE = "experiments/live"  # the document that they change
ACTIONS = (
    Action("/experiments/{name}/start", "experiment_forms:begin", turn=_LIVE),
    Action("/experiments/{name}/look", "experiment_forms:look"),
    Action("/experiments/{name}/ramp", "experiment_forms:ramp", turn=_LIVE),
    Action("/experiments/{name}/ship", "experiment_forms:ship", turn=_LIVE),
    Action("/experiments/{name}/stop", "experiment_forms:stop", turn=_LIVE),
    Action("/new", "new_experiment:write"),
    Action("/bias/{monitor}/look", "monitor:look"),
)
HOME = PAGES[0].path
