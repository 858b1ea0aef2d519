"""The values of a call as they are kept, without private ones.

Of a request all is kept, with the account, keys, people and the caller's own names replaced; of a
request's body with the names alone replaced. Of an answer only words are kept that a request had
used before, and those of which the service's model has a list: every other text becomes `text-N`,
the same text always the same one. The name of a job that a service has named becomes `text-N-name`,
where its ARN is `text-N`: who asks for the job by its name has it from the ARN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from . import form

ACCOUNT = "123456789012"
STACK = (
    "http://127.0.0.1:4599"  # what stands for the server that was asked, where that was no account
)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
WORD = re.compile(r"text-\d+(?:-name)?")
_JOB = re.compile(r"arn:[^/]+:(?:processing|training)-job/([^/]+)")
_UUID = "00000000-0000-4000-8000-a{:011d}"  # no account: those are digits alone
_PRINCIPAL = re.compile(
    r"(arn:aws[a-z-]*:(?:iam|sts)::\d{12}:(?:user|role|assumed-role|federated-user)/)([\w+=,.@/-]+)"
)
_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{12}(?![0-9A-Za-z])")
_KEY = re.compile(r"(?<![0-9A-Za-z])(?:AKIA|ASIA|AROA|AIDA|ANPA|AGPA)[A-Z0-9]{12,}")
_PERSON = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_TOKEN = re.compile(r"[A-Za-z0-9+/=_-]{40,}")


class Scrubber:
    """The replacement of private values. One thread uses it at a time.

    Args:
        names: The caller's own names, each with what stands for it.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = [
            (_whole_name_pattern(name), mask)
            for name, mask in sorted(names.items(), key=lambda pair: -len(pair[0]))
            if name
        ]
        self._used: set[str] = {"", ACCOUNT}  # texts of requests, as they are kept
        self._words: dict[str, str] = {}  # a text of an answer -> what stands for it
        # an account, a key, a person, an id -> what stands for it
        self._numbered: dict[str, str] = {}

    def request_value(self, value: Any) -> Any:
        """Return a request's value with private texts (names, accounts, keys) replaced."""
        if isinstance(value, Mapping):
            return {str(name): self.request_value(member) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return [self.request_value(member) for member in value]
        if isinstance(value, str):
            return self._request_text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        return (
            {"$time": value.isoformat()}
            if isinstance(value, datetime)
            else self._body(_content(value))
        )

    def answered(self, value: Any, shape: Any = None) -> Any:
        """Return a response's value with private texts (names, accounts, keys) replaced.

        Args:
            value: The value.
            shape: botocore's shape, where it has one.
        """
        kind = getattr(shape, "type_name", "")
        if isinstance(value, Mapping):
            return dict(self._members(value, shape))
        if isinstance(value, list | tuple):
            return [self.answered(member, getattr(shape, "member", None)) for member in value]
        if isinstance(value, str):
            return (
                value
                if kind == "string" and value in getattr(shape, "enum", ())
                else self.word(value)
            )
        if isinstance(value, datetime):
            return {"$time": value.isoformat()}
        if isinstance(value, bytes | bytearray):
            return {"$size": len(value)}
        return (
            value if value is None or isinstance(value, bool | int | float) else {"$stream": True}
        )

    def message(self, text: str) -> str:
        """Return an error message with private texts replaced."""
        text = _PERSON.sub(
            lambda hit: self._stand_in(hit[0], "person-{}@example.com"), self.text(text)
        )
        return _TOKEN.sub(lambda hit: hit[0] if hit[0] in self._used else "...", text)

    def word(self, text: str) -> str:
        """Return a response's text, or a stand-in (text-1 ...) unless the caller has sent it."""
        masked = self.text(text)
        if masked in self._used:
            return masked
        word = self._words.setdefault(text, f"text-{len(self._words) + 1}")
        job = _JOB.fullmatch(text)
        if job is not None and self.text(job[1]) not in self._used:
            self._words.setdefault(job[1], f"{word}-name")
        return word

    def text(self, text: str) -> str:
        """Return a text with the caller's names, accounts, keys, people and ids replaced."""
        text = UUID.sub(lambda hit: self._stand_in(hit[0].lower(), _UUID), self._pseudonym(text))
        text = _PRINCIPAL.sub(lambda hit: f"{hit[1]}{self._stand_in(hit[2], 'person-{}')}", text)
        text = _NUMBER.sub(
            lambda hit: hit[0] if hit[0] == ACCOUNT else self._stand_in(hit[0], "{:012d}"), text
        )
        return _KEY.sub(lambda hit: self._stand_in(hit[0], "KEY{}"), text)

    def _request_text(self, text: str) -> str:
        """Return a text of a request with private parts replaced, and note that it was used."""
        replacement = self._words.get(text) or self.text(text)
        self._used.add(replacement)
        return replacement

    def _body(self, data: bytes) -> dict[str, Any]:
        """Return a request's body, as recordings have it, with the caller's own names replaced.

        Other private texts stay: the caller wrote the body, and its digest must still fit.
        """
        body = form.body(data)
        return {"$text": self._pseudonym(body["$text"])} if "$text" in body else body

    def _pseudonym(self, text: str) -> str:
        """Return a text with the caller's own names replaced by the pseudonyms given for them."""
        for pattern, mask in self._names:
            text = pattern.sub(mask, text)
        return text

    def _members(self, value: Mapping[str, Any], shape: Any) -> Iterator[tuple[str, Any]]:
        """Yield the members of a response as they are recorded, with private texts replaced.

        `shape` is botocore's shape of the response; the keys of a map are replaced, too.
        """
        of_map = getattr(shape, "type_name", "") == "map"
        members: Mapping[str, Any] = {} if of_map else getattr(shape, "members", {})
        for name, member in value.items():
            if name == "ResponseMetadata":
                continue
            yield (
                (self.word(name) if of_map else name),
                self.answered(member, shape.value if of_map else members.get(name)),
            )

    def _stand_in(self, text: str, pattern: str) -> str:
        """Return the numbered replacement of a private text, always the same one for a text.

        `pattern` is its form, such as text-{}.
        """
        if text in self._numbered.values():
            return text
        return self._numbered.setdefault(text, pattern.format(len(self._numbered) + 1))


def _whole_name_pattern(name: str) -> re.Pattern[str]:
    """Return a regular expression for a name that is no part of a longer one."""
    return re.compile(rf"(?<![0-9A-Za-z]){re.escape(name)}(?![0-9A-Za-z])")


def _content(stream: Any) -> bytes:
    """Return the bytes of a request's body, leaving a file's position as it was.

    b"": the body cannot be read twice.
    """
    if isinstance(stream, bytes | bytearray):
        return bytes(stream)
    if not (hasattr(stream, "read") and hasattr(stream, "seek")):
        return b""
    place = stream.tell()
    data: bytes | str = stream.read()
    stream.seek(place)
    return data.encode() if isinstance(data, str) else data
