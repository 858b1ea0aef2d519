"""The steps that score a batch of predictions: rows, score (one for each shard), publish."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import Invalid
from ...events.port import Column
from ...events.tables.column_types import arrow_type, of_arrow
from ...feature_store.port import TableSpec
from ...project.specs.description import Feature, Model
from ...reports.columns import plural
from .batch import FILE, Batch

if TYPE_CHECKING:
    import pyarrow as pa

    from ..step.context import StepContext


def rows(context: StepContext) -> None:
    """Run the step `rows`: read the rows, join their features as of the batch's time, cut shards.

    Rows are in the order of their columns, so that a shard holds the same rows each time.
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
    table = entity_rows(project, batch.sql, names, features, as_of=batch.as_of)
    if not table.num_rows:
        raise Invalid(
            f"the rows of prediction {batch.prediction} are none, as of "
            f"{batch.as_of:%Y-%m-%d %H:%M}",
            remedy="look at what its SELECT reads: isthmus query",
        )
    # an engine's sum of whole numbers is wider than the column that was promised
    types = dict(batch.columns)
    fields = [
        field.with_type(arrow_type(types[field.name])) if field.name in types else field
        for field in table.schema
    ]
    table = table.cast(pa.schema(fields)).slice(0, batch.limit)
    length = -(-table.num_rows // batch.shards)
    for number in range(batch.shards):
        _write(table.slice(number * length, length), context.outputs[f"part_{number}"])
    context.log(f"{plural(table.num_rows, 'row')} in {plural(batch.shards, 'shard')}")
    context.set("rows", table.num_rows)


def score(context: StepContext) -> None:
    """Run a step `score`: predict one shard's rows with the version's own predictor."""
    import pyarrow as pa

    from ..models import predictor, trainers

    batch = _batch(context)
    table = _read(context.inputs["rows"])
    loaded = predictor.load(context.inputs["model"], digest=batch.digest)
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
    predictions: Any = []  # of no rows: a trainer may not expect that
    if table.num_rows:
        predictions = trainers.predict(loaded.predictor, inputs, model, Path.cwd())
    own_columns = table.select([name for name, _ in batch.columns])
    _write(
        own_columns.append_column("prediction", pa.array(predictions, pa.float64())),
        context.outputs["scored"],
    )
    context.log(f"{plural(table.num_rows, 'row')} scored by {batch.model}@{batch.version}")
    context.set("rows", table.num_rows)


def publish(context: StepContext) -> None:
    """Run the step `publish`: add the scored rows of all shards to the table, as one batch.

    The warehouse takes a batch once, whole: readers see all of its rows or none.
    """
    import pyarrow as pa

    batch, warehouse = _batch(context), context.target.warehouse
    table = pa.concat_tables(
        _read(context.inputs[f"part_{number}"]) for number in range(batch.shards)
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


def _write(table: pa.Table, folder: Path) -> None:
    """Write a table as the only file of an artifact's folder."""
    import pyarrow.parquet as pq

    pq.write_table(table, folder / FILE)


def _read(folder: Path) -> pa.Table:
    """Return the table of an artifact's folder."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(folder / FILE).read()
