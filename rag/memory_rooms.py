"""One tenant's memory: its catalog's rows, the search over them, the embedder, and who may write where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from indexes.access import AccessFilter
from indexes.dialects import Sql
from indexes.errors import AccessDenied
from indexes.memory_rows import MemoryRow
from indexes.vocabulary import Acl, Principal
from rag.lore.clock import from_micros
from rag.lore.items import Episode, Kind, MemoryItem, Role
from rag.lore.scopes import Scope, check_writer, scope_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from indexes.arrays import Float32Matrix
    from indexes.catalog import Catalog
    from indexes.embedder import Embedder
    from indexes.memory_index import MemoryIndex
    from indexes.plain_views import View
    from indexes.settings import Settings
    from rag.auditing import Auditor


_RECALLED_KEPT = 2000
_NOTE_RECALLED = Sql("UPDATE memory_items SET recalled = ? WHERE seq = ?")


@dataclass(frozen=True, slots=True)
class Written:
    """A scope as it stands in the catalog."""

    scope: Scope
    class_id: int


@dataclass(slots=True)
class MemoryRooms:
    """What remembering, recalling and forgetting in one tenant share. Safe among threads."""

    catalog: Catalog
    embedder: Embedder
    index: MemoryIndex
    auditor: Auditor
    settings: Settings
    _classes: dict[Acl, int] = field(default_factory=dict)
    _recalled: dict[int, int] = field(default_factory=dict)

    def check(self, principal: Principal) -> None:
        """Refuse another tenant's principal before anything is done for it.

        Raises:
            AccessDenied: it is one.
        """
        if principal.tenant != self.catalog.tenant:
            raise AccessDenied(principal)

    def access(
        self, principal: Principal, *, view: View | None = None, before: AccessFilter | None = None
    ) -> AccessFilter:
        """Return what the principal may read at this moment; AccessDenied for another tenant's.

        Args:
            view: of the catalog, begun just now, spares another one.
            before: as of a moment ago; see `Catalog.access`.
        """
        return self.catalog.access(principal, view=view, before=before)

    def writable(self, text: object, *, access: AccessFilter, administrator: bool = False) -> Written:
        """Return the scope, as one that the principal may write in.

        Raises:
            ConfigError: there is no such scope.
            AccessDenied: it may not write there.
        """
        scope = scope_of(text, access.principal)
        if not administrator and access.principal.names.isdisjoint(scope.writers):
            check_writer(scope, access.principal, self.granted(scope.text))
        return Written(scope, self.class_of(scope.acl))

    def may_write(self, row: MemoryRow, access: AccessFilter) -> bool:
        """Return whether the principal may write where the row is: its own scope of that name, not somebody else's."""
        scope = scope_of(row.scope, access.principal)
        if self.class_of(scope.acl) != row.class_id:
            return False
        return not access.principal.names.isdisjoint(scope.writers.union(self.granted(scope.text)))

    def granted(self, scope: str) -> list[str]:
        """Return the names to whom writing in a scope was granted."""
        from sqlalchemy import select

        from indexes.tables import memory_writers as table

        with self.catalog.read() as db:
            return list(db.execute(select(table.c.name).where(table.c.scope == scope)).scalars())

    def note_recalled(self, rows: Iterable[MemoryRow], at: int) -> bool:
        """Note that rows were recalled, for what decays unless it is; return whether it is time to write it down.

        A crash loses some of it, which is no harm: an item then seems recalled a little earlier.
        """
        self._recalled.update((row.seq, at) for row in rows)
        return len(self._recalled) >= _RECALLED_KEPT

    def flush_recalled(self) -> None:
        """Write down what was noted."""
        noted, self._recalled = self._recalled, {}
        if noted:
            with self.catalog.write() as db:
                db.exec_driver_sql(_NOTE_RECALLED.on(db), [(at, seq) for seq, at in noted.items()])

    def class_of(self, acl: Acl) -> int:
        """Return the id of a scope's ACL class, making it if it is new; it never changes."""
        if (known := self._classes.get(acl)) is None:
            known = self._classes[acl] = self.catalog.class_id(acl)
        return known

    def embed(self, texts: Sequence[str], speakers: Sequence[str]) -> Float32Matrix:
        """Return the vectors of what was said by whom, shape (n, dim)."""
        return self.embedder.embed_passages([spoken(text, by) for text, by in zip(texts, speakers, strict=True)])

    @contextmanager
    def changing(self, classes: Iterable[int], *, gone: bool = False) -> Iterator[tuple[Connection, dict[int, int]]]:
        """One write transaction over items of some classes; yields it with their new epochs."""
        from indexes.memory_rows import raise_epoch

        with self.catalog.write() as db:
            yield db, {one: raise_epoch(db, one, gone=gone) for one in sorted(set(classes))}


def spoken(text: str, speaker: str) -> str:
    """Return a text as it is searched: what somebody said is found by who said it, too."""
    return f"{speaker}: {text}" if speaker else text


def terms_of_row(text: str, speaker: str) -> bytes:
    """Return the digests of the words that a text is found by."""
    from indexes.memory_terms import terms_of

    return terms_of(spoken(text, speaker)).tobytes()


def episode_of(row: MemoryRow) -> Episode:
    return Episode(
        id=row.id,
        text=row.text,
        speaker=row.speaker,
        session=row.session,
        time=from_micros(row.time),
        scope=row.scope,
        role=Role(row.role),
        trust=row.trust,
        metadata=row.metadata,
    )


def item_of(row: MemoryRow, sources: Sequence[MemoryRow] = (), *, score: float = 0.0) -> MemoryItem:
    """Return an item as it leaves.

    Args:
        sources: the episodes that it rests on, as far as the principal may read them.
    """
    kind = Kind(row.kind)
    told: list[Any] = [row] if kind is Kind.EPISODE else list(sources)
    return MemoryItem(
        id=row.id,
        kind=kind,
        text=row.text,
        score=score,
        scope=row.scope,
        time=from_micros(row.time),
        valid_from=from_micros(row.valid_from),
        valid_to=from_micros(row.valid_to),
        trust=min([row.trust, *(one.trust for one in told)]),
        metadata=row.metadata,
        provenance=tuple(episode_of(one) for one in told if one.kind == Kind.EPISODE),
        importance=row.importance,
        conflicts=tuple(row.conflicts),
    )
