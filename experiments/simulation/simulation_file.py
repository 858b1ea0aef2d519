"""Reads a simulation's file strictly.

Every mistake is told with its line and its remedy, and nothing is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...endpoints.gateway.smoke import ranked_key
from ...errors import ProjectError
from ...project.reading import yaml
from ...project.reading.files import read_yaml
from ...project.reading.names import did_you_mean
from ...project.reading.quantities import Mistake, duration, percent
from ...project.reading.report import ProblemReport, child
from ...project.reading.shapes import WRONG, MapOf, Number, Record, RecordKey, Schema, Text, shown
from ...project.specs.description import Attribute, Endpoint, ProjectSpec
from ...project.specs.experiments import Experiment
from ...project.specs.reach import EXPOSURE_ID
from .simulation import Action, Bots, BrokenSplit, LateEvents, Simulation

_EFFECT = r"[+-]?[0-9]{1,4}(\.[0-9]{1,6})?%"
_FUNCTION = r"[a-z_][a-z0-9_]*"


def read(path: Path, spec: ProjectSpec) -> Simulation:
    """Read a simulation from its YAML file, with checks of all its keys.

    Raises:
        ProjectError: With everything that is wrong with the file.
    """
    report = ProblemReport()
    if not path.is_file():
        near = (
            sorted(other.name for other in path.parent.glob("*.yaml"))
            if path.parent.is_dir()
            else []
        )
        report.add_file(
            str(path),
            "there is no such file",
            did_you_mean(path.name, near) or "write one: docs/simulate.md shows how",
        )
        raise ProjectError(report.sorted())
    key = f"{path.name}:"
    node = read_yaml(path, str(path), key, report)
    values = WRONG if node is None else _SHAPE.read(node, key, report)
    simulation = (
        None if values is WRONG else _simulation(_FileReader(values, key, spec, report), path.stem)
    )
    if report.problems or simulation is None:
        raise ProjectError(report.sorted())
    return simulation


def _share(text: str) -> float:
    """Parse a percentage as a share from 0 to 1."""
    return float(percent(text) / 100)


def _chance(text: str) -> float | str:
    """Parse the chance of a visitor's action: a percentage, or the name of a function."""
    return text if re.fullmatch(_FUNCTION, text) else _share(text)


def _effect(text: str) -> float:
    """Parse a relative effect, a percentage with a sign, as a fraction."""
    if not re.fullmatch(_EFFECT, text):
        raise Mistake(f"{text!r} is not a relative effect", "write it with its sign: +10%")
    if (value := float(text[:-1]) / 100) <= -1:
        raise Mistake(f"{text} leaves nothing", "write more than -100%")
    return value


class _Values:
    """One value, or a list of which one is drawn."""

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Parse a YAML value or a list of values, as a tuple."""
        items = node.items if isinstance(node, yaml.Sequence) else (node,)
        values = tuple(
            item.value for item in items if isinstance(item, yaml.Scalar) and item.value is not None
        )
        if not values or len(values) < len(items):
            report.add(key, f"{shown(node)} is not a value, or a list of values", "write [JP, TW]")
            return WRONG
        return values

    def schema(self) -> Schema:
        """Return the JSON schema of a value or a list of values."""
        value: Schema = {"type": ["string", "number", "boolean"]}
        return {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}


_SHARE = Text(what="a percentage", parse=_share, example="5%")
_DURATION = Text(what="a duration", parse=duration, example="2d")
_EFFECTS = MapOf(of=Text(what="a relative effect", parse=_effect, example="+10%"))
_COUNT = Number(whole=True, least=1)
_ATTRIBUTES = MapOf(of=_Values())
_ACTION = Record(
    noun="a simulated event",
    keys={
        "of": RecordKey(shape=Text()),
        "chance": RecordKey(
            shape=Text(
                what="a percentage, or a function of the world", parse=_chance, example="12%"
            )
        ),
        "after": RecordKey(shape=_DURATION),
        "attributes": RecordKey(shape=_ATTRIBUTES),
    },
)
_SHAPE = Record(
    noun="a simulation",
    keys={
        "experiment": RecordKey(shape=Text()),
        "endpoint": RecordKey(shape=Text()),
        "days": RecordKey(shape=_COUNT, required=True, example="14"),
        "visitors": RecordKey(shape=_COUNT, required=True, example="500"),
        "sessions": RecordKey(shape=_COUNT),
        "items": RecordKey(shape=_COUNT),
        "candidates": RecordKey(shape=_COUNT),
        "slots": RecordKey(shape=_COUNT),
        "events": RecordKey(
            shape=MapOf(of=_ACTION, least=1), required=True, example="{click: {chance: 12%}}"
        ),
        "effects": RecordKey(shape=MapOf(of=_EFFECTS)),
        "seasons": RecordKey(
            shape=Record(
                noun="seasons",
                keys={"daily": RecordKey(shape=_SHARE), "weekly": RecordKey(shape=_SHARE)},
            )
        ),
        "late": RecordKey(
            shape=Record(
                noun="late events",
                keys={
                    "share": RecordKey(shape=_SHARE, required=True, example="5%"),
                    "by": RecordKey(shape=_DURATION, required=True, example="2d"),
                },
            )
        ),
        "bots": RecordKey(
            shape=Record(
                noun="bots",
                keys={
                    "share": RecordKey(shape=_SHARE, required=True, example="2%"),
                    "requests": RecordKey(shape=_COUNT, required=True, example="40"),
                },
            )
        ),
        "broken": RecordKey(
            shape=Record(
                noun="a broken split",
                keys={
                    "arm": RecordKey(shape=Text(), required=True, example="treatment"),
                    "loses": RecordKey(shape=_SHARE, required=True, example="10%"),
                },
            )
        ),
        "attributes": RecordKey(shape=_ATTRIBUTES),
        "world": RecordKey(shape=Text(pattern=_FUNCTION, what="a module", example="world")),
        "seed": RecordKey(shape=Number(whole=True, least=0)),
    },
)


class _FileReader(NamedTuple):
    """The file's values, whatever is wrong with them."""

    values: dict[str, Any]
    key: str
    spec: ProjectSpec
    report: ProblemReport

    def wrong(self, key: str, message: str, remedy: str | None = None) -> None:
        """Report a mistake at a key of the simulation's file, with its remedy."""
        self.report.add(child(self.key, key), message, remedy)


def _simulation(file: _FileReader, name: str) -> Simulation | None:
    """Check the file's values, and return the simulation that they describe.

    None: its endpoint or its events have mistakes; others are only reported.
    """
    values = file.values
    endpoint, actions = _endpoint(file), _actions(file)
    if endpoint is None or file.report.problems:
        return None
    _check_arms(file)
    _check_effects(file, actions)
    for action in actions:
        _check_filled(file, endpoint, action, actions)
    seasons = values.get("seasons", {})
    plain = (
        "experiment",
        "sessions",
        "items",
        "candidates",
        "slots",
        "attributes",
        "world",
        "seed",
        "effects",
    )
    simulation = Simulation(
        name=name,
        endpoint=endpoint.name,
        days=values["days"],
        visitors=values["visitors"],
        actions=actions,
        daily=seasons.get("daily", 0.0),
        weekly=seasons.get("weekly", 0.0),
        late=LateEvents(**values["late"]) if "late" in values else None,
        bots=Bots(**values["bots"]) if "bots" in values else None,
        broken=BrokenSplit(**values["broken"]) if "broken" in values else None,
        **{key: values[key] for key in plain if key in values},
    )
    _check_candidates(file, simulation, endpoint)
    return simulation


def _endpoint(file: _FileReader) -> Endpoint | None:
    """Return the endpoint to simulate: the experiment's, or the one that is named."""
    spec = file.spec
    if ("experiment" in file.values) == ("endpoint" in file.values):
        file.report.add(
            file.key,
            "it needs an experiment to try, or an endpoint to drive",
            "write one of experiment:, endpoint:",
        )
        return None
    if "experiment" in file.values:
        name = _declared_name(file, "experiment", spec.experiments)
        return spec.endpoints[spec.layers[spec.experiments[name].layer].endpoint] if name else None
    ranking = {name: endpoint for name, endpoint in spec.endpoints.items() if endpoint.objective}
    name = _declared_name(file, "endpoint", ranking)
    return spec.endpoints[name] if name else None


def _declared_name(file: _FileReader, what: str, declared: Mapping[str, object]) -> str | None:
    """Return the name that the file has under the key `what`, if it is in `declared`.

    If not, a mistake is reported, and None returned.
    """
    name: str = file.values[what]
    if name in declared:
        return name
    remedy = (
        did_you_mean(name, declared, has="it has")
        if declared
        else f"write its {what}s: the gateway assigns"
    )
    file.wrong(what, f"{name} is not an {what} of project.yaml", remedy)
    return None


def _actions(file: _FileReader) -> tuple[Action, ...]:
    """Return the visitors' actions, each after the one that it follows."""
    written: dict[str, Any] = {
        name: about for name, about in file.values.get("events", {}).items() if about is not WRONG
    }
    for name, about in written.items():
        _check_action(file, name, about, written)
    if file.report.problems:
        return ()
    ordered: list[str] = []
    while ready := [
        name
        for name, about in written.items()
        if name not in ordered and about.get("of") in (None, *ordered)
    ]:
        ordered += ready
    if circle := [name for name in written if name not in ordered]:
        words = f"{', '.join(circle)} follow each other in a circle"
        file.wrong(f"events.{circle[0]}.of", words, "let one of them follow the item: no `of`")
    return tuple(_action(name, written[name]) for name in ordered)


def _check_action(
    file: _FileReader, name: str, about: Mapping[str, Any], written: Mapping[str, Any]
) -> None:
    """Report mistakes in the event, the predecessor and the chance of a visitor's action.

    `about` has the action's settings, and `written` all actions of the file.
    """
    key, follows = f"events.{name}", about.get("of")
    if name not in file.spec.events:
        file.wrong(
            key,
            f"{name} is not an event of project.yaml",
            did_you_mean(name, file.spec.events, has="it has"),
        )
    if follows is not None and follows not in written:
        file.wrong(
            f"{key}.of",
            f"{follows} is not among these events",
            did_you_mean(follows, written, has="there are"),
        )
    if isinstance(about.get("chance"), str) and "world" not in file.values:
        file.wrong(
            f"{key}.chance",
            "it names a function, and there is no world",
            "write world: MODULE, or a percentage",
        )


def _action(name: str, about: Mapping[str, Any]) -> Action:
    """Return a visitor's action, from the keys `about` of an event in the file."""
    chance = about.get("chance", 1.0)
    fields = {key: about[key] for key in ("of", "after", "attributes") if key in about}
    if isinstance(chance, str):
        return Action(event=name, function=chance, **fields)
    return Action(event=name, chance=chance, **fields)


def _check_arms(file: _FileReader) -> None:
    """Report effects and losses of arms or events that are not the experiment's."""
    experiment = file.spec.experiments.get(file.values.get("experiment", ""))
    if experiment is not None and experiment.interleave is not None:
        _check_interleaved(file, experiment)
        return
    effects: dict[str, dict[str, float]] = file.values.get("effects", {})
    arms = [arm.name for arm in experiment.arms] if experiment else []
    losing = [("broken.arm", file.values["broken"]["arm"])] if "broken" in file.values else []
    for key, arm in (*((f"effects.{arm}", arm) for arm in effects), *losing):
        if experiment is None:
            file.wrong(key, "an endpoint has no arms", "write experiment: instead of endpoint:")
        elif arm not in arms:
            file.wrong(
                key,
                f"{arm} is not an arm of {experiment.name}",
                did_you_mean(arm, arms, has="it has"),
            )
    events = file.values["events"]
    for arm, event in (
        (arm, event) for arm, of_arm in effects.items() for event in of_arm if event not in events
    ):
        file.wrong(
            f"effects.{arm}.{event}",
            f"{event} is not among these events",
            did_you_mean(event, events, has="there are"),
        )


def _check_interleaved(file: _FileReader, experiment: Experiment) -> None:
    """Report settings about arms, which an interleaved run does not have."""
    words = (
        f"{experiment.name} interleaves: every unit sees both variants' picks, so no arm does "
        "better or is lost"
    )
    for key in ("effects", "broken"):
        if key in file.values:
            file.wrong(key, words, "leave it out; chances by the item are a world's: world: MODULE")


def _check_effects(file: _FileReader, actions: tuple[Action, ...]) -> None:
    """Report effects that raise a chance above 100 %, or that change a chance of 100 %.

    The reported truth would be wrong with them. Chances that a function computes cannot be checked.
    """
    chances = {action.event: action.chance for action in actions if not action.function}
    effects: dict[str, dict[str, float]] = file.values.get("effects", {})
    for arm, event, effect in (
        (arm, event, effect) for arm, of_arm in effects.items() for event, effect in of_arm.items()
    ):
        chance = chances.get(event, 0.0)
        if chance == 1 or chance * (1 + effect) > 1:
            words = (
                f"{event} has a chance of {100 * chance:g} %, which {100 * effect:+g} % cannot "
                "change so"
            )
            file.wrong(
                f"effects.{arm}.{event}", words, "write a smaller chance, or a smaller effect"
            )


def _check_filled(
    file: _FileReader, endpoint: Endpoint, action: Action, actions: tuple[Action, ...]
) -> None:
    """Report required attributes of an action's event to which the simulation gives no value.

    If the project has a world of its own, its visitors and items may have the values.
    """
    visitor = file.values.get("attributes", {})
    filled = {
        *action.attributes,
        *visitor,
        *known_names(file.spec, endpoint),
        *_events_before(action, actions),
    }
    for attribute in file.spec.events[action.event].attributes:
        if (
            attribute.required
            and "world" not in file.values
            and not filled & {attribute.name, attribute.event}
        ):
            remedy = (
                f"write attributes: {{{attribute.name}: {_example(attribute)}}} there, or of all "
                "visitors"
            )
            file.wrong(f"events.{action.event}", f"nothing says its {attribute.name}", remedy)


def known_names(spec: ProjectSpec, endpoint: Endpoint) -> frozenset[str]:
    """Return the names of the attributes that every shown item has in a simulation.

    They are its unit, key, position and exposure id, and the attribute that names its list.
    """
    within = spec.objectives[endpoint.objective].ranked_within
    return frozenset(
        filter(None, (endpoint.unit, ranked_key(spec, endpoint), "position", EXPOSURE_ID, within))
    )


def _events_before(action: Action, actions: tuple[Action, ...]) -> Iterator[str]:
    """Yield the events that come before an action, to which its event may refer."""
    followed = {other.event: other.of for other in actions}
    event = action.of
    while event is not None:
        yield event
        event = followed[event]


def _example(attribute: Attribute) -> str:
    """Return an example of an attribute's values in YAML, for an error message."""
    return (
        f"[{', '.join(map(str, attribute.allowed))}]"
        if attribute.allowed
        else {"string": "[a, b]"}.get(attribute.type, "[1, 2]")
    )


def _check_candidates(file: _FileReader, simulation: Simulation, endpoint: Endpoint) -> None:
    """Report a mistake if a request has more candidates than exist or than may be sent."""
    count, most = simulation.candidates, endpoint.max_candidates
    if count > simulation.items and not simulation.world:
        file.wrong(
            "candidates",
            f"{count} candidates are more than the {simulation.items} items",
            "write items:, or fewer candidates",
        )
    if count > most:
        file.wrong(
            "candidates", f"{endpoint.name} takes {most:,} candidates at most", "write fewer"
        )
