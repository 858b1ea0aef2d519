"""Paths into values.

They are properties of a step (`Outputs['x'].S3Output.S3Uri`) and Std:JsonGet (`metrics.auc[0]`).
"""

import re

_TOKEN = re.compile(r"\.?([A-Za-z_][\w\-]*|\$)|\[(-?\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
# what a list of structures is indexed by
_NAME_KEYS = (
    "MetricName",
    "OutputName",
    "InputName",
    "ChannelName",
    "Name",
    "Key",
)


class PathError(ValueError):
    """A path that cannot be read, or that leads nowhere in a value."""


def parse(path: str) -> tuple[str | int, ...]:
    """Parse a path into a JSON value, such as `a.b[0]['c d']`, into its keys and indexes.

    Here these are ('a', 'b', 0, 'c d'). A leading `$` is dropped.
    """
    keys: list[str | int] = []
    position = 0
    while position < len(path):
        match = _TOKEN.match(path, position)
        if match is None:
            raise PathError(f"cannot read the path '{path}' from character {position + 1} on")
        name, index, single, double = match.groups()
        if index is not None:
            keys.append(int(index))
        elif name != "$":
            keys.append(name if name is not None else single if single is not None else double)
        position = match.end()
    return tuple(keys)


def read(value: object, keys: tuple[str | int, ...], path: str) -> object:
    """Return the part of a JSON value to which the keys of a path lead.

    `path` is the path as text, for errors. A list of structures may be indexed by the name of its
    items, as FinalMetricDataList['auc'].
    """
    for key in keys:
        value = _child(value, key, path)
    return value


def _child(value: object, key: str | int, path: str) -> object:
    """Return the member or item of a JSON value under one key of a path.

    `path` is the whole path as text, for errors.
    """
    if isinstance(value, list):
        if isinstance(key, int):
            if -len(value) <= key < len(value):
                return value[key]
            raise PathError(f"'{path}': index {key} is outside a list of {len(value)}")
        for item in value:
            if isinstance(item, dict) and any(item.get(name) == key for name in _NAME_KEYS):
                return item
        raise PathError(f"'{path}': no item named '{key}'")
    if isinstance(value, dict) and key in value:
        return value[key]
    raise PathError(f"'{path}': '{key}' is not there")
