"""Derivation: in the background, facts out of what was remembered. What waits is noted in the catalog, so that a crash loses none of it.

    pending episodes of one session  ->  drafts (rules, or a model)  ->  compared with what is known  ->  one transaction

Two processes may derive the same: the one that comes second finds nothing pending, and writes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from indexes.dialects import Sql
from indexes.memory_rows import MemoryRow, add, change, find, raise_epoch
from indexes.vocabulary import digest
from rag.deciding import NEW, SOURCES, Deciding, source_ids
from rag.lore.clock import from_micros, now_micros, to_micros
from rag.lore.items import Action, Decision, Episode, FactDraft, Kind, Known
from rag.lore.scopes import SESSION
from rag.memory_rooms import MemoryRooms, episode_of, terms_of_row

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)

BATCH = 64
CONTEXT = 8
"""Episodes before the first pending one that a deriver sees."""
MAX_ATTEMPTS = 3
_QUIET_S = 0.02


class Deriver(Protocol):
    """Turns episodes into drafts of facts; `rag.lore.derive.derive` is one."""

    def __call__(self, episodes: Sequence[Episode], *, context: Sequence[Episode] = ()) -> list[FactDraft]: ...


def derive_some(rooms: MemoryRooms, deriver: Deriver) -> int:
    """Derive from the oldest pending episodes of one session, at most `BATCH`; return how many that were, 0 if none is left."""
    from sqlalchemy import delete

    from indexes.tables import memory_pending

    with rooms.catalog.read() as db:
        rows = _pending(db)
        before = _context(db, rows[0]) if rows else []
    if not rows:
        return 0
    try:
        drafts = deriver([_told(row) for row in rows], context=[_told(row) for row in before])
        vectors = rooms.embed([draft.text for draft in drafts], [""] * len(drafts))
    except Exception as error:  # a deriver is anybody's code, a model's reply anything
        log.warning("facts could not be derived from %d episodes: %s", len(rows), error)
        _failed(rooms, rows, error)
        return len(rows)
    with rooms.catalog.write() as db:
        still = {row.id for row in _still_pending(db, rows)}
        kept = [place for place, draft in enumerate(drafts) if draft.sources and set(draft.sources) <= still]
        if kept:
            _Settling(db, rooms, rows[0]).settle([drafts[place] for place in kept], vectors[kept])
        seqs = [row.seq for row in rows]
        db.execute(delete(memory_pending).where(memory_pending.c.seq.in_(seqs)))
    return len(rows)


def _pending(db: Connection) -> list[MemoryRow]:
    """Return the oldest pending episodes, those of one scope and session, in order."""
    from sqlalchemy import select

    from indexes.tables import memory_items as items
    from indexes.tables import memory_pending as pending

    current = select(pending.c.seq).join(items, items.c.seq == pending.c.seq).where(items.c.retired.is_(None))
    waiting = current.where(pending.c.attempts < MAX_ATTEMPTS).order_by(pending.c.seq).limit(BATCH)
    rows = find(db, items.c.seq.in_(waiting))
    return [row for row in rows if _place(row) == _place(rows[0])]


def _still_pending(db: Connection, rows: Sequence[MemoryRow]) -> list[MemoryRow]:
    from sqlalchemy import select

    from indexes.tables import memory_items as items
    from indexes.tables import memory_pending as pending

    waiting = select(pending.c.seq).where(pending.c.seq.in_([row.seq for row in rows]))
    return find(db, items.c.seq.in_(waiting), items.c.retired.is_(None))


def _context(db: Connection, first: MemoryRow) -> list[MemoryRow]:
    from sqlalchemy import select

    from indexes.tables import memory_items as items

    if not first.session:
        return []
    before = (
        select(items.c.seq)
        .where(items.c.class_id == first.class_id, items.c.scope == first.scope, items.c.session == first.session)
        .where(items.c.seq < first.seq, items.c.kind == Kind.EPISODE, items.c.retired.is_(None))
        .order_by(items.c.seq.desc())
        .limit(CONTEXT)
    )
    return find(db, items.c.seq.in_(before))


def _place(row: MemoryRow) -> tuple[int, str, str]:
    return row.class_id, row.scope, row.session


def _told(row: MemoryRow) -> Episode:
    """Return the episode as a deriver reads it: where several people share a scope, who has no name has that of the subject."""
    episode = episode_of(row)
    shared = row.scope not in ("user", SESSION)
    return replace(episode, speaker=row.by.partition(":")[2]) if shared and not episode.speaker else episode


_FAILED = Sql("UPDATE memory_pending SET attempts = attempts + 1, error = ? WHERE seq = ?")


def _failed(rooms: MemoryRooms, rows: Sequence[MemoryRow], error: Exception) -> None:
    with rooms.catalog.write() as db:
        for row in rows:
            db.exec_driver_sql(
                _FAILED.on(db),
                (f"{type(error).__name__}: {error}"[:500], row.seq),
            )


class _Settling:
    """Compares drafts of one scope with what is known there, and carries the decisions out, in one transaction."""

    def __init__(self, db: Connection, rooms: MemoryRooms, like: MemoryRow) -> None:
        self._db, self._rooms, self._like = db, rooms, like
        self._epoch = raise_epoch(db, like.class_id)
        self._now = now_micros()
        self._rows: dict[str, MemoryRow] = {}
        self._sources: dict[str, list[str]] = {}

    def settle(self, drafts: Sequence[FactDraft], vectors: Any) -> None:
        from rag.lore.reconcile import reconcile

        self._load(drafts)
        for draft, vector in zip(drafts, vectors, strict=True):
            known = [
                self._known(row) for row in self._rows.values() if row.subject.casefold() == draft.subject.casefold()
            ]
            self._carry_out(reconcile(draft, known, now=from_micros(self._now)), vector)

    def _load(self, drafts: Sequence[FactDraft]) -> None:
        """Read the facts that the drafts may touch: those of their subjects whose relation is the same or an opposite."""
        from sqlalchemy import func, select

        from indexes.tables import memory_items as items
        from rag.lore.normal import contradict, relation_key

        like = self._like
        place = [items.c.class_id == like.class_id, items.c.scope == like.scope, items.c.retired.is_(None)]
        place += [
            items.c.subject != "",
            func.lower(items.c.subject).in_({draft.subject.casefold() for draft in drafts}),
        ]
        if like.scope == SESSION:
            place.append(items.c.session == like.session)
        keys = {relation_key(draft.relation) for draft in drafts}
        present = self._db.execute(select(items.c.relation_key).where(*place).distinct()).scalars().all()
        meant = [one for one in present if one in keys or any(contradict(one, key) for key in keys)]
        rows = find(self._db, *place, items.c.relation_key.in_(meant)) if meant else []
        self._rows = {row.id: row for row in rows}
        self._sources = source_ids(self._db, list(self._rows))

    def _known(self, row: MemoryRow) -> Known:
        draft = FactDraft(
            text=row.text,
            subject=row.subject,
            relation=row.relation,
            value=row.value,
            sources=tuple(self._sources[row.id]),
            kind=Kind(row.kind),
            single=row.single,
            negated=row.negated,
            valid_from=from_micros(row.valid_from),
            valid_to=from_micros(row.valid_to),
            importance=row.importance,
            confidence=row.confidence,
            event=row.event,
            told=from_micros(row.time),
            trust=row.trust,
        )
        return Known(row.id, draft, from_micros(row.time), row.trust)

    def _carry_out(self, decision: Decision, vector: Any) -> None:
        draft, reason = decision.draft, decision.reason
        deciding = Deciding(self._db, self._now)
        told = to_micros(draft.told) if draft.told is not None else self._like.time
        recorded = min(told, self._now)
        about = [self._rows[name] for name in decision.about]
        match decision.action:
            case Action.REINFORCE:
                for row in about:
                    self._reinforce(deciding, row, draft, told, reason)
            case Action.ADD | Action.CLOSE | Action.CONFLICT:
                new = self._add(deciding, decision, vector, recorded, told)
                if decision.action is Action.CLOSE:
                    self._close(deciding, about, decision, recorded)
                if decision.action is Action.CONFLICT:
                    for row in about:
                        both = sorted({*row.conflicts, new.id})
                        self._keep(deciding.touch(row, "conflict", reason, epoch=self._epoch, conflicts=both))
            case Action.RETRACT:
                self._close(deciding, about, decision, recorded)
                for source in draft.sources:
                    deciding.add(source, "retract", {}, reason)
            case Action.IGNORE:
                for source in draft.sources:
                    deciding.add(source, "ignore", {}, reason)
        deciding.log()

    def _reinforce(self, deciding: Deciding, row: MemoryRow, draft: FactDraft, told: int, reason: str) -> None:
        before = self._sources[row.id]
        if set(draft.sources) <= set(before):
            return  # derived again from the same
        deciding.link(row.id, draft.sources)
        self._sources[row.id] = sorted({*before, *draft.sources})
        values = {
            "time": max(row.time, told),
            "reinforced": row.reinforced + 1,
            "trust": min(row.trust, draft.trust),
        }
        deciding.add(row.id, "reinforce", {name: getattr(row, name) for name in values} | {SOURCES: before}, reason)
        self._keep(change(self._db, row, epoch=self._epoch, **values))

    def _close(self, deciding: Deciding, about: Sequence[MemoryRow], decision: Decision, recorded: int) -> None:
        ends = recorded if decision.ends is None else to_micros(decision.ends)
        for row in about:
            until = ends if row.valid_to is None else min(ends, row.valid_to)
            values = {"valid_to": until, "closed": recorded}
            action = "close" if decision.action is Action.CLOSE else "retract"
            self._keep(deciding.touch(row, action, decision.reason, epoch=self._epoch, **values))

    def _add(self, deciding: Deciding, decision: Decision, vector: Any, recorded: int, told: int) -> MemoryRow:
        from rag.lore.normal import relation_key

        draft, like = decision.draft, self._like
        parts = (like.scope, like.session, draft.subject, draft.relation, draft.value, draft.text, *draft.sources)
        row = MemoryRow(
            id=digest("fact", str(like.class_id), str(self._now), str(len(self._rows)), *parts)[:32],
            class_id=like.class_id,
            scope=like.scope,
            kind=Kind(draft.kind).value,
            text=draft.text,
            time=told,
            recorded=recorded,
            stored=self._now,
            by=like.by,
            session=like.session if like.scope == SESSION else "",
            subject=draft.subject,
            relation=draft.relation,
            relation_key=relation_key(draft.relation),
            value=draft.value,
            negated=draft.negated,
            single=draft.single,
            event=draft.event,
            valid_from=to_micros(draft.valid_from),
            valid_to=to_micros(draft.valid_to),
            closed=recorded if decision.action is Action.ADD and "told late" in decision.reason else None,
            trust=draft.trust,
            importance=draft.importance,
            confidence=draft.confidence,
            conflicts=sorted(decision.about) if decision.action is Action.CONFLICT else (),
        )
        (row,) = add(
            self._db, [row], vector[None], [terms_of_row(row.text, "")], model_id=self._rooms.embedder.model_id,
            epochs={like.class_id: self._epoch},
        )  # fmt: skip
        deciding.link(row.id, draft.sources)
        self._sources[row.id] = sorted(draft.sources)
        deciding.add(row.id, decision.action.value, NEW, decision.reason)
        self._keep(row)
        return row

    def _keep(self, row: MemoryRow) -> None:
        self._rows[row.id] = row


class Background:
    """Derives in one thread of its own; begun at the first need, gone when nothing is left. Safe among threads."""

    def __init__(self, deriver: Callable[[], Deriver]) -> None:
        self._deriver = deriver
        self._waiting: dict[str, tuple[MemoryRooms, int]] = {}
        self._wakes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def wake(self, rooms: MemoryRooms) -> None:
        """Say that a tenant may have something pending."""
        with self._changed:
            if self._closed:
                return
            self._wakes += 1
            self._waiting[rooms.catalog.tenant] = rooms, self._wakes
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def settle(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to do; False if it took longer."""
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, timeout)

    def close(self) -> None:
        """Stop after what is being done; what is left stays pending."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        self.settle()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._thread = None
                    self._changed.notify_all()
                    return
                tenant, (rooms, wake) = next(iter(self._waiting.items()))
            time.sleep(_QUIET_S)  # what is said in a row is derived together
            try:
                done = derive_some(rooms, self._deriver())
            except Exception:
                log.exception("deriving facts for tenant %s stopped", tenant)
                done = 0
            if not done:
                with self._changed:
                    if self._waiting.get(tenant) == (rooms, wake):  # not woken meanwhile
                        del self._waiting[tenant]
