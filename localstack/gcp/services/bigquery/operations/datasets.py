"""bigquery.datasets."""

from __future__ import annotations

from typing import Any

import msgspec

from ....core.call import Call
from ....core.http_messages import HttpAnswer, HttpRequest
from ..errors import BigQueryError, invalid
from ..sql.analysis import routines
from ..state.catalog import Dataset
from ..state.instance import Answer, Place, body, flag, merged, milliseconds, page, serves
from ..tables import tables
from .instances import place

_COMPUTED = {
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


def resource(dataset: Dataset) -> dict[str, Any]:
    access = dataset.written.get("access") or [
        {"role": "WRITER", "specialGroup": "projectWriters"},
        {"role": "OWNER", "specialGroup": "projectOwners"},
        {"role": "READER", "specialGroup": "projectReaders"},
    ]
    return {
        "kind": "bigquery#dataset",
        "etag": dataset.etag,
        "id": f"{dataset.project}:{dataset.id}",
        "selfLink": f"https://bigquery.googleapis.com/bigquery/v2/projects/{dataset.project}/datasets/{dataset.id}",
        "datasetReference": {"datasetId": dataset.id, "projectId": dataset.project},
        **dataset.written,
        "access": access,
        "creationTime": milliseconds(dataset.created),
        "lastModifiedTime": milliseconds(dataset.modified),
        "location": dataset.location,
        "type": "DEFAULT",
    }


@serves("datasets.list", "GET", "/projects/{project}/datasets")
def list_datasets(call: Call, request: HttpRequest) -> Answer:
    wanted = _label_filter(request.query.get("filter", ""))
    datasets = [
        d
        for d in place(call).catalog.datasets(request.params["project"])
        if wanted(d.written.get("labels") or {})
    ]
    if not flag(request, "all"):
        datasets = [d for d in datasets if not d.id.startswith("_")]
    shown, token = page(datasets, request)
    keys = ("kind", "id", "datasetReference", "labels", "friendlyName", "location")
    rows = [{k: v for k, v in resource(d).items() if k in keys} for d in shown]
    return {
        "kind": "bigquery#datasetList",
        **({"datasets": rows} if rows else {}),
        **({"nextPageToken": token} if token else {}),
    }


def _label_filter(expression: str) -> Any:
    """labels.key[:value], several divided by blanks [docs: rest/v2/datasets/list]."""
    conditions = []
    for part in expression.split():
        name, _, value = part.partition(":")
        if not name.startswith("labels."):
            raise invalid(f"Invalid filter: {expression}", "filter")
        conditions.append((name.removeprefix("labels."), value))
    return lambda labels: all(
        key in labels and (not value or labels[key] == value) for key, value in conditions
    )


@serves("datasets.insert", "POST", "/projects/{project}/datasets")
def insert_dataset(call: Call, request: HttpRequest) -> Answer:
    here, content = place(call), body(request)
    project = request.params["project"]
    name = (content.get("datasetReference") or {}).get("datasetId")
    if not name:
        raise BigQueryError("required", "Required parameter is missing: datasetReference.datasetId")
    return resource(create(here, project, name, content))


def create(here: Place, project: str, name: str, content: dict[str, Any]) -> Dataset:
    now = here.now()
    location = content.get("location") or "US"
    written = _writable(content)
    dataset = Dataset(
        project=project,
        id=name,
        written=written,
        location=location,
        created=now,
        modified=now,
        etag="",
    )
    return here.catalog.add_dataset(dataset)


def _writable(content: dict[str, Any]) -> dict[str, Any]:
    written = {
        key: value for key, value in content.items() if key not in _COMPUTED and value is not None
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


@serves("datasets.get", "GET", "/projects/{project}/datasets/{dataset}")
def get_dataset(call: Call, request: HttpRequest) -> Answer:
    answer = resource(
        place(call).catalog.dataset(request.params["project"], request.params["dataset"])
    )
    if request.headers.get("if-none-match") == answer["etag"]:
        return HttpAnswer(status=304)
    return answer


@serves("datasets.patch", "PATCH", "/projects/{project}/datasets/{dataset}")
def patch_dataset(call: Call, request: HttpRequest) -> Answer:
    return _change(call, request, patch=True)


@serves("datasets.update", "PUT", "/projects/{project}/datasets/{dataset}")
def update_dataset(call: Call, request: HttpRequest) -> Answer:
    return _change(call, request, patch=False)


def _change(call: Call, request: HttpRequest, *, patch: bool) -> dict[str, Any]:
    here, content = place(call), body(request)
    current = here.catalog.dataset(request.params["project"], request.params["dataset"])
    if content.get("location") not in (None, current.location):
        raise invalid("Cannot change location of a dataset.", "location")

    def change(dataset: Dataset) -> Dataset:
        written = (
            merged(dataset.written, {k: v for k, v in content.items() if k not in _COMPUTED})
            if patch
            else content
        )
        return msgspec.structs.replace(dataset, written=_writable(written), modified=here.now())

    return resource(here.catalog.change_dataset(current, change, request.headers.get("if-match")))


@serves("datasets.delete", "DELETE", "/projects/{project}/datasets/{dataset}")
def delete_dataset(call: Call, request: HttpRequest) -> Answer:
    remove(
        place(call),
        request.params["project"],
        request.params["dataset"],
        contents=flag(request, "deleteContents"),
    )
    return HttpAnswer(status=204)


def remove(here: Place, project: str, name: str, *, contents: bool) -> None:
    dataset = here.catalog.dataset(project, name)
    within = here.catalog.tables(project, name)
    functions = routines.within(here, project, name)
    if (within or functions) and not contents:
        raise BigQueryError("resourceInUse", f"Dataset {project}:{name} is still in use")
    for table in within:
        tables.drop(here, table.ref)
    for function in functions:
        routines.drop(here, function, if_exists=True)
    here.catalog.remove_dataset(dataset)
