"""Scripted traffic, which nobody sent, in the metrics of variants."""

from __future__ import annotations

from ......core.minutes import Minutes
from .....core.registry import Context
from ....cloudwatch import variant_metrics as variants
from .. import checks, records


def add(ctx: Context, scripted: Minutes) -> None:
    """Add simulated minutes of traffic to the CloudWatch metrics of an endpoint's variants.

    Raises:
        AwsError: There is no such endpoint or variant; nothing has been added.
    """
    endpoint = records.require_endpoint(ctx, scripted.endpoint)
    counts = {variant.name: variant.count for variant in endpoint.fleet.all}
    if unknown := sorted({minute.variant for minute in scripted.minutes} - set(counts)):
        raise checks.refusal(
            f"{endpoint.name} has no variant {', '.join(unknown)}: it has {', '.join(counts)}"
        )
    for minute in scripted.minutes:
        for status, latency in minute.answers:
            instances = counts[minute.variant]
            source = variants.Source(endpoint.name, minute.variant, endpoint.fleet.config.name)
            variants.record(
                ctx,
                source,
                status,
                model=latency * 1000,
                overhead=0.0,
                instances=instances,
                called_at=minute.start,
            )
