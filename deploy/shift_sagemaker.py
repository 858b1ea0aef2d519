"""Move a SageMaker endpoint's traffic to one of its variants, step by step.

Take it back when that variant fails.

    python deploy/shift_sagemaker.py ENDPOINT --to VARIANT [--steps 10,50,100] [--bake 10m]
    [--max-errors 1%] [--min-requests 200]

For any endpoint with two or more variants, whoever made it; credentials are boto3's own. Each step
sets the weights, waits for InService and reads them back together with the endpoint's
configuration: SageMaker may go back to an old one in silence, and ends InService then. During the
bake the variant's share of failed requests is read from CloudWatch every minute. Exit code: 0 all
steps done; 1 stopped, with the split that stands.
"""
# ruff: noqa: INP001  a script, not a package

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

_ARRIVES = 900.0  # seconds that SageMaker may take for new weights
_UNITS = {"s": 1, "m": 60, "h": 3600}


class Stopped(click.ClickException):
    """The shift ends here. Its words say which split stands."""


@click.command(help=__doc__.partition("\n")[0])
@click.argument("endpoint")
@click.option("--to", "variant", required=True, help="The variant that gets the traffic.")
@click.option(
    "--steps",
    default="10,50,100",
    show_default=True,
    help="Its share after each step, in percent, rising.",
)
@click.option(
    "--bake", default="10m", show_default=True, help="How long each step is watched: 90s, 10m, 1h."
)
@click.option(
    "--max-errors",
    default="1%",
    show_default=True,
    help="Take the traffic back above this share of failed requests.",
)
@click.option(
    "--min-requests",
    default=200,
    show_default=True,
    help="Take it back, too, when a bake saw fewer: no data is not good data.",
)
def main(
    *, endpoint: str, variant: str, steps: str, bake: str, max_errors: str, min_requests: int
) -> None:
    shares, seconds, limit = _steps(steps), _seconds(bake), _percent(max_errors) / 100
    try:
        sagemaker = boto3.client("sagemaker")
        described = _in_service(sagemaker, endpoint)
        first_split = _split(described)
        if variant not in first_split:
            raise click.BadParameter(
                f"{endpoint} has no variant {variant}; it has {', '.join(first_split)}",
                param_hint="--to",
            )
        if len(first_split) < 2:
            raise click.BadParameter(
                f"{endpoint} has one variant: there is nothing to shift", param_hint="ENDPOINT"
            )
        if shares[0] <= first_split[variant]:
            raise click.BadParameter(
                f"{variant} has {first_split[variant]:g} % already: begin above it",
                param_hint="--steps",
            )
        for share in shares:
            since = datetime.now(UTC)
            _set(
                sagemaker,
                endpoint,
                _with_share(first_split, variant, share),
                described["EndpointConfigName"],
            )
            click.echo(
                f"{endpoint}   {_shown(_split(_in_service(sagemaker, endpoint)))}   read back"
            )
            reason = _watch(
                endpoint, variant, since, seconds=seconds, limit=limit, least=min_requests
            )
            if reason is not None:
                _set(sagemaker, endpoint, first_split, described["EndpointConfigName"])
                raise Stopped(
                    f"{variant} at {share:g} %: {reason}. The traffic was taken back: "
                    f"{_shown(first_split)}"
                )
    except (BotoCoreError, ClientError) as error:
        raise Stopped(
            f"{error}\nThe traffic stands as it was last read back; nothing more was changed"
        ) from error


def _set(sagemaker: Any, endpoint: str, split: Mapping[str, float], config: str) -> None:
    """Set the weights and read them back.

    Stopped when SageMaker serves another split, or another configuration.
    """
    weights = [{"VariantName": name, "DesiredWeight": share} for name, share in split.items()]
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint, DesiredWeightsAndCapacities=weights
    )
    described = _in_service(sagemaker, endpoint)
    if described["EndpointConfigName"] != config:
        raise Stopped(
            f"{endpoint} runs {described['EndpointConfigName']} now, not {config}: somebody "
            "changed it. Nothing more was changed"
        )
    if any(abs(share - split[name]) > 0.01 for name, share in _split(described).items()):
        raise Stopped(
            f"{endpoint} was meant to serve {_shown(split)}, and serves {_shown(_split(described))}"
        )


def _in_service(sagemaker: Any, endpoint: str) -> dict[str, Any]:
    """Wait until the endpoint is in service, and return its description.

    Raises:
        Stopped: It failed, or was not in service in time.
    """
    deadline = time.monotonic() + _ARRIVES
    while True:
        described: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=endpoint)
        if described["EndpointStatus"] == "InService":
            return described
        if (
            described["EndpointStatus"] not in ("Creating", "Updating", "SystemUpdating")
            or time.monotonic() > deadline
        ):
            raise Stopped(
                f"{endpoint} is {described['EndpointStatus']}: "
                f"{described.get('FailureReason', 'no reason is told')}"
            )
        time.sleep(2)


def _watch(
    endpoint: str, variant: str, since: datetime, *, seconds: float, limit: float, least: int
) -> str | None:
    """Watch the variant until the bake is over; return why it must not go on, or None."""
    cloudwatch = boto3.client("cloudwatch")
    end = time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        time.sleep(max(min(60.0, left), 0.0))
        requests, failed = _counts(cloudwatch, endpoint, variant, since)
        if requests >= least and failed / requests > limit:
            return f"{failed:,.0f} of {requests:,.0f} requests failed, more than {100 * limit:g} %"
        if left <= 60.0:
            click.echo(f"{endpoint}   {variant}: {requests:,.0f} requests, {failed:,.0f} failed")
            return (
                None
                if requests >= least
                else f"{requests:,.0f} requests in the bake, fewer than {least:,}: that proves "
                "nothing"
            )


def _counts(cloudwatch: Any, endpoint: str, variant: str, since: datetime) -> tuple[float, float]:
    """Count a variant's requests, and those that failed, in whole minutes since a moment.

    Failed are those answered with 4xx or 5xx.
    """
    dimensions = [
        {"Name": "EndpointName", "Value": endpoint},
        {"Name": "VariantName", "Value": variant},
    ]
    queries = [
        {
            "Id": name.lower(),
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SageMaker",
                    "MetricName": name,
                    "Dimensions": dimensions,
                },
                "Period": 60,
                "Stat": "Sum",
            },
        }
        for name in ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors")
    ]
    # CloudWatch keeps minutes: up to one from before the step counts, too
    minute = since.replace(second=0, microsecond=0)
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=queries,
        StartTime=minute,
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
    )
    sums = {result["Id"]: sum(result["Values"]) for result in answer["MetricDataResults"]}
    return sums["invocations"], sums["invocation4xxerrors"] + sums["invocation5xxerrors"]


def _split(described: Mapping[str, Any]) -> dict[str, float]:
    """Return the percentage by variant, as SageMaker has relative weights."""
    weights = {
        variant["VariantName"]: variant["CurrentWeight"]
        for variant in described["ProductionVariants"]
    }
    total = sum(weights.values())
    return {name: 100 * weight / total if total else 0.0 for name, weight in weights.items()}


def _with_share(first_split: Mapping[str, float], variant: str, share: float) -> dict[str, float]:
    """Return a split with `variant` at `share`, where the others keep their proportions."""
    rest = 100 - first_split[variant]
    return {
        name: share if name == variant else (100 - share) * percent / rest
        for name, percent in first_split.items()
    }


def _shown(split: Mapping[str, float]) -> str:
    return "   ".join(f"{name} {share:.4g} %" for name, share in split.items())


def _steps(text: str) -> list[float]:
    shares = [_percent(part) for part in text.split(",")]
    if sorted(set(shares)) != shares or not 0 < shares[-1] <= 100:
        raise click.BadParameter(
            f"{text}: shares rise, above 0 and up to 100", param_hint="--steps"
        )
    return shares


def _percent(text: str) -> float:
    try:
        return float(text.strip().removesuffix("%"))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a percentage") from None


def _seconds(text: str) -> float:
    try:
        return float(text[:-1]) * _UNITS[text[-1:]]
    except (ValueError, KeyError):
        raise click.BadParameter(
            f"{text!r} is not a time: write 90s, 10m or 1h", param_hint="--bake"
        ) from None


if __name__ == "__main__":
    main()
