"""The operations bigquery.tables, and the lists of models and routines."""

from __future__ import annotations

from typing import Any

from ....core.call import Call
from ....core.http_messages import HttpAnswer, HttpRequest
from ..errors import BigQueryError
from ..state.catalog import Table, TableRef
from ..state.policies import Policies
from ..tables import tables
from .instances import instance_of
from .routes import Answer, body, merged, page, serves

_TABLES = "/projects/{project}/datasets/{dataset}/tables"
_TABLE = f"{_TABLES}/{{table}}"


def ref_of(request: HttpRequest) -> TableRef:
    """Return the reference of the table that a request's path names.

    A partition's decorator (`t$20240101`) is part of the name here.
    """
    return TableRef(request.params["project"], request.params["dataset"], request.params["table"])


@serves("tables.list", "GET", _TABLES)
def list_tables(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call tables.list: list the tables."""
    instance = instance_of(call)
    every = instance.catalog.tables(request.params["project"], request.params["dataset"])
    shown, token = page(every, request)
    keys = (
        "kind",
        "id",
        "tableReference",
        "type",
        "friendlyName",
        "labels",
        "creationTime",
        "expirationTime",
        "timePartitioning",
        "clustering",
    )
    rows = [{k: v for k, v in _list_entry(table).items() if k in keys} for table in shown]
    return {
        "kind": "bigquery#tableList",
        **({"tables": rows} if rows else {}),
        **({"nextPageToken": token} if token else {}),
        "totalItems": len(every),
    }


def _list_entry(table: Table) -> dict[str, Any]:
    """Return a table as an entry of the response of tables.list, in JSON."""
    from ..state.instance import rest_time

    view = {"view": {"useLegacySql": False}} if table.kind == "VIEW" else {}
    expires = {"expirationTime": rest_time(table.expires)} if table.expires else {}
    return {
        "kind": "bigquery#table",
        "id": str(table.ref),
        "tableReference": table.ref.rest(),
        "type": table.kind,
        "creationTime": rest_time(table.created),
        **table.written,
        **view,
        **expires,
    }


@serves("tables.insert", "POST", _TABLES)
def insert_table(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call tables.insert: create a table."""
    instance, content = instance_of(call), body(request)
    name = (content.get("tableReference") or {}).get("tableId")
    if not name:
        raise BigQueryError("required", "Required parameter is missing: tableReference.tableId")
    ref = TableRef(request.params["project"], request.params["dataset"], name)
    return tables.resource(instance, tables.create(instance, ref, content))


@serves("tables.get", "GET", _TABLE)
def get_table(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call tables.get: return a table."""
    instance = instance_of(call)
    answer = tables.resource(instance, instance.catalog.table(ref_of(request)))
    if request.headers.get("if-none-match") == answer["etag"]:
        return HttpAnswer(status=304)
    return answer


@serves("tables.patch", "PATCH", _TABLE)
def patch_table(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call tables.patch: change the given fields of a table."""
    instance, content, ref = instance_of(call), body(request), ref_of(request)
    changed = {
        k: v for k, v in content.items() if k not in ("schema", "tableReference", "expirationTime")
    }
    written = merged(dict(instance.catalog.table(ref).written), changed)
    return tables.resource(
        instance, tables.change(instance, ref, content, written, request.headers.get("if-match"))
    )


@serves("tables.update", "PUT", _TABLE)
def update_table(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call tables.update: replace a table's settings."""
    instance, content = instance_of(call), body(request)
    content.setdefault("expirationTime", None)
    return tables.resource(
        instance,
        tables.change(instance, ref_of(request), content, content, request.headers.get("if-match")),
    )


@serves("tables.delete", "DELETE", _TABLE)
def delete_table(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call tables.delete: delete a table."""
    tables.drop(instance_of(call), ref_of(request))
    return HttpAnswer(status=204)


@serves("models.list", "GET", "/projects/{project}/datasets/{dataset}/models")
def list_models(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call models.list: list no models, as there are none."""
    instance_of(call).catalog.dataset(request.params["project"], request.params["dataset"])
    return {}


@serves("routines.list", "GET", "/projects/{project}/datasets/{dataset}/routines")
def list_routines(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call routines.list: list no routines, as there are none."""
    instance_of(call).catalog.dataset(request.params["project"], request.params["dataset"])
    return {}


@serves("tables.getIamPolicy", "POST", f"{_TABLE}:getIamPolicy")
def get_policy(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call tables.getIamPolicy: return a table's access policy."""
    instance, ref = instance_of(call), ref_of(request)
    instance.catalog.table(ref)
    return call.store(Policies).get(str(ref))


@serves("tables.setIamPolicy", "POST", f"{_TABLE}:setIamPolicy")
def set_policy(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call tables.setIamPolicy: set a table's access policy."""
    instance, ref, content = instance_of(call), ref_of(request), body(request)
    instance.catalog.table(ref)
    return call.store(Policies).put(str(ref), content.get("policy") or {})


@serves("tables.testIamPermissions", "POST", f"{_TABLE}:testIamPermissions")
def test_permissions(call: Call, request: HttpRequest) -> Answer:
    """Answer that everybody may do everything."""
    instance_of(call).catalog.table(ref_of(request))
    named = body(request).get("permissions") or []
    return {
        "permissions": [
            name for part in named for name in (part if isinstance(part, list) else [part])
        ]
    }
