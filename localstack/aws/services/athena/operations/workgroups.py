"""Workgroups: moto keeps them, but cannot change them."""

from __future__ import annotations

from typing import Any

from ....core.moto_internals import athena_backends
from ....core.registry import Context, handles
from ..errors import refusal

MANAGED = "ManagedQueryResultsConfiguration"


def find(ctx: Context, name: str) -> Any:
    """Return a workgroup by name, as moto has it.

    Raises:
        AwsError: There is no such workgroup (InvalidRequestException).
    """
    group = athena_backends[ctx.account][ctx.region].work_groups.get(name)
    if group is None:
        raise refusal(f"WorkGroup {name} is not found.")
    return group


def is_managed(configuration: dict[str, Any]) -> bool:
    """Return whether a workgroup has managed query results, which Athena keeps outside S3."""
    return bool((configuration.get(MANAGED) or {}).get("Enabled"))


def _check_results(configuration: dict[str, Any]) -> None:
    """Check that a workgroup has an S3 location for results or managed ones, not both."""
    if is_managed(configuration) and (configuration.get("ResultConfiguration") or {}).get(
        "OutputLocation"
    ):
        raise refusal(
            "A workgroup cannot have an OutputLocation when ManagedQueryResultsConfiguration "
            "is enabled."
        )


@handles("athena", "CreateWorkGroup")
def create_work_group(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer CreateWorkGroup by moto, once its location of results has been checked."""
    _check_results(params.get("Configuration") or {})
    ctx.forward()
    return {}


@handles("athena", "UpdateWorkGroup")
def update_work_group(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer UpdateWorkGroup: change a workgroup that moto keeps but cannot change."""
    group = find(ctx, params["WorkGroup"])
    updates = params.get("ConfigurationUpdates", {})
    results = dict(group.configuration.get("ResultConfiguration") or {})
    changes = updates.get("ResultConfigurationUpdates", {})
    for key in (
        "OutputLocation",
        "EncryptionConfiguration",
        "AclConfiguration",
        "ExpectedBucketOwner",
    ):
        if changes.get(f"Remove{key}"):
            results.pop(key, None)
        if key in changes:
            results[key] = changes[key]
    others = {
        key: value
        for key, value in updates.items()
        if not key.endswith("Updates") and not key.startswith("Remove")
    }
    managed = {
        **(group.configuration.get(MANAGED) or {}),
        **updates.get("ManagedQueryResultsConfigurationUpdates", {}),
    }
    changed = {
        **group.configuration,
        **others,
        "ResultConfiguration": results,
        **({MANAGED: managed} if managed else {}),
    }
    _check_results(changed)
    group.configuration = changed
    group.description = params.get("Description", group.description)
    group.state = params.get("State", group.state)
    return {}
