"""profiles.yaml: where targets are. Names are free; no secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..errors import Invalid, NotFound, ProjectError, Unsupported
from ..target import Profile
from . import files, yaml
from .names import TARGET, did_you_mean
from .options import ADAPTERS, COMMON, NO_SECRETS, TOP, secret_key, secret_value, target_record
from .report import Report, child, item
from .shapes import mapping
from .specs import Description

FILE = "profiles.yaml"
OFFLINE = ("sagemaker",)  # the adapters whose clouds have a local stack
_PREFIX = f"{FILE}:"


class Profiles(msgspec.Struct, frozen=True, kw_only=True):
    default: str
    targets: dict[str, Profile]


def profiles(description: Description) -> dict[str, Profile]:
    """Every target of profiles.yaml, and `local`, which is always there. ProjectError with every error."""
    return _read(description).targets


def profile(
    description: Description,
    *,
    target: str | None,
    offline: bool,
    options: Mapping[str, object],
    stack: Callable[[str], str] | None = None,
) -> Profile:
    """One target (None: the default), with `options` laid over its own. Offline: `stack(adapter)` says where the cloud's local stack is.

    NotFound for an unknown target; Invalid for an option that its adapter does not have; Unsupported for a cloud without a local stack.
    """
    found = _read(description)
    name = target or found.default
    if name not in found.targets:
        raise NotFound(
            f"there is no target {name} in {FILE}",
            remedy=did_you_mean(name, found.targets, has="targets are"),
        )
    chosen = found.targets[name]
    away = offline and chosen.adapter != "local"
    if away and (chosen.adapter not in OFFLINE or stack is None):
        raise Unsupported(
            "offline stacks are not in this version yet", capability="offline", remedy="leave --offline out, or use --target local"
        )
    merged = chosen.options | _checked(chosen, options)
    if away and stack is not None:
        merged["endpoint_url"] = stack(chosen.adapter)
    return msgspec.structs.replace(chosen, options=_with_home(chosen.adapter, merged, Path(description.folder)))


def check(folder: Path, project: str, report: Report) -> Profiles:
    """Read the file, if there is one, and report what is wrong with it."""
    local = Profile(name="local", adapter="local", project=project, options=_with_home("local", {}, folder))
    nothing = Profiles(default="local", targets={"local": local})
    if not (folder / FILE).is_file():
        return nothing
    node = files.read_yaml(folder / FILE, FILE, _PREFIX, report)
    if node is None:
        return nothing
    top = mapping(_without_secrets(node, _PREFIX, report), _PREFIX, report) or {}
    for key in top:
        if key not in TOP:
            report.add(child(_PREFIX, key), f"{key} is not a key of {FILE}", did_you_mean(key, TOP, has="it has"))
    targets = mapping(top.get("targets", yaml.scalar("")), child(_PREFIX, "targets"), report) or {}
    built = {"local": local}
    for name in targets:
        if found := _target(name, targets, project, folder, report):
            built[name] = found
    return Profiles(default=_default(top, targets, report), targets=built)


def _read(description: Description) -> Profiles:
    report = Report()
    found = check(Path(description.folder), description.spec.name, report)
    if report.problems:
        raise ProjectError(report.sorted())
    return found


def _default(top: Mapping[str, yaml.Node], targets: Mapping[str, yaml.Node], report: Report) -> str:
    if "default" not in top:
        return "local"
    node = top["default"]
    name = node.text if isinstance(node, yaml.Scalar) else ""
    names = tuple(dict.fromkeys(("local", *targets)))
    if name not in names:
        report.add(child(_PREFIX, "default"), f"{name or 'this'} is not a target", did_you_mean(name, names, has="targets are"))
        return "local"
    return name


def _target(name: str, targets: Mapping[str, yaml.Node], project: str, folder: Path, report: Report) -> Profile | None:
    key = child(f"{_PREFIX}targets", name)
    if not re.fullmatch(TARGET, name):
        report.add(key, f"{name!r} is not a name", "use small letters, digits and single - or _ between them, a letter first")
    chain = _chain(name, targets, key, report)
    if chain is None:
        return None
    adapter = _adapter(chain, targets)
    if adapter in ADAPTERS:
        record = target_record(adapter)
    elif _installed(adapter):
        record = None  # somebody else's adapter knows its own keys
    else:
        report.add(
            child(key, "adapter") if _scalar(targets[name], "adapter") else key,
            f"there is no adapter {adapter}",
            "   ".join(
                part
                for part in (
                    did_you_mean(adapter, ADAPTERS, has="adapters are"),
                    None if adapter != name else "a free name says which: adapter: sagemaker",
                )
                if part
            ),
        )
        return None
    if (other := _adapter(chain[1:], targets) if chain[1:] else adapter) != adapter:
        report.add(
            child(key, "extends"), f"{chain[1]} is a target of {other}, and {name} of {adapter}", f"extend a target of {adapter}, or none"
        )
        return None
    options: dict[str, Any] = {}
    for link in reversed(chain):
        own = record.read(targets[link], child(f"{_PREFIX}targets", link), report) if record else yaml.plain(targets[link])
        options |= {k: v for k, v in (own if isinstance(own, dict) else {}).items() if k not in COMMON}
    return Profile(name=name, adapter=adapter, project=project, options=_with_home(adapter, options, folder))


def _chain(name: str, targets: Mapping[str, yaml.Node], key: str, report: Report) -> list[str] | None:
    """The target and what it extends, nearest first."""
    chain = [name]
    while parent := _scalar(targets[chain[-1]], "extends"):
        if parent not in targets:
            if chain == [name]:
                report.add(child(key, "extends"), f"{parent} is not a target", did_you_mean(parent, targets, has="targets are"))
            return None
        if parent in chain:
            circle = " -> ".join([*chain[chain.index(parent) :], parent])
            if parent == name:
                report.add(child(key, "extends"), f"it extends itself: {circle}", "take one extends out")
            return None
        chain.append(parent)
    return chain


def _adapter(chain: list[str], targets: Mapping[str, yaml.Node]) -> str:
    """What the nearest says; when nobody says it, the name of the last that is extended."""
    return next((text for link in chain if (text := _scalar(targets[link], "adapter"))), chain[-1])


def _scalar(node: yaml.Node, name: str) -> str:
    value = node.entries.get(name) if isinstance(node, yaml.Mapping) else None
    return value.text if isinstance(value, yaml.Scalar) and value.value is not None else ""


def _installed(adapter: str) -> bool:
    from importlib.metadata import entry_points

    return any(point.name == adapter for point in entry_points(group="isthmus.adapters"))


def _with_home(adapter: str, options: dict[str, Any], folder: Path) -> dict[str, Any]:
    if adapter != "local":
        return options
    return options | {"home": str(folder / Path(options.get("home", ".isthmus")).expanduser())}


def _checked(chosen: Profile, options: Mapping[str, object]) -> dict[str, object]:
    for name in options:
        if secret_key(name):
            raise Invalid(f"{name} looks like a secret; options hold none", remedy=NO_SECRETS)
        if chosen.adapter in ADAPTERS and name not in ADAPTERS[chosen.adapter]:
            raise Invalid(
                f"{name} is not an option of target {chosen.name} ({chosen.adapter})",
                remedy=did_you_mean(name, ADAPTERS[chosen.adapter], has="options are"),
            )
    return {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}


def _without_secrets(node: yaml.Node, key: str, report: Report) -> yaml.Node:
    """Report what looks like a secret and drop it, so that nothing else is said of it and its value is never repeated."""
    if isinstance(node, yaml.Mapping):
        kept: dict[str, yaml.Node] = {}
        for name, value in node.entries.items():
            if key != f"{_PREFIX}targets" and secret_key(name):
                report.add(child(key, name), "looks like a secret", NO_SECRETS)
            elif isinstance(value, yaml.Scalar) and secret_value(value.text):
                report.add(child(key, name), "its value looks like a secret", NO_SECRETS)
            else:
                kept[name] = _without_secrets(value, child(key, name), report)
        return yaml.Mapping(entries=kept, lines=node.lines, line=node.line)
    if isinstance(node, yaml.Sequence):
        items = [_without_secrets(value, item(key, position), report) for position, value in enumerate(node.items)]
        return yaml.Sequence(items=tuple(items), line=node.line)
    if secret_value(node.text):
        report.add(key, "its value looks like a secret", NO_SECRETS)
        return yaml.scalar("")
    return node
