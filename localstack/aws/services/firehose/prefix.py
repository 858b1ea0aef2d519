"""The names of objects: prefixes with !{...} expressions.

Source: Amazon Data Firehose developer guide, "Custom prefixes for Amazon S3 objects".
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping
from datetime import datetime

_EXPRESSION = re.compile(r"!\{([^:}]+):([^}]*)\}")
_JAVA = {
    "yyyy": "%Y", "uuuu": "%Y", "yy": "%y", "MM": "%m", "M": "%-m", "MMM": "%b", "MMMM": "%B",
    "dd": "%d", "d": "%-d", "HH": "%H", "H": "%-H", "hh": "%I", "mm": "%M", "m": "%-M", "ss": "%S",
    "s": "%-S", "DDD": "%j", "E": "%a", "EEEE": "%A", "a": "%p", "w": "%-V", "ww": "%V",
}  # fmt: skip
_LETTERS = string.ascii_letters + string.digits


def check(  # noqa: PLR0911
    prefix: str | None, error_prefix: str | None, keys: frozenset[str], *, dynamic: bool
) -> str | None:
    """Return an error message for a stream's wrong S3 prefixes, or None where they are right.

    `keys` are the partition keys of metadata extraction, and `dynamic` says whether dynamic
    partitioning is on.
    """
    expressions = _EXPRESSION.findall(prefix or "")
    if not expressions:
        if dynamic:
            return (
                "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic "
                "Partitioning is enabled"
            )
        return None
    for space, _ in expressions:
        if space not in (
            "timestamp",
            "firehose",
            "partitionKeyFromQuery",
            "partitionKeyFromLambda",
        ):
            return f"Invalid namespace {space} in Prefix"
        if space == "firehose" and "error-output-type" in (prefix or ""):
            return "Prefix cannot contain error-output-type"
    if "!{firehose:error-output-type}" not in (error_prefix or ""):
        return (
            "ErrorOutputPrefix must contain at least one instance of "
            "!{firehose:error-output-type} when Prefix contains expressions"
        )
    used = {name for space, name in expressions if space == "partitionKeyFromQuery"}
    if used and not dynamic:
        return (
            "Dynamic Partitioning Namespaces can only be part of a prefix expression when "
            "Dynamic Partitioning is enabled"
        )
    if dynamic and used != keys:
        return (
            f"MetadataExtraction gives the keys {sorted(keys)}, the Prefix uses {sorted(used)}: "
            "every key has to be used"
        )
    return None


def fill(
    prefix: str | None, moment: datetime, keys: Mapping[str, str], *, error: str | None = None
) -> str:
    """Return the S3 prefix of an object, with the expressions in it (!{timestamp:...}) filled in.

    `keys` are the values of partition keys; `error` is the kind of error for an error object.
    Without an expression, the hour is appended.
    """
    text = prefix or ""
    if error is not None and "!{" not in text:
        return f"{text}{error}/{moment:%Y/%m/%d/%H}/"
    if "!{" not in text:
        return f"{text}{moment:%Y/%m/%d/%H}/"

    def value_of(match: re.Match[str]) -> str:
        space, name = match.groups()
        if space == "timestamp":
            return _time(name, moment)
        if space.startswith("partitionKey"):
            return keys[name]
        return (
            (error or "")
            if name == "error-output-type"
            else "".join(secrets.choice(_LETTERS) for _ in range(11))
        )

    return _EXPRESSION.sub(value_of, text)


def _time(pattern: str, moment: datetime) -> str:
    """Format a time by a pattern of Java's DateTimeFormatter, for an S3 prefix."""
    formatted = []
    for match in re.finditer(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+", pattern):
        word = match.group()
        formatted.append(
            (match.group(1) or "'")
            if word.startswith("'")
            else moment.strftime(_JAVA.get(word, word))
            if word[0].isalpha()
            else word
        )
    return "".join(formatted)
