"""When two facts say the same in other words: relations and values in a common form."""

from __future__ import annotations

from functools import lru_cache

from rag.lore.statements import specific
from rag.words import content_words, find_words, stem, word_set

_SAME = {
    word: names.split(",")[0]
    for names in (
        "lives in,live,reside,resides in",
        "job,works as,profession,occupation",
        "works at,employer",
        "likes,love,like,enjoy,adore,fond of",
        "dislikes,hate,dislike,detest",
        "go,visit,travel",
        "buy,purchase",
        "has,own,have",
        "start,begin",
        "speaks,speak",
        "studies,study",
        "plans,plan,intend",
    )
    for word in names.split(",")
}
_OPPOSITE = frozenset({frozenset({"likes", "dislikes"})})
_MEASURES = word_set(
    "big large huge small little tiny long short more less early late soon later high low fast slow old new young first last next easy hard "
    "good bad better worse best worst near far same different light dark hot cold cheap expensive every never always"
)
"""Words that make nothing concrete, and yet tell two values apart: short answers, long answers."""


@lru_cache(maxsize=65536)
def relation_key(relation: str) -> str:
    """Return the relation as it is compared; `visit` and `go` are one."""
    bare = " ".join(relation.casefold().split())
    return _SAME.get(bare, bare)


def contradict(one: str, other: str) -> bool:
    """Whether one value under both relations is a contradiction: likes and dislikes."""
    return frozenset((relation_key(one), relation_key(other))) in _OPPOSITE


@lru_cache(maxsize=65536)
def value_key(value: str) -> frozenset[str]:
    """Return the stems that make the value, in no order; words that make nothing concrete count only where there are no others."""
    bare = value.strip()
    if not bare:
        return frozenset()
    kept = specific(bare)
    return (
        frozenset(content_words(" ".join(kept)))
        or frozenset(stem(word) for word in find_words(bare.lower()))
        or frozenset({bare.casefold()})
    )


def same_value(one: str, other: str) -> bool:
    """Whether the values are equal but for order, inflection and what says nothing; a measure that only one of them has says nothing."""
    if one.casefold() == other.casefold():
        return True
    measures = _measures(one), _measures(other)
    return value_key(one) == value_key(other) and (not all(measures) or measures[0] == measures[1])


@lru_cache(maxsize=65536)
def _measures(value: str) -> frozenset[str]:
    return frozenset(find_words(value.lower())) & _MEASURES
