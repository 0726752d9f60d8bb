"""What a statement relates: the value that the rules read from a clause, and what its words say of how long it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rag.lore.items import Kind


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation read from a clause, and the value it leads to.

    Args:
        began: the statement tells of a change: it holds from when that happened.
        ended: it says that this held and does no longer.
        implied: it follows from the statement, which is a fact of its own.
    """

    name: str
    value: str
    single: bool = False
    negated: bool = False
    kind: Kind = Kind.PROFILE
    importance: float = 0.7
    began: bool = False
    ended: bool = False
    implied: bool = False
    event: bool = False


def without_now(value: str) -> str:
    """Return a value without the words that only say that it holds now: what is compared is the value."""
    return _NOW.sub("", value).strip(" ,.!")


_NOW = re.compile(
    r"^(?:now|currently|still|presently)\s+|[\s,]+(?:now|these days|nowadays|at the moment|currently|any ?more|any longer|from now on|instead)$",
    re.IGNORECASE,
)
