"""Google's own prices of the profile's location, fetched by `plan` once a week and cached.

Source: Cloud Billing Catalog API, services.skus.list of Vertex AI, which sells processors and
memory: "N1 Core", "N1 Ram", by the hour. Not seen on an account yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from ....target import Target
from ...common.price_list import PriceList, refresh
from ..session import Session, session_of
from .prices import PROVIDER

_SKUS = "https://cloudbilling.googleapis.com/v1/services/C7E2-9256-1C43/skus"  # of Vertex AI
_WITHIN = 10  # seconds for a page
_PART = re.compile(
    r"Vertex AI: Online/Batch Prediction (?P<family>[A-Z]\d[A-Z]?) (Predefined )?Instance "
    r"(?P<part>Core|Ram) running in .+"
)
# "Vertex AI: Training/Pipelines on N1 Predefined Instance Core running in Americas": its price has
# the management fee in it, which is a SKU of its own where Compute Engine bills the machine
_JOB_PART = re.compile(
    r"Vertex AI: Training/Pipelines on (?P<family>[A-Z]\d[A-Z]?) (Predefined )?Instance "
    r"(?P<part>Core|Ram|RAM) (running )?in .+"
)
_UNITS = {"Core": "h", "Ram": "GiBy.h"}


def ask(target: Target) -> None:
    """Fetch and cache Google's price list for the location, unless the cached one is fresh.

    Nothing is fetched offline, where nothing costs anything.

    Raises:
        Denied: The credentials may not read prices. Unavailable and Throttled as they say.
    """
    session = session_of(target)
    if not session.offline:
        refresh(
            PROVIDER,
            session.location,
            target.clock(),
            lambda: _price_list(session, f"{target.clock():%Y-%m-%d}"),
        )


def _price_list(session: Session, date: str) -> PriceList:
    """Fetch the prices of processors and memory in the location."""
    parts: dict[str, Decimal] = {}
    jobs: dict[str, Decimal] = {}
    with session.reading("ListSkus", f"Vertex AI {session.location}"):
        for sku in _skus(session):
            for pattern, prices in ((_PART, parts), (_JOB_PART, jobs)):
                named = pattern.fullmatch(sku["description"])
                if named is None or session.location not in sku.get("serviceRegions", ()):
                    continue
                part = named["part"].capitalize()
                if (price := _price(sku, _UNITS[part])) is not None:
                    prices[f"{named['family']} {part}"] = price
    return PriceList(date=date, hourly=parts, jobs=jobs)


def _skus(session: Session) -> Iterator[dict[str, Any]]:
    """Yield the SKUs (priced items) of Vertex AI from Google's billing catalogue."""
    from google.api_core.exceptions import from_http_response

    query = {"currencyCode": "USD", "pageSize": "5000"}
    with session.http() as http:
        while True:
            answer = http.get(_SKUS, params=query, timeout=_WITHIN)
            if not answer.ok:
                raise from_http_response(answer)
            page = msgspec.json.decode(answer.content)
            yield from page.get("skus", ())
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]


def _price(sku: Mapping[str, Any], unit: str) -> Decimal | None:
    """Return the USD of a SKU (priced item) for a unit, or None unless it has one price."""
    rates = [
        rate["unitPrice"]
        for pricing in sku.get("pricingInfo", ())
        if pricing["pricingExpression"]["usageUnit"] == unit
        for rate in pricing["pricingExpression"]["tieredRates"]
    ]
    if sku["category"]["usageType"] != "OnDemand" or len(rates) != 1:
        return None
    return Decimal(rates[0].get("units", 0)) + Decimal(rates[0].get("nanos", 0)).scaleb(-9)
