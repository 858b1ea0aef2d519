"""Cut a text into terms: runs of characters, words, or the Japanese words of SudachiPy."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from ...errors import Invalid, MissingDependency

_SHORTEST, _LONGEST = 3, 5  # of a run of characters
_WORD = re.compile(r"\w+")
_NO_WORDS = ("補助記号", "空白", "記号")  # parts of speech of punctuation, spaces and signs


def tokenizer(name: str) -> Callable[[str], list[str]]:
    """Return the function that cuts a text into terms: characters, words or sudachi.

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


def _characters(text: str) -> list[str]:
    """Return all runs of 3 to 5 characters of a text, which begins and ends with a space."""
    padded = f" {normalized(text)} "
    return list(_runs(padded)) if len(padded) > 2 else []


def _runs(text: str) -> Iterator[str]:
    """Yield the runs of 3 to 5 characters of a text; a shorter text is one run."""
    for length in range(_SHORTEST, _LONGEST + 1):
        for start in range(len(text) - length + 1):
            yield text[start : start + length]


def _words(text: str) -> list[str]:
    """Return the words of a text: what lies between spaces and punctuation."""
    return _WORD.findall(normalized(text))


def _japanese(text: str) -> list[str]:
    """Return the Japanese words of a text in their dictionary's spelling, without punctuation."""
    return [
        word.normalized_form()
        for word in _sudachi().tokenize(normalized(text))
        if word.part_of_speech()[0] not in _NO_WORDS
    ]


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
