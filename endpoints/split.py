"""Traffic splits: percents by variant that sum to 100 and that the target can represent.

What cannot be represented is refused, never rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation

from ..errors import Invalid, Unsupported
from ..project.reading.names import did_you_mean

HUNDRED = Decimal(100)


def check(
    split: Mapping[str, Decimal], *, variants: Iterable[str], resolution: Decimal, where: str
) -> dict[str, Decimal]:
    """Check a traffic split of an endpoint, and return it; raise an error if it is not possible.

    Args:
        split: Percent by variant.
        variants: The endpoint's.
        resolution: The smallest step of a share.
        where: Target and endpoint, for messages.

    Raises:
        Invalid: Names, range or sum are wrong.
        Unsupported: The target cannot set a share; the error names traffic.resolution.
    """
    names = tuple(variants)
    if unknown := [name for name in split if name not in names]:
        raise _no_variant(where, unknown, names)
    if missing := [name for name in names if name not in split]:
        raise Invalid(
            f"{where}: the split leaves out {', '.join(missing)}",
            remedy="name every variant; 0 is a share too",
        )
    for name, percent in split.items():
        check_range(name, percent, where=where)
    representable(split, resolution=resolution, where=where)
    if (total := sum(split.values(), Decimal(0))) != HUNDRED:
        raise Invalid(
            f"{where}: the split sums to {percent_text(total)}, not to 100",
            remedy="give every variant its share in percent",
        )
    return dict(split)


def check_range(name: str, percent: Decimal, *, where: str) -> None:
    """Raise Invalid for a traffic share that is not between 0 and 100 percent."""
    if not percent.is_finite() or not 0 <= percent <= HUNDRED:
        raise Invalid(
            f"{where}: {name}={percent} is not a percentage",
            remedy="a share is a number from 0 to 100",
        )


def _no_variant(where: str, unknown: Iterable[str], variants: Iterable[str]) -> Invalid:
    """Return the error for a traffic split with variants (`unknown`) that the endpoint lacks.

    `where` names the target and the endpoint.
    """
    names = list(unknown)
    return Invalid(
        f"{where} has no variant {', '.join(names)}",
        remedy=did_you_mean(names[0], variants, has="it has"),
    )


def representable(shares: Mapping[str, Decimal], *, resolution: Decimal, where: str) -> None:
    """Raise Unsupported for a share that the target cannot set, and name the nearest ones.

    `resolution` is the smallest step of a share; `where` names target and endpoint.

    Raises:
        Unsupported: A share is no multiple of `resolution`.
    """
    for percent in shares.values():
        if percent.is_finite() and percent % resolution:
            low = (percent / resolution).to_integral_value(ROUND_FLOOR) * resolution
            high = (percent / resolution).to_integral_value(ROUND_CEILING) * resolution
            steps = "whole percents" if resolution == 1 else f"steps of {resolution} %"
            raise Unsupported(
                f"{where} splits traffic in {steps}: {percent_text(percent)} cannot be set, "
                "and is not rounded",
                capability="traffic.resolution",
                remedy=f"use {percent_text(low)} or {percent_text(high)}",
            )


def completed(
    changes: Mapping[str, Decimal], *, now: Mapping[str, Decimal], where: str
) -> dict[str, Decimal]:
    """Return the whole split that a change such as `challenger=20` of the split `now` leads to.

    With two variants the one not named gets the rest; with more, all must be named.

    Raises:
        Invalid: They name none, or one that is not there, or leave open who gets the rest.
    """
    if unknown := [name for name in changes if name not in now]:
        raise _no_variant(where, unknown, now)
    for name, percent in changes.items():
        check_range(name, percent, where=where)
    if not changes:
        raise Invalid(f"{where}: no share is given", remedy=f"for example {list(now)[-1]}=20")
    others = [name for name in now if name not in changes]
    if not others:
        return {name: changes[name] for name in now}
    if len(others) > 1:
        raise Invalid(
            f"{where} has {len(now)} variants: who gives or takes the rest is not clear",
            remedy=f"name also {', '.join(others)}",
        )
    rest = HUNDRED - sum(changes.values(), Decimal(0))
    if rest < 0:
        raise Invalid(
            f"{where}: the shares sum to {percent_text(HUNDRED - rest)}, more than 100",
            remedy="give less than 100 in all",
        )
    return {name: changes.get(name, rest) for name in now}


def parsed(text: str) -> dict[str, Decimal]:
    """Parse a traffic split written as `champion=80 challenger=20`, also with commas.

    Raises:
        Invalid: It names the part that is wrong.
    """
    shares: dict[str, Decimal] = {}
    for part in text.replace(",", " ").split():
        name, _, percent = part.partition("=")
        try:
            shares[name] = Decimal(percent.removesuffix("%"))
        except InvalidOperation:
            raise Invalid(
                f"{part!r} is not variant=percent", remedy="for example challenger=20"
            ) from None
    return shares


def percent_text(percent: Decimal) -> str:
    """Return a percentage as text, without trailing zeros: 80, 0.5."""
    text = f"{percent:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
