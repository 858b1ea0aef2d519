"""Preconditions on generation, metageneration and etag. Pure.

An object that does not exist has generation 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from .errors import invalid, precondition_failed


class VersionedResource(Protocol):
    """A bucket or a version of an object, which preconditions are about."""

    generation: int
    metageneration: int

    @property
    def etag(self) -> str:
        """The etag that the resource has now."""
        ...


class Preconditions(msgspec.Struct, frozen=True, kw_only=True):
    """The preconditions of one request; None: not asked for."""

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None
    not_metageneration: int | None = None
    etag: str | None = None
    not_etag: str | None = None

    def require(self, dated: VersionedResource | None) -> None:
        """Raise error 412 unless a write's preconditions hold for `dated`, the present resource.

        None stands for an absent resource.
        """
        if not (self._matches(dated) and self._differs(dated)):
            raise precondition_failed()

    def is_modified(self, dated: VersionedResource | None) -> bool:
        """Return whether to answer a read with the resource; False means to answer 304.

        Raises GcpError 412 if a precondition does not hold.
        """
        if not self._matches(dated):
            raise precondition_failed()
        return self._differs(dated)

    def _matches(self, dated: VersionedResource | None) -> bool:
        """Return whether a resource (None: absent) fulfils the ...Match conditions and If-Match."""
        return (
            _fits(self.generation, 0 if dated is None else dated.generation)
            and _fits(self.metageneration, None if dated is None else dated.metageneration)
            and _fits(self.etag, None if dated is None else dated.etag)
        )

    def _differs(self, dated: VersionedResource | None) -> bool:
        """Return whether a resource (None: absent) fulfils ...NotMatch and If-None-Match."""
        if dated is None:
            return self.not_generation != 0
        return (
            self.not_generation != dated.generation
            and self.not_metageneration != dated.metageneration
            and (self.not_etag is None or self.not_etag != dated.etag)
        )


NONE = Preconditions()


def parse_conditions(
    query: Mapping[str, str], headers: Mapping[str, str] | None = None, *, source: bool = False
) -> Preconditions:
    """Parse the preconditions of a request: ifGenerationMatch and so on, If-Match, If-None-Match.

    With `source` they are those of a copy's source: ifSourceGenerationMatch and so on.
    """
    start = "ifSource" if source else "if"
    headers = headers or {}
    return Preconditions(
        generation=number(query, f"{start}GenerationMatch"),
        not_generation=number(query, f"{start}GenerationNotMatch"),
        metageneration=number(query, f"{start}MetagenerationMatch"),
        not_metageneration=number(query, f"{start}MetagenerationNotMatch"),
        etag=_etag(headers.get("if-match")),
        not_etag=_etag(headers.get("if-none-match")),
    )


def of_xml(headers: Mapping[str, str]) -> Preconditions:
    """Parse the preconditions in the headers of a request to the XML API."""
    names = {
        "ifGenerationMatch": "x-goog-if-generation-match",
        "ifMetagenerationMatch": "x-goog-if-metageneration-match",
    }
    return parse_conditions(
        {name: headers[header] for name, header in names.items() if header in headers}, headers
    )


def number(query: Mapping[str, str], name: str) -> int | None:
    """Parse a query parameter that is a whole number; None if it is absent.

    Raises:
        GcpError: The parameter is no whole number.
    """
    text = query.get(name)
    if text is None or text == "":
        return None
    try:
        return int(text)
    except ValueError as error:
        raise invalid(f"Invalid value for {name}: {text!r}", name) from error


def _fits(expected: object, actual: object) -> bool:
    """Return whether a value equals the expected one, or None is expected."""
    return expected is None or expected == actual


def _etag(header: str | None) -> str | None:
    """Return the etag in a header without its quotes, or None."""
    return None if header is None or header == "*" else header.strip('"')
