"""The JSON Schema of the files, from the tables that the loader reads by.

What an editor underlines, the loader refuses.
"""

from __future__ import annotations

from typing import Any

from ..core.plugins.installed import adapters
from ..target import Adapter
from .models.keys import MODEL
from .profiles import options, variables
from .project_keys import PROJECT, SECTIONS
from .reading.names import NAME, TARGET
from .reading.shapes import Record, RecordKey

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = ("integer", "number", "boolean")


def schema() -> dict[str, Any]:
    """Return the JSON Schema of project.yaml, model files and profiles.yaml as one document.

    The root is project.yaml; `$defs` has model, profiles and each section's entry, for
    `#/$defs/...` in an editor.
    """
    installed = tuple(adapters())
    project = PROJECT.schema()
    for section in SECTIONS:
        project["properties"][section] = {
            "type": ["object", "null"],
            "patternProperties": {f"^{NAME}$": {"$ref": f"#/$defs/{section}"}},
            "additionalProperties": False,
        }
    return {
        "$schema": _DIALECT,
        "title": "Isthmus: project.yaml, models/*.yaml and profiles.yaml",
        "$ref": "#/$defs/project",
        "$defs": {
            "project": project,
            **{section: shape.schema() for section, (shape, _judge) in SECTIONS.items()},
            "model": MODEL.schema(),
            "profiles": _profiles(installed),
            **{f"target_{adapter.name}": _target(adapter) for adapter in installed},
        },
    }


def _target(adapter: Adapter) -> dict[str, Any]:
    """Return the JSON Schema of a target of this adapter in profiles.yaml."""
    shape: dict[str, Any] = _with_variables(options.target_record(adapter).schema())
    return shape | {"type": ["object", "null"]}


def _with_variables(shape: Any) -> Any:
    """Return a JSON Schema with ${NAME} allowed in place of texts, numbers and flags.

    `shape` is the schema, or a part of it.
    """
    if isinstance(shape, list):
        return [_with_variables(member) for member in shape]
    if not isinstance(shape, dict):
        return shape
    if (
        "enum" in shape
        or shape.get("type") in _PLAIN
        or (shape.get("type") == "string" and "pattern" in shape)
    ):
        about = {"description": shape["description"]} if "description" in shape else {}
        return about | {
            "anyOf": [shape, {"type": "string", "pattern": rf"\$\{{{variables.NAME}\}}"}]
        }
    return {key: _with_variables(value) for key, value in shape.items()}


def _profiles(adapters: tuple[Adapter, ...]) -> dict[str, Any]:
    """Return the JSON Schema of profiles.yaml for the installed adapters.

    A target without the key `adapter` has the adapter of its own name. A target that extends
    another one may have the keys of any adapter.
    """
    adapter_names = [adapter.name for adapter in adapters]
    anything: dict[str, RecordKey] = {}
    for adapter in adapters:
        anything |= {
            name: RecordKey(shape=key.shape)
            for name, key in options.keys_of(adapter).items()
            if name not in anything
        }
    names = Record(noun="a target", keys=options.COMMON | anything).schema()["properties"]
    loose = {
        "type": ["object", "null"],
        "properties": {name: {} for name in names},
        "additionalProperties": False,
    }
    by_adapter: dict[str, Any] = loose
    for name in adapter_names:
        says = {
            "type": "object",
            "properties": {"adapter": {"const": name}},
            "required": ["adapter"],
        }
        by_adapter = {"if": says, "then": {"$ref": f"#/$defs/target_{name}"}, "else": by_adapter}
    somebody_elses = {
        "type": "object",
        "properties": {"adapter": {"not": {"enum": adapter_names}}},
        "required": ["adapter"],
    }
    says_nothing = {
        "not": {"anyOf": [{"type": "object", "required": [key]} for key in options.COMMON]}
    }
    targets = {
        "type": ["object", "null"],
        "propertyNames": {"pattern": f"^{TARGET}$"},
        "properties": {
            name: {
                "if": says_nothing,
                "then": {"$ref": f"#/$defs/target_{name}"},
                "else": by_adapter,
            }
            for name in adapter_names
        },
        "additionalProperties": {"if": somebody_elses, "then": True, "else": by_adapter},
    }
    return {
        "type": "object",
        "properties": {
            "default": {"type": "string", "description": "The target when none is named."},
            "targets": targets,
            "tracking": _with_variables(options.TRACKING.schema()),
        },
        "additionalProperties": False,
    }
