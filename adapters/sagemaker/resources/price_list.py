"""AWS's own price list of the profile's region, fetched by `plan` once a week and cached.

Source: AWS Price List Query API, GetProducts of AmazonSageMaker and AmazonAthena
(pricing:GetProducts). Not seen on an account yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from ....target import Target
from ...common.price_list import PriceList, refresh
from ..session import Aws, aws_of
from .prices import PROVIDER

_API_REGION = "us-east-1"  # one of the few that have the API; each knows the prices of all
_WITHIN = 10  # seconds for a page of 100 products
# USE1-Host:ml.m5.large, "Real-Time Inference"
_HOSTING = re.compile(r"([A-Z]{2,4}\d-)?Host:(?P<machine>ml\.[a-z0-9.-]+)")
# USE1-Train:ml.m5.large, USE1-Processing:ml.m5.large
_JOBS = re.compile(r"([A-Z]{2,4}\d-)?(?P<job>Train|Processing):(?P<machine>ml\.[a-z0-9.-]+)")
_KINDS = {"Train": "training", "Processing": "processing"}
_SCANNED = re.compile(r"([A-Z]{2,4}\d-)?DataScannedInTB")


def ask(target: Target) -> None:
    """Fetch and cache AWS's price list for the target's region, unless the cached one is fresh.

    Nothing is fetched offline, where nothing costs anything.

    Raises:
        Denied: The credentials may not read prices. Unavailable and Throttled as they say.
    """
    aws = aws_of(target)
    if not aws.offline:
        refresh(
            PROVIDER,
            aws.region,
            target.clock(),
            lambda: _price_list(aws, f"{target.clock():%Y-%m-%d}"),
        )


def _price_list(aws: Aws, date: str) -> PriceList:
    """Fetch the prices of SageMaker instances and of Athena in the region."""
    machines = {
        usage: price
        for usage, unit, price in _products(aws, "AmazonSageMaker", productFamily="ML Instance")
        if unit == "Hrs"
    }
    hourly = {
        named["machine"]: price
        for usage, price in machines.items()
        if (named := _HOSTING.fullmatch(usage))
    }
    jobs = {
        f"{_KINDS[named['job']]} {named['machine']}": price
        for usage, price in machines.items()
        if (named := _JOBS.fullmatch(usage))
    }
    scanned = {
        price
        for usage, unit, price in _products(aws, "AmazonAthena")
        if _SCANNED.fullmatch(usage) and unit == "Terabytes"
    }
    return PriceList(
        date=date,
        hourly=hourly,
        scanned=scanned.pop() if len(scanned) == 1 else None,
        jobs=jobs,
    )


def _products(aws: Aws, service: str, **attributes: str) -> Iterator[tuple[str, str, Decimal]]:
    """Yield usage type, unit and on-demand USD of an AWS service's products in the region.

    `attributes` select products. Those without one price in USD are left out.
    """
    chosen = {"regionCode": aws.region, **attributes}
    filters = [
        {"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in chosen.items()
    ]
    client = aws.client("pricing", retrying=False, within=_WITHIN, region=_API_REGION)
    with aws.reading("GetProducts", f"{service} {aws.region}"):
        for page in client.get_paginator("get_products").paginate(
            ServiceCode=service, Filters=filters
        ):
            for text in page["PriceList"]:
                product = msgspec.json.decode(text)
                yield from _prices(
                    product["product"]["attributes"].get("usagetype", ""), product.get("terms", {})
                )


def _prices(usage: str, terms: dict[str, Any]) -> Iterator[tuple[str, str, Decimal]]:
    """Yield a product's usage type, unit and on-demand price in USD, if it has just one."""
    dimensions = [
        dimension
        for term in terms.get("OnDemand", {}).values()
        for dimension in term["priceDimensions"].values()
    ]
    if len(dimensions) == 1 and (price := dimensions[0]["pricePerUnit"].get("USD")):
        yield usage, dimensions[0]["unit"], Decimal(price)
