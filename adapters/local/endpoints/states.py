"""States of a local endpoint.

They are made of the row that says what should be, and the supervisor's report of what is.
"""

from __future__ import annotations

from decimal import Decimal

from ....endpoints.port import EndpointState, VariantState
from ....endpoints.revision import revision_of
from ....storage import Phase
from .rows import EndpointRow, Report, VariantReport, instances
from .serving_code import own_code


def absent(name: str) -> EndpointState:
    """Return the endpoint state of an endpoint that does not exist yet."""
    return EndpointState(name=name, phase="creating", revision="", token="", variants=())


def dead(row: EndpointRow, why: str, *, phase: Phase = "failed") -> EndpointState:
    """Return the state of an endpoint whose processes do not run, with the reason `why`.

    `row` is the endpoint's record in the database.
    """
    variants = tuple(
        VariantState(
            name=v.name,
            model=v.model,
            version=v.version,
            percent=Decimal(0),
            target_percent=row.split[v.name],
            instances=0,
            target_instances=instances(v)[0],
            phase=phase,
        )
        for v in row.spec.variants
    )
    return EndpointState(
        name=row.name,
        phase=phase,
        revision=revision_of(row.spec),
        token=row.token,
        variants=variants,
        failure=why,
        routing=row.spec.routing,
    )


def older(report: Report) -> bool:
    """Return whether the router or a model server runs older code than is installed."""
    return report.code != own_code() or any(variant.older for variant in report.variants)


def state_of(row: EndpointRow, report: Report) -> EndpointState:
    """Combine an endpoint's database row and its supervisor's report to the endpoint's state."""
    phases = {v.phase for v in report.variants}
    phase: Phase = "ready"
    if "failed" in phases:
        phase = "failed"
    elif row.version == 1 and "creating" in phases:
        phase = "creating"
    elif phases != {"ready"} or report.token != row.token:
        phase = "updating"
    failures = [v.failure for v in report.variants if v.failure]
    if older(report):
        failures.append(
            f"an earlier version of Isthmus serves it; to replace it: isthmus deploy {row.name}"
        )
    return EndpointState(
        name=row.name,
        phase=phase,
        revision=report.revision,
        token=row.token,
        variants=tuple(_variant(v, row, report) for v in report.variants),
        failure="\n".join(failures) or None,
        routing=row.spec.routing,
    )


def _variant(variant: VariantReport, row: EndpointRow, report: Report) -> VariantState:
    """Combine an endpoint's database row and its supervisor's report to one variant's state."""
    return VariantState(
        name=variant.name,
        model=variant.model,
        version=variant.version,
        percent=report.split.get(variant.name, Decimal(0)),
        target_percent=row.split.get(variant.name, Decimal(0)),
        instances=variant.instances,
        target_instances=variant.target_instances,
        phase=variant.phase,
    )
