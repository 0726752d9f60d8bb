"""Agent memory: what was said becomes episodes, what follows from it facts; recalled, corrected and forgotten as a principal.

    remember  ->  episodes in the catalog, at once  ->  facts, derived in the background (`settle` waits)
    recall    ->  the scopes that the principal may read  ->  ranked, packed, each item confirmed before it leaves

`Loremill.memory` is one. What a call did is written into the tenant's audit log; what cannot be written down does not leave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, overload

from indexes.errors import CollectionNotFound, ConfigError, IndexBackendError, MemoryNotFound
from indexes.vocabulary import Principal
from rag.deriving import Background, Deriver
from rag.lore.items import Episode, MemoryEvent, MemoryItem, Receipt
from rag.memory_rooms import MemoryRooms, item_of

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from indexes.embedder import Embedder
    from indexes.settings import Settings
    from rag.forgetting import Forgotten
    from rag.lore.consolidate import ConsolidationReport, Policy
    from rag.tenant import Tenant

MAX_LISTED = 1000
NOT_FOUND = "no such item of memory"

Episodes = list[Episode]
Items = list[MemoryItem]
Events = list[MemoryEvent]
Conditions = list["ColumnElement[bool]"]
"""Named, since the class below has a method called `list`."""


class Memory:
    """The memory of every tenant of a home. Safe for many threads; several processes may share a home."""

    before_confirm: Callable[[], None] | None = None
    """Called between a recall's search and its confirmation: where tests take rights away."""

    def __init__(
        self, home: Path, settings: Settings, tenant: Callable[..., Tenant], embedder: Callable[[], Embedder]
    ) -> None:
        """
        Args:
            tenant: opens a tenant's rooms by name; `create=True` makes them.
        """
        self._home, self._settings, self._tenant, self._embedder = home, settings, tenant, embedder
        self._rooms: dict[str, MemoryRooms] = {}
        self._lock = RLock()
        self._background = Background(lambda: self.deriver)

    @cached_property
    def deriver(self) -> Deriver:
        """What turns episodes into facts: rules, unless another is set here before memory is first used."""
        from rag.lore.derive import derive

        return derive

    # -- in ----------------------------------------------------------------------------------------------------------

    @overload
    def remember(
        self, text: str, *, principal: Principal, scope: str = "user", session: str | None = None,
        speaker: str | None = None, time: datetime | str | None = None, metadata: Mapping[str, Any] | None = None,
        role: str = "user", administrator: bool = False,
    ) -> Episode: ...  # fmt: skip
    @overload
    def remember(
        self, text: Sequence[Mapping[str, Any]], *, principal: Principal, scope: str = "user", session: str | None = None,
        speaker: str | None = None, time: datetime | str | None = None, metadata: Mapping[str, Any] | None = None,
        role: str = "user", administrator: bool = False,
    ) -> Episodes: ...  # fmt: skip
    def remember(
        self,
        text: str | Sequence[Mapping[str, Any]],
        *,
        principal: Principal,
        scope: str = "user",
        session: str | None = None,
        speaker: str | None = None,
        time: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
        role: str = "user",
        administrator: bool = False,
    ) -> Episode | Episodes:
        """Store what was said, verbatim, and return it as episodes; facts follow in the background.

        What has returned is in the catalog: of messages one episode each, in order. The same again (scope, session, speaker, time and
        text) is the same episode.

        Args:
            text: a text, or messages `{"role", "content"}` with, if they like, `speaker` (or `name`) and `time` of their own.
            scope: whom it belongs to: `user`, `session`, `agent:NAME`, `team:NAME` or `tenant`; see `rag.lore.scopes`.
            session: of the conversation.
            speaker: who said the text; of messages, those whose role is `role` and that name nobody themselves.
            time: when it was said; default now. ISO 8601 text will do.
            role: of a text: `user`, `assistant`, `tool` or `system`.
            administrator: the caller has checked that the principal may write in every scope.
        Raises:
            ConfigError: an argument is malformed, or the scope is unknown; TooLarge: a text, or their number, passes its limit.
            AccessDenied: the principal may not write in the scope, or belongs to another tenant.
            In each case nothing is stored.
        """
        from rag.remembering import check_metadata, check_session, read_messages, rows_of, store

        rooms = self._open(principal, create=True)
        with rooms.auditor.denials(principal, "memory.remember"):
            written = rooms.writable(scope, access=rooms.access(principal), administrator=administrator)
        said = read_messages(
            text, speaker=speaker, role=role, time=time, max_chars=self._settings.memory_max_chars,
            max_messages=self._settings.memory_max_messages,
        )  # fmt: skip
        rows = rows_of(
            said, written, session=check_session(session, written.scope.text), metadata=check_metadata(metadata),
            by=principal.subject,
        )  # fmt: skip
        episodes = store(rooms, rows, new_for_sure=time is None and isinstance(text, str))
        rooms.auditor.did(
            "memory.remember",
            principal,
            scope=written.scope.text,
            items=[one.id for one in episodes][:100],
            count=len(episodes),
        )
        self._background.wake(rooms)
        return episodes[0] if isinstance(text, str) else episodes

    def settle(self, timeout: float | None = None) -> bool:
        """Wait until facts are derived from all that was remembered; False if `timeout` seconds were not enough."""
        return self._background.settle(timeout)

    # -- out ---------------------------------------------------------------------------------------------------------

    def recall(
        self,
        query: str,
        *,
        principal: Principal,
        top_k: int | None = None,
        max_tokens: int | None = None,
        as_of: datetime | str | None = None,
        scopes: Sequence[str] | None = None,
        session: str | None = None,
        kinds: Sequence[str] | None = None,
        as_prompt: bool = False,
        where: Mapping[str, Any] | None = None,
    ) -> Items | str:
        """Return what the principal may read that answers the query best, best first; with `as_prompt` as text for a prompt.

        Args:
            query: free text.
            top_k: most items, 1 to 1000; default 10, or as many as `max_tokens` holds.
            max_tokens: of their texts together, or of the whole prompt, by the embedder's tokenizer.
            as_of: what memory said at that moment: what was known and held then. Default: now, upcoming things included.
            scopes: only these; default all that the principal may read.
            session: the present conversation's: its session-scoped items are recalled too. It excludes nothing.
            kinds: only these of `episode`, `fact`, `profile`.
            where: metadata filter; see `indexes.where`. An item's own fields are `kind`, `scope`, `session`, `speaker`, `role`.
        """
        from rag.lore.clock import now_micros, read_time
        from rag.lore.pack import as_prompt as prompt_of
        from rag.lore.pack import pack
        from rag.recalling import (
            DEPTH,
            Wanted,
            check_kinds,
            check_query,
            check_scopes,
            check_top_k,
            passing_filter,
            recall,
        )

        wanted = Wanted(
            check_query(query, self._settings.max_query_chars),
            check_top_k(top_k, max_tokens),
            None if as_of is None else read_time(as_of, "as_of"),
            session or "",
            check_scopes(scopes, principal, session or ""),
            check_kinds(kinds),
            passing_filter(where),
            max(DEPTH, top_k or 0),
        )
        rooms = self._reading(principal)
        if rooms is None:
            return "" if as_prompt else []
        with rooms.auditor.denials(principal, "memory.recall"):
            found = recall(rooms, wanted, principal=principal, before_confirm=self.before_confirm)
        items = list(found.items)
        if max_tokens is not None:
            items = pack(items, max_tokens=max_tokens, count_tokens=rooms.embedder.count_tokens, framed=as_prompt)
        self._saw(rooms, principal, [item.id for item in items], query=query)
        kept = {item.id for item in items}
        if rooms.note_recalled((row for row in found.rows if row.id in kept), now_micros()):
            rooms.flush_recalled()
        return prompt_of(items) if as_prompt else items

    def get(self, id: str, *, principal: Principal) -> MemoryItem | None:
        """Return an item, None if there is none that the principal may read."""
        from indexes.memory_rows import current, sources

        rooms = self._reading(principal)
        if rooms is None:
            return None
        with rooms.auditor.denials(principal, "memory.get"):
            access = rooms.access(principal)
        with rooms.catalog.read() as db:
            row = current(db, id, access=access)
            told = sources(db, [id], access=access) if row is not None else {}
        if row is None:
            rooms.auditor.denied(principal, item=str(id)[:64])
            return None
        self._saw(rooms, principal, [row.id])
        return item_of(row, told.get(row.id, ()))

    def list(
        self,
        *,
        principal: Principal,
        scopes: Sequence[str] | None = None,
        session: str | None = None,
        kinds: Sequence[str] | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Items:
        """Return items that the principal may read and that hold now, in the order in which they were remembered.

        Args:
            scopes: only these; session-scoped items are listed only where `scopes` or `session` asks for them.
            session: only what belongs to it.
            after: id of the last item of the page before.
        """
        from indexes.memory_rows import current, find, sources
        from indexes.tables import memory_items as items
        from rag.recalling import check_kinds, check_scopes

        if not isinstance(limit, int) or not 1 <= limit <= MAX_LISTED:
            raise ConfigError(f"limit is {limit}, it must be 1 to {MAX_LISTED}")
        only, wanted = check_scopes(scopes, principal, None), check_kinds(kinds)
        rooms = self._reading(principal)
        if rooms is None:
            return []
        with rooms.auditor.denials(principal, "memory.list"):
            access = rooms.access(principal)
        conditions: Conditions = [items.c.class_id.in_(sorted(access.classes)), items.c.retired.is_(None)]
        if only is not None:
            conditions.append(items.c.scope.in_(sorted(only)))
        elif session is None:
            conditions.append(items.c.scope != "session")
        if session is not None:
            conditions.append(items.c.session == session)
        if wanted is not None:
            conditions.append(items.c.kind.in_(sorted(wanted)))
        with rooms.catalog.read() as db:
            if after is not None:
                last = current(db, after, access=access)
                if last is None:
                    raise ConfigError(f"after is {after[:64]!r}, there is no such item; begin anew")
                conditions.append(items.c.seq > last.seq)
            rows = find(db, *conditions, limit=limit)
            told = sources(db, [row.id for row in rows if row.kind != "episode"], access=access)
        self._saw(rooms, principal, [row.id for row in rows])
        return [item_of(row, told.get(row.id, ())) for row in rows]

    def history(self, id: str, *, principal: Principal) -> Events:
        """Return what was decided about an item, oldest first; nothing where there is none that the principal may read."""
        from rag.correcting import history

        rooms = self._reading(principal)
        if rooms is None:
            return []
        with rooms.auditor.denials(principal, "memory.history"):
            found = history(rooms, id, access=rooms.access(principal))
        self._saw(rooms, principal, [id] if found else [])
        return found

    # -- correcting --------------------------------------------------------------------------------------------------

    def update(
        self, id: str, text: str, *, principal: Principal, metadata: Mapping[str, Any] | None = None,
        administrator: bool = False,
    ) -> MemoryItem:  # fmt: skip
        """Put another text in an item's place, and return it. The text before stays in its history until it is forgotten.

        Facts that rested on an episode's old text are retired, and derived anew from the new one.

        Args:
            metadata: in place of what there is; None keeps it.
        Raises:
            MemoryNotFound: there is no such item that the principal may read.
            AccessDenied: it may not write in its scope. ConfigError, TooLarge: as `remember`.
        """
        from rag.correcting import update
        from rag.remembering import check_metadata, check_text

        said = check_text(text, "text", self._settings.memory_max_chars)
        about = None if metadata is None else check_metadata(metadata)
        rooms = self._there(principal)
        with rooms.auditor.denials(principal, "memory.update"):
            item = update(rooms, id, said, about, access=rooms.access(principal), administrator=administrator)
        rooms.auditor.did("memory.change", principal, change="update", items=[id])
        self._background.wake(rooms)
        return item

    def restore(self, event_id: str, *, principal: Principal, administrator: bool = False) -> MemoryItem:
        """Undo a decision that `history` tells of, and return the item that it was about as it is now.

        Raises:
            MemoryNotFound: there is no such decision about an item that the principal may read.
            AccessDenied: it may not write in the scope of one of the items that the decision touched.
            ConfigError: it is undone already, or something decided later has changed the same.
        """
        from rag.correcting import restore

        rooms = self._there(principal, "no such decision of memory")
        with rooms.auditor.denials(principal, "memory.restore"):
            item = restore(rooms, event_id, access=rooms.access(principal), administrator=administrator)
        rooms.auditor.did("memory.change", principal, change="restore", event=event_id, items=[item.id])
        self._background.wake(rooms)
        return item

    def share(self, id: str, *, principal: Principal, scope: str, administrator: bool = False) -> MemoryItem:
        """Copy an item into another scope, and return the copy. It goes when the item is forgotten; audited.

        Raises:
            MemoryNotFound: there is no such item that the principal may read.
            AccessDenied: it may not write in the other scope. ConfigError: there is no such scope.
        """
        from rag.correcting import share

        rooms = self._there(principal)
        with rooms.auditor.denials(principal, "memory.share"):
            item, came_from = share(rooms, id, scope, access=rooms.access(principal), administrator=administrator)
        rooms.auditor.did("memory.share", principal, item=id, copy=item.id, came_from=came_from, scope=item.scope)
        return item

    def consolidate(
        self, *, principal: Principal, scope: str = "user", policy: Policy | None = None, administrator: bool = False
    ) -> ConsolidationReport:
        """Tidy a scope: merge duplicates, summarise old sessions, let expire what the policy says. Idempotent; limited by the policy.

        Args:
            policy: default merges, and summarises sessions that ended 30 days ago; nothing expires.
        Raises:
            ConfigError: there is no such scope. AccessDenied: the principal may not write there. Busy: others write all the time.
        """
        from rag.consolidating import DEFAULT, consolidate_scope

        rooms = self._open(principal, create=True)
        with rooms.auditor.denials(principal, "memory.consolidate"):
            access = rooms.access(principal)
            written = rooms.writable(scope, access=access, administrator=administrator)
        report = consolidate_scope(rooms, written, policy or DEFAULT, access=access)
        rooms.auditor.did(
            "memory.change", principal, change="consolidate", scope=written.scope.text, merged=report.merged,
            expired=dict(report.expired), summarised=report.summarised,
        )  # fmt: skip
        self._background.wake(rooms)
        return report

    def grant(self, scope: str, to: str, *, tenant: str, revoke: bool = False) -> None:
        """Let a subject or a group write in a scope, `tenant` say, or no longer. For operators.

        Raises:
            ConfigError: there is no such scope, or no such name.
        """
        from rag.correcting import grant

        rooms = self._open(Principal(tenant, "service:loremill"), create=True)
        grant(rooms, scope, to, revoke=revoke)
        rooms.auditor.did("rights", None, memory_scope=scope, to=to, revoked=revoke)

    # -- forgetting --------------------------------------------------------------------------------------------------

    def forget(
        self,
        *,
        principal: Principal,
        id: str | None = None,
        query: str | None = None,
        session: str | None = None,
        subject: str | None = None,
        scope: str | None = None,
        before: datetime | str | None = None,
        administrator: bool = False,
    ) -> Receipt:
        """Delete for good what all the conditions given hold for, with the facts that rest on it, and return a receipt.

        Only what the principal may read and write is deleted; copies that were shared of it are deleted with it.

        Args:
            id: of an item.
            query: items that hold all of these words, with the episodes that they rest on.
            session: what belongs to it.
            subject: what is about somebody or was said by them, with the episodes that it rests on.
            scope: what belongs to it.
            before: what happened before that moment.
            administrator: the caller has checked that the principal may write in every scope.
        Raises:
            ConfigError: no condition is given, or one is malformed.
        """
        from rag.forgetting import check_conditions
        from rag.receipts import issue, save

        conditions = {
            "id": id,
            "query": query,
            "session": session,
            "subject": subject,
            "scope": scope,
            "before": before,
        }
        given = {name: value for name, value in conditions.items() if value is not None}
        if not given:
            raise ConfigError(f"say what to forget: {', '.join(conditions)}")
        checked = check_conditions(given, principal, max_query_chars=self._settings.max_query_chars)
        rooms = self._reading(principal)
        gone, notes = (None, ()) if rooms is None else self._forgotten(rooms, checked, principal, administrator)
        receipt = issue(
            self._home, tenant=principal.tenant, by=principal.subject, about="memory " + ", ".join(sorted(given)),
            counts=gone.counts if gone else {}, strings=[row.text for row in gone.rows] if gone else [],
            memory_rows=[row.seq for row in gone.rows] if gone else [], notes=notes,
        )  # fmt: skip
        save(self._home, receipt)
        if rooms is not None:
            rooms.auditor.did("memory.forget", principal, receipt=receipt.id, counts=dict(receipt.counts))
        return receipt

    def _forgotten(
        self, rooms: MemoryRooms, checked: Mapping[str, Any], principal: Principal, administrator: bool
    ) -> tuple[Forgotten, Sequence[str]]:
        """Return what went, and what of it stays on the disk for now."""
        from rag.erasure.storage import storage_of
        from rag.forgetting import forget_items, select_items

        with rooms.auditor.denials(principal, "memory.forget"):
            access = rooms.access(principal)
        gone = forget_items(rooms, select_items(rooms, checked, access=access, administrator=administrator))
        notes = storage_of(rooms.catalog).tidy()
        self._background.wake(rooms)
        return gone, notes

    def close(self) -> None:
        """Stop what goes on in the background. Nothing is lost: it goes on when memory is next used."""
        self._background.close()
        with self._lock:
            for rooms in self._rooms.values():
                with suppress(IndexBackendError):  # a server that is gone; what is lost of it is no harm
                    rooms.flush_recalled()
            self._rooms.clear()

    # -- rooms -------------------------------------------------------------------------------------------------------

    def _reading(self, principal: Principal) -> MemoryRooms | None:
        """Return the principal's tenant's rooms, None where the tenant holds nothing."""
        try:
            return self._open(principal, create=False)
        except CollectionNotFound:
            return None

    def _there(self, principal: Principal, missing: str = NOT_FOUND) -> MemoryRooms:
        """Return the principal's tenant's rooms; MemoryNotFound where the tenant holds nothing: nothing is made for who only asks."""
        rooms = self._reading(principal)
        if rooms is None:
            raise MemoryNotFound(missing)
        return rooms

    def _open(self, principal: Principal, *, create: bool) -> MemoryRooms:
        from indexes.memory_index import MemoryIndex

        with self._lock:
            if (rooms := self._rooms.get(principal.tenant)) is None:
                tenant = self._tenant(principal.tenant, create=create)
                embedder = self._embedder()
                index = MemoryIndex(
                    dim=embedder.dim, model_id=embedder.model_id, max_bytes=self._settings.memory_cache_mb << 20
                )
                rooms = MemoryRooms(tenant.catalog, embedder, index, tenant.auditor, self._settings)
                self._rooms[principal.tenant] = rooms
                self._background.wake(rooms)  # a process before this one may have left something
            return rooms

    def _saw(
        self, rooms: MemoryRooms, principal: Principal, item_ids: Sequence[str], *, query: str | None = None
    ) -> None:
        rooms.auditor.saw("memory.recall", principal, collection=None, query=query, items=list(item_ids))
