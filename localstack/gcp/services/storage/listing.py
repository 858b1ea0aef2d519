"""Listings: which objects they show, in which order, and where their pages end. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from .errors import invalid

_MOST = 1000  # of a page


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A listing's parameters."""

    prefix: str = ""
    delimiter: str = ""
    start: str = ""  # inclusive
    end: str = ""  # exclusive
    trailing: bool = False  # an object that ends in the delimiter is listed beside its prefix
    glob: str = ""
    most: int = _MOST
    token: str = ""


class ListedEntry(msgspec.Struct, frozen=True, order=True):
    """A version of an object; or a prefix, whose generation is 0."""

    name: str
    generation: int


_listed = msgspec.json.Decoder(ListedEntry).decode  # made here: see control.py


class Page(msgspec.Struct, frozen=True, kw_only=True):
    entries: Sequence[ListedEntry]
    token: str | None

    @property
    def prefixes(self) -> list[str]:
        """The common prefixes ("folders") on the page of a listing."""
        return [entry.name for entry in self.entries if not entry.generation]


def page(versions: Iterable[tuple[str, int]], query: ListQuery) -> Page:
    """Return the page of a bucket's listing that a query asks for.

    `versions` are the names and generations of the bucket's objects, sorted.
    """
    after = _decoded(query.token)
    entries: list[ListedEntry] = []
    for entry in _entries(versions, query):
        if after is not None and entry <= after:
            continue
        if len(entries) == max(1, min(query.most, _MOST)):
            return Page(entries=entries, token=_encoded(entries[-1]))
        entries.append(entry)
    return Page(entries=entries, token=None)


def _entries(versions: Iterable[tuple[str, int]], query: ListQuery) -> Iterator[ListedEntry]:
    """Yield the objects and common prefixes that a listing query asks for, in order."""
    pattern = glob(query.glob) if query.glob else None
    folded = ""
    for name, generation in versions:
        if not name.startswith(query.prefix) or (pattern and not pattern.fullmatch(name)):
            continue
        whole, end = name, len(query.prefix)
        if query.delimiter and (end := name.find(query.delimiter, len(query.prefix))) >= 0:
            whole = name[: end + len(query.delimiter)]
        if name < query.start or (query.end and name >= query.end):
            continue
        is_prefix = bool(query.delimiter) and end >= 0
        if is_prefix and whole != folded:
            folded = whole
            yield ListedEntry(whole, 0)
        if not is_prefix or (query.trailing and whole == name):
            yield ListedEntry(name, generation)


def _encoded(entry: ListedEntry) -> str:
    """Return the page token with which a listing continues after an entry."""
    return base64.urlsafe_b64encode(msgspec.json.encode(entry)).decode()


def _decoded(token: str) -> ListedEntry | None:
    """Parse a page token into the entry after which a listing continues; None without token."""
    if not token:
        return None
    try:
        return _listed(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise invalid("Invalid page token.", "pageToken") from error


def glob(pattern: str) -> re.Pattern[str]:
    """Return a matchGlob pattern as a regular expression.

    `*` and `?` stop at a slash, `**` does not; [a-z] [!a-z] {one,other}.
    """
    words: list[str] = []
    place, depth = 0, 0
    while place < len(pattern):
        letter = pattern[place]
        if pattern.startswith("**/", place):
            words.append("(?:.*/)?")
            place += 2
        elif pattern.startswith("**", place):
            words.append(".*")
            place += 1
        elif letter == "[" and (close := pattern.find("]", place + 2)) > 0:
            inside = pattern[place + 1 : close]
            negated = inside[0] in "!^"
            letters = re.escape(inside[1:] if negated else inside).replace(r"\-", "-")
            words.append(f"[{'^' if negated else ''}{letters}]")
            place = close
        elif letter == "{":
            words.append("(?:")
            depth += 1
        elif letter == "}" and depth:
            words.append(")")
            depth -= 1
        elif letter == "\\" and place + 1 < len(pattern):
            place += 1
            words.append(re.escape(pattern[place]))
        else:
            words.append(
                {"*": "[^/]*", "?": "[^/]"}.get(letter)
                or ("|" if letter == "," and depth else re.escape(letter))
            )
        place += 1
    if depth:
        raise invalid(f"Invalid glob pattern: {pattern}", "matchGlob")
    return re.compile("".join(words), re.DOTALL)
