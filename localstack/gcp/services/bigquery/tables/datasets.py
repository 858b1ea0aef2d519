"""Datasets: make and remove them, for the API, for DDL and for hidden results alike."""

from __future__ import annotations

from typing import Any

from ..errors import BigQueryError, invalid
from ..sql.analysis import routines
from ..state.catalog import Dataset
from ..state.instance import BigQueryState
from . import tables

COMPUTED = {
    "kind",
    "id",
    "etag",
    "selfLink",
    "datasetReference",
    "creationTime",
    "lastModifiedTime",
    "location",
    "type",
}


_MILLISECONDS = ("defaultTableExpirationMs", "defaultPartitionExpirationMs")


_SHORTEST = 3_600_000  # ms of defaultTableExpirationMs [docs: rest/v2/datasets]


def create(instance: BigQueryState, project: str, name: str, content: dict[str, Any]) -> Dataset:
    """Create a dataset from a Dataset resource (JSON), and return its entry.

    Raises:
        BigQueryError: `duplicate` or `invalid`.
    """
    now = instance.now()
    location = content.get("location") or "US"
    written = writable_members(content)
    dataset = Dataset(
        project=project,
        id=name,
        written=written,
        location=location,
        created=now,
        modified=now,
        etag="",
    )
    return instance.catalog.add_dataset(dataset)


def writable_members(content: dict[str, Any]) -> dict[str, Any]:
    """Return those members of a Dataset resource (JSON) that clients may write.

    Raises BigQueryError `invalid` if a table lifetime is too short.
    """
    written = {
        key: value for key, value in content.items() if key not in COMPUTED and value is not None
    }
    for key in _MILLISECONDS:
        if key in written:
            written[key] = str(written[key])
            if not written[key].isdigit() or (
                key == _MILLISECONDS[0] and int(written[key]) < _SHORTEST
            ):
                raise invalid(
                    f"Invalid value for {key}: {written[key]}. The minimum is {_SHORTEST}.", key
                )
    return written


def remove(instance: BigQueryState, project: str, name: str, *, contents: bool) -> None:
    """Remove a dataset, with its tables and functions if `contents`.

    Raises:
        BigQueryError: `notFound`; `resourceInUse` where it is not empty.
    """
    dataset = instance.catalog.dataset(project, name)
    within = instance.catalog.tables(project, name)
    functions = routines.within(instance, project, name)
    if (within or functions) and not contents:
        raise BigQueryError("resourceInUse", f"Dataset {project}:{name} is still in use")
    for table in within:
        tables.drop(instance, table.ref)
    for function in functions:
        routines.drop(instance, function, if_exists=True)
    instance.catalog.remove_dataset(dataset)
