"""Words as they are compared: lower-case Snowball stems, and the words that carry no meaning of their own."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_WORD = re.compile(r"[^\W\d_][\w]*(?:['’][^\W\d_]+)?|\d[\w]*")
_SUFFIX = re.compile(r"['’](?:s|re|ve|ll|d|m)?$")


def word_set(words: str) -> frozenset[str]:
    """Return the blank-separated words as a set."""
    return frozenset(words.split())


STOP_WORDS = word_set(
    "a about above after again all also am an and any are as at be because been before being between both but by "
    "can could did do does doing down during each etc few for from further had has have having he her here hers "
    "him his how i if in into is it its itself just let me more most my no nor not now of off on once only or "
    "other our ours out over own per same shall she should so some such than that the their theirs them then "
    "there these they this those through to too under until up upon us very was we were what when where which "
    "while who whom whose why will with within without would you your yours may might must cannot never none "
    "neither unless except however therefore thus e.g i.e"
)


def find_words(text: str) -> list[str]:
    """Return the words and numbers of `text` as written."""
    return _WORD.findall(text)


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("english")


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Return the Snowball stem of a lower-case word."""
    stemmed: str = _stemmer().stemWord(word)
    return stemmed


def words(text: str) -> list[str]:
    """Return the stems of all words and numbers, in order; possessives lose their 's."""
    return [stem(_SUFFIX.sub("", word)) for word in find_words(text.lower())]


def content_words(text: str) -> list[str]:
    """Return the stems of the words that carry meaning, in order, with repetitions."""
    return [
        stem(_SUFFIX.sub("", word))
        for word in find_words(text.lower())
        if word not in STOP_WORDS and not word.endswith(("n't", "n’t"))
    ]
