"""Check which members of a request are objects, or lists of objects.

What is not listed is taken as it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import invalid

_OBJECTS = frozenset({
    *(
        "configuration", "load", "copy", "extract", "schema", "labels", "view", "materializedView",
        "externalDataConfiguration",
    ),
    *(
        "jobReference", "tableReference", "datasetReference", "destinationTable", "sourceTable",
        "sourceModel", "defaultDataset",
    ),
    *(
        "timePartitioning", "rangePartitioning", "clustering", "destinationEncryptionConfiguration",
        "encryptionConfiguration",
    ),
    *(
        "parameterType", "arrayType", "parameterValue", "structValues", "formatOptions", "policy",
        "csvOptions", "json",
    ),
})  # fmt: skip
_LISTS = frozenset(
    {
        "fields",
        "queryParameters",
        "connectionProperties",
        "rows",
        "access",
        "sourceTables",
        "structTypes",
        "bindings",
    }
)
_FREE = frozenset(
    {"json", "labels", "tableDefinitions", "structValues", "clustering"}
)  # whose members are others


def checked(content: dict[str, Any]) -> dict[str, Any]:
    """Check the types of a request body's members, and return the body.

    Raises:
        BigQueryError: `invalid`, by the member's name.
    """
    waiting: list[tuple[str, Mapping[str, Any]]] = [("", content)]
    while waiting:
        above, members = waiting.pop()
        for name, value in members.items():
            place = f"{above}{name}"
            if value is None:
                continue
            if (name in _OBJECTS or place == "configuration.query") and not isinstance(value, dict):
                raise invalid(f"Invalid value at '{place}': it is no object", place)
            if name in _LISTS and not (
                isinstance(value, list) and all(isinstance(item, dict) for item in value)
            ):
                raise invalid(f"Invalid value at '{place}': it is no list of objects", place)
            if name in _FREE:
                continue
            parts = value if isinstance(value, list) else [value]
            waiting += [(f"{place}.", part) for part in parts if isinstance(part, dict)]
    return content
