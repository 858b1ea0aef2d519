"""The operations bigquery.datasets."""

from __future__ import annotations

from typing import Any

import msgspec

from ....core.call import Call
from ....core.http_messages import HttpAnswer, HttpRequest
from ..errors import BigQueryError, invalid
from ..state.catalog import Dataset
from ..state.instance import rest_time
from ..tables import datasets
from .instances import instance_of
from .routes import Answer, body, flag, merged, page, serves


def resource(dataset: Dataset) -> dict[str, Any]:
    """Return a dataset as the REST API's Dataset resource, in JSON."""
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
        "creationTime": rest_time(dataset.created),
        "lastModifiedTime": rest_time(dataset.modified),
        "location": dataset.location,
        "type": "DEFAULT",
    }


@serves("datasets.list", "GET", "/projects/{project}/datasets")
def list_datasets(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call datasets.list: list the datasets."""
    has_labels = _label_filter(request.query.get("filter", ""))
    listed = [
        d
        for d in instance_of(call).catalog.datasets(request.params["project"])
        if has_labels(d.written.get("labels") or {})
    ]
    if not flag(request, "all"):
        listed = [d for d in listed if not d.id.startswith("_")]
    shown, token = page(listed, request)
    keys = ("kind", "id", "datasetReference", "labels", "friendlyName", "location")
    rows = [{k: v for k, v in resource(d).items() if k in keys} for d in shown]
    return {
        "kind": "bigquery#datasetList",
        **({"datasets": rows} if rows else {}),
        **({"nextPageToken": token} if token else {}),
    }


def _label_filter(expression: str) -> Any:
    """Return a function that tests a dataset against a list request's label filter.

    A filter is `labels.key[:value]`, several divided by blanks. Source: [docs:
    rest/v2/datasets/list].
    """
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
    """Answer BigQuery's API call datasets.insert: create a dataset."""
    instance, content = instance_of(call), body(request)
    project = request.params["project"]
    name = (content.get("datasetReference") or {}).get("datasetId")
    if not name:
        raise BigQueryError("required", "Required parameter is missing: datasetReference.datasetId")
    return resource(datasets.create(instance, project, name, content))


@serves("datasets.get", "GET", "/projects/{project}/datasets/{dataset}")
def get_dataset(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call datasets.get: return a dataset."""
    answer = resource(
        instance_of(call).catalog.dataset(request.params["project"], request.params["dataset"])
    )
    if request.headers.get("if-none-match") == answer["etag"]:
        return HttpAnswer(status=304)
    return answer


@serves("datasets.patch", "PATCH", "/projects/{project}/datasets/{dataset}")
def patch_dataset(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call datasets.patch: change the given fields of a dataset."""
    return _change(call, request, patch=True)


@serves("datasets.update", "PUT", "/projects/{project}/datasets/{dataset}")
def update_dataset(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call datasets.update: replace a dataset's settings."""
    return _change(call, request, patch=False)


def _change(call: Call, request: HttpRequest, *, patch: bool) -> dict[str, Any]:
    """Change a dataset for a PATCH or PUT, and return it; PATCH keeps what it does not name."""
    instance, content = instance_of(call), body(request)
    current = instance.catalog.dataset(request.params["project"], request.params["dataset"])
    if content.get("location") not in (None, current.location):
        raise invalid("Cannot change location of a dataset.", "location")

    def change(dataset: Dataset) -> Dataset:
        written = (
            merged(
                dataset.written, {k: v for k, v in content.items() if k not in datasets.COMPUTED}
            )
            if patch
            else content
        )
        return msgspec.structs.replace(
            dataset, written=datasets.writable_members(written), modified=instance.now()
        )

    return resource(
        instance.catalog.change_dataset(current, change, request.headers.get("if-match"))
    )


@serves("datasets.delete", "DELETE", "/projects/{project}/datasets/{dataset}")
def delete_dataset(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call datasets.delete: delete a dataset."""
    datasets.remove(
        instance_of(call),
        request.params["project"],
        request.params["dataset"],
        contents=flag(request, "deleteContents"),
    )
    return HttpAnswer(status=204)
