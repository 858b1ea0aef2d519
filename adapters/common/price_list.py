"""A provider's price list in the user's cache, with the day on which it was fetched.

`plan` prices with it where there is one. It can be deleted at any time: a file that is missing or
has another form is fetched again, and until then the adapter's own table holds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import msgspec

from ...core.formats import decoder
from ...errors import Unavailable
from ...target import Profile
from .storage.transfers import arriving

FRESH = timedelta(days=7)  # providers change prices some times a year
_FORM = 2  # of the file's name: another form is another file


class PriceList(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's on-demand prices in a region."""

    date: str  # when it was asked, or taken down: 2026-11-29, 2026-07
    hourly: Mapping[str, Decimal]  # machine -> USD an hour that it serves
    # USD a TB (10**12 bytes) that a query reads; None: not asked, or not told
    scanned: Decimal | None = None
    # what steps of runs work on -> USD an hour: "training ml.m5.large", "N1 Core" of Google's jobs
    jobs: Mapping[str, Decimal] = {}


def from_cache(provider: str, region: str) -> PriceList | None:
    """Return the newest cached price list of a provider's region, however old, or None."""
    try:
        return decoder(PriceList).decode(_path(provider, region).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None


def current_list(provider: str, region: str, profile: Profile) -> PriceList | None:
    """Return the cached price list of a region that holds for a profile: none does offline."""
    return None if profile.options.get("endpoint_url") else from_cache(provider, region)


def job_prices(
    provider: str, region: str, profile: Profile, *, shipped: Mapping[str, str], date: str
) -> tuple[Mapping[str, Decimal], str]:
    """Return the prices of jobs in a region by the hour, and their date.

    Args:
        provider: The provider's name in the cache.
        region: The region.
        profile: The target's settings.
        shipped: The prices that hold where there is no list, or none of jobs in it.
        date: The date of the shipped prices.
    """
    listed = current_list(provider, region, profile)
    if listed is not None and listed.jobs:
        return listed.jobs, listed.date
    return {job: Decimal(usd) for job, usd in shipped.items()}, date


def refresh(provider: str, region: str, now: datetime, ask: Callable[[], PriceList]) -> None:
    """Fetch a cloud's price list with `ask` and cache it, unless the cached one is fresh.

    A cache that cannot be written is no error.

    Raises:
        Unavailable: The provider's list has a form that is not known. Whatever `ask` raises passes
            through.
    """
    last = from_cache(provider, region)
    if last is None or not _recent(now) <= last.date <= f"{now:%Y-%m-%d}":
        listed = _ask(ask)
        if listed.hourly:
            _keep(_path(provider, region), msgspec.json.encode(listed))


def _ask(ask: Callable[[], PriceList]) -> PriceList:
    """Fetch a price list by calling `ask`; raise Unavailable if its form is unknown."""
    try:
        return ask()
    except (LookupError, TypeError, ValueError, ArithmeticError, msgspec.MsgspecError) as error:
        raise Unavailable(
            f"the provider's price list has a form that is not known: {error!r}",
            remedy="report it as an issue",
        ) from error


def _recent(now: datetime) -> str:
    """Return the date (YYYY-MM-DD) since which a cached price list counts as fresh at `now`."""
    return f"{now - FRESH:%Y-%m-%d}"


def _keep(path: Path, content: bytes) -> None:
    """Write a file into the cache of price lists; ignore an error of a full or read-only disk."""
    with suppress(OSError), arriving(path, ".tmp-") as file:
        file.write(content)


def folder() -> Path:
    """Return the folder of the cached price lists."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isthmus" / "prices"


def _path(provider: str, region: str) -> Path:
    """Return the path of the cache file for a region's prices."""
    return folder() / f"{provider}-{quote(region, safe='')}-{_FORM}.json"
