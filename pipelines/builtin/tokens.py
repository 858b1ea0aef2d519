"""Cut a text into terms: runs of characters, words, or the Japanese words of SudachiPy."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from ...errors import Invalid, MissingDependency

_SHORTEST, _LONGEST = 3, 5  # of a run of characters
_WORD = re.compile(r"\w+")
# Of a text for SudachiPy, which takes 49,149 bytes at most; a character has up to 4.
_LONGEST_PIECE = 10_000
_END_OF_PIECE = re.compile(r"[\s。、.,!?]")
_NO_WORDS = ("補助記号", "空白", "記号")  # parts of speech of punctuation, spaces and signs


def tokenizer(name: str) -> Callable[[str], Iterable[str]]:
    """Return the function that cuts a text into terms: characters, words or sudachi.

    The terms come one by one, as a long text has many times its own size of them.

    Raises:
        Invalid: there is no such tokenizer.
        MissingDependency: SudachiPy is not installed.
    """
    if name == "characters":
        return _characters
    if name == "words":
        return _words
    if name == "sudachi":
        _sudachi()
        return _japanese
    raise Invalid(
        f"there is no tokenizer {name}", remedy="it is one of characters, words and sudachi"
    )


def normalized(text: str) -> str:
    """Return a text in Unicode's NFKC form and small letters, each space a single one."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _characters(text: str) -> Iterator[str]:
    """Yield all runs of 3 to 5 characters of a text, which begins and ends with a space.

    An empty text has none.
    """
    padded = f" {normalized(text)} "
    for length in range(_SHORTEST, _LONGEST + 1):
        for start in range(len(padded) - length + 1):
            yield padded[start : start + length]


def _words(text: str) -> Iterator[str]:
    """Yield the words of a text: what lies between spaces and punctuation."""
    return (word.group() for word in _WORD.finditer(normalized(text)))


def _japanese(text: str) -> Iterator[str]:
    """Yield the Japanese words of a text in their dictionary's spelling, without punctuation."""
    for piece in _pieces(normalized(text)):
        for word in _sudachi().tokenize(piece):
            if word.part_of_speech()[0] not in _NO_WORDS:
                yield word.normalized_form()


def _pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces that SudachiPy takes; they end behind punctuation if there is any."""
    start = 0
    while len(text) - start > _LONGEST_PIECE:
        piece = text[start : start + _LONGEST_PIECE]
        ends = [end.end() for end in _END_OF_PIECE.finditer(piece)]
        length = ends[-1] if ends else _LONGEST_PIECE
        yield piece[:length]
        start += length
    yield text[start:]


@lru_cache(maxsize=1)
def _sudachi() -> Any:
    """Return SudachiPy's tokenizer with its small dictionary, which is loaded once."""
    try:
        from sudachipy import Dictionary, SplitMode
    except ModuleNotFoundError as error:
        raise MissingDependency(
            "tokenizer: sudachi needs SudachiPy, which is not installed",
            remedy='pip install "isthmus[text]"',
        ) from error
    return Dictionary(dict="small").tokenizer(mode=SplitMode.C)
