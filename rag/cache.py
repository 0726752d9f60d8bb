"""What was computed lately for one tenant, kept so that nobody reads through it what others may, or sees that they asked.

A key holds everything its value depends on, rights and release included: who lost a right asks with another key. And of each collection only
the newest epoch ever seen is kept, so that what was revoked does not linger. Whoever takes a value out confirms the chunks it names anew.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, TypeVar

from indexes.vocabulary import digest

_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Scope:
    """What serves a principal at one moment, and what it may read: equal scopes and equal arguments give equal results.

    `classes` are the readable ACL classes, not the principal: people of equal rights share what is kept, others share nothing.
    """

    tenant: str
    collection: str
    classes: frozenset[int]
    epoch: int
    build: str
    release: str

    @property
    def readers(self) -> str:
        """Names the people of equal rights."""
        return f"{self.tenant} {sorted(self.classes)}"


@dataclass(frozen=True, slots=True)
class Key(Generic[_V]):
    """Names one value of type V. `arguments` is a digest: no question's words are kept."""

    scope: Scope
    kind: str
    arguments: str

    @classmethod
    def of(cls, scope: Scope, kind: str, *arguments: object) -> Key[_V]:
        """Return the key for JSON-like arguments; 1, True, 1.0 and "1" are four, the order of a mapping is none."""
        # What JSON lacks has a key of its own; the search itself then refuses it, and refusals are not kept.
        text = json.dumps(arguments, sort_keys=True, default=lambda other: [type(other).__qualname__, repr(other)])
        return cls(scope, kind, digest(text))


class Cache:
    """Values by key, the least recently used ones dropped first. Safe for many threads.

    Args:
        entries: most values kept; 0 keeps nothing.
        chars: most characters kept in all, as counted by who puts them; a larger value is not kept at all.
    """

    def __init__(self, *, entries: int = 4096, chars: int = 32_000_000) -> None:
        self._most_entries, self._most_chars = entries, chars
        self._values: OrderedDict[Key[Any], tuple[Any, int]] = OrderedDict()
        self._chars = 0
        self._newest: dict[str, int] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._values)

    @property
    def chars(self) -> int:
        """Characters kept now."""
        return self._chars

    def get(self, key: Key[_V]) -> _V | None:
        """Return the value, None if none is kept."""
        with self._lock:
            if not self._is_newest(key.scope) or key not in self._values:
                return None
            self._values.move_to_end(key)
            value: _V = self._values[key][0]
            return value

    def put(self, key: Key[_V], value: _V, *, chars: int) -> None:
        """Keep the value, unless its scope is one of the past by now."""
        with self._lock:
            if not self._is_newest(key.scope) or chars > self._most_chars:
                return
            self._drop(key)
            self._values[key] = value, chars
            self._chars += chars
            while len(self._values) > self._most_entries or self._chars > self._most_chars:
                self._drop(next(iter(self._values)))

    def drop(self, key: Key[Any]) -> None:
        """Forget one value, if it is kept."""
        with self._lock:
            self._drop(key)

    def forget(self, collection: str) -> None:
        """Forget everything of a collection, for who changed it and does not want to wait for the next query."""
        with self._lock:
            self._newest.pop(collection, None)
            self._drop_all(collection)

    def _is_newest(self, scope: Scope) -> bool:
        """Return whether `scope` is of the collection's newest epoch; a newer one than was known drops what older ones left.

        Several releases may be asked in one epoch: what is live and a candidate that is evaluated beside it.
        """
        known = self._newest.get(scope.collection, -1)
        if scope.epoch < known:
            return False
        if scope.epoch != known:
            self._newest[scope.collection] = scope.epoch
            self._drop_all(scope.collection)
        return True

    def _drop_all(self, collection: str) -> None:
        for key in [key for key in self._values if key.scope.collection == collection]:
            self._drop(key)

    def _drop(self, key: Key[Any]) -> None:
        _, chars = self._values.pop(key, (None, 0))
        self._chars -= chars
