"""BIGNUMERIC in DuckDB, whose own decimals end at 38 digits.

A value is a text that sorts as the number does, in a struct that no arithmetic takes. The text is
the number as an integer of 10^-38, moved above zero, in 78 digits.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation, localcontext

from ..errors import invalid

SCALE = 38
_OFFSET = 10**77
_MOST = (2**255 - 1, -(2**255))  # of 10^-38 [docs: data-types#decimal_types]
_DIGITS = 78


def key(value: Decimal | str | int) -> str:
    """Return the text that DuckDB stores for a BIGNUMERIC: it sorts as the number does.

    The number is rounded to 38 decimals. Raises BigQueryError `invalid` for what is no number or
    too large.
    """
    with localcontext() as context:
        context.prec, context.rounding = 120, "ROUND_HALF_UP"
        try:
            scaled = int(Decimal(value).scaleb(SCALE).to_integral_value())
        except (InvalidOperation, OverflowError, ValueError) as error:
            raise invalid(f"Invalid BIGNUMERIC value: {value}") from error
    if not _MOST[1] <= scaled <= _MOST[0]:
        raise invalid(f"Invalid BIGNUMERIC value: {value}")
    return str(scaled + _OFFSET).zfill(_DIGITS)


def number(text: str) -> Decimal:
    """Convert the text in which DuckDB holds a BIGNUMERIC to a Decimal."""
    with localcontext() as context:
        context.prec = 120
        return Decimal(int(text) - _OFFSET).scaleb(-SCALE)
