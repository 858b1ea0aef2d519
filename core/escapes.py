"""Escapes in text that leaves our processes, so that a terminal shows it and does not act on it.

Event values, names of files, a provider's words and the lines of jobs are others'. The stream
escapes them, and no caller has to think of it; only what draws on a terminal
(cli/console/terminal.py) writes past it, and escapes the text within its drawing.

Escaped are the control characters but newline and tab (a lone carriage return among them), those
that turn the direction of the text beside them (embeddings, overrides, isolates), the separators of
lines and paragraphs, and half a surrogate pair, which no UTF-8 can hold. Letters of all scripts
stay, and so do the joiners, the direction marks and the spaces without width that some of them are
written with: these change nothing beside them. The notation is JSON's, so that JSON stays JSON of
the same value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TextIO, final

_ACTED_UPON = re.compile(
    "\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escaped(text: str) -> str:
    """Return the text with control characters escaped, so that no terminal acts upon them."""
    return text if text.isascii() and text.isprintable() else _ACTED_UPON.sub(_notation, text)


def escaped_line(text: str) -> str:
    """Return the text as one line, with control characters, newlines and tabs escaped."""
    return escaped(text).replace("\r", r"\r").replace("\n", r"\n").replace("\t", r"\t")


def _notation(match: re.Match[str]) -> str:
    r"""Return a matched control character as text, a \u escape."""
    return f"\\u{ord(match[0]):04x}"


@final
class EscapingStream:
    """A text stream that escapes what is written; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str, /) -> int:
        """Write a text to the stream, with control characters escaped."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self.stream.write(escaped(text))
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:
        """Write lines to the stream, with control characters escaped."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def escaping(stream: TextIO) -> TextIO:
    """Return a text stream that escapes control characters, then writes to this stream."""
    return stream if isinstance(stream, EscapingStream) else EscapingStream(stream)  # type: ignore[return-value]  # it has all of a TextIO


def beneath(stream: TextIO) -> TextIO:
    """Return the stream that an escaping one writes to, for code that escapes its text itself.

    A stream that does not escape is returned as it is.
    """
    return stream.stream if isinstance(stream, EscapingStream) else stream
