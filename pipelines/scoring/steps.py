"""The steps that score a batch of predictions: rows, score (one for each shard), publish."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import Invalid
from ...events.port import Column
from ...events.tables.column_types import arrow_type, of_arrow
from ...feature_store.port import TableSpec
from ...project.specs.description import Feature, Model
from ...reports.columns import plural
from .batch import Batch
from .shards import FILE, deal, limited, parts

if TYPE_CHECKING:
    import pyarrow as pa

    from ..models.predictor import LoadedModel
    from ..step.context import StepContext


def rows(context: StepContext) -> None:
    """Run the step `rows`: read rows, join their features as of the batch's time, make shards.

    Rows come in the order of their columns, so that a shard holds the same rows each time. They go
    to the shards' files as they come: they need not fit in memory.
    """
    import pyarrow as pa

    from ...feature_store.offline.entity_rows import entity_rows

    batch, project = _batch(context), context.project()
    names = [name for name, _ in batch.columns]
    features = [
        Feature(view=feature.view, name=feature.name)
        for feature in batch.features
        if feature.view is not None
    ]
    folders = [context.outputs[f"part_{number}"] for number in range(batch.shards)]
    types, total = dict(batch.columns), 0

    def write(tables: Iterator[pa.Table]) -> None:
        nonlocal total
        first = next(tables, None)
        if first is None:
            return
        # an engine's sum of whole numbers is wider than the column that was promised
        fields = [
            field.with_type(arrow_type(types[field.name])) if field.name in types else field
            for field in first.schema
        ]
        total = deal(limited(chain((first,), tables), batch.limit), pa.schema(fields), folders)

    entity_rows(project, batch.sql, names, features, as_of=batch.as_of, into=write)
    if not total:
        raise Invalid(
            f"the rows of prediction {batch.prediction} are none, as of "
            f"{batch.as_of:%Y-%m-%d %H:%M}",
            remedy="look at what its SELECT reads: isthmus query",
        )
    context.log(f"{plural(total, 'row')} in {plural(batch.shards, 'shard')}")
    context.set("rows", total)


def score(context: StepContext) -> None:
    """Run a step `score`: predict one shard's rows, some at a time, by the version's predictor."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ..models import predictor

    batch = _batch(context)
    loaded = predictor.load(context.inputs["model"], digest=batch.digest)
    rows, names = 0, [name for name, _ in batch.columns]
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for table in parts(context.inputs["rows"]):
            predictions = pa.array(_predictions(batch, loaded, table), pa.float64())
            scored = table.select(names).append_column("prediction", predictions)
            if writer is None:
                file = context.outputs["scored"] / FILE
                writer = stack.enter_context(pq.ParquetWriter(file, scored.schema))
            writer.write_table(scored)
            rows += table.num_rows
    context.log(f"{plural(rows, 'row')} scored by {batch.model}@{batch.version}")
    context.set("rows", rows)


def _predictions(batch: Batch, loaded: LoadedModel, table: pa.Table) -> Any:
    """Return a version's predictions for some rows of a batch."""
    import pyarrow as pa

    from ..models import trainers

    if not table.num_rows:  # a trainer may not expect that
        return []
    columns: list[Any] = [
        pa.array(
            [batch.serve_as[feature.name]] * table.num_rows, arrow_type(feature.type or "float64")
        )
        if feature.name in batch.serve_as
        else table[feature.name]
        for feature in batch.features
    ]
    inputs = pa.table(columns, names=[feature.name for feature in batch.features])
    model = Model(
        name=loaded.manifest.configuration,
        path=f"{batch.model}@{batch.version}",
        model=batch.model,
        objective=loaded.manifest.objective,
        features=tuple(Feature(view=f.view, name=f.name) for f in batch.features),
        trainer=loaded.manifest.trainer,
    )
    return trainers.predict(loaded.predictor, inputs, model, Path.cwd())


def publish(context: StepContext) -> None:
    """Run the step `publish`: add the scored rows of all shards to the table, as one batch.

    The warehouse takes a batch once, whole: readers see all of its rows or none.
    """
    import pyarrow as pa

    batch, warehouse = _batch(context), context.target.warehouse
    table = pa.concat_tables(
        part for number in range(batch.shards) for part in parts(context.inputs[f"part_{number}"])
    )
    moment = pa.timestamp("ms")
    started = msgspec.convert(context.parameters["started"], datetime)
    constants: dict[str, tuple[object, Any]] = {
        "model": (batch.model, pa.string()),
        "version": (batch.version, pa.int64()),
        "as_of_timestamp": (batch.as_of.replace(tzinfo=None), moment),
        "scored_timestamp": (started.replace(tzinfo=None), moment),
    }
    for name, (value, kind) in constants.items():
        table = table.append_column(name, pa.array([value] * table.num_rows, kind))
    warehouse.apply(
        TableSpec(
            name=batch.into,
            columns=tuple(
                Column(name=field.name, type=of_arrow(field.type)) for field in table.schema
            ),
            time_column="as_of_timestamp",
        )
    )
    warehouse.append(batch.into, table, batch=batch.key)
    context.log(f"{plural(table.num_rows, 'row')} in {batch.into}, batch {batch.key}")
    context.set("rows", table.num_rows)


def _batch(context: StepContext) -> Batch:
    """Return the batch from the step's parameters."""
    return msgspec.convert(context.parameters["batch"], Batch)
