"""Strict reading of a scenario's file: every mistake is told with its line and its remedy.

Nothing is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import msgspec

from ...endpoints import split
from ...errors import Invalid, ProjectError
from ...project.reading import yaml
from ...project.reading.files import read_yaml
from ...project.reading.names import did_you_mean
from ...project.reading.quantities import DURATION, Mistake, duration, percent
from ...project.reading.report import ProblemReport, child, item
from ...project.reading.shapes import WRONG, ListOf, Number, OneOf, Record, RecordKey, Shape, Text
from ...project.specs.description import Rollout
from ..state.states import End
from ..state.wishes import Verb
from ..world.traffic import VariantBehaviour
from .scenario import (
    Answers,
    At,
    Event,
    Expect,
    Happening,
    Killed,
    Operation,
    Outage,
    Person,
    Provider,
    Requests,
    Scenario,
    Second,
    Somebody,
    Stopped,
)


def read(path: Path, rollouts: Mapping[str, Rollout]) -> Scenario:
    """Read the scenario of a rollout rehearsal from a YAML file, with checks of all its keys.

    `rollouts` are those that the project declares.

    Raises:
        ProjectError: Everything that is wrong with the file.
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
            did_you_mean(path.name, near) or "write one: docs/rollouts.md shows how",
        )
        raise ProjectError(report.sorted())
    key = f"{path.name}:"
    node = read_yaml(path, str(path), key, report)
    scenario = None if node is None else _scenario(node, key, path.stem, rollouts, report)
    if report.problems or scenario is None:
        raise ProjectError(report.sorted())
    return scenario


def _scenario(
    node: yaml.YamlNode, key: str, name: str, rollouts: Mapping[str, Rollout], report: ProblemReport
) -> Scenario | None:
    """Return the scenario that a file's YAML describes, or None if it has mistakes.

    Mistakes are added to `report`, under `key`; `rollouts` are those that the project declares.
    """
    named = node.entries.get("rollout") if isinstance(node, yaml.Mapping) else None
    rollout = rollouts.get(named.text) if isinstance(named, yaml.Scalar) else None
    if isinstance(named, yaml.Scalar) and rollout is None:
        remedy = (
            did_you_mean(named.text, rollouts, has="rollouts are")
            if rollouts
            else "project.yaml has none: write its rollouts"
        )
        report.add(child(key, "rollout"), f"{named.text} is not a rollout of project.yaml", remedy)
        return None
    values = _file(() if rollout is None else (rollout.source, rollout.to)).read(node, key, report)
    if values is WRONG or rollout is None or report.problems:
        return None
    above, raw = (
        child(key, "events"),
        node.entries.get("events") if isinstance(node, yaml.Mapping) else None,
    )
    written = raw.items if isinstance(raw, yaml.Sequence) else ()
    events = [
        _event(value, line, item(above, n), rollout, report)
        for n, (value, line) in enumerate(zip(values.get("events", ()), written, strict=True))
    ]
    expect = Expect(**values["expect"])
    _check_stage(child(key, "expect.stage"), expect.stage, rollout, report)
    about = values.get("world", {})
    return Scenario(
        name=name,
        rollout=values["rollout"],
        per_minute=values.get("traffic", 600),
        usual=VariantBehaviour(
            **{field: figure for field, figure in about.items() if field != "room"}
        ),
        room=about.get("room"),
        events=tuple(event for event in events if event is not None),
        expect=expect,
    )


def _rate(text: str) -> float:
    """Parse a percentage, such as `3%`, as a share from 0 to 1."""
    return float(percent(text) / 100)


def _per_minute(text: str) -> int:
    """Parse a number of requests a minute."""
    if not re.fullmatch(r"[0-9]{1,9}/min", text):
        raise Mistake(f"{text!r} is not a number of requests a minute", "write it as 600/min")
    return int(text.removesuffix("/min"))


def _event_time(text: str) -> At:
    """Parse the time of a scenario's event: `start`, `12m`, `step 1` or `step 1 + 3m`."""
    match = re.fullmatch(
        rf"(?:start|(?P<time>{DURATION})|step (?P<stage>[1-9][0-9]?)(?: *\+ "
        rf"*(?P<after>{DURATION}))?)",
        text,
    )
    if match is None:
        raise Mistake(
            f"{text!r} is not a time of a scenario", "write start, 12m, step 1 or step 1 + 3m"
        )
    time, stage, after = match["time"], match["stage"], match["after"]
    if stage:
        return At(stage=int(stage), after=duration(after) if after else timedelta(0))
    return At(after=duration(time) if time else timedelta(0))


def _provider(text: str) -> Provider | Somebody:
    """Parse a scripted fault of the provider, such as `throttled` or `busy 4m`, from its text."""
    if text in ("throttled", "lost reply", "silent rollback"):
        return Provider(does=text)  # type: ignore[arg-type]  # one of the three
    if match := re.fullmatch(rf"busy ({DURATION})", text):
        return Provider(does="busy", span=duration(match[1]))
    if match := re.fullmatch(r"somebody sets (.+)", text):
        try:
            return Somebody(changes=split.parsed(match[1]))
        except Invalid as error:
            raise Mistake(error.message, error.remedy) from None
    raise Mistake(
        f"{text!r} is nothing that a provider does",
        "one of throttled, lost reply, silent rollback, busy 4m, somebody sets a=90",
    )


def _controller(text: str) -> Killed | Stopped | Second:
    """Parse a scripted fault of the controller, such as `killed after shift`."""
    if text == "a second one starts":
        return Second()
    operations = "|".join(get_args(Operation))
    if match := re.fullmatch(rf"killed (before|after) ({operations})", text):
        return Killed(when=match[1], operation=match[2])  # type: ignore[arg-type]  # the pattern's words
    if match := re.fullmatch(rf"stopped ({DURATION}) (before|after) ({operations})", text):
        return Stopped(span=duration(match[1]), when=match[2], operation=match[3])  # type: ignore[arg-type]  # the same
    raise Mistake(
        f"{text!r} is nothing that happens to a controller",
        "write killed after shift, stopped 90s before shift (of shift, apply, write; before "
        "or after), or a second one starts",
    )


_RATE = Text(what="a percentage", parse=_rate, example="3%")
_REQUESTS = Text(what="requests a minute", parse=_per_minute, example="600/min")
_DURATION = Text(what="a duration", parse=duration, example="20m")
_BEHAVIOUR: dict[str, RecordKey] = {
    "error_rate": RecordKey(shape=_RATE),
    "client_error_rate": RecordKey(shape=_RATE),
    "latency_ms": RecordKey(shape=Number(least=0.001)),
    "spread": RecordKey(shape=Number(least=0)),
    "score": RecordKey(shape=Number()),
}
_HAPPENINGS: dict[str, Shape] = {
    "traffic": _REQUESTS,
    "metrics": OneOf(words=("outage",)),
    "provider": Text(what="what a provider does", parse=_provider, example="throttled"),
    "controller": Text(
        what="what happens to a controller", parse=_controller, example="killed after shift"
    ),
    "person": OneOf(words=get_args(Verb)),
}


def _file(variants: tuple[str, ...]) -> Record:
    """Return the schema of a scenario's YAML file for an endpoint with these variants.

    Each variant's name is a key of the schema.
    """
    answers = {
        name: RecordKey(shape=Record(noun="a variant's answers", keys=_BEHAVIOUR))
        for name in variants
    }
    event = Record(
        noun="an event",
        keys={
            "at": RecordKey(
                shape=Text(what="a time", parse=_event_time, example="step 1 + 3m"),
                required=True,
                example="step 1 + 3m",
            ),
            "for": RecordKey(shape=_DURATION),
            "times": RecordKey(shape=Number(whole=True, least=1)),
            "because": RecordKey(shape=Text()),
            **{name: RecordKey(shape=shape) for name, shape in _HAPPENINGS.items()},
            **answers,
        },
    )
    expect = Record(
        noun="what is expected",
        keys={
            "end": RecordKey(
                shape=OneOf(words=(*get_args(End), "waiting")), required=True, example="aborted"
            ),
            "stage": RecordKey(shape=Number(whole=True, least=1)),
            "within": RecordKey(shape=_DURATION),
            "by": RecordKey(shape=Text()),
        },
    )
    return Record(
        noun="a scenario",
        keys={
            "rollout": RecordKey(shape=Text(), required=True, example="ranker"),
            "traffic": RecordKey(shape=_REQUESTS),
            "world": RecordKey(
                shape=Record(
                    noun="a world", keys={**_BEHAVIOUR, "room": RecordKey(shape=_REQUESTS)}
                )
            ),
            "events": RecordKey(shape=ListOf(of=event)),
            "expect": RecordKey(shape=expect, required=True, example="{end: promoted}"),
        },
    )


def _event(
    value: dict[str, Any], written: yaml.YamlNode, key: str, rollout: Rollout, report: ProblemReport
) -> Event | None:
    """Return the event that a YAML mapping describes, or None if it has mistakes.

    Mistakes are added to `report`, under `key`.
    """
    variants = (rollout.source, rollout.to)
    happenings = [name for name in value if name in _HAPPENINGS or name in variants]
    if len(happenings) != 1:
        message = (
            "nothing happens" if not happenings else f"{' and '.join(happenings)} happen at once"
        )
        report.add(key, message, f"write one of {', '.join((*_HAPPENINGS, *variants))} in an event")
        return None
    name = happenings[0]
    _check_stage(child(key, "at"), value["at"].stage, rollout, report)
    happens = _happening(name, value, variants)
    lasting = isinstance(happens, Answers | Requests | Outage)
    repeated = isinstance(happens, Provider) and happens.does != "busy"
    for field, belongs, where in (
        ("for", lasting, "a variant's answers, traffic and metrics"),
        ("times", repeated, "a provider's throttled, lost reply and silent rollback"),
        ("because", name == "person", "a person"),
    ):
        if field in value and not belongs:
            report.add(
                child(key, field), f"{field} says nothing about {name}", f"it belongs to {where}"
            )
    if isinstance(happens, Somebody):
        try:
            split.completed(
                happens.changes, now=dict.fromkeys(variants, Decimal(0)), where="the rollout"
            )
        except Invalid as error:
            report.add(child(key, name), error.message, error.remedy)
    return Event(at=value["at"], happens=happens, lasts=value.get("for"), text=_text(written))


def _check_stage(key: str, stage: int | None, rollout: Rollout, report: ProblemReport) -> None:
    """Report a mistake if the step that an event or expectation names is not in the rollout.

    `key` is where the scenario has it.
    """
    if stage is not None and stage > len(rollout.steps):
        report.add(
            key,
            f"there is no step {stage}",
            f"the rollout of {rollout.endpoint} has {len(rollout.steps)}",
        )


def _happening(name: str, value: dict[str, Any], variants: tuple[str, ...]) -> Happening:
    """Return what an event does, from its key in the YAML and its values.

    `variants` are the names of the endpoint's variants, which may be the key.
    """
    if name in variants:
        return Answers(variant=name, changes=value[name])
    if name == "traffic":
        return Requests(per_minute=value["traffic"])
    if name == "metrics":
        return Outage()
    if name == "person":
        return Person(verb=value["person"], because=value.get("because", ""))
    happens: Happening = value[name]
    if isinstance(happens, Provider) and "times" in value:
        return msgspec.structs.replace(happens, times=value["times"])
    return happens


def _text(event: yaml.YamlNode) -> str:
    """Return an event as it is written in the YAML, without its time.

    Such as `challenger error_rate 3%`.
    """
    if not isinstance(event, yaml.Mapping):
        return ""
    return ", ".join(
        f"{name} {_node_text(value)}" for name, value in event.entries.items() if name != "at"
    )


def _node_text(node: yaml.YamlNode) -> str:
    """Return a YAML node's content as words separated by spaces."""
    if isinstance(node, yaml.Mapping):
        return " ".join(f"{name} {_node_text(value)}" for name, value in node.entries.items())
    return node.text if isinstance(node, yaml.Scalar) else ""
