"""The part of the facade that forgets for good: find, write down, erase, compact, scan, seal.

What is about to go is written down first, in `erasing/ID.json` of the home: names, counts and fingerprints, no text. From there on every step
may be repeated. An erasure that was killed is finished by the next one, or by the server's start.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.errors import CollectionNotFound, ConfigError, ReceiptNotFound
from indexes.vocabulary import Principal
from rag.auditing import OPERATOR
from rag.erasure.naming import Naming
from rag.erasure.outcome import Erasure, ErasureVerdict, Pending, read_pending
from rag.erasure.target import Eraser, Target
from rag.lore.items import Receipt

if TYPE_CHECKING:
    from ingest.pipeline import Ingestion
    from rag.tenant import Tenant

JOURNAL = "erasing"
_HOLD_WAITS_S = 60.0
_NOBODYS = {"builds", "judge_caches"}
"""Kinds that go with any erasure, and say nothing of whose they were."""
_ORDINARY = "08"
"""Begins a fingerprint of 8 bytes, which may be an ordinary word."""


class Erasing(Naming):
    """What `Loremill` inherits."""

    if TYPE_CHECKING:

        def embedder_of(self, name: str) -> Any: ...

        def _stand(self, rooms: Tenant, collection: str) -> None: ...

    def erase(
        self,
        *,
        document: str | None = None,
        subject: str | None = None,
        collection: str | None = None,
        tenant: str | None = None,
        by: str = OPERATOR,
    ) -> Erasure:
        """Erase a document, or a subject with all that is its own, from everything the home keeps; docs/erasure.md says what that is.

        Whether whoever asks may erase is the caller's to check. Once more, it finds nothing and says so in a receipt of its own.

        Args:
            document: its id or its uri; `collection` limits where it is looked for.
            subject: `user:x`, `agent:x` or `service:x`.
            tenant: needed where several could be meant.
            by: subject of whoever asks for it.
        Raises:
            ConfigError: there is no such document or subject, or several tenants have one; nothing has changed.
            Busy: an ingestion of a collection, or a reader of the catalog, does not end; run the same again.
            IndexBackendError: a store failed; run the same again, it goes on where it stopped.
        """
        if (document is None) == (subject is None):
            raise ConfigError("say what to erase: either --document or --subject")
        if subject is not None and collection is not None:
            raise ConfigError("a subject is erased from all collections of its tenant: leave --collection out")
        with self._erasing():
            self._finish_journals()
            target = (
                self._named_document(document, collection, tenant)
                if document is not None
                else self._named_subject(str(subject), tenant)
            )
            return self._erase(self._begin(target, by))

    def finish_erasures(self) -> list[Erasure]:
        """Finish erasures that were killed; their receipts are kept as ever."""
        if not any((self.home / JOURNAL).glob("*.json")):
            return []
        with self._erasing():
            return self._finish_journals()

    def verify_erasure(self, receipt: str | Path, *, tenant: str | None = None) -> ErasureVerdict:
        """Check a receipt's seal, and look for what it speaks of in every file of the home, and on the catalog's server if it has one.

        Args:
            receipt: its file, or the id of one that the home keeps.
            tenant: take a kept receipt of this tenant alone.
        Raises:
            ReceiptNotFound: there is no such receipt.
            ConfigFileError: the file is none.
        """
        from rag import receipts
        from rag.erasure.looking import look

        path = Path(receipt)
        kept = self.home / receipts.FOLDER / f"{path.name}.json"
        found = receipts.load(kept if tenant is not None or (kept.exists() and not path.exists()) else path)
        if tenant not in (None, found.tenant):
            raise ReceiptNotFound(f"there is no receipt {kept.name!r}; give the file that an erasure wrote")
        if not receipts.seal_holds(self.home, found):
            return ErasureVerdict(found, False, None)
        try:
            catalog, erasers = self._tenant(found.tenant).catalog, self._erasers(found.tenant, found.by)
        except CollectionNotFound:  # the tenant was removed by hand
            catalog, erasers = None, []
        return ErasureVerdict(found, True, look(self.home, found, catalog, erasers))

    def compact(self, *, tenant: str | None = None) -> tuple[str, ...]:
        """Leave nothing of what was deleted before in the database of a tenant, or of each; return what stays beyond that.

        What memory forgets is unreachable at once; in PostgreSQL its bytes stay on the tables' pages until this, or an erasure.

        Raises:
            ConfigError: there is no such tenant.
            Busy: somebody uses the old state for longer than a minute; run the same again.
        """
        from rag.erasure.storage import storage_of

        notes: dict[str, None] = {}
        with self._erasing():
            for name in self._tenants_meant(tenant):
                notes |= dict.fromkeys(storage_of(self._tenant(name).catalog).compact())
        return tuple(notes)

    # -- the steps ---------------------------------------------------------------------------------------------------

    def _begin(self, target: Target, by: str) -> Pending:
        """Write down what is about to go."""
        from rag import receipts

        own = self._erasers(target.tenant, by)
        found = [eraser.find(target) for eraser in own]
        counts = {name: count for each in found for name, count in each.counts.items()}
        own_counts = [count for name, count in counts.items() if name not in _NOBODYS]
        if target.subject and not any(own_counts) and not self._is_known(target):
            raise ConfigError(f"tenant {target.tenant!r} knows no subject {target.subject!r}; nothing was changed")
        draft = receipts.draft(
            self.home, tenant=target.tenant, by=by, about=target.about, counts=counts,
            strings=chain.from_iterable(each.strings for each in found),
            said=chain.from_iterable(each.said for each in found),
            chunk_ids=chain.from_iterable(each.chunk_ids for each in found),
            kept=chain.from_iterable(eraser.kept(target) for eraser in own),
            others=chain.from_iterable(eraser.others(target) for eraser in own),
        )  # fmt: skip
        finder = receipts.fingerprints_of(self.home, draft.receipt.salt).finder(draft.repeats)
        for eraser in own:
            counts |= eraser.repeated(target, finder)
        pending = Pending(target, replace(draft.receipt, counts=counts), draft.repeats)
        receipts.write_json(self._journal(pending.receipt), pending.to_json())
        return pending

    def _erase(self, pending: Pending) -> Erasure:
        from rag import receipts
        from rag.erasure.looking import look
        from rag.erasure.storage import storage_of

        draft, rooms = pending.receipt, self._tenant(pending.target.tenant)
        finder = receipts.fingerprints_of(self.home, draft.salt).finder(pending.repeats)
        for eraser in self._erasers(rooms.name, draft.by):
            eraser.erase(pending.target, finder)
        self._forget_caches(rooms)
        notes = storage_of(rooms.catalog).compact()
        seen = look(self.home, draft, rooms.catalog).found
        ordinary = {each.digest for each in seen if each.digest.startswith(_ORDINARY)}
        receipt = replace(draft, digests=tuple(each for each in draft.digests if each not in ordinary), notes=notes)
        receipt = receipts.sealed(self.home, receipt)
        self._write_down(rooms, receipt)
        path = receipts.save(self.home, receipt)
        self._journal(draft).unlink()
        return Erasure(receipt, path, tuple(each for each in seen if each.digest not in ordinary))

    def _erasers(self, tenant: str, by: str) -> list[Eraser]:
        """One for each kind of storage, in the order in which they work."""
        from indexes.audit import AuditLog
        from indexes.vectors import VectorOptions
        from rag.erasure.audit import AuditEraser
        from rag.erasure.documents import DocumentEraser
        from rag.erasure.evaluations import EvaluationEraser
        from rag.erasure.files import FileEraser
        from rag.erasure.ingestions import IngestionEraser
        from rag.erasure.memory import MemoryEraser
        from rag.erasure.ratings import RatingEraser

        rooms = self._tenant(tenant)
        options = VectorOptions.of(self.settings)
        return [
            DocumentEraser(
                rooms.catalog, rooms.collections, hold=lambda name: self._held_as_live(rooms, name), options=options
            ),
            MemoryEraser(rooms.catalog),
            RatingEraser(rooms.catalog),
            EvaluationEraser(rooms.catalog),
            IngestionEraser(rooms.catalog, rooms.folder / "inbox"),
            FileEraser(self.home, tenant),
            AuditEraser(AuditLog.of(rooms.folder, self.settings), by=by),
        ]

    @contextmanager
    def _held_as_live(self, rooms: Tenant, collection: str) -> Iterator[Ingestion]:
        """Hold a collection against ingestions, and give one under the settings of what is live, whatever the present ones are."""
        from indexes.vectors import VectorOptions
        from ingest.commit import exclusive
        from ingest.pipeline import Ingestion
        from rag.releases import ReleaseServing, ReleaseSettings, live_release, recipe_of

        folder = rooms.collections / collection
        with exclusive(folder, rooms.catalog, wait_s=_HOLD_WAITS_S):
            self._stand(rooms, collection)
            live = live_release(rooms.catalog, collection)
            settings = self.settings if live is None else self.settings.model_copy(update=dict(live.index))
            serving = ReleaseServing(
                ReleaseSettings.of(settings, self.home) if live is None else live.settings,
                recipe_of(settings),
                VectorOptions.of(settings),
                settings.promotion == "gated",
            )
            yield Ingestion(
                catalog=rooms.catalog, folder=folder, collection=collection,
                embedder=self.embedder_of(settings.embedder), settings=settings, serving=serving,
            )  # fmt: skip

    def _forget_caches(self, rooms: Tenant) -> None:
        """Let every process drop the results and answers that it keeps."""
        from indexes.rights import raise_epoch

        for collection in rooms.catalog.collections():
            with rooms.catalog.write() as db:
                raise_epoch(db, collection)
            rooms.retriever.cache.forget(collection)

    def _write_down(self, rooms: Tenant, receipt: Receipt) -> None:
        who = None if receipt.by == OPERATOR else Principal(receipt.tenant, receipt.by)
        rooms.auditor.did("erasure", who, receipt=receipt.id, about=receipt.about, counts=dict(receipt.counts))

    # -- what survives a crash ---------------------------------------------------------------------------------------

    @contextmanager
    def _erasing(self) -> Iterator[None]:
        """One erasure at a time in a home."""
        folder = self.home / JOURNAL
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _journal(self, draft: Receipt) -> Path:
        return self.home / JOURNAL / f"{draft.id}.json"

    def _finish_journals(self) -> list[Erasure]:
        finished = []
        for path in sorted((self.home / JOURNAL).glob("*.json")):
            try:
                finished.append(self._erase(read_pending(path)))
            except CollectionNotFound:  # the tenant was removed by hand, and with it all that was to be erased
                path.unlink()
        return finished
