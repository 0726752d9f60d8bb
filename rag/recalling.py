"""Recall: what memory holds about a question, searched in the scopes that the principal may read, each item confirmed before it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from indexes.access import AccessFilter
from indexes.errors import ConfigError, TooLarge
from indexes.memory_index import MemoryCandidates
from indexes.memory_partition import MemoryQuery
from indexes.memory_rows import MemoryRow, confirm, find, sources
from indexes.memory_terms import digests_of
from indexes.vocabulary import Principal
from indexes.where import And, Filter, matches
from indexes.where_json import parse
from rag.lore.clock import from_micros, now_micros, to_micros
from rag.lore.items import Kind, MemoryItem
from rag.lore.rank import Candidates, best_to_read, query_terms, rank, with_changes
from rag.lore.scopes import SESSION, scope_of
from rag.memory_rooms import MemoryRooms, item_of

TOP_K = 10
DEPTH = 64
MAX_TOP_K = 1000
MAX_WORDS = 256
OWN_FIELDS = ("id", "kind", "scope", "session", "speaker", "role", "subject", "relation")
"""What a metadata filter can ask of an item besides its metadata."""
_TRIES = 3
_LEAST_TOKENS = 4


@dataclass(frozen=True, slots=True)
class Wanted:
    """A recall's arguments, checked."""

    query: str
    top_k: int
    as_of: datetime | None = None
    session: str = ""
    scopes: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    where: Filter | None = None
    depth: int = DEPTH
    """Items that each search brings at least: as many as are asked for."""

    def passes(self, row: MemoryRow) -> bool:
        """Return whether an item that may be read is one that was asked for: the last look, after the search's own."""
        return (
            (row.scope != SESSION or row.session == self.session)
            and (self.scopes is None or row.scope in self.scopes)
            and (self.kinds is None or row.kind in self.kinds)
            and (self.where is None or matches(self.where, fields_of(row)))
        )


def check_query(query: object, max_chars: int) -> str:
    """Return the query if it can be searched for; ConfigError or TooLarge if not."""
    if not isinstance(query, str) or not query.strip():
        raise ConfigError("the query is empty; write a question or some words")
    if len(query) > max_chars:
        raise TooLarge(f"the query has {len(query)} characters, the limit is {max_chars}; shorten it")
    if not query.isascii() and any("\ud800" <= char <= "\udfff" for char in query):
        raise ConfigError("the query is not valid Unicode: it holds half of a surrogate pair")
    return query


def check_top_k(top_k: int | None, max_tokens: int | None) -> int:
    """Return how many items are wanted at most; where nobody says, 10, or as many as a budget of tokens may hold."""
    if max_tokens is not None and (not isinstance(max_tokens, int) or max_tokens < 1):
        raise ConfigError(f"max_tokens is {max_tokens}, it must be at least 1")
    if top_k is None:
        return TOP_K if max_tokens is None else min(max(max_tokens // _LEAST_TOKENS, TOP_K), MAX_TOP_K)
    if not isinstance(top_k, int) or not 1 <= top_k <= MAX_TOP_K:
        raise ConfigError(f"top_k is {top_k}, it must be 1 to {MAX_TOP_K}")
    return top_k


def check_kinds(kinds: Sequence[str] | None) -> frozenset[str] | None:
    if kinds is None:
        return None
    given = [kinds] if isinstance(kinds, str) else list(kinds)
    if unknown := [kind for kind in given if kind not in set(Kind)]:
        raise ConfigError(f"kind {unknown[0]!r} is unknown: use {', '.join(Kind)}")
    return frozenset(map(str, given))


def check_scopes(scopes: Sequence[str] | None, principal: Principal, session: str | None) -> frozenset[str] | None:
    """Return the scopes' texts; ConfigError for one that there is not. Which of them may be read the search decides."""
    if scopes is None:
        return None
    found = frozenset(scope_of(one, principal).text for one in ([scopes] if isinstance(scopes, str) else scopes))
    if session == "" and SESSION in found:
        raise ConfigError("the scope session needs session=, the conversation's id")
    return found


@dataclass(frozen=True, slots=True)
class Recalled:
    """What was found, best first, and by which classes the principal might read it."""

    items: tuple[MemoryItem, ...]
    rows: tuple[MemoryRow, ...]
    access: AccessFilter


def recall(
    rooms: MemoryRooms,
    wanted: Wanted,
    *,
    principal: Principal,
    before_confirm: Callable[[], None] | None = None,
) -> Recalled:
    """Return the best items for a query, confirmed.

    Args:
        before_confirm: called between the search and its confirmation: where tests take rights away.
    """
    rooms.check(principal)
    vector = rooms.embedder.embed_queries([wanted.query])[0]
    words = query_terms(wanted.query)[:MAX_WORDS]
    now, as_of = now_micros(), to_micros(wanted.as_of)
    for _ in range(_TRIES):
        with rooms.catalog.look() as db:
            access = rooms.access(principal, view=db)
            query = MemoryQuery(
                vector, digests_of(words), now, as_of=as_of, session=wanted.session, scopes=wanted.scopes,
                kinds=wanted.kinds, passing=_passing(rooms, wanted, access), depth=wanted.depth,
            )  # fmt: skip
            candidates = rooms.index.candidates(db, query, access=access)
        ranked = _ranked(wanted, words, candidates, now if as_of is None else as_of)
        if before_confirm is not None:
            before_confirm()
        with rooms.catalog.look() as db:
            access = rooms.access(principal, view=db, before=access)  # a group may have been taken away meanwhile
            confirmed = confirm(
                db, [seq for seq, _ in ranked], access=access, now=now, as_of=as_of, passes=wanted.passes
            )
            found = _best(wanted, [(confirmed[seq], score) for seq, score in ranked if seq in confirmed])
            told = sources(db, [row.id for row, _ in found if row.kind != Kind.EPISODE], access=access)
        if len(confirmed) == len(ranked):
            break  # else something changed meanwhile: what is left would be too short, so look again
    items = tuple(item_of(row, told.get(row.id, ()), score=score) for row, score in found)
    return Recalled(items, tuple(row for row, _ in found), access)


def _best(wanted: Wanted, found: Sequence[tuple[MemoryRow, float]]) -> list[tuple[MemoryRow, float]]:
    """Return as many as are wanted, best first, now that their texts are read; ties as they came."""
    scores = with_changes(wanted.query, [row.text for row, _ in found], [score for _, score in found])
    order = sorted(range(len(found)), key=lambda place: -scores[place])[: wanted.top_k]
    return [(found[place][0], scores[place]) for place in order]


def _passing(rooms: MemoryRooms, wanted: Wanted, access: AccessFilter) -> frozenset[int] | None:
    """Return the readable rows that pass the metadata filter, None where there is none. Cost: reads all readable metadata."""
    from indexes.tables import memory_items as items

    if wanted.where is None:
        return None
    with rooms.catalog.read() as db:
        rows = find(db, items.c.class_id.in_(sorted(access.classes)))
    return frozenset(row.seq for row in rows if matches(wanted.where, fields_of(row)))


def fields_of(row: MemoryRow) -> dict[str, Any]:
    """Return what a metadata filter sees of an item: its metadata, and over it its own fields."""
    return {**row.metadata, **{name: getattr(row, name) for name in OWN_FIELDS}}


def _ranked(wanted: Wanted, words: Sequence[str], candidates: MemoryCandidates, now: int) -> list[tuple[int, float]]:
    """Return seqs and scores of as many as are to be read, best first; ties by ascending seq."""
    told = Candidates(
        dense=candidates.dense,
        words=words,
        word_scores=candidates.term_scores,
        times=candidates.times,
        sessions=candidates.sessions,
        positions=candidates.positions,
        speakers=candidates.speakers,
        names=candidates.names,
        asks=candidates.asks,
        texts=candidates.texts,
        trust=candidates.trust,
        importance=candidates.importance,
    )
    scores = rank(wanted.query, told, now=from_micros(now))
    order = np.lexsort((candidates.seqs, -scores))[: best_to_read(wanted.query, wanted.top_k)]
    return list(zip(candidates.seqs[order].tolist(), scores[order].tolist(), strict=True))


def passing_filter(where: Mapping[str, Any] | None) -> Filter | None:
    found = None if where is None else parse(where)
    return None if found == And(()) else found
