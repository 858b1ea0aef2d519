"""Data catalogs: the account's own, and those that are registered beside it, which moto keeps."""

from __future__ import annotations

from typing import Any

from ....core import paging
from ....core.moto_internals import athena_backends
from ....core.registry import AwsError, Context, handles
from ..errors import refusal
from ..tables.catalog import CATALOG

_OWN = "AwsDataCatalog"
# What a type's Parameters have to hold (API reference, CreateDataCatalog): one of these sets.
_NEEDED: dict[str, tuple[frozenset[str], ...]] = {
    "GLUE": (frozenset({"catalog-id"}),),
    "LAMBDA": (frozenset({"function"}), frozenset({"metadata-function", "record-function"})),
    "HIVE": (frozenset({"metadata-function"}),),
    "FEDERATED": (frozenset(),),
}


def _check(kind: str, parameters: dict[str, str]) -> None:
    """Check that a data catalog's parameters have what its type needs."""
    if not any(needed <= parameters.keys() for needed in _NEEDED[kind]):
        ways = " or ".join(" and ".join(sorted(needed)) for needed in _NEEDED[kind])
        raise refusal(f"The parameters of a data catalog of type {kind} must contain {ways}.")


def _missing(name: str) -> AwsError:
    """Return the error for a data catalog of this name, which does not exist."""
    return refusal(f"DataCatalog {name} was not found")


def _backend(ctx: Context) -> Any:
    """Return moto's Athena of a context's account and region."""
    return athena_backends[ctx.account][ctx.region]


@handles("athena", "CreateDataCatalog", executes=False)
def create_data_catalog(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call CreateDataCatalog: create a data catalog."""
    name = params["Name"]
    if name.lower() == CATALOG or name in _backend(ctx).data_catalogs:
        raise refusal(f"DataCatalog {name} has already been created")
    _check(params["Type"], params.get("Parameters") or {})
    ctx.forward()
    return {}


@handles("athena", "GetDataCatalog", executes=False)
def get_data_catalog(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call GetDataCatalog: return a data catalog."""
    if params["Name"].lower() == CATALOG:
        return {
            "DataCatalog": {"Name": _OWN, "Type": "GLUE", "Parameters": {"catalog-id": ctx.account}}
        }
    data_catalog = _backend(ctx).data_catalogs.get(params["Name"])
    if data_catalog is None:
        raise _missing(params["Name"])
    described = {
        "Name": data_catalog.name,
        "Description": data_catalog.description,
        "Type": data_catalog.type,
        "Parameters": data_catalog.parameters or {},
    }
    return {"DataCatalog": {key: value for key, value in described.items() if value is not None}}


@handles("athena", "ListDataCatalogs", executes=False)
def list_data_catalogs(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call ListDataCatalogs: list the data catalogs."""
    kinds = {_OWN: "GLUE"} | {
        catalog.name: catalog.type for catalog in list(_backend(ctx).data_catalogs.values())
    }
    page, more = paging.page(sorted(kinds), params, 50, refusal("The NextToken is not valid."))
    return {
        "DataCatalogsSummary": [{"CatalogName": name, "Type": kinds[name]} for name in page],
        **more,
    }


@handles("athena", "UpdateDataCatalog", executes=False)
def update_data_catalog(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call UpdateDataCatalog: change a data catalog."""
    data_catalog = _backend(ctx).data_catalogs.get(params["Name"])
    if data_catalog is None:
        raise _missing(params["Name"])
    _check(params["Type"], params.get("Parameters") or {})
    data_catalog.type = params["Type"]
    data_catalog.description = params.get("Description")
    data_catalog.parameters = params.get("Parameters") or {}
    return {}


@handles("athena", "DeleteDataCatalog", executes=False)
def delete_data_catalog(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call DeleteDataCatalog: delete a data catalog."""
    if _backend(ctx).data_catalogs.pop(params["Name"], None) is None:
        raise _missing(params["Name"])
    return {}
