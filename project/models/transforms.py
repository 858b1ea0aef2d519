"""The transforms among a model's features: their grammar, and what each may read.

`{bucketize: view.feature, at: [10, 100], as: bucket}`, `{cross: [a, b], into: 4096, as: pair}`,
`{log: view.feature, as: log_count}`, `{cosine: [user_taste, item_text], as: taste}`, `{dot: ...}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..reading import yaml
from ..reading.common_shapes import COLUMN, NAME_SHAPE
from ..reading.names import did_you_mean
from ..reading.report import ProblemReport, child, item
from ..reading.shapes import WRONG, ListOf, Number, Record, RecordKey, Schema, Text, shown
from ..sections.values import YamlValues
from ..specs.description import AttributeType, Feature, Model, Transform

FEATURE = Text(
    what="a feature",
    pattern=r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?",
    example="item_history.item_ctr_7d",
)
MOST_EDGES, MOST_CROSSED, MOST_VALUES = 100, 4, 1_000_000

_OUTPUT: Mapping[str, AttributeType] = {
    "bucketize": "string",
    "cross": "string",
    "log": "float",
    "cosine": "float",
    "dot": "float",
}
_READS: Mapping[str, tuple[AttributeType, ...]] = {
    "bucketize": ("int", "float"),
    "cross": ("string", "int", "bool"),
    "log": ("int", "float"),
    "cosine": ("int", "float"),
    "dot": ("int", "float"),
}
OF_VECTORS = ("cosine", "dot")
_VIEWS = RecordKey(
    shape=ListOf(of=NAME_SHAPE, least=2, most=2),
    required=True,
    example="[user_taste, item_text]",
    description="Two views with a vector (extract or profile) of the same length.",
)

_AS = RecordKey(shape=COLUMN, required=True, example="a_name", description="The new column's name.")
RECORDS: Mapping[str, Record] = {
    "bucketize": Record(
        noun="bucketize",
        keys={
            "bucketize": RecordKey(
                shape=FEATURE, required=True, description="A feature: a number."
            ),
            "at": RecordKey(
                shape=ListOf(of=Number(), most=MOST_EDGES),
                required=True,
                example="[10, 100, 1000]",
                description="Where buckets begin, ascending. An edge belongs to the bucket above.",
            ),
            "as": _AS,
        },
    ),
    "cross": Record(
        noun="cross",
        keys={
            "cross": RecordKey(
                shape=ListOf(of=FEATURE, least=2, most=MOST_CROSSED),
                required=True,
                example="[position, item_profile.item_category]",
                description="Features of type string, int or bool, or transforms listed before.",
            ),
            "into": RecordKey(
                shape=Number(whole=True, least=2, most=MOST_VALUES),
                required=True,
                example="4096",
                description="The number of values that pairs are hashed into.",
            ),
            "as": _AS,
        },
    ),
    "log": Record(
        noun="log",
        keys={
            "log": RecordKey(
                shape=FEATURE, required=True, description="A feature: a number that counts from 0."
            ),
            "as": _AS,
        },
    ),
    "cosine": Record(noun="cosine", keys={"cosine": _VIEWS, "as": _AS}),
    "dot": Record(noun="dot", keys={"dot": _VIEWS, "as": _AS}),
}


class ListedFeature(msgspec.Struct, frozen=True):
    """An entry of a model's `features`: a feature's name, or a transform's mapping."""

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Read an entry of a model's `features`: a name, or a transform's values.

        It reports at `key` what is wrong with it.
        """
        if not isinstance(node, yaml.Mapping):
            return FEATURE.read(node, key, report)
        kinds = [name for name in node.entries if name in RECORDS]
        if len(kinds) == 1:
            values = RECORDS[kinds[0]].read(node, key, report)
            return values if values is WRONG or report.sound(key) else WRONG
        if kinds:
            report.add(key, f"{' and '.join(kinds)} in one entry", "write an entry for each")
        else:
            names = [name for name in node.entries if name not in ("as", "at", "into")]
            report.add(
                key,
                f"{', '.join(names) or shown(node)} is no transform",
                did_you_mean(names[0] if names else "", RECORDS, has="transforms are"),
            )
        return WRONG

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return {"anyOf": [FEATURE.schema(), *(record.schema() for record in RECORDS.values())]}


def build_features(
    entries: Sequence[str | YamlValues],
    path: str,
    vectors: Mapping[str, tuple[str, ...]],
    report: ProblemReport,
) -> dict[str, Any]:
    """Build the fields `features`, `transforms` and `listed` of a Model from its file's entries.

    Reports names that two columns would have, edges that do not ascend, and views without a vector
    (`vectors` are the columns of those that have one); what has such a name is left out.
    """
    plain = [build_feature(entry) for entry in entries if isinstance(entry, str)]
    if len(plain) == len(entries):
        return {"features": tuple(plain)}
    built = dict[int, tuple[Transform, list[Feature]]]()
    for position, entry in enumerate(entries):
        if not isinstance(entry, str):
            earlier = {transform.name for transform, _ in built.values()}
            texts = _read_names(entry, item(f"{path}:features", position), vectors, report)
            if texts:
                built[position] = _build_transform(entry, texts, earlier)
    names = {f.name for f in plain} | {f.name for _, read in built.values() for f in read}
    reads, listed, transforms = list(plain), list[str](), list[Transform]()
    for position, entry in enumerate(entries):
        if isinstance(entry, str):
            listed.append(build_feature(entry).name)
            continue
        if position not in built:
            continue
        transform, features = built[position]
        key = item(f"{path}:features", position)
        if sorted(set(transform.at)) != list(transform.at):
            report.add(child(key, "at"), "its edges do not ascend", "write each above the last")
        if transform.name in names:
            report.add(
                child(key, "as"),
                f"{transform.name} is another column's name already",
                "names of a model's columns are unique: choose another",
            )
            continue
        names.add(transform.name)
        listed.append(transform.name)
        transforms.append(transform)
        reads += [feature for feature in features if feature not in reads]
    return {"features": tuple(reads), "transforms": tuple(transforms), "listed": tuple(listed)}


def _read_names(
    values: YamlValues, key: str, vectors: Mapping[str, tuple[str, ...]], report: ProblemReport
) -> tuple[str, ...]:
    """Return the names of the features that a transform's mapping reads.

    Those of cosine and dot are the columns of its two views; none after reporting a view without a
    vector, or vectors of two lengths.
    """
    kind = next(name for name in RECORDS if name in values)
    texts: tuple[str, ...] = (
        (values[kind],) if isinstance(values[kind], str) else tuple(values[kind])
    )
    if kind not in OF_VECTORS:
        return texts
    for position, view in enumerate(texts):
        if view not in vectors:
            report.add(
                item(child(key, kind), position),
                f"{view} is no view with a vector",
                (did_you_mean(view, vectors, has="views with extract or profile are") or "")
                if vectors
                else "declare one with extract, and one with profile",
            )
            return ()
    left, right = values[kind]
    if len(vectors[left]) != len(vectors[right]):
        report.add(
            child(key, kind),
            f"{left} has {len(vectors[left])} dimensions and {right} {len(vectors[right])}",
            "vectors of one extractor are compared: a profile has those of the view it is of",
        )
        return ()
    return tuple(f"{view}.{column}" for view in texts for column in vectors[view])


def _build_transform(
    values: YamlValues, texts: Sequence[str], earlier: set[str]
) -> tuple[Transform, list[Feature]]:
    """Build a transform from its mapping; return it and the features among its inputs.

    Args:
        values: The mapping.
        texts: The names that it reads.
        earlier: The names of the transforms before it, which it may read, too.
    """
    kind: Any = next(name for name in RECORDS if name in values)
    features = [build_feature(text) for text in texts]
    transform = Transform(
        kind=kind,
        name=values["as"],
        inputs=tuple(feature.name for feature in features),
        at=tuple(map(float, values.get("at", ()))),
        into=values.get("into", 0),
    )
    return transform, [f for f in features if f.view is not None or f.name not in earlier]


def build_feature(text: str) -> Feature:
    """Parse a feature's name: `view.feature`, or an attribute of the exposure."""
    view, dot, name = text.rpartition(".")
    return Feature(view=view if dot else None, name=name)


def feature_keys(model: Model) -> list[str]:
    """Return for each of a model's features the key of the entry that first names it.

    Such as `features[2]`; a feature that only a transform reads has the transform's key.
    """
    columns = model.columns
    at_transforms = {columns.index(transform.name): transform for transform in model.transforms}
    own = [position for position in range(len(columns)) if position not in at_transforms]
    keys = [item("features", position) for position in own]
    for feature in model.features[len(own) :]:
        position = next(p for p, t in at_transforms.items() if feature.name in t.inputs)
        keys.append(child(item("features", position), at_transforms[position].kind))
    return keys


def column_types(model: Model, types: Mapping[str, AttributeType]) -> dict[str, AttributeType]:
    """Return the types of a model's features and transforms by name, given the features'."""
    return {**types, **{transform.name: _OUTPUT[transform.kind] for transform in model.transforms}}


def type_problems(
    model: Model, types: Mapping[str, AttributeType]
) -> Iterator[tuple[str, str, str]]:
    """Yield (key, problem, remedy) of each transform that reads a column of a wrong type.

    `types`: those of features and transforms by name, as far as they are known.
    """
    for transform in model.transforms:
        key = child(item("features", model.columns.index(transform.name)), transform.kind)
        for name in transform.inputs:
            kind = types.get(name)
            if kind is not None and kind not in _READS[transform.kind]:
                *others, last = _READS[transform.kind]
                yield (
                    key,
                    f"{name} is a {kind}, and {transform.kind} reads {', '.join(others)} or {last}",
                    "bucketize it before, and cross the bucket"
                    if transform.kind == "cross" and kind == "float"
                    else "use another feature, or convert it in its view's SQL",
                )
