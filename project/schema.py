"""The JSON Schema of the files, from the tables that the loader reads by: what an editor underlines, the loader refuses."""

from __future__ import annotations

from typing import Any

from . import options
from .names import NAME, TARGET
from .sections import MODEL, PROJECT, SECTIONS
from .shapes import Key, Record

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """One document: the root is project.yaml; `$defs` has model, profiles and each section's entry, for `#/$defs/...` in an editor."""
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
            "profiles": _profiles(),
            **{f"target_{adapter}": _target(adapter) for adapter in options.ADAPTERS},
        },
    }


def _target(adapter: str) -> dict[str, Any]:
    found = options.target_record(adapter).schema()
    return found | {"type": ["object", "null"]}


def _profiles() -> dict[str, Any]:
    """A target's adapter is its own name unless it says so. One that only extends may have the keys of any adapter."""
    known = list(options.ADAPTERS)
    anything: dict[str, Key] = {}
    for keys in options.ADAPTERS.values():
        anything |= {name: Key(shape=key.shape) for name, key in keys.items() if name not in anything}
    names = Record(noun="a target", keys=options.COMMON | anything).schema()["properties"]
    loose = {"type": ["object", "null"], "properties": {name: {} for name in names}, "additionalProperties": False}
    by_adapter: dict[str, Any] = loose
    for adapter in known:
        says = {"type": "object", "properties": {"adapter": {"const": adapter}}, "required": ["adapter"]}
        by_adapter = {"if": says, "then": {"$ref": f"#/$defs/target_{adapter}"}, "else": by_adapter}
    somebody_elses = {"type": "object", "properties": {"adapter": {"not": {"enum": known}}}, "required": ["adapter"]}
    says_nothing = {"not": {"anyOf": [{"type": "object", "required": [key]} for key in options.COMMON]}}
    targets = {
        "type": ["object", "null"],
        "propertyNames": {"pattern": f"^{TARGET}$"},
        "properties": {
            adapter: {"if": says_nothing, "then": {"$ref": f"#/$defs/target_{adapter}"}, "else": by_adapter} for adapter in known
        },
        "additionalProperties": {"if": somebody_elses, "then": True, "else": by_adapter},
    }
    return {
        "type": "object",
        "properties": {"default": {"type": "string", "description": "The target when none is named."}, "targets": targets},
        "additionalProperties": False,
    }
