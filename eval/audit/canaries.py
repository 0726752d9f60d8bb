"""Canaries: made-up words that stand in one document and nowhere else, so that a leak is a matter of fact, not of judgement."""

from __future__ import annotations

import re
from random import Random

_LETTERS = "bcdfghjkmnpqrtvwx"  # no vowel, s, l, y: no stemmer shortens such a word; no z: two never overlap
_CANARY = re.compile(rf"zq[{_LETTERS}]{{8}}")


def mint(rng: Random) -> str:
    """Return a new canary: ten letters that are no word of any language; about 7 * 10^9 there are."""
    return "zq" + "".join(rng.choices(_LETTERS, k=8))


def sung(out: object) -> frozenset[str]:
    """Return every canary in whatever came out of a door, however deep it lies in it and however it is written."""
    return frozenset(_CANARY.findall(repr(out).casefold()))
