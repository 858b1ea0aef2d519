"""profiles.yaml: where targets are. Names are free; no secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ...core.plugins import installed
from ...errors import Invalid, IsthmusError, NotFound, ProjectError, Unsupported
from ...target import Adapter, Offline, Profile
from ..reading import files, yaml
from ..reading.fence import ProjectPaths
from ..reading.names import TARGET, did_you_mean
from ..reading.report import ProblemReport, child, item
from ..reading.shapes import Folder, Record, mapping
from ..specs.description import ParsedProject
from . import variables
from .options import (
    COMMON,
    NO_SECRETS,
    TOP,
    TRACKING,
    keys_of,
    secret_key,
    secret_value,
    target_record,
)

FILE = "profiles.yaml"
DEFAULT = "local"  # the target that is always there, and its adapter
_PREFIX = f"{FILE}:"


class Profiles(msgspec.Struct, frozen=True, kw_only=True):
    default: str
    targets: dict[str, Profile]
    mlflow: str | None = None  # the URI of the server that runs are copied to


def profiles(
    description: ParsedProject, *, complete: bool = False, used: str | None = None
) -> dict[str, Profile]:
    """Return the targets of profiles.yaml, by name, whose environment variables are set.

    The default target is always there.

    Args:
        description: the project.
        complete: a variable that is not set is an error, too.
        used: the target whose variables must be set, whatever the others' are.

    Raises:
        ProjectError: every error of profiles.yaml.
    """
    if used is not None:
        return _read(description, used=lambda _default: (used,)).targets
    return _read(description, used=None if complete else _nobody).targets


def profile(
    description: ParsedProject,
    *,
    target: str | None,
    offline: bool,
    options: Mapping[str, object],
    stack: Callable[[Offline, str | None], Mapping[str, str]] | None = None,
) -> Profile:
    """Return one target of profiles.yaml, with the given options in place of its own.

    Args:
        description: the project.
        target: the target's name; None: the default.
        offline: the target's cloud is to be replaced by its offline stack.
        options: values that win over those of the file.
        stack: returns the options that lead to the stack of an adapter's cloud; it takes the
            server that the target's key `offline` names, if any.

    Raises:
        NotFound: there is no such target.
        Invalid: its adapter does not have one of the options.
        Unsupported: the cloud has no offline stack.
    """
    profiles_read = _read(description, used=lambda default: (target or default,))
    name = target or profiles_read.default
    if name not in profiles_read.targets:
        raise NotFound(
            f"there is no target {name} in {FILE}",
            remedy=did_you_mean(name, profiles_read.targets, has="targets are"),
        )
    chosen = profiles_read.targets[name]
    adapter = installed.adapter(chosen.adapter)
    merged = chosen.options | _checked(chosen, adapter, options)
    server = merged.pop("offline", None)
    if offline and adapter.remote:
        if adapter.offline is None or stack is None:
            raise Unsupported(
                f"target {name}: {adapter.title} has no offline stack in this version",
                capability="offline",
                remedy=f"leave --offline out, or use --target {DEFAULT}",
            )
        merged |= stack(
            adapter.offline, str(server["endpoint_url"]) if isinstance(server, dict) else None
        )
    return msgspec.structs.replace(
        chosen, options=_with_folders(adapter, merged, Path(description.folder))
    )


def mlflow(description: ParsedProject) -> str | None:
    """Return the URI of the MLflow server that `tracking` in profiles.yaml names, or None.

    Raises:
        ProjectError: its variable is not set.
    """
    return _read(description, used=lambda _default: (), tracked=True).mlflow


def _nobody(_default: str) -> tuple[str, ...]:
    """Return no target names: then no target's environment variables must be set."""
    return ()


def read(fence: ProjectPaths, report: ProblemReport) -> str | None:
    """Return the text of profiles.yaml; if it cannot be read, report why and return None.

    `fence` are the folders and files that the project may read.
    """
    path = fence.folder / FILE
    return files.read_text(path, FILE, report, fence) if path.exists() else None


def check(
    text: str | None,
    folder: Path,
    project: str,
    report: ProblemReport,
    *,
    used: Callable[[str], tuple[str, ...]] | None = _nobody,
    tracked: bool = False,
    others: ProblemReport | None = None,
) -> Profiles:
    """Parse the text of profiles.yaml into targets, and report what is wrong with it.

    Args:
        text: the file; None: there is none.
        folder: the project's folder.
        project: the project's name.
        report: where problems go.
        used: returns, from the default's name, the targets whose variables (`${NAME}`) must be
            set; None: all. Other targets whose variables are not set are left out.
        tracked: the variables of `tracking` must be set, too.
        others: where problems of the targets that are not used go; None: into `report`, too.
    """
    default = Profile(
        name=DEFAULT,
        adapter=DEFAULT,
        project=project,
        options=_with_folders(installed.adapter(DEFAULT), {}, folder),
    )
    nothing = Profiles(default=DEFAULT, targets={DEFAULT: default})
    node = None if text is None else files.read_tree(text, FILE, _PREFIX, report)
    if node is None:
        return nothing
    top = mapping(_without_secrets(node, _PREFIX, report), _PREFIX, report) or {}
    for key in top:
        if key not in TOP:
            report.add(
                child(_PREFIX, key),
                f"{key} is not a key of {FILE}",
                did_you_mean(key, TOP, has="it has"),
            )
    targets = mapping(top.get("targets", yaml.scalar("")), child(_PREFIX, "targets"), report) or {}
    sound = {DEFAULT: default}
    chosen = _default(top, targets, report)
    needed = set(targets) if used is None else _extended(used(chosen), targets)
    for name in targets:
        if name not in needed and any(
            variables.unset(targets[link])
            for link in _chain(name, targets, "", ProblemReport()) or ()
        ):
            continue
        target_report = report if others is None or name in needed else others
        problems_before = len(target_report.problems)
        target = _target(name, targets, project, folder, target_report)
        if target and len(target_report.problems) == problems_before:
            sound[name] = target
    return Profiles(
        default=chosen, targets=sound, mlflow=_mlflow(top, report, needed=tracked or used is None)
    )


def _mlflow(top: Mapping[str, yaml.YamlNode], report: ProblemReport, *, needed: bool) -> str | None:
    """Return the MLflow server's URI from the key `tracking` of profiles.yaml, or None.

    `needed` says that its environment variables must be set.
    """
    node = top.get("tracking")
    if node is None or (not needed and variables.unset(node)):
        return None
    key = child(_PREFIX, "tracking")
    values = TRACKING.read(variables.substitute(node, key, report) or yaml.scalar(""), key, report)
    return values.get("mlflow") if isinstance(values, dict) else None


def _read(
    description: ParsedProject,
    *,
    used: Callable[[str], tuple[str, ...]] | None,
    tracked: bool = False,
) -> Profiles:
    """Parse profiles.yaml, without the targets that are not used and have mistakes.

    Raises:
        ProjectError: There are mistakes elsewhere in the file.
    """
    report = ProblemReport()
    profiles_read = check(
        description.profiles,
        Path(description.folder),
        description.spec.name,
        report,
        used=used,
        tracked=tracked,
        others=ProblemReport(),
    )
    if report.problems:
        raise ProjectError(report.sorted())
    return profiles_read


def _default(
    top: Mapping[str, yaml.YamlNode], targets: Mapping[str, yaml.YamlNode], report: ProblemReport
) -> str:
    """Return the name of the default target; report one that is not declared."""
    if "default" not in top:
        return DEFAULT
    node = top["default"]
    name = node.text if isinstance(node, yaml.Scalar) else ""
    names = tuple(dict.fromkeys((DEFAULT, *targets)))
    if name not in names:
        report.add(
            child(_PREFIX, "default"),
            f"{name or 'this'} is not a target",
            did_you_mean(name, names, has="targets are"),
        )
        return DEFAULT
    return name


def _target(
    name: str,
    targets: Mapping[str, yaml.YamlNode],
    project: str,
    folder: Path,
    report: ProblemReport,
) -> Profile | None:
    """Build one target's Profile from profiles.yaml; None, with a report, if it is broken."""
    key = child(f"{_PREFIX}targets", name)
    if not re.fullmatch(TARGET, name):
        report.add(
            key,
            f"{name!r} is not a name",
            "use small letters, digits and single - or _ between them, a letter first",
        )
    chain = _chain(name, targets, key, report)
    if chain is None:
        return None
    adapter_and_record = _adapter(chain, targets, report)
    if adapter_and_record is None:
        return None
    adapter, record = adapter_and_record
    if chain[1:] and (other := _adapter_name(chain[1:], targets)) != adapter.name:
        report.add(
            child(key, "extends"),
            f"{chain[1]} is a target of {other}, and {name} of {adapter.name}",
            f"extend a target of {adapter.name}, or none",
        )
        return None
    options: dict[str, Any] = {}
    for link in reversed(chain):
        place = child(f"{_PREFIX}targets", link)
        own = record.read(
            variables.substitute(targets[link], place, report) or yaml.scalar(""), place, report
        )
        options |= {
            k: v for k, v in (own if isinstance(own, dict) else {}).items() if k not in COMMON
        }
    return Profile(
        name=name,
        adapter=adapter.name,
        project=project,
        options=_with_folders(adapter, options, folder),
    )


def _extended(names: tuple[str, ...], targets: Mapping[str, yaml.YamlNode]) -> set[str]:
    """Return these targets' names, and those of all targets that they extend."""
    reached: set[str] = set()
    for name in names:
        link = name
        while link and link not in reached:
            reached.add(link)
            link = _scalar(targets[link], "extends") if link in targets else ""
    return reached


def _chain(
    name: str, targets: Mapping[str, yaml.YamlNode], key: str, report: ProblemReport
) -> list[str] | None:
    """Return a target's name and those of the targets it extends, nearest first.

    None after a mistake, which is reported at `key`.
    """
    chain = [name]
    while parent := _scalar(targets[chain[-1]], "extends"):
        if parent not in targets:
            if chain == [name]:
                report.add(
                    child(key, "extends"),
                    f"{parent} is not a target",
                    did_you_mean(parent, targets, has="targets are"),
                )
            return None
        if parent in chain:
            circle = " -> ".join([*chain[chain.index(parent) :], parent])
            if parent == name == min(chain):  # of a circle one line is enough
                report.add(
                    child(key, "extends"), f"it extends itself: {circle}", "take one extends out"
                )
            return None
        chain.append(parent)
    return chain


def _adapter_name(chain: list[str], targets: Mapping[str, yaml.YamlNode]) -> str:
    """Return the adapter's name for a chain of targets, each of which extends the next."""
    return next((text for link in chain if (text := _scalar(targets[link], "adapter"))), chain[-1])


def _scalar(node: yaml.YamlNode, name: str) -> str:
    """Return the text of a mapping's entry `name`, if it is a scalar; else ""."""
    value = node.entries.get(name) if isinstance(node, yaml.Mapping) else None
    return value.text if isinstance(value, yaml.Scalar) and value.value is not None else ""


def _adapter(
    chain: list[str], targets: Mapping[str, yaml.YamlNode], report: ProblemReport
) -> tuple[Adapter, Record] | None:
    """Return the adapter of a chain of targets, each extending the next, and its keys' shape.

    If no adapter of that name is installed or can be loaded, that is reported and None returned.
    """
    name = _adapter_name(chain, targets)
    target = next((link for link in chain if _scalar(targets[link], "adapter")), chain[-1])
    key = child(f"{_PREFIX}targets", target) + (
        ".adapter" if _scalar(targets[target], "adapter") else ""
    )
    try:
        adapter = installed.adapter(name)
        return adapter, target_record(adapter)
    except Unsupported:
        guess = did_you_mean(name, installed.names(), has="adapters are")
        free = "   a free name says which of them: adapter: NAME" if name == target else ""
        report.add(key, f"there is no adapter {name}", f"{guess}{free}")
    except IsthmusError as error:
        report.add(key, error.message, error.remedy)
    return None


def folders(chosen: Profile) -> tuple[Path, ...]:
    """Return the folders on this machine in which a target stores data."""
    keys = keys_of(installed.adapter(chosen.adapter))
    return tuple(
        Path(chosen.options[name])
        for name, key in keys.items()
        if isinstance(key.shape, Folder) and name in chosen.options
    )


def _with_folders(adapter: Adapter, options: dict[str, Any], project: Path) -> dict[str, Any]:
    """Return the options with every folder as a path from the project's folder."""
    folders = {
        name: key.shape for name, key in keys_of(adapter).items() if isinstance(key.shape, Folder)
    }
    return options | {
        name: shape.resolve(options.get(name), project) for name, shape in folders.items()
    }


def _checked(chosen: Profile, adapter: Adapter, options: Mapping[str, object]) -> dict[str, object]:
    """Return target options that were passed in Python, checked: known, no secrets, right type."""
    keys = keys_of(adapter)
    for name in options:
        if secret_key(name):
            raise Invalid(f"{name} looks like a secret; options hold none", remedy=NO_SECRETS)
        if name not in keys:
            raise Invalid(
                f"{name} is not an option of target {chosen.name} ({adapter.name})",
                remedy=did_you_mean(name, keys, has="options are"),
            )
    return {
        name: str(value) if isinstance(value, Path) else value for name, value in options.items()
    }


def _without_secrets(node: yaml.YamlNode, key: str, report: ProblemReport) -> yaml.YamlNode:
    """Return a YAML tree without values that look like secrets, which are reported.

    `key` is the tree's path. No other mistake is reported, and a secret is never repeated.
    """
    if isinstance(node, yaml.Mapping):
        harmless: dict[str, yaml.YamlNode] = {}
        for name, value in node.entries.items():
            if key != f"{_PREFIX}targets" and secret_key(name):
                report.add(child(key, name), "looks like a secret", NO_SECRETS)
            elif isinstance(value, yaml.Scalar) and secret_value(value.text):
                report.add(child(key, name), "its value looks like a secret", NO_SECRETS)
            else:
                harmless[name] = _without_secrets(value, child(key, name), report)
        return yaml.Mapping(entries=harmless, lines=node.lines, line=node.line)
    if isinstance(node, yaml.Sequence):
        items = [
            _without_secrets(value, item(key, position), report)
            for position, value in enumerate(node.items)
        ]
        return yaml.Sequence(items=tuple(items), line=node.line)
    if secret_value(node.text):
        report.add(key, "its value looks like a secret", NO_SECRETS)
        return yaml.scalar("")
    return node
